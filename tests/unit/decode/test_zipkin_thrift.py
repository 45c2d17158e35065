"""Zipkin's spans in Thrift, as Apache Thrift writes them, give the rows of the same spans in JSON v1; hostile bytes are rejects, at no cost."""

import json
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TType
from thrift.transport.TTransport import TMemoryBuffer

from tests.batches import records_of
from tracebraid.pipeline.decode import registry
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.kernel.errors import UsageError

MICROS = 1_767_225_600_000_000
Write = Callable[[TBinaryProtocol], None]


def written(*writes: Write) -> bytes:
    buffer = TMemoryBuffer()
    for write in writes:
        write(TBinaryProtocol(buffer))
    return bytes(buffer.getvalue())


def fields(*given: tuple[int, int, Any]) -> Write:
    """A struct of (number, type, value); structs are functions, lists of structs sequences of them."""

    def write(out: TBinaryProtocol) -> None:
        out.writeStructBegin("")
        for number, kind, value in given:
            out.writeFieldBegin("", kind, number)
            put(out, kind, value)
            out.writeFieldEnd()
        out.writeFieldStop()
        out.writeStructEnd()

    return write


def put(out: TBinaryProtocol, kind: int, value: Any) -> None:
    if kind == TType.LIST:
        listed(value)(out)
    elif kind == TType.STRUCT:
        value(out)
    elif kind == TType.STRING:
        out.writeBinary(value.encode() if isinstance(value, str) else value)
    else:
        {TType.BOOL: out.writeBool, TType.I16: out.writeI16, TType.I32: out.writeI32, TType.I64: out.writeI64}[kind](value)


def listed(items: Sequence[Write]) -> Write:
    def write(out: TBinaryProtocol) -> None:
        out.writeListBegin(TType.STRUCT, len(items))
        for item in items:
            item(out)
        out.writeListEnd()

    return write


def endpoint(service: str, ipv4: int = 0, port: int = 0, ipv6: bytes = b"") -> Write:
    more = [(4, TType.STRING, ipv6)] if ipv6 else []
    return fields((1, TType.I32, ipv4), (2, TType.I16, port), (3, TType.STRING, service), *more)


SHOP = endpoint("shop", 0x7F000001, -1)  # 127.0.0.1:65535
STORE = endpoint("store", -0x3F57FFFE, 80, bytes(15) + b"\1")  # 192.168.0.2
TAGS = [(0, b"\1"), (1, b"\xff\0"), (2, struct.pack(">h", -2)), (3, struct.pack(">i", 3)), (4, struct.pack(">q", 2**40)), (5, struct.pack(">d", 0.5))]
TAGS += [(6, "a text"), (3, b"short")]


def annotation(micros: int, value: str, host: Write = SHOP) -> Write:
    return fields((1, TType.I64, micros), (2, TType.STRING, value), (3, TType.STRUCT, host))


def tag(key: str, kind: int, value: str | bytes, host: Write = SHOP) -> Write:
    return fields((1, TType.STRING, key), (2, TType.STRING, value), (3, TType.I32, kind), (4, TType.STRUCT, host))


def span(*more: tuple[int, int, Any], name: str = "get") -> Write:
    return fields(
        *((1, TType.I64, -2), (3, TType.STRING, name), (4, TType.I64, 3), (5, TType.I64, 4)),
        (6, TType.LIST, [annotation(MICROS, "sr"), annotation(MICROS + 7, "a note"), annotation(MICROS + 9, "ss")]),
        (8, TType.LIST, [*(tag(f"t{number}", kind, value) for number, (kind, value) in enumerate(TAGS)), tag("ca", 0, b"\1", STORE)]),
        *((9, TType.BOOL, True), (10, TType.I64, MICROS), (11, TType.I64, 9), (12, TType.I64, 5)),
        *more,
    )


def as_json(name: str = "get") -> dict[str, Any]:
    shop = {"serviceName": "shop", "ipv4": "127.0.0.1", "port": 65535}
    store = {"serviceName": "store", "ipv4": "192.168.0.2", "ipv6": "::1", "port": 80}
    values = [True, "/wA=", -2, 3, 2**40, 0.5, "a text", "c2hvcnQ="]
    notes = [(MICROS, "sr"), (MICROS + 7, "a note"), (MICROS + 9, "ss")]
    return {
        "traceId": "0000000000000005fffffffffffffffe",
        **{"name": name, "id": "0000000000000003", "parentId": "0000000000000004", "debug": True, "timestamp": MICROS, "duration": 9},
        "annotations": [{"timestamp": micros, "value": value, "endpoint": shop} for micros, value in notes],
        "binaryAnnotations": [
            *({"key": f"t{number}", "value": value, "endpoint": shop} for number, value in enumerate(values)),
            {"key": "ca", "value": True, "endpoint": store},
        ],
    }


def rows_of(values: list[bytes], encoding: str = "zipkin_thrift") -> tuple[list[Any], list[Any]]:
    decoded = decode(records_of(values, encoding))
    assert decoded.rejects.num_rows == 0, decoded.rejects.to_pylist()
    return decoded.spans.to_pylist(), decoded.resources.to_pylist()


def reason(value: bytes) -> list[str]:
    found: list[str] = decode(records_of([value], "zipkin_thrift")).rejects.column("reason").to_pylist()
    return found


def test_a_list_of_spans_is_what_it_is_in_json() -> None:
    expected = rows_of([json.dumps([as_json("get"), as_json("put")]).encode()], "zipkin_json")
    assert rows_of([written(listed([span(name="get"), span(name="put")]))]) == expected
    assert expected[0][1]["kind"] == 2
    assert {"t4": str(2**40), "t0": "true", "zipkin.debug": "true"}.items() <= dict(expected[0][1]["attributes"]).items()


def test_a_span_by_itself_and_one_that_says_little() -> None:
    assert rows_of([written(span())]) == rows_of([json.dumps([as_json()]).encode()], "zipkin_json")
    (row,), _ = rows_of([written(listed([fields((1, TType.I64, 1), (4, TType.I64, 2))]))])
    assert (row["trace_id"], row["span_id"], row["parent_span_id"], row["name"]) == ("0" * 15 + "1", "0" * 15 + "2", None, "")


def test_what_later_versions_may_add_of_one_value_is_passed_over() -> None:
    more = [(20, TType.STRING, b"\xff"), (21, TType.BOOL, True), (22, TType.I16, 1)]
    assert rows_of([written(span(*more))]) == rows_of([written(span())])


def test_an_empty_list_is_no_row() -> None:
    assert decode(records_of([written(listed([]))], "zipkin_thrift")).dropped == {"empty": 1}


def deep(levels: int) -> bytes:
    return b"\x0c\0\x07" * levels + b"\0" * levels


WHOLE = written(listed([span()]))
BROKEN = {
    "behind it": (WHOLE + b"\0", "malformed"),
    "a count of 2 GiB": (b"\x0c\x7f\xff\xff\xff", "malformed"),
    "a count of 9,000 that is not there": (b"\x0c\0\0\x23\x28", "malformed"),
    "a count below zero": (b"\x0c\xff\xff\xff\xff", "malformed"),
    "a text of 2 GiB": (b"\x0c\0\0\0\1\x0b\0\3\x7f\xff\xff\xff", "malformed"),
    "a list of numbers": (written(listed([fields()])).replace(b"\x0c", b"\x0a", 1) + bytes(8), "malformed"),
    "nested a million deep": (b"\x0c\0\0\0\1" + deep(1_000_000), "malformed"),
    "a list of nothing, a thousand times": (b"\x0c\0\0\0\1" + b"\x0f\0\x09\1\0\x10\0\0" * 1_000 + b"\0", "malformed"),
    "empty spans": (b"\x0c" + struct.pack(">i", 1_000_000) + bytes(1_000_000), "too_large"),
    "empty annotations": (b"\x0c\0\0\0\1\x0f\0\6\x0c" + struct.pack(">i", 1_000_000) + bytes(1_000_001), "too_large"),
    "a name that is no text": (written(listed([fields((3, TType.STRING, b"\xff"))])), "invalid_utf8"),
    "a number for a name": (written(listed([fields((3, TType.I64, 5))])), "malformed"),
    "text": (b"no thrift at all", "malformed"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_bytes_are_a_reject_at_once(name: str) -> None:
    value, expected = BROKEN[name]
    begun = time.process_time()
    assert reason(value) == [expected]
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("length", range(1, len(WHOLE), 7))
def test_every_truncation_is_a_reject(length: int) -> None:
    assert reason(WHOLE[:length]) == ["malformed"]


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_changed_bytes_are_rows_or_a_reject_alone(changes: list[tuple[int, int]]) -> None:
    value = bytearray(WHOLE)
    for place, byte in changes:
        value[place] = byte
    decoded = decode(records_of([WHOLE, bytes(value), WHOLE], "zipkin_thrift"))
    assert {"decoder_error"}.isdisjoint(decoded.rejects.column("reason").to_pylist())
    assert [row["record"] for row in decoded.spans.to_pylist() if row["record"] != 1] == [0, 2]


def test_without_the_library_the_topic_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "is_installed", lambda: False)
    with pytest.raises(UsageError, match="needs Apache Thrift's library"):
        decode(records_of([WHOLE], "zipkin_thrift"))
