"""Structure tells spans from logs from metrics, in either order of fields, and text from bytes."""

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Histogram, Metric, MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from tracebraid.pipeline.decode.sniff import is_text, json_holds_otlp, otlp_signal, unframed

IDS = {"trace_id": bytes(range(16)), "span_id": bytes(range(8))}


def traces(*spans: Span) -> bytes:
    return TracesData(
        resource_spans=[ResourceSpans(resource=Resource(), scope_spans=[ScopeSpans(scope=InstrumentationScope(), spans=spans)])]
    ).SerializeToString()


def logs(*records: LogRecord) -> bytes:
    return LogsData(resource_logs=[ResourceLogs(schema_url="s", scope_logs=[ScopeLogs(log_records=records)])]).SerializeToString()


def metrics(*found: Metric) -> bytes:
    return MetricsData(resource_metrics=[ResourceMetrics(scope_metrics=[ScopeMetrics(metrics=found)])]).SerializeToString()


@pytest.mark.parametrize(
    ("value", "signal"),
    [
        (traces(Span(start_time_unix_nano=1)), "spans"),
        (traces(Span(**IDS, name="no times")), "spans"),
        (traces(Span(trace_id=bytes(range(8)), span_id=bytes(range(8)), name="64 bits")), "spans"),
        (traces(Span(), Span(**IDS, kind=2)), "spans"),
        (logs(LogRecord(time_unix_nano=1)), "logs"),
        (logs(LogRecord(observed_time_unix_nano=1)), "logs"),
        (logs(LogRecord(body=AnyValue(string_value="alone"))), "logs"),
        (logs(LogRecord(body=AnyValue(string_value="x"), **IDS)), "logs"),
        (logs(LogRecord(severity_number=9)), "logs"),
        (metrics(Metric(name="m", gauge=Gauge(data_points=[NumberDataPoint(as_int=1)]))), "metrics"),
        (metrics(Metric(name="m", description="sixteen letters!", sum=Sum())), "metrics"),
        (metrics(Metric(name="m", unit="s", histogram=Histogram())), "metrics"),
        (traces(Span()), "ambiguous"),
        (traces(), "empty"),
        (TracesData(resource_spans=[ResourceSpans(resource=Resource())]).SerializeToString(), "empty"),
        (b"hello", None),
        (b"\n\nhello", None),
        (b"\x08\x01", None),
        (b'\n{"resourceSpans":[]}', None),
    ],
)
def test_signal(value: bytes, signal: str | None) -> None:
    assert otlp_signal(value) == signal


def test_the_order_of_fields_is_free() -> None:
    span = traces(Span(**IDS, name="x", start_time_unix_nano=7, kind=2))
    log = logs(LogRecord(time_unix_nano=7, severity_number=9, body=AnyValue(string_value="b"), **IDS))
    assert (otlp_signal(reversed_fields(span, 4)), otlp_signal(reversed_fields(log, 4))) == ("spans", "logs")


def test_only_the_way_to_the_first_item_is_walked() -> None:
    """A record of many spans is told as fast as one of a single span: what lies behind the first is not read."""
    value = traces(*[Span(**IDS, start_time_unix_nano=1)] * 1000)
    head = bytearray(value)
    head[200:] = b"\xff" * (len(value) - 200)
    assert otlp_signal(bytes(head)) == "spans"


def test_a_million_empty_messages_end() -> None:
    inner = b"\x0a\x00" * 1_000_000
    assert otlp_signal(inner) == "ambiguous"


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (b'{"resourceSpans":[]}', True),
        (b' {\n "resource_logs" : [', True),
        (b'{"resourceMetrics":[]}', True),
        (b'{"schemaUrl":"","resourceSpans":[]}', None),
        (b'{"msg":"no \\"resourceSpans\\" here"}', False),
        (b'{"msg":"x","resourceSpans":1}', None),
        (b'{"msg":"x"}', False),
    ],
)
def test_json(value: bytes, holds: bool | None) -> None:
    assert json_holds_otlp(value) is holds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", True),
        ("grün ✓".encode(), True),
        (b"\x1b[31mred\x1b[0m\r\n", True),
        (b"8=FIX.4.4\x0135=D\x01", True),
        (b"a\0b", False),
        (b"\xff\xfe", False),
        (b"\x01\x02\x03x", False),
    ],
)
def test_text(value: bytes, text: bool) -> None:
    assert is_text(value) is text


@pytest.mark.parametrize(
    ("value", "readings"),
    [
        (b"\0\0\0\0\x07{}", (b"{}", b"")),
        (b"\0\0\0\0\x07\0\x0a\x00", (b"\0\x0a\x00", b"\x0a\x00")),
        (b"\0\0\0\0\x07\x04\x00\x02rest", (b"\x04\x00\x02rest", b"rest")),
        (b"\0\0\0\0\x07\xff", (b"\xff", b"")),
        (b"\0\0\0\0\x07", None),
        (b"{}", None),
    ],
)
def test_schema_registry_frame(value: bytes, readings: tuple[bytes, bytes] | None) -> None:
    assert unframed(value) == readings


def reversed_fields(message: bytes, levels: int) -> bytes:
    """The message with the fields of its upper levels in reverse order, as the Collector writes them. Lengths fit one byte here."""
    fields, at = [], 0
    while at < len(message):
        tag, start = message[at], at
        if tag & 7 == 2:
            length = message[at + 1]
            body = message[at + 2 : at + 2 + length]
            at += 2 + length
            # Fields 1 and 2 of the upper levels are messages; at the level of spans they are ids.
            fields.append(bytes([tag, length]) + (reversed_fields(body, levels - 1) if levels > 1 and tag >> 3 <= 2 else body))
        else:
            at += {0: 2, 1: 9, 5: 5}[tag & 7]
            fields.append(message[start:at])
    return b"".join(reversed(fields))
