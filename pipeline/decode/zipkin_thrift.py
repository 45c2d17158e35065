"""Zipkin's first encoding: a list of v1 spans in Thrift's binary protocol, or one span alone.

In: the bytes of a record. Out: rows of DECODED_SPANS, as of the same span in JSON v1. Never: a guess that bytes are this: `auto` does not know it; memory for
what a length claims: strings and lists end with the record, nothing nests that the format does not name.
Source: zipkin-api/thrift/zipkinCore.thrift; Zipkin's Kafka collector takes the list (first byte 12) and, of old senders, a span by itself. Read through Apache
Thrift's own library, an optional dependency.
"""

import base64
import ipaddress
import struct
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

from tracebraid.pipeline.decode.rows import DecodeError, Rows, check_rows
from tracebraid.pipeline.decode.zipkin import put_span
from tracebraid.pipeline.decode.zipkin_json import v1_span

# Thrift's types.
_BOOL, _BYTE, _DOUBLE, _I16, _I32, _I64, _STRING, _STRUCT, _LIST = 2, 3, 4, 6, 8, 10, 11, 12, 15
# Field → its type, and its name in JSON v1. Binary values, and lists and structs, are told apart by their names.
_ENDPOINT = {1: (_I32, "ipv4"), 2: (_I16, "port"), 3: (_STRING, "serviceName"), 4: (_STRING, "ipv6")}
_ANNOTATION = {1: (_I64, "timestamp"), 2: (_STRING, "value"), 3: (_STRUCT, "endpoint")}
_TAG = {1: (_STRING, "key"), 2: (_STRING, "value"), 3: (_I32, "type"), 4: (_STRUCT, "endpoint")}
_SPAN = {
    **{1: (_I64, "trace_id"), 3: (_STRING, "name"), 4: (_I64, "id"), 5: (_I64, "parent_id"), 6: (_LIST, "annotations"), 8: (_LIST, "binaryAnnotations")},
    **{9: (_BOOL, "debug"), 10: (_I64, "timestamp"), 11: (_I64, "duration"), 12: (_I64, "trace_id_high")},
}
_ITEMS = {"annotations": _ANNOTATION, "binaryAnnotations": _TAG}
_BYTES = frozenset({"ipv6"})
_SIZES = {0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 8}  # of a binary annotation's types; 6 is text


def decode_zipkin_thrift(value: bytes, record: int, rows: Rows) -> None:
    """Append the spans of one record. Raises DecodeError: malformed, invalid_utf8, too_large, unknown_encoding."""
    try:
        protocol = _protocol()(value)
        found = _Reader(protocol, rows.most)
        spans = found.items(_SPAN) if value[0] == _STRUCT else [found.struct(_SPAN)]
        left = len(protocol.trans.read(1))
    except (DecodeError, ImportError):
        raise
    except UnicodeDecodeError as error:
        raise DecodeError("invalid_utf8", f"Thrift: {error.reason}") from None
    except Exception as error:  # the library's own, of a transport, of a length
        raise DecodeError("malformed", f"Thrift: {type(error).__name__}: {error}") from None
    if left:
        raise DecodeError("malformed", "Thrift: there are bytes behind the spans")
    for index, span in enumerate(spans):
        put_span(v1_span(_as_json(span)), record, index, rows)


def is_installed() -> bool:
    return find_spec("thrift") is not None


@cache
def _protocol() -> Callable[[bytes], Any]:
    try:
        from thrift.protocol.TBinaryProtocol import TBinaryProtocol
        from thrift.transport.TTransport import TMemoryBuffer
    except ImportError:
        raise DecodeError("unknown_encoding", "zipkin_thrift needs thrift: pip install 'tracebraid[thrift]'") from None
    return lambda value: TBinaryProtocol(TMemoryBuffer(value), string_length_limit=len(value), container_length_limit=len(value))


class _Reader:
    """Values of one record. most: spans and annotations that it may have; each is more than a few bytes."""

    def __init__(self, protocol: Any, most: int) -> None:
        self.protocol, self.most, self.count = protocol, most, 0
        self._scalars = {
            **{_BOOL: protocol.readBool, _BYTE: protocol.readByte, _DOUBLE: protocol.readDouble},
            **{_I16: protocol.readI16, _I32: protocol.readI32, _I64: protocol.readI64, _STRING: protocol.readBinary},
        }

    def items(self, fields: dict[int, tuple[int, str]]) -> list[dict[str, Any]]:
        """A list of structs."""
        kind, count = self.protocol.readListBegin()
        self.count += count
        check_rows(self.count, self.most)
        if kind != _STRUCT and count:
            raise DecodeError("malformed", f"Thrift: a list of type {kind} where one of structs is needed")
        return [self.struct(fields) for _ in range(count)]

    def struct(self, fields: dict[int, tuple[int, str]]) -> dict[str, Any]:
        """Values by their names. Of unknown fields those that hold one value are passed over."""
        found: dict[str, Any] = {}
        while True:
            _, kind, number = self.protocol.readFieldBegin()
            if not kind:
                return found
            expected, name = fields.get(number, (kind, ""))
            if kind != expected:
                raise DecodeError("malformed", f"Thrift: field {number} is of type {kind}, not {expected}")
            if kind in self._scalars:
                value = self._scalars[kind]()
                found[name] = value.decode() if kind == _STRING and name and name not in _BYTES and not (name == "value" and fields is _TAG) else value
            elif name in _ITEMS:
                found[name] = self.items(_ITEMS[name])
            elif name == "endpoint":
                found[name] = self.struct(_ENDPOINT)
            else:
                raise DecodeError("malformed", f"Thrift: field {number} of type {kind} is none of a span of Zipkin's")


def _as_json(span: dict[str, Any]) -> dict[str, Any]:
    """The same span as JSON v1 has it."""
    high, low, own, parent = (span.get(name, 0) & 0xFFFFFFFFFFFFFFFF for name in ("trace_id_high", "trace_id", "id", "parent_id"))
    for each in (*span.get("annotations", ()), *span.get("binaryAnnotations", ())):
        if "endpoint" in each:
            each["endpoint"] = _endpoint(each["endpoint"])
    for each in span.get("binaryAnnotations", ()):
        each["value"] = _tag(each.get("value", b""), each.get("type", 0))
    kept: dict[str, Any] = {name: span[name] for name in ("name", "annotations", "binaryAnnotations", "debug", "timestamp", "duration") if name in span}
    ids = {"traceId": f"{high:016x}{low:016x}" if high else f"{low:016x}", "id": f"{own:016x}", "parentId": f"{parent:016x}" if parent else ""}
    return {**kept, **ids}


def _endpoint(endpoint: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"serviceName": endpoint.get("serviceName", ""), "port": endpoint.get("port", 0) & 0xFFFF}
    if endpoint.get("ipv4"):
        found["ipv4"] = str(ipaddress.IPv4Address(endpoint["ipv4"] & 0xFFFFFFFF))
    if len(endpoint.get("ipv6", b"")) == 16:
        found["ipv6"] = str(ipaddress.IPv6Address(endpoint["ipv6"]))
    return found


def _tag(value: bytes, kind: int) -> Any:
    """A binary annotation's value; one that its type does not fit stays as its bytes, in base64, as those do whose type is bytes."""
    if kind == 6:
        return value.decode("utf-8", "replace")
    if kind not in _SIZES or kind == 1 or len(value) != _SIZES[kind]:
        return base64.b64encode(value).decode()
    if kind == 0:
        return value != b"\0"
    if kind == 5:
        return struct.unpack(">d", value)[0]
    return int.from_bytes(value, "big", signed=True)
