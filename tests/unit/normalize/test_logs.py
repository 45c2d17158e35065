"""Logs of the usual libraries, as their rows in the table: what each field and each shape of line gives."""

import json
from typing import Any

import pytest

from tests.unit.normalize.log_build import logs_of, normalized, own_columns
from tracebraid.schemas.logs import LOGS

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
NOON = 1_767_268_800 * 10**9  # 2026-01-01T12:00:00Z
IDS = {"trace_id": TRACE_ID, "span_id": SPAN_ID}

# A log object as its library writes it, and the columns that it gives.
LIBRARIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "zap": (
        {"level": "warn", "ts": 1767268800.25, "logger": "pay", "caller": "a.go:1", "msg": "hi", "error": "no money", "trace_id": TRACE_ID, "span_id": SPAN_ID},
        {**IDS, "trace_id_source": "field:trace_id", "severity_number": 13, "severity_text": "warn", "time_unix_nano": NOON + 250_000_000}
        | {"body": "hi", "logger": "pay", "exception_message": "no money", "attributes": {"caller": "a.go:1"}},
    ),
    "pino": (
        {"level": 30, "time": 1767268800001, "pid": 1, "hostname": "h", "name": "shop", "msg": "hi"},
        {
            "severity_number": 9,
            "severity_text": "30",
            "time_unix_nano": NOON + 10**6,
            "body": "hi",
            "logger": "shop",
            "attributes": {"pid": "1", "hostname": "h"},
        },
    ),
    "ecs, nested": (
        {
            "@timestamp": "2026-01-01T12:00:00.000Z",
            "log": {"level": "ERROR", "logger": "a.B"},
            "message": "hi",
            "trace": {"id": TRACE_ID},
            "span": {"id": SPAN_ID},
            "service": {"name": "shop", "version": "1"},
            "process": {"thread": {"name": "main"}},
            "error": {"type": "E", "message": "m", "stack_trace": "s"},
        },
        {**IDS, "trace_id_source": "field:trace.id", "severity_number": 17, "severity_text": "ERROR", "time_unix_nano": NOON, "body": "hi", "logger": "a.B"}
        | {"thread": "main", "exception_type": "E", "exception_message": "m", "exception_stacktrace": "s", "service_name": "shop"}
        | {"attributes": {"service.version": "1"}},
    ),
    "logstash-logback-encoder": (
        {"@timestamp": "2026-01-01T13:00:00.5+01:00", "@version": "1", "message": "hi", "logger_name": "a.B", "thread_name": "main", "level": "INFO"}
        | {"level_value": 20000, "traceId": TRACE_ID, "spanId": SPAN_ID, "stack_trace": "s"},
        {**IDS, "trace_id_source": "field:traceId", "severity_number": 9, "severity_text": "INFO", "time_unix_nano": NOON + 500_000_000, "body": "hi"}
        | {"logger": "a.B", "thread": "main", "exception_stacktrace": "s", "attributes": {"@version": "1", "level_value": "20000"}},
    ),
    "log4j2": (
        {"instant": {"epochSecond": 1767268800, "nanoOfSecond": 5}, "thread": "main", "level": "FATAL", "loggerName": "B", "message": "hi"}
        | {"thrown": {"name": "E", "message": "m"}, "contextMap": {"trace_id": TRACE_ID, "user": "u"}},
        {"trace_id": TRACE_ID, "trace_id_source": "field:contextMap.trace_id", "severity_number": 21, "severity_text": "FATAL", "time_unix_nano": NOON + 5}
        | {"body": "hi", "logger": "B", "thread": "main", "exception_type": "E", "exception_message": "m", "attributes": {"contextMap.user": "u"}},
    ),
    "serilog": (
        {"@t": "2026-01-01T12:00:00.1234567Z", "@mt": "hi {x}", "@l": "Warning", "@tr": TRACE_ID, "@sp": SPAN_ID, "SourceContext": "A", "@x": "E: m", "x": 1},
        {**IDS, "trace_id_source": "field:@tr", "severity_number": 13, "severity_text": "Warning", "time_unix_nano": NOON + 123_456_700, "body": "hi {x}"}
        | {"logger": "A", "exception_stacktrace": "E: m", "attributes": {"x": "1"}},
    ),
    "structlog": (
        {"event": "hi", "level": "critical", "timestamp": "2026-01-01T12:00:00Z", "exception": "Traceback", "exc_info": True},
        {
            "severity_number": 21,
            "severity_text": "critical",
            "time_unix_nano": NOON,
            "body": "hi",
            "exception_stacktrace": "Traceback",
            "attributes": {"exc_info": "true"},
        },
    ),
    "python, with OpenTelemetry": (
        {"asctime": "2026-01-01 12:00:00,123", "levelname": "INFO", "name": "a.b", "message": "hi", "otelTraceID": TRACE_ID, "otelSpanID": SPAN_ID}
        | {"otelServiceName": "shop", "otelTraceSampled": True},
        {**IDS, "trace_id_source": "field:otelTraceID", "flags": 1, "severity_number": 9, "severity_text": "INFO", "time_unix_nano": NOON + 123_000_000}
        | {"body": "hi", "logger": "a.b", "service_name": "shop"},
    ),
    "Rust tracing": (
        {"timestamp": "2026-01-01T12:00:00Z", "level": "DEBUG", "fields": {"message": "hi", "n": 1}, "target": "a::b"},
        {"severity_number": 5, "severity_text": "DEBUG", "time_unix_nano": NOON, "body": "hi", "logger": "a::b", "attributes": {"fields.n": "1"}},
    ),
    "Datadog, decimal with its high half": (
        {"message": "hi", "dd": {"trace_id": "11803532876627986230", "span_id": "77", "service": "pay"}, "_dd.p.tid": "640cfd8d00000000"},
        {
            "trace_id": "640cfd8d00000000a3ce929d0e0e4736",
            "span_id": "000000000000004d",
            "trace_id_source": "field:dd.trace_id",
            "body": "hi",
            "service_name": "pay",
        },
    ),
    "Google": (
        {"severity": "NOTICE", "time": "2026-01-01T12:00:00Z", "message": "hi", "logging.googleapis.com/trace": f"projects/p/traces/{TRACE_ID}"}
        | {"logging.googleapis.com/spanId": SPAN_ID, "logging.googleapis.com/trace_sampled": True},
        {
            **IDS,
            "trace_id_source": "field:logging.googleapis.com/trace",
            "flags": 1,
            "severity_number": 10,
            "severity_text": "NOTICE",
            "time_unix_nano": NOON,
            "body": "hi",
        },
    ),
    "traceparent beside an id that is none": (
        {"msg": "hi", "traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "trace_id": "?"},
        {**IDS, "trace_id_source": "traceparent", "flags": 1, "body": "hi", "attributes": {"trace_id": "?"}},
    ),
    "traceparent beside a span id of its own": (
        {"msg": "hi", "traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "span_id": "e457b5a2e4d86bd1"},
        {"trace_id": TRACE_ID, "span_id": "e457b5a2e4d86bd1", "trace_id_source": "traceparent", "flags": 1, "body": "hi"}
        | {"attributes": {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}},
    ),
    "ids in the message": (
        {"msg": f"TraceID: {TRACE_ID} SpanID: {SPAN_ID} x"},
        {**IDS, "trace_id_source": "text", "body": f"TraceID: {TRACE_ID} SpanID: {SPAN_ID} x"},
    ),
    "an event's name": ({"event.name": "cart.updated", "items": 3}, {"event_name": "cart.updated", "attributes": {"items": "3"}}),
    "values that do not fit stay": (
        {"time": "noon", "date": "2026-01-01", "level": {"a": 1}, "service": ["x"], "error": True, "name": "Bob", "trace": "full", "message": None},
        {
            "attributes": {
                "time": "noon",
                "date": "2026-01-01",
                "level.a": "1",
                "service": '["x"]',
                "error": "true",
                "name": "Bob",
                "trace": "full",
                "message": None,
            }
        },
    ),
    "an unknown level keeps its text": ({"level": "loud", "msg": "hi"}, {"severity_text": "loud", "body": "hi"}),
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_log_objects_of_usual_libraries(library: str) -> None:
    log, columns = LIBRARIES[library]
    assert logs_of(json.dumps(log).encode()) == [columns]


TEXTS: dict[str, tuple[str, dict[str, Any]]] = {
    "logback, ids in words": (
        f"17:20:29.299 ERROR o.a.c.c.C.[.[.[.[dispatcherServlet]#175 TraceID: {TRACE_ID} SpanID: {SPAN_ID} failed",
        {**IDS, "severity_number": 17, "severity_text": "ERROR", "logger": "o.a.c.c.C.[.[.[.[dispatcherServlet]"},
    ),
    "logback, its default": ("12:00:00.123 [main] WARN  com.x.Y - hi", {"severity_number": 13, "severity_text": "WARN", "logger": "com.x.Y", "thread": "main"}),
    "Spring Boot 3": (
        f"2026-01-01T13:00:00.000+01:00  INFO 1 --- [shop] [  main] [{TRACE_ID}-{SPAN_ID}] c.x.Y     : hi",
        {**IDS, "severity_number": 9, "severity_text": "INFO", "time_unix_nano": NOON, "logger": "c.x.Y", "thread": "main"},
    ),
    "Spring Boot 2": (
        "2026-01-01 12:00:00.000  INFO 1 --- [           main] c.x.Y                     : hi",
        {"severity_number": 9, "severity_text": "INFO", "time_unix_nano": NOON, "logger": "c.x.Y", "thread": "main"},
    ),
    "Sleuth": (
        "INFO [shop,463ac35c9f6413ad,e457b5a2e4d86bd1,true] hi",
        {"trace_id": "0" * 16 + "463ac35c9f6413ad", "span_id": "e457b5a2e4d86bd1"} | {"severity_number": 9, "severity_text": "INFO"},
    ),
    "Python": (
        f"2026-01-01 12:00:00,000 - a.b - WARNING - hi [trace_id={TRACE_ID} span_id={SPAN_ID}]",
        {**IDS, "severity_number": 13, "severity_text": "WARNING", "time_unix_nano": NOON, "logger": "a.b"},
    ),
    "klog": (
        "E0102 15:04:05.678901 123 file.go:12] hi",
        {"severity_number": 17, "severity_text": "E", "time_unix_nano": NOON + (86400 + 3 * 3600 + 245) * 10**9 + 678_901_000}
        | {"thread": "123", "attributes": {"caller": "file.go:12"}},
    ),
    "syslog": (
        "<165>1 2026-01-01T12:00:00Z host app - - - hi",
        {"severity_number": 10, "severity_text": "165", "time_unix_nano": NOON, "service_name": "app"}
        | {"attributes": {"syslog.hostname": "host", "syslog.facility": "20"}},
    ),
    "nginx": ("2026/01/01 12:00:00 [error] 12#12: *1 hi", {"severity_number": 17, "severity_text": "error", "time_unix_nano": NOON}),
    "nearly Apache": ('1.1.1.1 - [01/Jan/2026:13:00:00 +0100] "GET / HTTP/1.1" 200 1', {"time_unix_nano": NOON}),
    ".NET": ("fail: Shop.Cart[0]", {"severity_number": 17, "severity_text": "fail"}),
    "JSON in a cut envelope": (
        f'{{"log":"{{\\"traceId\\":\\"{TRACE_ID}\\",\\"spanId\\":\\"{SPAN_ID}\\",\\"level\\":\\"info\\"',
        {**IDS, "severity_number": 9, "severity_text": "info"},
    ),
    "a bare traceparent": (f"got 00-{TRACE_ID}-{SPAN_ID}-00 from afar", IDS),
    "an X-Ray id": ("XRAY TraceId: 1-5759e988-bd862e3fe1be46a994272793\tSegmentId: x", {"trace_id": "5759e988bd862e3fe1be46a994272793"}),
    "prose": ("Error opening the file, no information about trace id: none", {}),
    "an id that is none": ("got trace_id=0000 span_id=zz", {}),
}


@pytest.mark.parametrize("shape", TEXTS)
def test_text_logs_of_usual_shapes_keep_the_whole_line(shape: str) -> None:
    text, columns = TEXTS[shape]
    source = {"trace_id_source": "text"} if "trace_id" in columns else {}
    assert logs_of(text.encode(), encoding="text") == [{**columns, **source, "body": text}]


def envelope(log: str, time: str = "2026-01-01T12:00:00.000000001Z") -> bytes:
    return json.dumps({"log": log, "stream": "stdout", "time": time}).encode()


@pytest.mark.parametrize(
    ("log", "nanos", "observed"),
    [
        ("hi", NOON + 1, None),
        ("17:00:00.000 INFO a.B#1 hi", NOON + 1, None),
        ("2026-01-01 14:00:00.000 INFO a.B#1 hi", NOON + 1, None),
        ("2026-01-01T13:59:00+02:00 INFO hi", NOON - 60 * 10**9, NOON + 1),
        ('{"time":"2026-01-01T11:59:00Z"}', NOON - 60 * 10**9, NOON + 1),
        ('{"asctime":"2026-01-01 14:00:00"}', NOON + 1, None),
    ],
)
def test_own_time_with_a_zone_then_the_envelope_s_then_a_local_one(log: str, nanos: int, observed: int | None) -> None:
    [row] = normalized([envelope(log)]).logs.to_pylist()
    assert (row["time_unix_nano"], row["observed_unix_nano"]) == (nanos, observed)


def test_an_envelope_s_time_that_is_none_is_kept() -> None:
    [row] = normalized([envelope("hi", "later")]).logs.to_pylist()
    assert (row["time_unix_nano"], row["time"], dict(row["attributes"])["tracebraid.envelope_time"]) == (None, row["kafka_time"], "later")


def test_a_traceparent_header_is_the_last_resort() -> None:
    header = [{"key": "Traceparent", "value": f"00-{TRACE_ID}-{SPAN_ID}-01".encode()}]
    values = [b'{"msg":"hi"}', b'{"msg":"hi","trace_id":"463ac35c9f6413ad"}', b"hi"]
    rows = normalized(values, headers=[header] * 3).logs.to_pylist()
    assert [(row["trace_id"], row["span_id"], row["trace_id_source"]) for row in rows] == [
        (TRACE_ID, SPAN_ID, "traceparent"),
        ("0" * 16 + "463ac35c9f6413ad", None, "field:trace_id"),
        (TRACE_ID, SPAN_ID, "traceparent"),
    ]


def test_an_id_that_is_none_stays_and_is_counted_by_service() -> None:
    result = normalized([b'{"msg":"x","trace_id":"zz","service":"shop"}', b'{"msg":"x","trace_id":"-"}', b'{"msg":"x","trace_id":""}'])
    assert [own_columns(row).get("attributes") for row in result.logs.to_pylist()] == [{"trace_id": "zz"}, {"trace_id": "-"}, {"trace_id": ""}]
    assert {what: rows for what, rows in result.counted.items() if what[0] != "clock_skew"} == {("invalid_trace_id", "shop"): 1}


def otlp(**record: Any) -> bytes:
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in record.pop("attributes", {}).items()]
    log = {"attributes": attributes, **record}
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
    return json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": {"name": "lib"}, "logRecords": [log]}]}]}).encode()


def test_otlp_logs_keep_their_typed_fields() -> None:
    value = otlp(
        traceId=TRACE_ID.upper(),
        spanId=SPAN_ID,
        flags=1,
        timeUnixNano=str(NOON),
        observedTimeUnixNano=str(NOON + 1),
        severityNumber=17,
        severityText="E",
        body={"stringValue": f"trace_id={'1' * 32}"},
        attributes={"exception.type": "T", "exception.message": "m", "exception.stacktrace": "s", "trace_id": "other", "thread.name": "main"},
    )
    assert logs_of(value) == [
        {**IDS, "trace_id_source": "otlp", "flags": 1, "time_unix_nano": NOON, "observed_unix_nano": NOON + 1, "severity_number": 17, "severity_text": "E"}
        | {"body": f"trace_id={'1' * 32}", "exception_type": "T", "exception_message": "m", "exception_stacktrace": "s", "thread": "main"}
        | {"logger": "lib", "scope_name": "lib", "service_name": "shop", "attributes": {"trace_id": "other"}}
    ]


def test_otlp_logs_without_ids_are_searched_for_them() -> None:
    body = {"kvlistValue": {"values": [{"key": "trace_id", "value": {"stringValue": TRACE_ID}}, {"key": "span_id", "value": {"stringValue": SPAN_ID}}]}}
    rows = normalized([otlp(attributes={"mdc.traceId": TRACE_ID, "n": "1"}), otlp(body=body), otlp(body={"stringValue": "none"}), otlp(traceId=TRACE_ID)]).logs
    picked = [(row["trace_id"], row["span_id"], row["trace_id_source"], dict(row["attributes"])) for row in rows.to_pylist()]
    assert picked == [
        (TRACE_ID, None, "field:mdc.traceId", {"n": "1"}),
        (TRACE_ID, SPAN_ID, "text", {}),
        (None, None, None, {}),
        (TRACE_ID, None, "otlp", {}),
    ]


def test_otlp_ids_that_are_none_stay_as_attributes_and_are_counted() -> None:
    result = normalized([otlp(traceId="ab" * 15, spanId="ab" * 9), otlp(traceId="0" * 32)])
    assert [own_columns(row).get("attributes") for row in result.logs.to_pylist()] == [
        {"tracebraid.invalid_trace_id": "ab" * 15, "tracebraid.invalid_span_id": "ab" * 9},
        {"tracebraid.invalid_trace_id": "0" * 32},
    ]
    assert {what: rows for what, rows in result.counted.items() if what[0] != "clock_skew"} == {("invalid_trace_id", "shop"): 2, ("invalid_span_id", "shop"): 1}


def test_forms_mix_in_one_batch() -> None:
    values = [b'{"msg":"1"}', otlp(body={"stringValue": "2"}), b"3", otlp(body={"stringValue": "4"}), b'{"msg":"5"}']
    logs = normalized(values).logs
    assert logs.schema == LOGS.held
    assert sorted(zip(logs.column("kafka_offset").to_pylist(), logs.column("body").to_pylist(), strict=True)) == list(enumerate("12345"))


@pytest.mark.parametrize(("second", "nano"), [(1767268800, "²"), (1767268800, "٣"), (9223372036, 999_999_999), (1767268800, -1), (1767268800, 10**9)])
def test_nanoseconds_that_are_none_stay_attributes(second: int, nano: Any) -> None:
    """They came out of `int`, or went beyond 64 bits, and ended the process."""
    (row,) = logs_of(json.dumps({"instant": {"epochSecond": second, "nanoOfSecond": nano}, "message": "hi"}).encode())
    assert (row["time_unix_nano"], row["attributes"]) == (second * 10**9, {"instant.nanoOfSecond": str(nano)})
