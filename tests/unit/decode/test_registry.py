"""Which decoder reads a record, and that one bad record stays alone."""

import time
from collections import Counter

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from tests.batches import Headers, records_of
from tracebraid.pipeline.decode import registry
from tracebraid.pipeline.decode.registry import DECODERS, choose, decode
from tracebraid.pipeline.decode.rows import Rows
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.settings import ENCODINGS

PROTO = TracesData(
    resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[Span(trace_id=bytes(range(16)), span_id=bytes(range(8)), name="a", kind=2)])])]
).SerializeToString()
JSON = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}'
LOG = b'{"level":"info","msg":"hello"}'
TEXT = b"plain text"
FRAME = b"\0\0\0\0\x07"


def test_every_encoding_of_the_settings_has_a_decoder() -> None:
    assert {"auto", *DECODERS} == set(ENCODINGS)


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (PROTO, "otlp_proto"),
        (JSON, "otlp_json"),
        (b"\n" + JSON, "otlp_json"),
        (b"\xef\xbb\xbf" + JSON, "otlp_json"),
        (b'{"schemaUrl":"x","resourceLogs":[]}', "otlp_json"),
        (LOG, "json"),
        (b'{"msg":"of \\"resourceSpans\\"","x":"resourceSpans"}', "json"),
        (b'{"broken "resourceSpans"', "json"),
        (b'{"msg":"exported","resourceSpans":12}', "json"),
        (b'{"resourceSpans":[],"msg":"exported"}', "json"),
        (b'{"resourceSpans":[{"id":1}],"msg":"exported"}', "json"),
        (b'{"resourceSpans":[{"resource":{},"scopeSpans":[]}],"of_a_later_version":1}', "otlp_json"),
        (b'{"resourceSpans":[{"resource":{}', "otlp_json"),
        (b"[" + LOG + b"]", "json"),
        (b'"quoted"', "json"),
        (TEXT, "text"),
        (b"\n\n", "text"),
        (FRAME + JSON, "otlp_json"),
        (FRAME + LOG, "json"),
        (FRAME + b"\0" + PROTO, "otlp_proto"),
        (FRAME + b"\x04\x00\x02" + PROTO, "otlp_proto"),
    ],
)
def test_auto(value: bytes, encoding: str) -> None:
    assert choose(value, None)[0] == encoding


@pytest.mark.parametrize(
    ("headers", "value", "rows"),
    [
        ([("content-type", b"application/x-protobuf")], PROTO, (1, 0, None)),
        ([("Content-Type", b"application/json; charset=utf-8")], JSON, (1, 0, None)),
        ([("content-type", b"application/json")], LOG, (0, 1, None)),
        ([("content-type", b"text/plain")], LOG, (0, 1, None)),
        ([("content-type", b"application/x-protobuf")], TEXT, (0, 0, "malformed")),
        ([("content-type", b"application/x-surprise")], TEXT, (0, 1, None)),
        ([("content-type", None)], TEXT, (0, 1, None)),
        ([("MessageFormat", b"otlp")], PROTO, (1, 0, None)),
        ([("MessageFormat", b"otap")], PROTO, (0, 0, "unknown_encoding")),
        ([("content-type", b"avro/binary")], PROTO, (0, 0, "unknown_encoding")),
        ([("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")], PROTO, (1, 0, None)),
        ([], FRAME + b"\x02avro?", (0, 0, "unknown_encoding")),
        ([], b"\x0a\xff\xff", (0, 0, "malformed")),
        ([], b"\0", (0, 0, "malformed")),
    ],
)
def test_headers(headers: Headers, value: bytes, rows: tuple[int, int, str | None]) -> None:
    decoded = decode(records_of([value], headers=[headers]))
    reasons = decoded.rejects.column("reason").to_pylist() or [None]
    logs = sum(each.num_rows for each in (decoded.logs, decoded.walked_objects) if each)
    assert (decoded.spans.num_rows, logs, *reasons) == rows


@pytest.mark.parametrize(("encoding", "value"), [("otlp_proto", FRAME + b"\0" + PROTO), ("otlp_json", FRAME + JSON)])
def test_a_configured_encoding_takes_the_frame_off(encoding: str, value: bytes) -> None:
    assert decode(records_of([value], encoding)).spans.num_rows == 1


def test_a_mixed_topic() -> None:
    decoded = decode(records_of([PROTO, None, LOG, b"", b"\x0a\xff", JSON, TEXT]))
    places = {name: getattr(decoded, name).column("record").to_pylist() for name in ("spans", "logs", "rejects")}
    assert places == {"spans": [0, 5], "logs": [2, 6], "rejects": [4]}
    assert (decoded.dropped, decoded.rows_in) == (Counter(empty=2), 7)


def test_an_empty_batch() -> None:
    decoded = decode(records_of([]))
    assert (decoded.rows_in, decoded.resources.num_rows) == (0, 0)


def test_a_record_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "record_bytes_max", 100)
    decoded = decode(records_of([TEXT, b"x" * 101, TEXT]))
    assert decoded.rejects.to_pylist() == [
        {"record": 1, "record_index": 0, "reason": "too_large", "message": "the record has 101 bytes; 100 is the limit", "encoding": "auto"}
    ]
    assert decoded.logs.num_rows == 2


def test_a_decoder_that_fails_costs_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(value: bytes, record: int, rows: Rows) -> None:
        DECODERS["otlp_json"](value, record, rows)
        if record == 1:
            raise ZeroDivisionError("a fault")

    monkeypatch.setitem(registry.DECODERS, "json", failing)
    decoded = decode(records_of([JSON, JSON, JSON], "json"))
    assert decoded.spans.column("record").to_pylist() == [0, 2]
    assert [(row["record"], row["reason"], row["message"]) for row in decoded.rejects.to_pylist()] == [(1, "decoder_error", "ZeroDivisionError: a fault")]


def test_rows_that_arrow_refuses_cost_their_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(value: bytes, record: int, rows: Rows) -> None:
        rows.spans.append({"record": record, "record_index": 0, "resource": rows.resource({}), "name": "\ud800" if value == b"b" else "fine"})

    monkeypatch.setitem(registry.DECODERS, "json", careless)
    decoded = decode(records_of([b"a", b"b", b"c"], "json"))
    assert decoded.spans.column("record").to_pylist() == [0, 2]
    assert [(row["record"], row["reason"]) for row in decoded.rejects.to_pylist()] == [(1, "decoder_error")]


def test_an_encoding_that_is_none() -> None:
    with pytest.raises(UsageError, match="encoding 'morse' of topic telemetry is unknown"):
        decode(records_of([TEXT], "morse"))


def test_equal_resources_are_kept_once() -> None:
    assert decode(records_of([PROTO, PROTO, JSON, JSON])).resources.num_rows == 2


def test_resources_repeated_beyond_measure() -> None:
    """64 KiB of resource with 5,000 spans would be 320 MiB of rows."""
    bomb = TracesData.FromString(PROTO)
    attribute = bomb.resource_spans[0].resource.attributes.add(key="big")
    attribute.value.string_value = "x" * 65_536
    spans = bomb.resource_spans[0].scope_spans[0].spans
    spans.extend([spans[0]] * 50)
    assert decode(records_of([bomb.SerializeToString()])).spans.num_rows == 51
    spans.extend([spans[0]] * 5_000)
    decoded = decode(records_of([PROTO, bomb.SerializeToString(), PROTO]))
    assert decoded.spans.column("record").to_pylist() == [0, 2]
    assert decoded.rejects.column("reason").to_pylist() == ["too_large"]


def test_broken_records_among_many_resources_cost_no_more_than_elsewhere() -> None:
    """Each is rolled back; a pass over all the resources that the batch has so far would be seconds."""
    logs = [
        b'{"resourceLogs":[{"resource":{"attributes":[{"key":"n","value":{"intValue":"%d"}}]},"scopeLogs":[{"logRecords":[{}]}]}]}' % n for n in range(8_000)
    ]
    begun = time.process_time()
    decoded = decode(records_of([value for log in logs for value in (log, b"\xff", None)]))
    assert (decoded.logs.num_rows, decoded.rejects.num_rows, decoded.resources.num_rows, decoded.dropped.total()) == (8_000, 8_000, 8_000, 8_000)
    assert time.process_time() - begun < 3  # half a second; above 8 if it were quadratic
