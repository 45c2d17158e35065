"""What a measure takes of one batch: which rows, of which series, in which pane, and their values.

In: a batch of schemas.spans or schemas.logs, a compiled measure. Out: Taken, numpy arrays with an entry a row. Never: a row that the
measure's condition leaves out; a Python call a row, only one a series and batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.event_time import measured
from tracebraid.pipeline.kernel.held import take_rows
from tracebraid.pipeline.kernel.route import routes
from tracebraid.schemas.table import FALSE, INT64

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Compiled(Protocol):
    """What this stage asks of a measure of pipeline.rules, and of a stand-in in tests. Arrays have an entry a row of the batch."""

    @property
    def id(self) -> int: ...
    @property
    def signal(self) -> str: ...
    @property
    def by(self) -> tuple[str, ...]: ...
    @property
    def pane_us(self) -> int: ...
    @property
    def max_series(self) -> int: ...
    @property
    def observe(self) -> str: ...
    @property
    def group(self) -> tuple[str, tuple[str, ...], str, int]: ...
    def select(self, batch: pa.RecordBatch) -> pa.BooleanArray | None: ...
    def label_arrays(self, batch: pa.RecordBatch) -> list[pa.StringArray]: ...
    def condition_arrays(self, batch: pa.RecordBatch) -> list[pa.BooleanArray]: ...
    def column_arrays(self, batch: pa.RecordBatch) -> list[pa.DoubleArray]: ...
    def observations(self, batch: pa.RecordBatch) -> pa.BooleanArray: ...
    def errors(self, batch: pa.RecordBatch) -> pa.BooleanArray: ...
    def missing(self, batch: pa.RecordBatch) -> pa.BooleanArray: ...


@dataclass(frozen=True, slots=True)
class Taken:
    """Rows of one batch. flags: bool [rows, 2 + conditions]: errors, missing, conditions. values: float64 [rows, columns], NaN for none."""

    time_us: Ints
    labels: tuple[Ints, list[tuple[str, ...]]]  # the row's place among the batch's distinct label tuples, and those
    flags: Bools
    values: Floats
    trace_ids: pa.StringArray
    observed: Bools | None
    offset: Ints
    index: Ints


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows of one batch that measures of one group share, with their times and labels."""

    batch: pa.RecordBatch
    time_us: Ints
    labels: tuple[Ints, list[tuple[str, ...]]]


def with_derived(signal: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of schemas.spans with the columns `route` and `operation`, by which rules may group; others as they are."""
    if signal != "spans":
        return batch
    found = routes(batch)
    return pa.RecordBatch.from_arrays([*batch.columns, found, found], names=[*batch.schema.names, "route", "operation"])


def select(measure: Compiled, batch: pa.RecordBatch) -> Selection | None:
    """None where no row is the measure's."""
    chosen = measure.select(batch)
    if chosen is not None:
        batch = take_rows(batch, np.flatnonzero(pc.fill_null(chosen, FALSE).to_numpy(zero_copy_only=False)))
    if not batch.num_rows:
        return None
    return Selection(batch, event_times(batch), _distinct(measure.label_arrays(batch), batch.num_rows))


def take(measure: Compiled, selection: Selection) -> Taken:
    """`selection`: of this measure, or of another one of its group."""
    batch = selection.batch
    flags = [measure.errors(batch), measure.missing(batch), *measure.condition_arrays(batch)]
    columns = measure.column_arrays(batch)
    return Taken(
        time_us=selection.time_us,
        labels=selection.labels,
        flags=np.column_stack([_bools(each) for each in flags]),
        values=np.column_stack([_floats(each) for each in columns]) if columns else np.empty((batch.num_rows, 0)),
        trace_ids=batch.column("trace_id"),
        observed=_bools(measure.observations(batch)) if measure.observe else None,
        offset=batch.column("kafka_offset").to_numpy(),
        index=batch.column("record_index").to_numpy().astype(np.int64),
    )


def event_times(batch: pa.RecordBatch) -> Ints:
    """Microseconds since 1970: a span's end, else its start; a log's time; the Kafka timestamp, or when it was normalized, where those are not plausible."""
    kafka = batch.column("kafka_time").cast(INT64)
    names = ("end_time", "start_time") if "end_time" in batch.schema.names else ("time",)
    own = pc.coalesce(*(batch.column(name).cast(INT64) for name in names), kafka)
    now = pc.fill_null(batch.column("ingested_at").cast(INT64), pa.scalar(0, INT64))
    return measured(own.to_numpy(), kafka.to_numpy(), now.to_numpy())[0]


def _bools(array: pa.BooleanArray) -> Bools:
    found: Bools = pc.fill_null(array, FALSE).to_numpy(zero_copy_only=False)
    return found


def _floats(array: pa.DoubleArray) -> Floats:
    """NaN for null and for what is not finite: it has no place in a sum or a bucket."""
    values = array.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return np.where(np.isfinite(values), values, np.nan)


def _distinct(labels: Sequence[pa.StringArray], rows: int) -> tuple[Ints, list[tuple[str, ...]]]:
    """(row → number of its label tuple, the tuples, which are distinct but for labels that were cut)."""
    if not labels:
        return np.zeros(rows, np.int64), [()]
    encoded = [pc.dictionary_encode(each) for each in labels]
    codes = [each.indices.to_numpy().astype(np.int64) for each in encoded]
    sizes = [max(1, len(each.dictionary)) for each in encoded]
    combined, seen = codes[0], sizes[0]
    for code, size in zip(codes[1:], sizes[1:], strict=True):
        if seen * size > 1 << 62:  # the mixed number would not fit: number what has been seen so far anew
            unique, combined = np.unique(combined, return_inverse=True)
            seen = len(unique)
        combined, seen = combined * size + code, seen * size
    _, first, inverse = np.unique(combined, return_index=True, return_inverse=True)
    texts = [
        pc.utf8_slice_codeunits(each.dictionary.take(pa.array(code[first])), 0, limits.label_chars_max).to_pylist()
        for each, code in zip(encoded, codes, strict=True)
    ]
    return inverse.reshape(-1), list(zip(*texts, strict=True))
