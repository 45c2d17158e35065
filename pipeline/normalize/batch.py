"""Decoded rows of every encoding → rows as the tables hold them: the stage's entry.

In: Records and their Decoded. Out: Normalized, a row for each decoded one, in its order. Never: a row refused (decode has judged the bytes),
a clock, or an object a row.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.formats import FormatSettings
from tracebraid.pipeline.kernel.held import as_held, one_batch, slice_rows
from tracebraid.pipeline.kernel.records import Decoded, Normalized, Records
from tracebraid.pipeline.normalize.context import Context, Part, count_by_service
from tracebraid.pipeline.normalize.logs import normalize_logs
from tracebraid.pipeline.normalize.rejects import normalize_rejects
from tracebraid.pipeline.normalize.service import NormalizedResources
from tracebraid.pipeline.normalize.spans import normalize_spans
from tracebraid.pipeline.normalize.time import Placed, place
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import Table


def normalize(records: Records, decoded: Decoded, *, now_us: int, tenant_header: str = "", formats: Sequence[FormatSettings] = ()) -> Normalized:
    """`now_us`: microseconds since 1970, for ingested_at, and what is much later is implausible; 0 where nobody knows.

    `tenant_header`: the record header that names the tenant, if any. `formats`: log formats of the user's own.
    """
    context = Context.of(records, now_us, tenant_header, formats)
    parts = list(_parts(context, decoded))
    normalized = _whole([(part.table, part.rows, part.placed.range_us(0, part.rows.num_rows)) for part in parts])
    counted = sum((part.noticed for part in parts), Counter[tuple[str, str]]())
    rejects = normalize_rejects(decoded.rejects, context) if decoded.rejects.num_rows else _none(REJECTS.name)
    normalized = replace(normalized, rejects=rejects, counted=counted)
    kept = normalized.spans.num_rows + normalized.logs.num_rows + normalized.rejects.num_rows
    if kept + decoded.dropped.total() != decoded.rows_in:
        raise TracebraidError(f"normalize made {kept} rows of {decoded.rows_in} in {records.partition}", "This is a fault of tracebraid's; please report it")
    return normalized


def normalize_together(
    records: Records, decoded: Decoded, *, now_us: int, tenant_header: str = "", formats: Sequence[FormatSettings] = ()
) -> list[Normalized] | None:
    """As normalize, of records of several partitions, none of them rejected or dropped: the rows of each. None where something about them is counted by
    partition."""
    context = Context.of(records, now_us, tenant_header, formats)
    parts = list(_parts(context, decoded))
    if any(part.noticed for part in parts):
        return None
    if sum(part.rows.num_rows for part in parts) != decoded.rows_in:
        return None  # what is no row is accounted for by partition, too
    found: list[list[_Rows]] = [[] for _ in range(len(records.firsts) + 1)]
    for part in parts:
        of = np.searchsorted(records.firsts, part.record, "right")
        if (np.diff(of) < 0).any():
            raise TracebraidError(f"rows of {records.partition} lie among another partition's", "This is a fault of tracebraid's; please report it")
        for rows, (start, end) in zip(found, pairwise(np.searchsorted(of, np.arange(len(found) + 1)).tolist()), strict=True):
            if start < end:
                rows.append((part.table, slice_rows(part.rows, start, end - start), part.placed.range_us(start, end)))
    return [_whole(rows) for rows in found]


def _whole(parts: "Sequence[_Rows]") -> Normalized:
    batches = {table.name: [rows for of, rows, _ in parts if of is table] for table in (SPANS, LOGS)}
    spans, logs = (one_batch(batches[table.name], table.held) if batches[table.name] else _none(table.name) for table in (SPANS, LOGS))
    times = [time for _, _, range_us in parts for time in range_us or ()]
    return Normalized(spans, logs, _none(REJECTS.name), event_time_us=(min(times), max(times)) if times else None)


_Rows = tuple[Table, pa.RecordBatch, tuple[int, int] | None]  # with the range of their plausible times


@dataclass(frozen=True, slots=True)
class _Part:
    """What one decoder's rows are in one table. record: of each row. noticed: (what, service) → rows."""

    table: Table
    rows: pa.RecordBatch
    record: npt.NDArray[np.int32]
    placed: Placed
    noticed: Counter[tuple[str, str]]


def _parts(context: Context, decoded: Decoded) -> Iterator[_Part]:
    resources = NormalizedResources.of(decoded.resources)
    for table, rows, normalize_rows in (
        (SPANS, decoded.walked, normalize_spans),
        (SPANS, decoded.spans, normalize_spans),
        (LOGS, decoded.walked_logs, normalize_logs),
        (LOGS, decoded.walked_objects, normalize_logs),
        (LOGS, decoded.logs, normalize_logs),
    ):
        if rows is None or not rows.num_rows:  # most batches hold one signal: the other costs nothing
            continue
        yield _assemble(table, rows, normalize_rows(context, rows, resources), resources, context)


@cache
def _none(name: str) -> pa.RecordBatch:
    table = next(table for table in (SPANS, LOGS, REJECTS) if table.name == name)
    return pa.record_batch([as_held(pa.array([], kind), held) for kind, held in zip(table.arrow.types, table.held.types, strict=True)], schema=table.held)


def _assemble(table: Table, rows: pa.RecordBatch, part: Part, resources: NormalizedResources, context: Context) -> _Part:
    """A batch of the table's schema, and what was noticed."""
    record = rows.column("record")
    placed = place(part.event_us, context.row_kafka_us(record), context.now_us)
    columns = dict(zip(rows.schema.names, rows.columns, strict=True))
    columns |= resources.take(rows.column("resource"))
    columns |= context.provenance(record, rows.column("record_index"))
    columns |= part.columns
    columns["day"] = placed.day
    noticed = part.noticed + count_by_service("clock_skew", placed.skewed, columns["service_name"])
    held = pa.record_batch([as_held(columns[field.name], field.type) for field in table.held], schema=table.held)
    return _Part(table, held, record.to_numpy(), placed, noticed)
