"""OTLP as protobuf and as JSON say the same; broken bytes cost their own record and no other."""

import base64
import json
from typing import Any

from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status, TracesData

from tests.batches import FIRST_OFFSET, records_of
from tracebraid.pipeline.decode.registry import DECODERS, decode
from tracebraid.pipeline.kernel.records import Decoded
from tracebraid.pipeline.normalize.batch import normalize

words = st.text(max_size=8)
ids = st.sampled_from([b"", bytes(8), bytes(range(1, 9)), bytes(15), bytes(range(16)), bytes(range(17))])
nanos = st.integers(1, 2**64 - 1)
counts = st.integers(0, 2**32 - 1)
scalars = st.one_of(
    st.builds(AnyValue),
    st.builds(AnyValue, string_value=words),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
    st.builds(AnyValue, double_value=st.floats()),
    st.builds(AnyValue, bytes_value=st.binary(max_size=5)),
)


def _nested(children: st.SearchStrategy[AnyValue]) -> st.SearchStrategy[AnyValue]:
    pairs = st.lists(st.builds(KeyValue, key=words, value=children), max_size=3)
    return st.one_of(
        st.lists(children, max_size=3).map(lambda values: AnyValue(array_value={"values": values})),
        pairs.map(lambda values: AnyValue(kvlist_value={"values": values})),
    )


values = st.recursive(scalars, _nested, max_leaves=6)
attributes = st.lists(st.builds(KeyValue, key=words, value=values), max_size=4)
resources = st.builds(Resource, attributes=attributes, dropped_attributes_count=st.sampled_from([0, 3]))
scopes = st.fixed_dictionaries({"name": words, "version": words, "attributes": attributes, "dropped_attributes_count": st.sampled_from([0, 2])})
events = st.builds(Span.Event, time_unix_nano=nanos, name=words, attributes=attributes, dropped_attributes_count=counts)
links = st.builds(Span.Link, trace_id=ids, span_id=ids, trace_state=words, flags=counts, attributes=attributes, dropped_attributes_count=counts)
spans = st.builds(
    Span,
    trace_id=ids,
    span_id=ids,
    parent_span_id=ids,
    trace_state=words,
    flags=counts,
    name=words,
    kind=st.integers(0, 5),
    start_time_unix_nano=nanos,
    end_time_unix_nano=nanos,
    attributes=attributes,
    dropped_attributes_count=counts,
    events=st.lists(events, max_size=2),
    dropped_events_count=counts,
    links=st.lists(links, max_size=2),
    dropped_links_count=counts,
    status=st.builds(Status, code=st.integers(0, 2), message=words),
)
logs = st.builds(
    LogRecord,
    time_unix_nano=nanos,
    observed_time_unix_nano=nanos,
    severity_number=st.integers(0, 24),
    severity_text=words,
    body=values,
    attributes=attributes,
    dropped_attributes_count=counts,
    flags=counts,
    trace_id=ids,
    span_id=ids,
    event_name=words,
)
scope_spans = st.builds(ScopeSpans, scope=scopes, spans=st.lists(spans, min_size=1, max_size=3), schema_url=words)
scope_logs = st.builds(ScopeLogs, scope=scopes, log_records=st.lists(logs, min_size=1, max_size=3), schema_url=words)
traces = st.builds(TracesData, resource_spans=st.lists(st.builds(ResourceSpans, resource=resources, scope_spans=st.lists(scope_spans, max_size=2)), max_size=2))
log_data = st.builds(LogsData, resource_logs=st.lists(st.builds(ResourceLogs, resource=resources, scope_logs=st.lists(scope_logs, max_size=2)), max_size=2))


@settings(max_examples=150, deadline=None)
@given(st.one_of(traces, log_data), st.booleans(), st.booleans())
def test_protobuf_and_json_decode_alike(message: TracesData | LogsData, numbers: bool, snake: bool) -> None:
    as_json = json.dumps(hex_ids(MessageToDict(message, use_integers_for_enums=numbers, preserving_proto_field_name=snake)), ensure_ascii=False).encode()
    from_proto = decode(records_of([message.SerializeToString()], "otlp_proto"), kernels=False)  # which say the same: tests/property/test_walkers.py
    from_json = decode(records_of([as_json], "otlp_json"), kernels=False)  # likewise: tests/property/test_walkers_json.py
    assert _content(from_proto) == _content(from_json)
    assert from_proto.rejects.num_rows == 0


SEEDS = (
    TracesData(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value="shop"))]),
                scope_spans=[
                    ScopeSpans(
                        spans=[Span(trace_id=bytes(range(16)), span_id=bytes(range(8)), name="GET /", kind=2, start_time_unix_nano=1, end_time_unix_nano=9)] * 2
                    )
                ],
            )
        ]
    ).SerializeToString(),
    LogsData(
        resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=[LogRecord(time_unix_nano=5, severity_number=9, body=AnyValue(string_value="hello"))])])]
    ).SerializeToString(),
    b'{"resourceSpans":[{"resource":{},"scopeSpans":[{"spans":[{"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","name":"a",'
    b'"startTimeUnixNano":"1700000000000000000","attributes":[{"key":"k","value":{"arrayValue":{"values":[{"intValue":"1"}]}}}]}]}]}]}',
    b'{"time":"2026-01-01T00:00:00Z","level":"info","msg":"hello","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}',
    b"2026-01-01 00:00:00 INFO hello TraceID: 4bf92f3577b34da6a3ce929d0e0e4736",
)
EDITS = st.lists(st.tuples(st.integers(0, 400), st.one_of(st.integers(0, 255), st.none())), min_size=1, max_size=6)


def mutated(seed: bytes, edits: list[tuple[int, int | None]]) -> bytes:
    """The seed with bytes replaced, or cut off where the edit is None."""
    value = bytearray(seed)
    for place, byte in edits:
        if byte is None:
            del value[place % (len(value) + 1) :]
        elif value:
            value[place % len(value)] = byte
    return bytes(value)


hostile = st.one_of(st.builds(mutated, st.sampled_from(SEEDS), EDITS), st.binary(max_size=60), st.binary(max_size=30).map(lambda tail: b"\n" + tail))


@settings(max_examples=300, deadline=None)
@given(st.lists(hostile, min_size=1, max_size=4), st.sampled_from(["auto", *DECODERS]))
def test_no_record_is_lost_and_no_neighbor_harmed(values: list[bytes], encoding: str) -> None:
    good = SEEDS[2 if encoding in ("auto", "otlp_json") else 0 if encoding == "otlp_proto" else 3]
    records = records_of([good, *values, good], encoding)
    decoded = decode(records)
    normalized = normalize(records, decoded, now_us=1)
    walked = (decoded.walked, decoded.walked_logs, decoded.walked_objects)
    batches = [batch for batch in (*walked, decoded.spans, decoded.logs, decoded.rejects) if batch]
    seen = {row["record"] for batch in batches for row in batch.select(["record"]).to_pylist()}
    assert len(seen) + decoded.dropped.total() == len(values) + 2
    kept = normalized.spans.num_rows + normalized.logs.num_rows + normalized.rejects.num_rows
    assert kept + decoded.dropped.total() == decoded.rows_in
    assert "decoder_error" not in decoded.rejects.column("reason").to_pylist()
    single = records_of([good], encoding)
    alone = normalize(single, decode(single), now_us=1)
    first, last = FIRST_OFFSET, FIRST_OFFSET + len(values) + 1
    for batch, own in ((normalized.spans, alone.spans), (normalized.logs, alone.logs)):
        rows = sorted((row for row in batch.to_pylist() if row["kafka_offset"] in (first, last)), key=lambda row: (row["kafka_offset"], row["record_index"]))
        assert [{**row, "kafka_offset": first} for row in rows] == own.to_pylist() * 2


def hex_ids(value: Any) -> Any:
    """protobuf's JSON of OTLP as OTLP's own: ids in hex."""
    if isinstance(value, list):
        return [hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = {"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"}
    return {name: base64.b64decode(item).hex() if name in names else hex_ids(item) for name, item in value.items()}


def _content(decoded: Decoded) -> list[Any]:
    """All rows with their resource in place of its number."""
    resources = decoded.resources.to_pylist()
    rows = [
        [{name: resources[value] if name == "resource" else value for name, value in row.items()} for row in batch.to_pylist()]
        for batch in (decoded.spans, decoded.logs)
    ]
    return [*rows, decoded.rejects.to_pylist(), dict(decoded.dropped)]
