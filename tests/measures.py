"""Rows and measures for tests of partial windows: rows as plain dictionaries, and the slow way to what the product computes with arrays."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.records import Normalized, Partition, Records
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.records import RECORDS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import Table

Row = Mapping[str, Any]


@dataclass(frozen=True)
class ByService:
    """Spans by service and kind: their duration, how many are over a second; and, where `observe` says so, whether each row is."""

    id: int = 7
    signal: str = "spans"
    by: tuple[str, ...] = ("service_name", "kind")
    pane_us: int = 60_000_000
    max_series: int = 100
    observe: str = ""
    only: str = ""

    @property
    def group(self) -> tuple[str, tuple[str, ...], str, int]:
        return self.signal, self.by, self.only, self.pane_us

    def select(self, batch: pa.RecordBatch) -> pa.BooleanArray | None:
        return pc.equal(batch.column("service_name"), self.only) if self.only else None

    def label_arrays(self, batch: pa.RecordBatch) -> list[pa.StringArray]:
        return [pc.fill_null(batch.column(name), "") for name in self.by]

    def condition_arrays(self, batch: pa.RecordBatch) -> list[pa.BooleanArray]:
        return [pc.greater(batch.column("duration_ns"), 10**9)]

    def column_arrays(self, batch: pa.RecordBatch) -> list[pa.DoubleArray]:
        return [batch.column("duration_ns").cast(pa.float64())]

    def observations(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return pc.greater(batch.column("duration_ns"), 10**9)

    def errors(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return pc.equal(batch.column("status_code"), "ERROR")

    def missing(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return batch.column("trace_id").is_null()


def batch_of(table: Table, rows: Sequence[Row]) -> pa.RecordBatch:
    """Rows of a table, what a row does not say null (or '' and 0, where the column may not be)."""
    return pa.record_batch([pa.array([row.get(each.name) for row in rows], each.type) for each in table.arrow], schema=table.arrow)


def normalized_of(partition: Partition, first: int, spans: Sequence[Row] = (), logs: Sequence[Row] = ()) -> tuple[Records, Normalized]:
    """A record a row, from offset `first` on; rows get their offsets."""
    rows = [{**row, "kafka_offset": first + number, "record_index": 0} for number, row in enumerate([*spans, *logs])]
    count = max(1, len(rows))
    columns = [pa.array(range(first, first + count), pa.int64()), *(pa.nulls(count, each.type) for each in RECORDS if each.name != "kafka_offset")]
    records = Records(partition, pa.record_batch(columns, schema=pa.schema([each.with_nullable(True) for each in RECORDS])), "auto", "")
    found = Normalized(batch_of(SPANS, rows[: len(spans)]), batch_of(LOGS, rows[len(spans) :]), batch_of(REJECTS, []))
    return records, found


def quantile(values: Iterable[float], q: float) -> float:
    """The value of rank ceil(q·n), the first at least."""
    found = sorted(values)
    return found[max(1, math.ceil(q * len(found) - 1e-9)) - 1]
