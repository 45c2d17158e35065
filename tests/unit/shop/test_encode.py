"""The shop's own OTLP bytes against opentelemetry-proto."""

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from tracebraid.jobs.shop import encode

TRACE, SPAN, PARENT = bytes(range(16)), bytes(range(8)), bytes(range(8, 16))


def pair(key: str, **value: object) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(**value))


def test_a_span_in_its_request() -> None:
    shared = encode.span_shape("GET /ä", 2, (("http.route", "/ä"), ("cached", True), ("size", 300), ("none", 0)), remote_parent=True)
    own = encode.exception(7, "TimeoutError", "too late") + encode.link(TRACE, SPAN) + encode.failed("x" * 200)
    rows = [encode.span((TRACE, SPAN, PARENT), (5, 1 << 60), shared, own)]
    value = encode.export_request([(encode.resource((("service.name", "shop"),)), [(encode.scope("http", "1"), rows)])])
    expected = Span(
        trace_id=TRACE,
        span_id=SPAN,
        parent_span_id=PARENT,
        name="GET /ä",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=5,
        end_time_unix_nano=1 << 60,
        attributes=[pair("http.route", string_value="/ä"), pair("cached", bool_value=True), pair("size", int_value=300), pair("none", int_value=0)],
        events=[
            Span.Event(
                time_unix_nano=7,
                name="exception",
                attributes=[pair("exception.type", string_value="TimeoutError"), pair("exception.message", string_value="too late")],
            )
        ],
        links=[Span.Link(trace_id=TRACE, span_id=SPAN)],
        status=Status(code=Status.STATUS_CODE_ERROR, message="x" * 200),
        flags=0x301,
    )
    scope = ScopeSpans(scope=InstrumentationScope(name="http", version="1"), spans=[expected])
    resource = Resource(attributes=[pair("service.name", string_value="shop")])
    assert ExportTraceServiceRequest.FromString(value) == ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=resource, scope_spans=[scope])])


def test_a_root_span_has_no_parent() -> None:
    found = Span.FromString(encode.span((TRACE, SPAN, b""), (1, 2), encode.span_shape("root", 1, (), remote_parent=False), b""))
    assert found == Span(trace_id=TRACE, span_id=SPAN, name="root", kind=Span.SPAN_KIND_INTERNAL, start_time_unix_nano=1, end_time_unix_nano=2, flags=0x101)


def test_log_records_with_and_without_a_trace() -> None:
    plain = LogRecord(time_unix_nano=9, observed_time_unix_nano=9, severity_number=13, severity_text="WARN", body=AnyValue(string_value="slow"))
    assert LogRecord.FromString(encode.log_record(9, (13, "WARN"), "slow", (), None)) == plain
    within = LogRecord(trace_id=TRACE, span_id=SPAN, flags=1, attributes=[pair("rows", int_value=3)])
    within.MergeFrom(plain)
    assert LogRecord.FromString(encode.log_record(9, (13, "WARN"), "slow", (("rows", 3),), (TRACE, SPAN))) == within
