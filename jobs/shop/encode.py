"""OTLP protobuf bytes, put together from parts that were encoded once.

In: numbers, texts, bytes. Out: bytes of opentelemetry.proto.*.v1 messages. Concatenated fields are a message, so what all spans of an
operation share is encoded once and only ids, times and a few attributes a span. Never: a value that the format cannot hold.
Source: protobuf's encoding; opentelemetry/proto/{common,resource,trace,logs}/v1.
"""

from collections.abc import Iterable
from functools import lru_cache
from struct import Struct

Value = str | int | bool
_times = Struct("<BQBQ")
_fixed64 = Struct("<BQ")


def varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def message(field: int, payload: bytes) -> bytes:
    """A length-delimited field; `field` below 16."""
    size = len(payload)
    return bytes((field << 3 | 2, size)) + payload if size < 0x80 else bytes((field << 3 | 2,)) + varint(size) + payload


@lru_cache(maxsize=4096)
def _key(key: str) -> bytes:
    return message(1, key.encode())


def attribute(field: int, key: str, value: Value) -> bytes:
    """A KeyValue in `field`: strings, booleans and integers from 0."""
    if isinstance(value, str):
        any_value = message(1, value.encode())
    elif isinstance(value, bool):
        any_value = bytes((2 << 3, value))
    else:
        any_value = bytes((3 << 3,)) + varint(value)
    return message(field, _key(key) + message(2, any_value))


def attributes(field: int, pairs: Iterable[tuple[str, Value]]) -> bytes:
    return b"".join(attribute(field, key, value) for key, value in pairs)


def span(
    ids: tuple[bytes, bytes, bytes],  # trace id, span id, parent's span id (b"" for a root)
    times_unix_nano: tuple[int, int],
    shared: bytes,  # name, kind, flags, attributes: span_shape()
    own: bytes,  # further attributes, events, links, status
) -> bytes:
    trace_id, span_id, parent = ids
    head = b"\x0a\x10" + trace_id + b"\x12\x08" + span_id + (b"\x22\x08" + parent if parent else b"")
    return head + shared + _times.pack(7 << 3 | 1, times_unix_nano[0], 8 << 3 | 1, times_unix_nano[1]) + own


def span_shape(name: str, kind: int, pairs: Iterable[tuple[str, Value]], remote_parent: bool) -> bytes:
    # flags: sampled, "it is known whether the parent is remote", and whether it is
    flags = 0x101 | (0x200 if remote_parent else 0)
    return message(5, name.encode()) + bytes((6 << 3, kind)) + attributes(9, pairs) + varint(16 << 3 | 5) + flags.to_bytes(4, "little")


def failed(text: str) -> bytes:
    """Status ERROR with a message."""
    return message(15, message(2, text.encode()) + bytes((3 << 3, 2)))


def exception(time_unix_nano: int, type_: str, text: str) -> bytes:
    pairs = (("exception.type", type_), ("exception.message", text))
    return message(11, _fixed64.pack(1 << 3 | 1, time_unix_nano) + message(2, b"exception") + attributes(3, pairs))


def link(trace_id: bytes, span_id: bytes) -> bytes:
    return message(13, message(1, trace_id) + message(2, span_id))


def resource(pairs: Iterable[tuple[str, Value]]) -> bytes:
    """The resource field of ResourceSpans and ResourceLogs."""
    return message(1, attributes(1, pairs))


def scope(name: str, version: str) -> bytes:
    """The scope field of ScopeSpans and ScopeLogs."""
    return message(1, message(1, name.encode()) + message(2, version.encode()))


def export_request(resources: Iterable[tuple[bytes, Iterable[tuple[bytes, Iterable[bytes]]]]]) -> bytes:
    """ExportTraceServiceRequest or ExportLogsServiceRequest: (resource, [(scope, [span or log record])])."""
    return b"".join(
        message(1, head + b"".join(message(2, scope_head + b"".join(message(2, row) for row in rows)) for scope_head, rows in scopes))
        for head, scopes in resources
    )


def log_record(time_unix_nano: int, severity: tuple[int, str], body: str, pairs: Iterable[tuple[str, Value]], ids: tuple[bytes, bytes] | None) -> bytes:
    number, word = severity
    context = b"\x45\x01\x00\x00\x00" + message(9, ids[0]) + message(10, ids[1]) if ids else b""
    return (
        _times.pack(1 << 3 | 1, time_unix_nano, 11 << 3 | 1, time_unix_nano)
        + bytes((2 << 3, number))
        + message(3, word.encode())
        + message(5, message(1, body.encode()))
        + attributes(6, pairs)
        + context
    )
