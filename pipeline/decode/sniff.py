"""What a record's bytes hold, told by their structure alone.

In: bytes. Out: a signal, or nothing. Never: recursion, a parse of the whole record, an allocation that the bytes ask for: protobuf is walked only
until one field decides, every length is checked against its parent's end first. Field order is free: the Collector writes fields in descending order.
"""

import re
from collections.abc import Iterator
from typing import Literal

LENGTH, VARINT, FIXED64, FIXED32 = 2, 0, 1, 5
Signal = Literal["spans", "logs", "metrics", "empty", "ambiguous"]
# A record that has not decided by then is ambiguous. The most that hostile bytes cost was 24 ms a record and some 0.8 µs a byte, measured on 2 shared
# cores: no more than an ordinary record of that size costs to be decoded.
_FIELDS_MAX = 4096
# (field number, wire type) of each message, from opentelemetry-proto 1.x; what is not here is taken for a newer field and tells nothing.
_FIELDS: dict[Signal, frozenset[tuple[int, int]]] = {
    "spans": frozenset({(n, LENGTH) for n in (1, 2, 3, 4, 5, 9, 11, 13, 15)} | {(n, VARINT) for n in (6, 10, 12, 14)} | {(7, 1), (8, 1), (16, FIXED32)}),
    "logs": frozenset({(1, FIXED64), (11, FIXED64), (2, VARINT), (7, VARINT), (8, FIXED32)} | {(n, LENGTH) for n in (3, 5, 6, 9, 10, 12)}),
    "metrics": frozenset((n, LENGTH) for n in (1, 2, 3, 5, 7, 9, 10, 11, 12)),
}
# Source: jaeger-idl, model.proto: jaeger.api_v2.Span.
_JAEGER = frozenset({(n, LENGTH) for n in (1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12)} | {(5, VARINT)})
_JAEGER_FIRST = bytes(number << 3 | kind for number, kind in _JAEGER)
# Source: zipkin-api, zipkin.proto: zipkin.proto3.Span.
_ZIPKIN = frozenset({(n, LENGTH) for n in (1, 2, 3, 5, 8, 9, 10, 11)} | {(n, VARINT) for n in (4, 7, 12, 13)} | {(6, FIXED64)})
_METRIC_DATA = frozenset({5, 7, 9, 10, 11})
_KNOWN = frozenset().union(*_FIELDS.values())
_JSON_NAMES = re.compile(rb'"(?:resource(?:Spans|Logs|Metrics)|resource_(?:spans|logs|metrics))"')
_JSON_HEAD = re.compile(rb'\s*\{\s*"(?:resource(?:Spans|Logs|Metrics)|resource_(?:spans|logs|metrics))"\s*:\s*\[')
_CONTROLS = bytes(code for code in range(32) if code not in b"\b\t\n\v\f\r\x1b") + b"\x7f"
_CONTROLS_SHARE = 4  # text with one control character in four, or more, is none


class _Broken(Exception):
    """A varint, a tag or a length runs over its end, or is none."""


def otlp_signal(value: bytes) -> Signal | None:
    """The signal of OTLP bytes; 'empty' where they hold no item, 'ambiguous' where the items fit several, None where they are no OTLP.

    Only the way to the first item that decides is looked at: what lies behind it may still be broken.
    """
    left = [_FIELDS_MAX]
    ambiguous = False
    try:
        for number, start, stop in _items(value, left):
            if number is None:
                return None
            signal = _signal_of(value, start, stop, left)
            if signal in ("spans", "logs", "metrics"):
                return signal
            ambiguous = ambiguous or signal == "ambiguous"
    except _Broken:
        return None
    return "ambiguous" if ambiguous or left[0] <= 0 else "empty"


def is_jaeger_span(value: bytes) -> bool:
    """Whether protobuf is a span of Jaeger: its fields in any order, a trace id of 8 or 16 bytes and a span id of 8 among them. OTLP has no second field."""
    if value[0] not in _JAEGER_FIRST or (value[0] == 0x0A and value[1:2] not in (b"\x08", b"\x10")):
        return False  # OTLP, JSON and most text, without a walk
    ids = {1: 0, 2: 0}
    try:
        for number, kind, start, stop in _fields(value, 0, len(value), [_FIELDS_MAX]):
            if number <= 12 and (number, kind) not in _JAEGER:
                return False
            if number in ids:
                ids[number] = stop - start
    except _Broken:
        return False
    return ids[1] in (8, 16) and ids[2] == 8


def is_zipkin_list(value: bytes) -> bool:
    """Whether protobuf is a list of Zipkin's spans, by its first: a trace id of 8 or 16 bytes, an id of 8, and a field that OTLP's resources lack."""
    if value[0] != 0x0A:
        return False
    inner = next((at for at in range(2, 12) if value[at - 1 : at] < b"\x80"), 12)  # where the first item begins
    if value[inner : inner + 1] == b"\x0a" and value[inner + 1 : inner + 2] not in (b"\x08", b"\x10"):
        return False  # most of OTLP, without a walk
    ids, telling = {1: 0, 2: 0, 3: 0}, False
    left = [_FIELDS_MAX]
    try:
        for top, top_kind, begin, end in _fields(value, 0, len(value), left):
            if (top, top_kind) != (1, LENGTH):
                return False
            for number, kind, start, stop in _fields(value, begin, end, left):
                if (number, kind) not in _ZIPKIN or (number in ids and stop - start not in (0, 8, 16)):
                    return False
                telling = telling or number > 3
                if number in ids:
                    ids[number] = stop - start
            break
    except _Broken:
        return False
    return telling and ids[1] > 0 and ids[3] == 8


def json_holds_otlp(value: bytes) -> bool | None:
    """Whether JSON text is OTLP: True by its first key, False by the absence of every name, None where only parsing tells."""
    if b'"resource' not in value:
        return False
    if _JSON_HEAD.match(value):
        return True
    return None if _JSON_NAMES.search(value) else False


def json_may_hold_spans(value: bytes) -> bool:
    """Whether JSON text may be spans of Jaeger or Zipkin; False is certain, a parse tells the rest."""
    if b'"operationName"' in value or b'"operation_name"' in value:
        return True
    return b'"traceId"' in value and value.lstrip()[:1] == b"["


def is_text(value: bytes) -> bool:
    """Whether bytes are text: UTF-8 without NUL and without the control characters that protobuf is full of."""
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    controls = len(value) - len(value.translate(None, _CONTROLS))
    return b"\0" not in value and controls * _CONTROLS_SHARE < len(value)


def unframed(value: bytes) -> tuple[bytes, bytes] | None:
    """Both readings of a Schema Registry frame's payload, as JSON and as protobuf (behind its message indexes); None where there is no frame.

    Source: Confluent's wire format: byte 0, a 4-byte schema id; for protobuf then a count and as many indexes as zigzag varints, where one byte 0 means [0].
    """
    if len(value) <= 5 or value[0] != 0:
        return None
    try:
        count, at = _varint(value, 5, len(value))
        if count & 1 or count > 128:
            return value[5:], b""
        for _ in range(count >> 1):
            _, at = _varint(value, at, len(value))
    except _Broken:
        return value[5:], b""
    return value[5:], value[at:]


def _items(value: bytes, left: list[int]) -> Iterator[tuple[int | None, int, int]]:
    """Where spans, log records or metrics lie: field 2 of field 2 of field 1. A level that holds what OTLP does not gives (None, …)."""
    for top, kind, start, stop in _fields(value, 0, len(value), left):
        if (top, kind) != (1, LENGTH):
            yield None, start, stop
            continue
        for number, kind_1, start_1, stop_1 in _fields(value, start, stop, left):
            if number <= 3 and kind_1 != LENGTH:
                yield None, start_1, stop_1
            elif number == 2:
                for number_2, kind_2, start_2, stop_2 in _fields(value, start_1, stop_1, left):
                    if number_2 <= 3 and kind_2 != LENGTH:
                        yield None, start_2, stop_2
                    elif number_2 == 2:
                        yield 2, start_2, stop_2


def _signal_of(value: bytes, start: int, stop: int, left: list[int]) -> Signal:
    candidates: set[Signal] = {"spans", "logs", "metrics"}
    lengths: dict[int, tuple[int, int]] = {}
    for number, kind, begin, end in _fields(value, start, stop, left):
        if (number, kind) in _KNOWN:
            candidates = {signal for signal in candidates if (number, kind) in _FIELDS[signal]}
            if len(candidates) == 1:
                return next(iter(candidates))
            if kind == LENGTH:
                lengths[number] = begin, end
    # A field of a wrong wire type leaves no candidate; what has a span's ids is still a span.
    if ("spans" in candidates or not candidates) and _length(lengths, 1) in (8, 16) and _length(lengths, 2) == 8:
        return "spans"
    if "metrics" in candidates and lengths.keys() & _METRIC_DATA and 1 in lengths:
        return "metrics"
    return "logs" if "logs" in candidates and 5 in lengths and _is_any_value(value, *lengths[5]) else "ambiguous"


def _length(lengths: dict[int, tuple[int, int]], number: int) -> int:
    start, stop = lengths.get(number, (0, 0))
    return stop - start


def _is_any_value(value: bytes, start: int, stop: int) -> bool:
    try:
        found = [(number, end) for number, _, _, end in _fields(value, start, stop, [2])]
    except _Broken:
        return False
    return len(found) == 1 and 1 <= found[0][0] <= 7


def _fields(value: bytes, at: int, stop: int, left: list[int]) -> Iterator[tuple[int, int, int, int]]:
    """(number, wire type, start, stop of the content) of each field; ends early when `left[0]` fields were seen."""
    while at < stop and left[0] > 0:
        left[0] -= 1
        tag, at = _varint(value, at, stop)
        number, kind = tag >> 3, tag & 7
        start = at
        if kind == LENGTH:
            length, start = _varint(value, at, stop)
            at = start + length
        elif kind == VARINT:
            _, at = _varint(value, at, stop)
        elif kind == FIXED64:
            at += 8
        elif kind == FIXED32:
            at += 4
        else:
            raise _Broken
        if at > stop or not 0 < number < 1 << 29:
            raise _Broken
        yield number, kind, start, at


def _varint(value: bytes, at: int, stop: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= stop:
            raise _Broken
        byte = value[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise _Broken
