"""Table `spans`: one row a span."""

import pyarrow as pa

from tracebraid.schemas.semconv import RESOURCE, SPAN
from tracebraid.schemas.table import ATTRIBUTES, INT64, PARTITION_COLUMN, PROVENANCE, STRING, TIMESTAMP, Column, Table

EVENT = pa.struct(
    [pa.field("time_unix_nano", INT64), pa.field("name", STRING), pa.field("attributes", ATTRIBUTES), pa.field("dropped_attributes_count", INT64)]
)
LINK = pa.struct(
    [
        pa.field("trace_id", STRING),
        pa.field("span_id", STRING),
        pa.field("trace_state", STRING),
        pa.field("flags", INT64),
        pa.field("attributes", ATTRIBUTES),
        pa.field("dropped_attributes_count", INT64),
    ]
)

_IDS = frozenset({"trace_id", "span_id", "parent_span_id"})
_COLUMNS = (
    PARTITION_COLUMN,
    Column("trace_id", STRING, "Trace id: 32 lower-case hex characters, 64-bit ids left-padded; null where the span carried none that is valid."),
    Column("span_id", STRING, "Span id: 16 lower-case hex characters."),
    Column("parent_span_id", STRING, "Span id of the parent; null for a root."),
    Column("trace_state", STRING, "W3C tracestate."),
    Column("flags", INT64, "OTLP flags: bits 0-7 the W3C trace flags, 8-9 whether the parent is remote."),
    Column("name", STRING, "Name of the span."),
    Column("kind", STRING, "UNSPECIFIED, INTERNAL, SERVER, CLIENT, PRODUCER or CONSUMER."),
    Column("start_time", TIMESTAMP, "Start, to the microsecond; null where it was not set."),
    Column("end_time", TIMESTAMP, "End, to the microsecond; null where it was not set."),
    Column("start_unix_nano", INT64, "Start in nanoseconds since 1970, exact."),
    Column("end_unix_nano", INT64, "End in nanoseconds since 1970, exact."),
    Column("duration_ns", INT64, "End minus start in nanoseconds; negative where the clocks say so."),
    Column("status_code", STRING, "UNSET, OK or ERROR."),
    Column("status_message", STRING, "Message of the status."),
    Column("scope_name", STRING, "Name of the instrumentation scope."),
    Column("scope_version", STRING, "Version of the instrumentation scope."),
    Column("scope_attributes", ATTRIBUTES, "Attributes of the instrumentation scope."),
    Column("scope_schema_url", STRING, "Schema URL of the scope."),
    Column("events", pa.list_(EVENT), "Events of the span."),
    Column("links", pa.list_(LINK), "Links of the span."),
    Column("dropped_attributes_count", INT64, "Attributes that the SDK dropped."),
    Column("dropped_events_count", INT64, "Events that the SDK dropped."),
    Column("dropped_links_count", INT64, "Links that the SDK dropped."),
    Column("tenant", STRING, "Tenant, from a header, the topic or the settings.", True),
    *(promoted.as_column for promoted in RESOURCE),
    *(promoted.as_column for promoted in SPAN),
    Column("attributes", ATTRIBUTES, "The span's other attributes."),
    Column("resource_attributes", ATTRIBUTES, "The resource's other attributes."),
    Column("resource_schema_url", STRING, "Schema URL of the resource."),
    *PROVENANCE,
)
SPANS = Table(
    name="spans",
    version=1,
    comment="One row a span, as it was sent.",
    sort_by=("trace_id", "start_unix_nano"),
    columns=_COLUMNS,
    coded=frozenset(column.name for column in _COLUMNS if column.type in (STRING, ATTRIBUTES)) - _IDS,
)
