"""Decoded rows of every encoding → rows as the tables hold them: the stage's entry.

In: Records and their Decoded. Out: Normalized, a row for each decoded one, in its order. Never: a row refused (decode has judged the bytes),
a clock, or an object a row.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache

import pyarrow as pa

from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.formats import FormatSettings
from tracebraid.pipeline.kernel.held import as_held, one_batch
from tracebraid.pipeline.kernel.records import Decoded, Normalized, Records
from tracebraid.pipeline.normalize.context import Context, Part, count_by_service
from tracebraid.pipeline.normalize.logs import normalize_logs
from tracebraid.pipeline.normalize.rejects import normalize_rejects
from tracebraid.pipeline.normalize.service import NormalizedResources
from tracebraid.pipeline.normalize.spans import normalize_spans
from tracebraid.pipeline.normalize.time import place
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import Table


def normalize(records: Records, decoded: Decoded, *, now_us: int, tenant_header: str = "", formats: Sequence[FormatSettings] = ()) -> Normalized:
    """`now_us`: microseconds since 1970, for ingested_at, and what is much later is implausible; 0 where nobody knows.

    `tenant_header`: the record header that names the tenant, if any. `formats`: log formats of the user's own.
    """
    context = Context.of(records, now_us, tenant_header, formats)
    resources = NormalizedResources.of(decoded.resources)
    counted: Counter[tuple[str, str]] = Counter()
    ranges: list[int] = []
    found: dict[str, list[pa.RecordBatch]] = {"spans": [], "logs": []}
    for table, rows, normalize_rows in (
        (SPANS, decoded.walked, normalize_spans),
        (SPANS, decoded.spans, normalize_spans),
        (LOGS, decoded.walked_logs, normalize_logs),
        (LOGS, decoded.walked_objects, normalize_logs),
        (LOGS, decoded.logs, normalize_logs),
    ):
        if rows is None or not rows.num_rows:  # most batches hold one signal: the other costs nothing
            continue
        batch, noticed, plausible_us = _assemble(table, rows, normalize_rows(context, rows, resources), resources, context)
        found[table.name].append(batch)
        counted += noticed
        ranges.extend(plausible_us or ())
    tables = [one_batch(found[table.name], table.held) if found[table.name] else _none(table.name) for table in (SPANS, LOGS)]
    rejects = normalize_rejects(decoded.rejects, context) if decoded.rejects.num_rows else _none(REJECTS.name)
    normalized = Normalized(tables[0], tables[1], rejects, counted, (min(ranges), max(ranges)) if ranges else None)
    kept = normalized.spans.num_rows + normalized.logs.num_rows + normalized.rejects.num_rows
    if kept + decoded.dropped.total() != decoded.rows_in:
        raise TracebraidError(f"normalize made {kept} rows of {decoded.rows_in} in {records.partition}", "This is a fault of tracebraid's; please report it")
    return normalized


@cache
def _none(name: str) -> pa.RecordBatch:
    table = next(table for table in (SPANS, LOGS, REJECTS) if table.name == name)
    return pa.record_batch([as_held(pa.array([], kind), held) for kind, held in zip(table.arrow.types, table.held.types, strict=True)], schema=table.held)


def _assemble(
    table: Table, rows: pa.RecordBatch, part: Part, resources: NormalizedResources, context: Context
) -> tuple[pa.RecordBatch, Counter[tuple[str, str]], tuple[int, int] | None]:
    """A batch of the table's schema, what was noticed, and the range of plausible event times."""
    record = rows.column("record")
    placed = place(part.event_us, context.row_kafka_us(record), context.now_us)
    columns = dict(zip(rows.schema.names, rows.columns, strict=True))
    columns |= resources.take(rows.column("resource"))
    columns |= context.provenance(record, rows.column("record_index"))
    columns |= part.columns
    columns["day"] = placed.day
    noticed = part.noticed + count_by_service("clock_skew", placed.skewed, columns["service_name"])
    return pa.record_batch([as_held(columns[field.name], field.type) for field in table.held], schema=table.held), noticed, placed.plausible_us
