"""OTLP as JSON that a kernel makes protobuf of, against the reference decoder: the same rows from any bytes, and ordinary records are not left to it."""

import json
from random import Random
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from tests.batches import records_of
from tests.property.test_otlp import EDITS, SEEDS, hex_ids, log_data, mutated, traces
from tests.property.test_spans_mutated import odd
from tests.property.test_walkers import requests, same
from tests.property.test_walkers_logs import messages
from tracebraid.pipeline.decode.registry import decode, pieces
from tracebraid.pipeline.decode.walkers.otlp_json import LEVELS_MAX
from tracebraid.pipeline.kernel import limits

EXTRA = ('{"a":[1,{"b":null}],"c":"\\u00e9"}', "1.5e3", '"x"', "[]", "false", "null")
SPELLINGS = st.tuples(st.booleans(), st.sampled_from([None, 0, 2, "\t"]), st.booleans(), st.integers(0, 2**32), st.sampled_from(["", "order", "extra"]))
SPAN_TEXT = '{"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","name":"a","startTimeUnixNano":"1700000000000000000"%s}'


def spelled(message: TracesData | LogsData, how: tuple[bool, Any, bool, int, str]) -> bytes:
    """As OTLP/JSON. `how`: in snake_case, indented, escaped, and with fields in another order, or some that nobody knows."""
    snake, indent, escaped, seed, changes = how
    document = hex_ids(MessageToDict(message, use_integers_for_enums=True, preserving_proto_field_name=snake))
    if changes:
        document = _changed(document, Random(seed), changes == "extra")
    separators = (",", ":") if indent is None else None
    return json.dumps(document, indent=indent, ensure_ascii=escaped, separators=separators).encode()


def _changed(value: Any, chance: Random, extra: bool, top: bool = True) -> Any:
    if isinstance(value, list):
        return [_changed(item, chance, extra, top=False) for item in value]
    if not isinstance(value, dict):
        return value
    fields = [(name, _changed(item, chance, extra, top=False)) for name, item in value.items()]
    if extra and not top:
        fields.append((chance.choice(("newer", "entityRefs", "x" * 40, "", "keyStrindex")), json.loads(chance.choice(EXTRA))))
    chance.shuffle(fields)
    return dict(fields)


def span(fields: str = "") -> bytes:
    return ('{"resourceSpans":[{"scopeSpans":[{"spans":[' + SPAN_TEXT % ("," + fields if fields else "") + "]}]}]}").encode()


def valued(value: str) -> bytes:
    """A record of a span with an attribute of this AnyValue."""
    return span('"attributes":[{"key":"k","value":' + value + "}]")


def walked(value: bytes, encoding: str = "auto") -> int:
    """Rows that kernels made of it."""
    decoded = decode(records_of([value], encoding))
    assert decoded.fault == ""
    return sum(rows.num_rows for rows in (decoded.walked, decoded.walked_logs) if rows)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.one_of(requests, messages), SPELLINGS), min_size=1, max_size=4), st.sampled_from(["auto", "otlp_json"]), st.booleans())
def test_what_walkers_know_they_read_as_the_reference_does(found: list[Any], encoding: str, beside: bool) -> None:
    values = [spelled(message, how) for message, how in found]
    same([*values, SEEDS[0], SEEDS[1], SEEDS[3]] if beside else values, encoding)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.one_of(traces, log_data), SPELLINGS), min_size=1, max_size=2))
def test_what_they_do_not_know_is_the_references(found: list[Any]) -> None:
    same([spelled(message, how) for message, how in found])


@settings(max_examples=250, deadline=None)
@given(st.lists(st.tuples(st.one_of(requests, messages), SPELLINGS, EDITS), min_size=1, max_size=2), st.sampled_from(["auto", "otlp_json"]))
def test_mutated_bytes_are_judged_alike(broken: list[Any], encoding: str) -> None:
    same([SEEDS[2], *(mutated(spelled(message, how), edits) for message, how, edits in broken), SEEDS[0], SEEDS[2]], encoding)


@settings(max_examples=250, deadline=None)
@given(st.lists(st.tuples(st.one_of(requests, messages), SPELLINGS, st.integers(0, 2**32)), min_size=1, max_size=2), st.sampled_from(["auto", "otlp_json"]))
def test_values_of_other_types_are_judged_alike(broken: list[Any], encoding: str) -> None:
    same([SEEDS[2], *(odd(spelled(message, how), seed) for message, how, seed in broken), SEEDS[2]], encoding)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet='{}[],:"\\ \n0.e-nulltrs', max_size=12), max_size=6), st.integers(0, 400))
def test_any_text_is_judged_alike(pieces: list[str], place: int) -> None:
    whole = span('"attributes":[{"key":"k","value":{"arrayValue":{"values":[{"doubleValue":1.5},{"kvlistValue":{"values":[]}}]}}}]')
    same([whole[: place % len(whole)] + "".join(pieces).encode() + whole[place % len(whole) :], b'{"resourceSpans":' + "".join(pieces).encode(), SEEDS[2]])


def test_most_of_what_arrives_is_walked() -> None:
    one = Span(
        trace_id=bytes(range(16)), span_id=bytes(range(8)), name='"\\é😀\n', start_time_unix_nano=1, end_time_unix_nano=2, flags=257, kind=Span.SPAN_KIND_CLIENT
    )
    one.attributes.add(key="http.request.method").value.string_value = "GET"
    nested = KeyValueList(values=[KeyValue(key="a", value=AnyValue(bytes_value=b"\xff"))])
    several = (AnyValue(double_value=0.1), AnyValue(int_value=-(2**63)), AnyValue(bool_value=False), AnyValue(), AnyValue(kvlist_value=nested))
    one.attributes.add(key="k").value.array_value.CopyFrom(ArrayValue(values=several))
    one.events.add(name="e", time_unix_nano=3)
    one.links.add(trace_id=bytes(range(16)), span_id=bytes(range(8)))
    one.status.code = 2
    message = TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[one] * 3)])])
    hows: list[Any] = [(snake, indent, escaped, 0, "") for snake in (False, True) for indent in (None, 2) for escaped in (False, True)]
    values: list[bytes | None] = [spelled(message, how) for how in hows]
    decoded = decode(records_of([*values, SEEDS[1], SEEDS[3], SEEDS[0]]))
    assert decoded.walked is not None
    assert decoded.walked_logs is not None
    assert (decoded.walked.num_rows, decoded.walked_logs.num_rows, decoded.spans.num_rows, decoded.logs.num_rows) == (26, 1, 0, 0)
    assert sorted(set(decoded.walked.column("record").to_pylist())) == [*range(8), 10]
    assert decoded.walked.column("attributes")[0].as_py() == [("k", '[0.1,-9223372036854775808,false,null,{"a":"/w=="}]')]
    assert set(decoded.walked.column("name").to_pylist()) == {'"\\é😀\n', "GET /"}
    same(values)


def test_logs_are_walked() -> None:
    log = '{"timeUnixNano":"5","severityNumber":9,"severityText":"INFO","body":{"stringValue":"hello"},"traceId":"","attributes":[]}'
    value = ('{"resourceLogs":[{"resource":{"attributes":[]},"scopeLogs":[{"scope":{},"logRecords":[' + log + "," + log + '],"schemaUrl":"u"}]}]}').encode()
    assert (walked(value), walked(value, "otlp_json"), walked(value, "otlp_proto"), walked(value, "text")) == (2, 2, 0, 0)
    same([value])


@pytest.mark.parametrize(
    "value",
    [
        '{"stringValue":""}',
        '{"stringValue":"\\ud83d\\ude00\\u0000"}',
        '{"intValue":"-9223372036854775808"}',
        '{"intValue":7}',
        '{"intValue":"0"}',
        "{}",
        '{"doubleValue":5}',
        '{"doubleValue":1e300}',
        '{"doubleValue":-0.0}',
        '{"doubleValue":"NaN"}',
        '{"doubleValue":"-Infinity"}',
        '{"doubleValue":"1.5"}',
        '{"boolValue":true}',
        '{"bytesValue":"/w=="}',
        '{"bytesValue":""}',
        '{"arrayValue":{}}',
        '{"kvlistValue":{"values":[]}}',
        "null",
        '{"intValue":null}',
        '{"arrayValue":{"values":[{},{"stringValue":"a"}]}}',
        '{"kvlistValue":{"values":[{"key":"a"},{"key":"a","value":{"boolValue":false}}]}}',
        '{"x":1}',
        '{"stringValue":null,"intValue":"1","newer":[]}',
        '{"doubleValue":9223372036854775807}',
        '{"doubleValue":0.30000000000000004}',
        ' { "intValue" : 1 } ',
    ],
)
def test_values_that_are_walked(value: str) -> None:
    assert walked(valued(value)) == 1
    same([valued(value)])


@pytest.mark.parametrize(
    "value",
    [
        '{"intValue":1.0}',
        '{"intValue":1e3}',
        '{"intValue":"9223372036854775808"}',
        '{"intValue":-0}',
        '{"intValue":""}',
        '{"intValue":true}',
        '{"boolValue":1}',
        '{"stringValue":1}',
        '{"stringValue":"\\ud83d"}',
        '{"bytesValue":"_w"}',
        '{"bytesValue":"/x=="}',
        '{"bytesValue":"a"}',
        '{"bytesValue":"===="}',
        "[]",
        "1",
        '{"doubleValue":5e-324}',
        '{"doubleValue":1e400}',
        '{"doubleValue":"x"}',
        '{"doubleValue":0.1234567890123456789012}',
        '{"doubleValue":NaN}',
        '"a"',
        '{"stringValue":"a","intValue":"1"}',
        '{"stringValue":"a","stringValue":"b"}',
        '{"stringValue":"a","string_value":"a"}',
        '{"arrayValue":[]}',
        '{"arrayValue":{"values":[null]}}',
        '{"kvlistValue":{"values":{}}}',
        '{"intValue":"01"}',
        '{"intValue":" 1"}',
        '{"intValue":01}',
        '{"string\\u0056alue":"a"}',
        '{"bytesValue":"\\/w=="}',
        '{"doubleValue":-0}',
        '{"intValue":null,"intValue":"1"}',
        '{"intValue":"1"]',
        '{"intValue":"1",}',
        '{,"intValue":"1"}',
    ],
)
def test_values_that_are_left_alone(value: str) -> None:
    assert walked(valued(value)) == 0
    same([SEEDS[2], valued(value), SEEDS[2]])


@pytest.mark.parametrize(
    "fields",
    [
        '"kind":"SPAN_KIND_CLIENT"',
        '"kind":3,"kind":3',
        '"start_time_unix_nano":"1"',
        '"kind":2147483648',
        '"flags":4294967296',
        '"flags":-1',
        '"status":[]',
        '"parentSpanId":"00"',
        '"parentSpanId":"000102030405060G"',
        '"parentSpanId":"000102030405060A"',
        '"status":{"code":"STATUS_CODE_OK"}',
        '"traceState":7',
        '"endTimeUnixNano":"18446744073709551616"',
        '"events":{}',
        '"events":[null]',
        '"name":"b"',
        '"attributes":[{"key":1}]',
        '"parentSpanId":null,"parentSpanId":""',
    ],
)
def test_spans_that_are_left_alone(fields: str) -> None:
    assert walked(span(fields)) == 0
    same([SEEDS[2], span(fields), SEEDS[2]])


@pytest.mark.parametrize("around", [b"\xef\xbb\xbf%s", b"%s\n%s", b"[%s]", b" %s", b"%s x", b"%s}", b"%s,", b'{"x":%s}'])
def test_records_that_are_more_than_an_object_are_left_alone(around: bytes) -> None:
    value = around.replace(b"%s", SEEDS[2])
    assert walked(value) == 0
    same([SEEDS[2], value, SEEDS[2]])


@pytest.mark.parametrize(
    "value",
    [
        b'{"resourceSpans":[],"resourceLogs":[]}',
        b'{"resourceMetrics":[{}]}',
        b'{"resourceSpans":[{"scopeSpans":[]}]}',
        b'{"resourceSpans":null}',
        SEEDS[2][:-1] + b',"other":1}',
        SEEDS[2][:-1] + b',"resourceLogs":[]}',
        SEEDS[2].replace(b"resourceSpans", b"resource\\u0053pans"),
        SEEDS[2][:-1] + b',"resource_spans":null}',
        SEEDS[2].replace(b'"a"', b'"\xff"'),
        SEEDS[2].replace(b'"a"', b'"a"\0'),
    ],
)
def test_documents_that_are_left_alone(value: bytes) -> None:
    assert walked(value) == 0
    for encoding in ("auto", "otlp_json"):
        same([SEEDS[2], value, SEEDS[2]], encoding)


def test_levels_beyond_the_stack_are_the_references() -> None:
    for levels in (1, 20, 26, 27, 28, 30, 60, 70, 2000):
        value = valued('{"arrayValue":{"values":[' * levels + '{"intValue":"1"}' + "]}}" * levels)
        assert walked(value) == (6 + 2 * levels - 1 <= LEVELS_MAX)
        same([SEEDS[2], value, SEEDS[2]])
    unknown = span('"newer":' + "[" * 52 + "]" * 52)
    assert walked(unknown) == 1
    same([unknown, span('"newer":' + "[" * 1200 + "]" * 1200)])


def test_lengths_of_every_size_are_written() -> None:
    for size in (0, 1, 60, 100, 127, 128, 16_383, 16_384, 2_100_000):
        value = valued('{"kvlistValue":{"values":[{"key":"a","value":{"stringValue":"' + "x" * size + '"}}]}}')
        assert walked(value) == 1
        same([value, SEEDS[2]])


def test_what_would_be_longer_than_the_json_is_left_alone() -> None:
    """Limits are of the bytes that came; a record of messages with nothing in them would have more as protobuf."""
    value = span('"links":[' + ",".join(["{}"] * 2000) + "]")
    same([SEEDS[2], value, SEEDS[2]])


def test_headers_name_what_is_walked() -> None:
    values = [SEEDS[2], SEEDS[2], SEEDS[0], SEEDS[0], SEEDS[2]]
    named = [b"application/json", b"application/x-protobuf", b"application/json", b"application/x-protobuf", b"text/plain"]
    decoded = decode(records_of(values, headers=[[("content-type", name)] for name in named]))
    assert decoded.walked is not None
    assert sorted(set(decoded.walked.column("record").to_pylist())) == [0, 3]
    assert sorted({*decoded.rejects.column("record").to_pylist(), *decoded.logs.column("record").to_pylist()}) == [1, 2, 4]


def test_what_is_walked_is_decoded_at_once() -> None:
    large = span('"traceState":"' + "x" * limits.MIB + '"')
    assert [len(pieces(records_of([large] * 6), kernels=kernels)) > 1 for kernels in (False, True)] == [True, False]
    assert len(pieces(records_of([large.replace(b"resourceSpans", b"spans")] * 6), kernels=True)) > 1
