"""A topic of many encodings in one batch gives each record the rows that it gives alone, whatever lies beside it."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from tests.batches import records_of
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.kernel.records import Records
from tracebraid.pipeline.normalize.batch import normalize

SPAN = Span(trace_id=bytes(range(16)), span_id=bytes(range(8)), name="a", kind=2, start_time_unix_nano=1, end_time_unix_nano=2)
VALUES: tuple[bytes | None, ...] = (
    TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[SPAN, SPAN])])]).SerializeToString(),
    LogsData(resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=[LogRecord(time_unix_nano=5, severity_number=9)])])]).SerializeToString(),
    b'{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},"scopeSpans":[{"spans":[{"traceId":"abc"}]}]}]}',
    b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"trace_id=4bf92f3577b34da6a3ce929d0e0e4736"}}]}]}]}',
    b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"x"}]}]}]}',
    b"\x0a\x10" + bytes(range(16)) + b"\x12\x08" + bytes(range(8)) + b"\x1a\x01a\x52\x03\x0a\x01s",
    b'{"traceId":"AAECAwQFBgcICQoLDA0ODw==","spanId":"AAECAwQFBgc=","operationName":"a","process":{"serviceName":"s"}}',
    b"\x0a\x21\x0a\x10" + bytes(range(16)) + b"\x1a\x08" + bytes(range(8)) + b"\x42\x03\x0a\x01s",
    b'[{"traceId":"000102030405060708090a0b0c0d0e0f","id":"01","localEndpoint":{"serviceName":"s"}},{"traceId":"1","id":"2","tags":{"host.name":"n"}}]',
    b'{"resourceMetrics":[{}]}',
    b'{"log":"18:00:00.000 INFO a.B#1 TraceID: 94b2f1f2d7a5a94a94b2f1f2d7a5a94a SpanID: 0abafd0abafd0aba x\\n","stream":"stdout","time":"2026-01-01T00:00:00"}',
    b'[{"msg":"one","level":"warn"},{"msg":"two","service":"s"}]',
    b'{"msg":NaN,"a":[18446744073709551616]}',
    b"2026-01-01T00:00:00Z stdout P be\n2026-01-01T00:00:00Z stdout F gun",
    b"plain text\nof two lines",
    b'{"msg":"cut',
    b"\x00\x00\x00\x00\x01{}",
    b"\xff\xfe\x00",
    b"\x0a\x03abc",
    b" ",
    b"",
    None,
)
LIES = st.sampled_from(["", "application/json", "application/x-protobuf", "text/plain", "application/avro", "application/json; charset=utf-8"])


def _rows(records: Records) -> tuple[list[Any], ...]:
    """Spans, logs and rejects, each row with the record that it is of, and (record, count) of the dropped."""
    decoded = decode(records)
    found = normalize(records, decoded, now_us=1)
    in_order = (sorted(batch.to_pylist(), key=lambda row: (row["kafka_offset"], row["record_index"])) for batch in (found.spans, found.logs, found.rejects))
    return *in_order, [decoded.dropped.total()], sorted(found.counted.items())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(VALUES), LIES), min_size=1, max_size=12))
def test_a_record_gives_the_same_rows_alone_and_among_others(drawn: list[tuple[bytes | None, str]]) -> None:
    headers = [[("content-type", lie.encode())] if lie else [] for _, lie in drawn]
    records = records_of([value for value, _ in drawn], headers=headers)
    together = _rows(records)
    alone = [_rows(Records(records.partition, records.batch.slice(number, 1))) for number in range(len(drawn))]
    for place in range(3):
        assert together[place] == [row for each in alone for row in each[place]]
    assert together[3] == [sum(each[3][0] for each in alone)]
    counted: dict[Any, int] = {}
    for each in alone:
        for what, count in each[4]:
            counted[what] = counted.get(what, 0) + count
    assert dict(together[4]) == counted
