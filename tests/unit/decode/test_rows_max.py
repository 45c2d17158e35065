"""Records of very many very small rows: a row takes a kilobyte while it is decoded, whatever it took in its record."""

import json
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from tests.batches import FIRST_OFFSET, records_of
from tracebraid.pipeline.decode.registry import Crowded, decode
from tracebraid.pipeline.decode.rows import rows_max
from tracebraid.pipeline.decode.walkers.batch import may_be_walked, walk_records
from tracebraid.pipeline.decode.walkers.memory import Scratch
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.transform import Transform

LOG = b'{"level":"info","msg":"a neighbor"}'
REAL = b'{"time":"2026-01-01T00:00:00Z","level":"info","msg":"an ordinary message"}'


def otlp_logs(count: int, **fields: object) -> bytes:
    """So many log records that say next to nothing."""
    logs = [LogRecord(severity_number=9, body=AnyValue(string_value="a"), **fields)] * count  # type: ignore[arg-type]
    return LogsData(resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=logs)])]).SerializeToString()


def spans_in_json(count: int) -> bytes:
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b",".join([b"{}"] * count) + b"]}]}]}"


# name → (encoding, a record of so many rows)
BOMBS: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "scalars": ("auto", lambda count: b"[" + b",".join([b"1"] * count) + b"]"),
    "objects": ("json", lambda count: b"[" + b",".join([b"{}"] * count) + b"]"),
    "lines": ("auto", lambda count: b'{"a":1}\n' + b"\n".join([b"1"] * (count - 1))),
    "lines as text": ("text", lambda count: b'{"a":1}\n' + b"\n".join([b"1"] * (count - 1))),
    "events": ("auto", lambda count: b'{"messageType":"D","logEvents":[' + b",".join([b"1"] * count) + b"]}"),
    "events on lines": ("auto", lambda count: b"\n".join([b'{"messageType":"D","logEvents":[' + b",".join([b"1"] * (count // 20)) + b"]}"] * 20)),
    "logs": ("otlp_proto", otlp_logs),
    "spans in JSON": ("auto", spans_in_json),
    "spans of Zipkin": ("zipkin_proto", lambda count: b"\x0a\x00" * count),
    "spans of Jaeger": ("jaeger_json", lambda count: b"\n".join([b'{"spanId":""}'] * count)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_record_of_more_rows_than_its_size_allows_is_a_reject_alone(name: str) -> None:
    encoding, made = BOMBS[name]
    few, many = made(limits.record_rows_any), made(limits.record_rows_any + 20)
    assert rows_max(len(many)) == limits.record_rows_any
    for kernels in (True, False):
        decoded = decode(records_of([few], encoding), kernels=kernels)
        assert (decoded.rows_in, decoded.rejects.num_rows) == (limits.record_rows_any, 0)
    decoded = decode(records_of([many, few, many], encoding), kernels=False)
    assert [(row["record"], row["reason"]) for row in decoded.rejects.to_pylist()] == [(0, "too_large"), (2, "too_large")]
    assert decoded.rows_in == limits.record_rows_any + 2


def refuse_within_bounds(encoding: str, value: bytes) -> None:
    decode(records_of([LOG], encoding), kernels=False)
    tracemalloc.start()
    try:
        assert decode(records_of([value], encoding), kernels=False).rejects.column("reason").to_pylist() == ["too_large"]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < max(limits.record_rows_any * limits.row_bytes, len(value) * limits.repetition_ratio_max)


@pytest.mark.parametrize("name", BOMBS)
def test_it_takes_no_more_memory_than_its_size_allows(name: str) -> None:
    encoding, made = BOMBS[name]
    refuse_within_bounds(encoding, made(100_000))


def otlp_spans(**parts: object) -> bytes:
    span = Span(trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=1, **parts)  # type: ignore[arg-type]
    return TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])]).SerializeToString()


# name → (encoding, a record of one span that has so many events or links)
PARTS: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "events": ("auto", lambda count: otlp_spans(events=[Span.Event()] * count)),
    "links": ("otlp_proto", lambda count: otlp_spans(links=[Span.Link()] * count)),
    "events in JSON": ("auto", lambda count: spans_in_json(1).replace(b"{}", b'{"name":"a","events":[%s]}' % b",".join([b"{}"] * count))),
    "links in JSON": ("otlp_json", lambda count: spans_in_json(1).replace(b"{}", b'{"links":[%s]}' % b",".join([b"{}"] * count))),
    "logs of Jaeger": ("jaeger_proto", lambda count: b"\x1a\x01a" + b"\x4a\x00" * count),
    "references of Jaeger": ("jaeger_proto", lambda count: b"\x1a\x01a" + b"\x22\x00" * count),
    "references of Jaeger in JSON": ("jaeger_json", lambda count: b'{"spanId":"","references":[%s]}' % b",".join([b"{}"] * count)),
    "annotations": ("zipkin_proto", lambda count: b"\x0a" + varint(2 * count) + b"\x52\x00" * count),
    "annotations in JSON": ("zipkin_json", lambda count: b'[{"id":"1","traceId":"1","annotations":[%s]}]' % b",".join([b"{}"] * count)),
}


def varint(number: int) -> bytes:
    return bytes([number & 0x7F | 0x80]) + varint(number >> 7) if number > 0x7F else bytes([number])


@pytest.mark.parametrize("name", PARTS)
def test_events_and_links_are_bounded_as_rows_are(name: str) -> None:
    encoding, made = PARTS[name]
    few, many = made(limits.record_rows_any), made(limits.record_rows_any + 1)
    for kernels in (True, False):
        decoded = decode(records_of([many, few, LOG, many], encoding), kernels=kernels)
        rejected = {row["record"]: row["reason"] for row in decoded.rejects.to_pylist() if row["record"] != 2}
        assert (rejected, sum(each.num_rows for each in (decoded.spans, decoded.walked) if each)) == ({0: "too_large", 3: "too_large"}, 1)


def test_events_that_kernels_had_room_for_are_bounded_alike() -> None:
    spans = [Span(trace_id=b"t" * 16, span_id=b"s" * 8, start_time_unix_nano=1, events=[Span.Event()] * 1_000)] * 12
    value = TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])]).SerializeToString()
    records = records_of([value, otlp_spans(name="x" * 1_000_000)], "otlp_proto")
    values = records.batch.column("value")
    assert [walked.records.tolist() for walked in walk_records(values, may_be_walked(values), Scratch())] == [[True, True]]
    for decoded in (decode(records), decode(records, kernels=False)):
        assert [(row["record"], row["reason"]) for row in decoded.rejects.to_pylist()] == [(0, "too_large")]
        assert decoded.rows_in == 2


@pytest.mark.parametrize("name", PARTS)
def test_they_take_no_more_memory_than_their_size_allows(name: str) -> None:
    encoding, made = PARTS[name]
    refuse_within_bounds(encoding, made(200_000))


def test_what_kernels_have_walked_is_bounded_alike() -> None:
    """They have room for rows by the bytes of the whole batch: a large neighbor leaves some for a record of small rows."""
    time = 1_767_225_600_000_000_000
    real, small, large = otlp_logs(12_000, time_unix_nano=time), otlp_logs(12_000, observed_time_unix_nano=0, flags=1), otlp_logs(1, event_name="x" * 1_000_000)
    assert rows_max(len(small)) < 12_000 <= rows_max(len(real))
    records = records_of([real, small, large], "otlp_proto")
    values = records.batch.column("value")
    assert [walked.records.tolist() for walked in walk_records(values, may_be_walked(values), Scratch())] == [[True, True, True]]
    for decoded in (decode(records), decode(records, kernels=False)):
        assert [(row["record"], row["reason"]) for row in decoded.rejects.to_pylist()] == [(1, "too_large")]
        assert decoded.rows_in == 12_000 + 1 + 1


@pytest.mark.parametrize(
    "value",
    [
        b"[" + b",".join([b'{"a":1}'] * 9_000) + b"]",
        b"\n".join([b'{"msg":"x"}'] * 9_000),
        b'{"msg":"begin"}\n' + b"\n".join([b"  }"] * 5_000),
        b"\n".join([REAL] * 40_000),
        b"[" + b",".join([REAL] * 40_000) + b"]",
        json.dumps({"logGroup": "g", "logEvents": [{"message": "an ordinary line"}] * 20_000}).encode(),
    ],
)
def test_thousands_of_short_lines_and_small_objects_are_read(value: bytes) -> None:
    decoded = decode(records_of([value]))
    assert (decoded.rejects.num_rows, decoded.rows_in > 5_000) == (0, True)


def test_many_records_of_many_small_rows_are_made_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "batch_rows_max", 1_000)
    values = [LOG, b"[" + b",".join([b"1"] * 900) + b"]", b"\n".join([LOG] * 200), *[b"[1,2,3]"] * 900]
    pieces = list(Transform(Settings()).pieces(records_of(values), 0))
    whole = decode(records_of(values), kernels=False)
    assert [piece.records.batch.num_rows for piece in pieces] == [3, 334, 334, 232]
    assert max(piece.rows.logs.num_rows for piece in pieces) <= 1_000 + 200
    offsets = np.concatenate([piece.rows.logs.column("kafka_offset").to_numpy() for piece in pieces])
    assert np.array_equal(np.sort(offsets), whole.logs.column("record").to_numpy() + FIRST_OFFSET)
    with pytest.raises(Crowded) as crowded:
        decode(records_of(values), kernels=False, together=1_000)
    assert crowded.value.record == 3


def test_one_record_is_never_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "batch_rows_max", 1)
    (piece,) = Transform(Settings()).pieces(records_of([b"[1,2,3]"]), 0)
    assert piece.rows.logs.num_rows == 3
