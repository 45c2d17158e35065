"""The shapes between stages, as Arrow: what source gives decode, and what decode gives normalize.

Rows refer to their record by `record`, its row in the batch that source gave, and to their resource by `resource`, its row in
`RESOURCES`. Ids are texts as they were on the wire (bytes in hex), of any length: normalize judges them.
"""

import pyarrow as pa

from tracebraid.schemas.semconv import SPAN
from tracebraid.schemas.spans import EVENT, LINK
from tracebraid.schemas.table import ATTRIBUTES, BINARY, CODED, HEADERS, HELD_ATTRIBUTES, INT32, INT64, STORED_ATTRIBUTES, STRING

_UINT64 = pa.uint64()
# One batch holds records of one partition, in the order of their offsets.
RECORDS = pa.schema(
    [
        pa.field("kafka_offset", INT64, nullable=False),
        pa.field("kafka_time_ms", INT64, nullable=False),
        pa.field("key", BINARY),
        pa.field("value", BINARY),
        pa.field("headers", HEADERS),
    ]
)
RESOURCES = pa.schema([pa.field("attributes", ATTRIBUTES), pa.field("schema_url", STRING)])
_ROW = [pa.field("record", INT32, nullable=False), pa.field("record_index", INT32, nullable=False), pa.field("resource", INT32, nullable=False)]
_SCOPE = [pa.field("scope_name", STRING), pa.field("scope_version", STRING), pa.field("scope_attributes", ATTRIBUTES), pa.field("scope_schema_url", STRING)]
DECODED_SPANS = pa.schema(
    [
        *_ROW,
        pa.field("trace_id", STRING),
        pa.field("span_id", STRING),
        pa.field("parent_span_id", STRING),
        pa.field("trace_state", STRING),
        pa.field("flags", INT64),
        pa.field("name", STRING),
        pa.field("kind", INT32),
        pa.field("start_unix_nano", _UINT64),
        pa.field("end_unix_nano", _UINT64),
        pa.field("status_code", INT32),
        pa.field("status_message", STRING),
        *_SCOPE,
        pa.field("events", pa.list_(EVENT)),
        pa.field("links", pa.list_(LINK)),
        pa.field("dropped_attributes_count", INT64),
        pa.field("dropped_events_count", INT64),
        pa.field("dropped_links_count", INT64),
        pa.field("attributes", ATTRIBUTES),
    ]
)
# The same spans from compiled walkers: what repeats is coded, and promoted attributes have left the map for columns.
_WALKED = {field.name: CODED for field in DECODED_SPANS if field.type == STRING and not field.name.endswith("_id")} | {"attributes": STORED_ATTRIBUTES}
WALKED_SPANS = pa.schema(
    [
        *(field.with_type(_WALKED.get(field.name, field.type)) for field in DECODED_SPANS),
        *(pa.field(promoted.column, CODED if promoted.type == STRING else promoted.type) for promoted in SPAN),
    ]
)
# form: 'otlp' (typed fields are the sender's), 'json' (the fields of a log object lie flattened in attributes, nothing is picked yet),
# 'text' (the whole line is the body). envelope_time: the envelope's time as it was written; envelope: its name.
DECODED_LOGS = pa.schema(
    [
        *_ROW,
        pa.field("form", STRING, nullable=False),
        pa.field("trace_id", STRING),
        pa.field("span_id", STRING),
        pa.field("flags", INT64),
        pa.field("time_unix_nano", _UINT64),
        pa.field("observed_unix_nano", _UINT64),
        pa.field("severity_number", INT32),
        pa.field("severity_text", STRING),
        pa.field("body", STRING),
        pa.field("event_name", STRING),
        *_SCOPE,
        pa.field("dropped_attributes_count", INT64),
        pa.field("attributes", ATTRIBUTES),
        pa.field("envelope", STRING),
        pa.field("envelope_time", STRING),
    ]
)
# Logs of OTLP from compiled walkers, of form 'otlp'. Attributes that have columns are still in the map.
_CODED_OF_LOGS = frozenset({"severity_text", "event_name", "scope_name", "scope_version", "scope_schema_url"})
WALKED_LOGS = pa.schema(
    [
        field.with_type(CODED if field.name in _CODED_OF_LOGS else HELD_ATTRIBUTES if field.name == "attributes" else field.type)
        for field in DECODED_LOGS
        if field.name not in ("form", "envelope", "envelope_time")
    ]
)
# Log objects in JSON from a compiled walker, of form 'json': nothing is picked from their fields yet.
_OF_OBJECTS = frozenset({field.name for field in (*_ROW, *_SCOPE)} | {"dropped_attributes_count", "attributes"})
WALKED_OBJECTS = pa.schema([field for field in WALKED_LOGS if field.name in _OF_OBJECTS])
DECODED_REJECTS = pa.schema(
    [
        pa.field("record", INT32, nullable=False),
        pa.field("record_index", INT32, nullable=False),
        pa.field("reason", STRING, nullable=False),
        pa.field("message", STRING, nullable=False),
        pa.field("encoding", STRING, nullable=False),
    ]
)
