"""Table `logs`: one row a log record."""

from tracebraid.schemas.semconv import RESOURCE
from tracebraid.schemas.table import ATTRIBUTES, INT32, INT64, PARTITION_COLUMN, PROVENANCE, STRING, TIMESTAMP, Column, Table

_MOSTLY_DISTINCT = frozenset({"trace_id", "span_id", "body", "exception_message", "exception_stacktrace"})
_COLUMNS = (
    PARTITION_COLUMN,
    Column("trace_id", STRING, "Trace id: 32 lower-case hex characters; null where the record carried none that is valid."),
    Column("span_id", STRING, "Span id: 16 lower-case hex characters."),
    Column("flags", INT64, "W3C trace flags."),
    Column("time", TIMESTAMP, "When it happened: the record's own time, else its envelope's, else when it was observed, else the Kafka timestamp."),
    Column("observed_time", TIMESTAMP, "When it was collected, to the microsecond."),
    Column("time_unix_nano", INT64, "The record's or the envelope's time in nanoseconds since 1970, exact; null where neither had one."),
    Column("observed_unix_nano", INT64, "When it was collected, in nanoseconds since 1970, exact."),
    Column("severity_number", INT32, "1..24 by OpenTelemetry's table; 0 where unknown."),
    Column("severity_text", STRING, "The level as it was written."),
    Column("body", STRING, "The message; JSON text where it is structured."),
    Column("event_name", STRING, "Name of the event."),
    Column("logger", STRING, "Name of the logger."),
    Column("thread", STRING, "Name of the thread."),
    Column("exception_type", STRING, "Class of the exception."),
    Column("exception_message", STRING, "Message of the exception."),
    Column("exception_stacktrace", STRING, "Stack trace."),
    Column("trace_id_source", STRING, "Where the trace id was found: otlp, or field:NAME, traceparent, text, line above; null without one."),
    Column("scope_name", STRING, "Name of the instrumentation scope."),
    Column("scope_version", STRING, "Version of the instrumentation scope."),
    Column("scope_attributes", ATTRIBUTES, "Attributes of the instrumentation scope."),
    Column("scope_schema_url", STRING, "Schema URL of the scope."),
    Column("dropped_attributes_count", INT64, "Attributes that the SDK dropped."),
    Column("tenant", STRING, "Tenant, from a header, the topic or the settings.", True),
    *(promoted.as_column for promoted in RESOURCE),
    Column("attributes", ATTRIBUTES, "The record's other attributes."),
    Column("resource_attributes", ATTRIBUTES, "The resource's other attributes."),
    Column("resource_schema_url", STRING, "Schema URL of the resource."),
    *PROVENANCE,
)
LOGS = Table(
    name="logs",
    version=1,
    comment="One row a log record, of whatever library and envelope.",
    sort_by=("trace_id", "time"),
    columns=_COLUMNS,
    coded=frozenset(column.name for column in _COLUMNS if column.type in (STRING, ATTRIBUTES)) - _MOSTLY_DISTINCT,
)
