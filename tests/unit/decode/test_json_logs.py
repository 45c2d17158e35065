"""JSON log objects, whole and broken: one file a mistake under tests/data/invalid."""

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.batches import records_of
from tests.unit.normalize.log_build import logs_of, normalized
from tracebraid.pipeline.decode.json_logs import decode_json
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.decode.rows import DecodeError, Rows
from tracebraid.pipeline.kernel import limits

INVALID = Path(__file__).parents[2] / "data" / "invalid"
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def rows_of(value: bytes) -> list[tuple[str, str | None, dict[str, Any]]]:
    """Form, body and attributes of the rows of one record."""
    rows = Rows()
    decode_json(value, 0, rows)
    return [(row["form"], row["body"], dict(row["attributes"])) for row in rows.finish().logs.to_pylist()]


def test_an_object_is_flattened_with_numbers_in_json_spelling() -> None:
    value = b'{"a":{"b":1,"c":{"d":true}},"e":[1,{"f":null}],"g":null,"h":1.5,"i":18446744073709551615,"j":{},"k":"1"}'
    assert rows_of(value) == [
        ("json", None, {"a.b": "1", "a.c.d": "true", "e": '[1,{"f":null}]', "g": None, "h": "1.5", "i": "18446744073709551615", "j": "{}", "k": "1"})
    ]


def test_a_message_that_is_an_object_is_the_body_as_json_beside_its_fields() -> None:
    for name in ("msg", "message", "Body"):
        (log,) = logs_of(f'{{"level":"warn","{name}":{{"a":1,"b":{{"c":"x"}}}}}}'.encode())
        assert (log["body"], log["attributes"]) == ('{"a":1,"b":{"c":"x"}}', {f"{name}.a": "1", f"{name}.b.c": "x"})
    assert rows_of(b'{"msg":{"a":1},"message":"m"}') == [("json", None, {"msg.a": "1", "message": "m"})]
    assert rows_of(b'{"msg":{"a":123456789012345678901234567890}}')[0][2]["msg"] == '{"a":123456789012345678901234567890}'


def test_a_field_called_as_otlp_is_called_is_a_field() -> None:
    (log,) = logs_of(b'{"resourceSpans":[],"msg":"exported","resourceLogs":7}')
    assert (log["body"], log["attributes"]) == ("exported", {"resourceSpans": "[]", "resourceLogs": "7"})


NUMBERS = {
    "0.1": "0.1",
    "1.0": "1.0",
    "-0.0": "-0.0",
    "1e15": "1000000000000000.0",
    "1E16": "1e+16",
    "-1.5e300": "-1.5e+300",
    "1e-7": "1e-7",
    "9223372036854775808": "9223372036854775808",
    "18446744073709551615": "18446744073709551615",
    "18446744073709551616": "18446744073709551616",
    "-9223372036854775809": "-9223372036854775809",
}


@pytest.mark.parametrize("beside", ["1", "NaN"], ids=["fast", "exact"])
def test_a_number_has_one_spelling_at_the_top_in_an_array_and_beside_what_orjson_refuses(beside: str) -> None:
    for written, said in NUMBERS.items():
        value = f'{{"top":{written},"array":[{written}],"deep":{{"a":[{{"b":{written}}}]}},"beside":{beside}}}'
        assert rows_of(value.encode()) == [("json", None, {"top": said, "array": f"[{said}]", "deep.a": f'[{{"b":{said}}}]', "beside": beside})], written


def test_one_record_holds_several_objects() -> None:
    one, two = ("json", None, {"a": "1"}), ("json", None, {"b": "2"})
    assert rows_of(b'[{"a":1},{"b":2}]') == [one, two]
    assert rows_of(b'{"a":1}\n{"b":2}\n') == [one, two]
    assert rows_of(b'\xef\xbb\xbf{"a":1}\r\n\r\n{"b":2}') == [one, two]
    assert rows_of(b'"{\\"a\\":1}"') == [one]
    assert rows_of(b'{\n "a": 1\n}') == [one]


def test_a_string_is_a_text() -> None:
    assert rows_of(b'"payment declined\\nsecond line"') == [("text", "payment declined\nsecond line", {})]


def test_rows_are_indexed_within_their_record() -> None:
    rows = Rows()
    decode_json(b'[{"a":1},"x"]', 0, rows)
    decode_json(b'{"a":1}', 1, rows)
    logs = rows.finish().logs
    assert (logs.column("record").to_pylist(), logs.column("record_index").to_pylist()) == ([0, 0, 1], [0, 1, 0])


def test_objects_nested_beyond_the_limit_stay_json() -> None:
    names = [f"n{level}" for level in range(limits.flatten_depth_max + 1)]
    value = "".join(f'{{"{name}":' for name in names) + "1" + "}" * len(names)
    assert rows_of(value.encode()) == [("json", None, {".".join(names[:-1]): f'{{"{names[-1]}":1}}'})]


def test_an_object_below_a_long_name_stays_json_since_each_of_its_fields_would_repeat_it() -> None:
    for length in (limits.flatten_name_chars_max - 2, limits.flatten_name_chars_max - 1, 100_000):
        name = "x" * length
        fields = {str(number): 1 for number in range(1000)}
        values = [json.dumps({"a": {name: fields}, "b": number}).encode() for number in range(2)]
        long = length + 2 > limits.flatten_name_chars_max
        wanted = {f"a.{name}": json.dumps(fields, separators=(",", ":"))} if long else {f"a.{name}.{number}": "1" for number in range(1000)}
        assert rows_of(values[0]) == [("json", None, {**wanted, "b": "0"})]
        decoded = decode(records_of(values, "json"))
        assert (decoded.logs.num_rows, decoded.rejects.num_rows) == (2 * long, 0)
        for rows in (decoded.logs, decoded.walked_objects):
            assert not rows or [dict(row) for row in rows.column("attributes").to_pylist()] == [{**wanted, "b": "0"}, {**wanted, "b": "1"}]


def test_a_million_fields_hold_the_cap_and_are_counted() -> None:
    rows = Rows()
    decode_json(b"{" + b",".join(b'"k%d":%d' % (number, number) for number in range(1_000_000)) + b"}", 0, rows)
    row = rows.finish().logs.to_pylist()[0]
    assert (len(row["attributes"]), row["dropped_attributes_count"]) == (limits.attributes_per_row_max, 1_000_000 - limits.attributes_per_row_max)


def test_a_thousand_fields_of_one_dotted_name() -> None:
    """`{"a.a": {"a": 1}}` and `{"a": {"a.a": 1}}` are both a.a.a; each is kept, and the numbers behind them are not counted anew each time."""
    fields: dict[str, Any] = {}
    for cuts in itertools.islice(itertools.combinations(range(1, 20), 6), 1000):
        *path, last = [".".join("a" * (stop - start)) for start, stop in itertools.pairwise((0, *cuts, 20))]
        inner = fields
        for name in path:
            inner = inner.setdefault(name, {})
        inner[last] = 1
    value = json.dumps(fields).encode()
    begun = time.process_time()
    for _ in range(50):
        [(_, _, attributes)] = rows_of(value)
    assert set(attributes) == {".".join("a" * 20), *(f"{'.'.join('a' * 20)}#{number}" for number in range(2, 1001))}
    assert time.process_time() - begun < 1.5  # a fifth of a second; above 3 if it were quadratic


def test_too_many_logs_in_one_record_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "record_rows_max", 2)
    for value in (b"[1,2,3]", b"{}\n{}\n{}"):
        with pytest.raises(DecodeError) as refused:
            decode_json(value, 0, Rows())
        assert refused.value.reason == "too_large"


BROKEN: dict[str, Any] = {
    "json-truncated": [("text", '{"time":"2026-01-01T00:00:00Z","level":"error","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","msg":"cut of', {})],
    "json-trailing-garbage": [
        (
            "text",
            '{"log":"12:00:00.000 WARN  a.B#1 TraceID: 4bf92f3577b34da6a3ce929d0e0e4736 SpanID: 00f067aa0ba902b7 x\\n",'
            '"stream":"stdout","time":"2026-01-01T00:00:00.5Z"}}"',
            {},
        )
    ],
    "json-too-deep": [("text", '{"a":' * 10000 + "1" + "}" * 10000, {})],
    "json-too-deep-array": [("text", "[" * 10000 + "]" * 10000, {})],
    "json-nan": [("json", None, {"level": "info", "value": "NaN", "list": "[Infinity]"})],
    "json-beyond-a-double": [("json", None, {"level": "info", "value": "1e400"})],
    "json-integer-beyond-64-bits": [("json", None, {"id": "123456789012345678901234567890", "list": "[18446744073709551616]"})],
    "json-lone-surrogate": [("json", None, {"msg": "cut emoji \ufffd"})],
    "json-duplicate-keys": [("json", None, {"a": "2", "b.c": "3", "b.c#2": "4"})],
    "json-one-broken-line": [("json", None, {"msg": "one"}), ("text", '{"msg":"two', {}), ("json", None, {"msg": "three"})],
    "json-not-an-object": [("text", "42", {})],
    "json-mixed-array": [("json", None, {"msg": "one"}), ("text", "two", {}), ("text", "3", {}), ("text", "null", {})],
    "json-empty-array": [],
    "json-invalid-trace-id": [("json", None, {"msg": "x", "trace_id": "0000", "span_id": "zz"})],
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_json_is_kept(name: str) -> None:
    assert rows_of((INVALID / name).read_bytes()) == BROKEN[name]


def test_every_broken_file_is_kept_rejected_or_dropped_by_every_encoding() -> None:
    files = sorted(path for path in INVALID.iterdir() if path.name.startswith(("json-", "text-")))
    refused = {"json-not-utf8": "invalid_utf8", "text-not-utf8": "invalid_utf8", "text-utf16": "invalid_utf8"}
    for path in files:
        for encoding in ("json", "text"):
            result = normalized([path.read_bytes()], encoding)
            reasons = result.rejects.column("reason").to_pylist()
            assert reasons == ([refused[path.name]] if path.name in refused else []), (path.name, encoding)


def test_a_broken_envelope_still_has_its_ids_its_time_and_its_level() -> None:
    [row] = normalized([(INVALID / "json-trailing-garbage").read_bytes()]).logs.to_pylist()
    picked = ("trace_id", "span_id", "trace_id_source", "severity_text", "severity_number", "time_unix_nano")
    assert [row[name] for name in picked] == [TRACE_ID, SPAN_ID, "text", "WARN", 13, 1_767_225_600_500_000_000]
