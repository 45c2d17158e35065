"""The values that stages hand each other.

Rows are Arrow batches; these carry them, with what is known of the whole batch. All are frozen.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel import limits

_PACKED = (b"\x1f\x8b", b"H4sI")  # gzip, and how it begins in base64


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One partition of one topic of one cluster. The topic's id is part of it: a topic made again is another topic."""

    cluster: str
    topic: str
    topic_id: str
    number: int

    @property
    def ledger_key(self) -> str:
        """The app_id of this partition's transactions in every table."""
        return f"{self.cluster}/{self.topic_id}/{self.number}"

    def __str__(self) -> str:
        return f"{self.topic}[{self.number}]"


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one partition in the order of their offsets. `batch`: schemas.records.RECORDS. `encoding`, `tenant`: as configured.

    schemas: Avro schemas by the ids that frames of the records name, as far as a registry has given them.
    firsts, numbers: of records of several partitions, the first record of each but the first, and each one's partition; then `partition` is the first's.
    """

    partition: Partition
    batch: pa.RecordBatch
    encoding: str = "auto"
    tenant: str = ""
    schemas: Mapping[int, str] = field(default_factory=dict)
    firsts: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    numbers: pa.Int32Array | None = None

    @classmethod
    def together(cls, parts: "Sequence[Records]") -> "Records":
        """Records of several partitions of one topic, in the order of their numbers, as one batch; two at least. It has no offset of its own."""
        sizes = [part.batch.num_rows for part in parts]
        numbers = pa.array(np.repeat(np.array([part.partition.number for part in parts], np.int32), sizes))
        return replace(parts[0], batch=pa.concat_batches([part.batch for part in parts]), firsts=np.cumsum(sizes[:-1]), numbers=numbers)

    @property
    def first_offset(self) -> int:
        first: int = self.batch.column("kafka_offset")[0].as_py()
        return first

    @property
    def next_offset(self) -> int:
        last: int = self.batch.column("kafka_offset")[-1].as_py()
        return last + 1

    def cut(self, *offsets: int) -> "list[Records]":
        """The same records in pieces, each wholly below or wholly at and above every one of `offsets`. Pieces without records are left out."""
        if all(offset <= self.first_offset for offset in offsets):
            return [self]
        held = self.batch.column("kafka_offset").to_numpy()
        edges = sorted({0, len(held), *np.searchsorted(held, offsets).tolist()})
        return [replace(self, batch=self.batch.slice(start, end - start)) for start, end in itertools.pairwise(edges)]

    def split(self, value_bytes_max: int) -> "list[Records]":
        """The same records in pieces of about `value_bytes_max` bytes of values, compressed ones as what they hold: beyond it by one record at most."""
        values = self.batch.column("value")
        packed = pc.fill_null(pc.or_(*(pc.starts_with(values, start) for start in _PACKED)), pa.scalar(False))
        inflating = pc.any(packed).as_py()
        if self.batch.nbytes * (limits.inflated_ratio_usual if inflating else 1) <= value_bytes_max:
            return [self]
        sizes = pc.fill_null(pc.binary_length(values), 0).to_numpy().astype(np.int64)
        if inflating:
            sizes *= np.where(packed.to_numpy(zero_copy_only=False), limits.inflated_ratio_usual, 1)
        piece = np.cumsum(sizes) // value_bytes_max
        edges = [0, *(np.flatnonzero(np.diff(piece)) + 1).tolist(), len(sizes)]
        return [replace(self, batch=self.batch.slice(start, end - start)) for start, end in itertools.pairwise(edges)]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What decode made of one Records: rows in = spans + logs + rejects + dropped.

    spans, logs, resources, rejects: schemas.records.DECODED_SPANS, DECODED_LOGS, RESOURCES, DECODED_REJECTS.
    dropped: rows dropped on purpose, by reason; a record that gives no row at all counts as one ('empty', or 'joined' where it is part of another's line).
    walked, walked_logs, walked_objects: what compiled walkers read, schemas.records.WALKED_SPANS, WALKED_LOGS and WALKED_OBJECTS; of other records than
    those in `spans` and `logs`.
    fault: what kept the walkers from reading this batch, a fault of ours, else ''; its records were read all the same, slower.
    """

    spans: pa.RecordBatch
    logs: pa.RecordBatch
    resources: pa.RecordBatch
    rejects: pa.RecordBatch
    dropped: Counter[str] = field(default_factory=Counter)
    walked: pa.RecordBatch | None = None
    walked_logs: pa.RecordBatch | None = None
    walked_objects: pa.RecordBatch | None = None
    fault: str = ""

    @property
    def rows_in(self) -> int:
        walked = sum(rows.num_rows for rows in (self.walked, self.walked_logs, self.walked_objects) if rows)
        return int(walked + self.spans.num_rows + self.logs.num_rows + self.rejects.num_rows) + self.dropped.total()


@dataclass(frozen=True, slots=True)
class Normalized:
    """Rows as the tables hold them. spans, logs, rejects: of the tables' held schemas (partition column and all).

    counted: (what, service) → rows, e.g. ('clock_skew', 'checkout'), ('invalid_trace_id', 'checkout').
    redacted: by rule, values that were dropped, hashed or masked.
    event_time_us: earliest and latest plausible event time, microseconds since 1970; None without one.
    """

    spans: pa.RecordBatch
    logs: pa.RecordBatch
    rejects: pa.RecordBatch
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)
    event_time_us: tuple[int, int] | None = None
    redacted: Counter[str] = field(default_factory=Counter)
