"""Schemas of Avro by which a few bytes are many values: refused before a byte is read. And those that only look so: read."""

import io
import json
import time
import tracemalloc
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.batches import records_of
from tracebraid.pipeline.decode.avro import decode_avro
from tracebraid.pipeline.decode.avro_shape import check_shape
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.decode.rows import DecodeError, Rows
from tracebraid.pipeline.kernel import limits

fastavro = pytest.importorskip("fastavro", reason="needs fastavro: pip install 'tracebraid[avro]'")
Schema = Any
MANY = b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"  # 4.6 · 10^18, as Avro writes a count
TEXT = {"name": "message", "type": "string"}


def record(name: str, *types: Schema) -> Schema:
    return {"type": "record", "name": name, "fields": [{"name": f"f{number}", "type": each} for number, each in enumerate(types)]}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def doubling(levels: int, leaf: Schema = "null") -> Schema:
    """Records of two records each, down to leaves: 2^levels values. Each type is spelled out once."""
    inner: Schema = leaf
    for level in range(levels):
        inner = record(f"R{level}", inner, f"R{level - 1}" if level else leaf)
    return inner


def chained(levels: int) -> Schema:
    """As deep as `levels`, though no text nests deeper than two: types that refer to the one before."""
    return record("All", record("T0", "int"), *(record(f"T{level}", f"T{level - 1}") for level in range(1, levels)))


def refusal(schema: Schema, payload: bytes) -> str:
    try:
        decode_avro(payload, json.dumps(schema), 0, Rows())
    except DecodeError as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("schema", "payload", "reason"),
    [
        (array("null"), MANY + b"\0", "too_large"),
        (array(record("Empty")), MANY + b"\0", "too_large"),
        (array({"type": "fixed", "name": "F", "size": 0}), MANY + b"\0", "too_large"),
        (array(record("Nulls", *["null"] * 5)), MANY + b"\0", "too_large"),
        (record("Log", "string", array(record("Inner", record("Inmost")))), b"\0" + MANY + b"\0", "too_large"),
        (array(doubling(12, "int")), b"", "malformed"),  # of the 2^12 numbers each has a byte: it is the payload that lacks them
        (doubling(30), b"", "too_large"),
        (doubling(50), b"", "too_large"),
        (array(["null", doubling(16)]), b"\x02\x02" * 100, "too_large"),
        ({"type": "map", "values": doubling(12)}, b"\x02\x02a\0", "too_large"),
        (array(record("Named", "int", {"type": "record", "name": "I", "fields": [{"name": "n" * 5000, "type": "null"}]})), b"", "too_large"),
        (array({"type": "enum", "name": "E", "symbols": ["s" * 10_000]}), b"", "too_large"),
        (record("Log", *[{"type": "enum", "name": f"E{number}", "symbols": ["s" * 5000]} for number in range(300)]), b"", "too_large"),
        (chained(3000), b"\0", "too_deep"),
        (chained(40), b"\0" * 40, ""),
    ],
)
def test_schemas_by_which_few_bytes_are_many_values(schema: Schema, payload: bytes, reason: str) -> None:
    tracemalloc.start()
    began_s = time.process_time()
    found = refusal(schema, payload)
    took_s, (_, peak) = time.process_time() - began_s, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == reason
    assert (took_s < 2, peak < 32 * limits.MIB) == (True, True)


def test_nesting_of_the_text_is_bounded() -> None:
    def deep(levels: int) -> Schema:
        schema: Schema = "int"
        for _ in range(levels):
            schema = array(schema)
        return record("Log", schema)

    assert [refusal(deep(levels), b"\0") for levels in (20, 100, 400)] == ["", "too_deep", "too_deep"]
    whole = '{"type":"array","items":' * 5000 + '"int"' + "}" * 5000  # deeper than any parser of JSON here goes
    with pytest.raises(DecodeError) as raised:
        decode_avro(b"\0", whole, 0, Rows())
    assert raised.value.reason == "unknown_encoding"


@pytest.mark.parametrize(
    "schema",
    [
        record("Log", *[["null", "string"]] * 200),
        array(record("One", "string")),
        array(record("Wide", *[["null", "string", "long"]] * 120)),
        array(record("Outer", record("Inner", "string"), ["null", "Inner"], {"type": "map", "values": array("Inner")})),
        record("Nulls", *["null"] * 1000),
        doubling(10, "string"),
        {"type": "map", "values": ["null", "string", array("int")]},
    ],
)
def test_shapes_that_logs_have(schema: Schema) -> None:
    check_shape(fastavro.parse_schema(schema))


def test_a_record_that_is_larger_than_any_log() -> None:
    schema = {"type": "record", "name": "Log", "fields": [TEXT]}
    sizes = (limits.avro_bytes_max - 8, limits.avro_bytes_max + 1)
    whole = [_written(schema, {"message": "m" * size}) for size in sizes]
    assert [refusal(schema, each) for each in whole] == ["", "too_large"]


def test_decimals() -> None:
    schema = {"type": "record", "name": "Log", "fields": [{"name": "n", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}]}
    schema["fields"].append({"name": "m", "type": {"type": "fixed", "name": "F", "size": 2, "logicalType": "decimal", "precision": 4, "scale": 4}})  # type: ignore[attr-defined]
    rows = Rows()
    decode_avro(b"\x04\xfb\x2e\xff\xff", json.dumps(schema), 0, rows)
    assert dict(rows.finish().logs.to_pylist()[0]["attributes"]) == {"n": "-12.34", "m": "-0.0001"}
    size = limits.avro_decimal_bytes_max
    for count, reason in ((size, ""), (size + 1, "malformed"), (2_000_000, "malformed")):
        began_s = time.process_time()
        head = io.BytesIO()
        fastavro.schemaless_writer(head, "long", count)
        assert refusal(schema, head.getvalue() + b"\x7f" * count + b"\0\0") == reason
        assert time.process_time() - began_s < 1


def test_a_bomb_costs_its_record_and_not_its_neighbors() -> None:
    good = {"type": "record", "name": "Log", "fields": [TEXT]}
    values = [b"\0\0\0\0\x01" + _written(good, {"message": "here"}), b"\0\0\0\0\x02" + MANY + b"\0", b'{"msg":"of JSON"}']
    records = records_of(values)
    decoded = decode(type(records)(records.partition, records.batch, schemas={1: json.dumps(good), 2: json.dumps(array("null"))}))
    assert decoded.rows_in == 3
    assert [(row["record"], row["reason"]) for row in decoded.rejects.to_pylist()] == [(1, "too_large")]


_NAMES = st.integers(0, 10_000).map("N{}".format)
_LEAVES = st.sampled_from(["null", "null", "int", "string", "bytes", "boolean"])


def _nests(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    fields = st.lists(st.tuples(st.sampled_from(["f", "a_longer_name_than_that" * 20]), inner), max_size=4)
    records = st.builds(
        lambda name, found: {"type": "record", "name": name, "fields": [{"name": f"{each}{at}", "type": kind} for at, (each, kind) in enumerate(found)]},
        _NAMES,
        fields,
    )
    return records | inner.map(array) | inner.map(lambda values: {"type": "map", "values": values})


@given(st.recursive(_LEAVES, _nests, max_leaves=12), st.binary(max_size=200) | st.lists(st.sampled_from([0, 2, 4, 6]), max_size=300).map(bytes))
def test_what_is_let_through_is_no_larger_than_was_said(schema: Schema, payload: bytes) -> None:
    try:
        parsed = fastavro.parse_schema(schema)
        check_shape(parsed)
    except (fastavro.schema.SchemaParseException, DecodeError):
        return
    try:
        text = orjson.dumps(fastavro.schemaless_reader(io.BytesIO(payload), parsed), default=repr)
    except Exception:  # cut short, or no text
        return
    assert len(text) + 8 * _values(orjson.loads(text)) <= limits.avro_growth_max * (len(payload) + 1) + limits.avro_beyond_max


def _values(value: Any) -> int:
    """How many objects of Python it is, a holder counting for three."""
    if isinstance(value, list):
        return 3 + sum(map(_values, value))
    return 3 + sum(1 + _values(each) for each in value.values()) if isinstance(value, dict) else 1


def _written(schema: Schema, content: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), content)
    return out.getvalue()
