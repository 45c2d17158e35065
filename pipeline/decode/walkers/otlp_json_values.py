"""Fields of OTLP/JSON that are no messages, as protobuf.

In: where a value lies, and which kind of field it is of. Out: the field's bytes. Never: a value that the reference decoder would read otherwise, or only by
its leniency (an enum's name, a whole number with a point, an id of another length): it ends at -1.
"""

import numpy as np

from tracebraid.pipeline.decode.walkers.doubles import double
from tracebraid.pipeline.decode.walkers.json_text import MINUS, QUOTE, literal, string, unescaped
from tracebraid.pipeline.decode.walkers.otlp_json_tables import BINARY, BOOL, DOUBLE, ENUM, FIXED32, FIXED64, INT64, SPAN_ID, TEXT, TRACE_ID
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, Pair, byte_at, fixed64
from tracebraid.pipeline.kernel.compiled import compiled

HEAD_BYTES_MAX = 12  # of a tag and a number; of a tag and a padded length, less
PADDED = 5  # bytes of a length that is written before it is known
_DIGITS_MAX = 19
_NONE = 255
_HEX = np.full(256, _NONE, np.uint8)
_HEX[list(b"0123456789abcdef")] = range(16)
_BASE64 = np.full(256, _NONE, np.uint8)
_BASE64[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")] = range(64)
_U0, _U10 = np.uint64(0), np.uint64(10)
_NAN, _INFINITY = 0x7FF8000000000000, 0x7FF0000000000000
_SIGN = -0x8000000000000000
_NAN_TEXT = int.from_bytes(b"NaN", "little")
_INFINITY_TEXT = int.from_bytes(b"Infinity", "little")
_LEFT: Pair = (np.int64(-1), np.int64(-1))


@compiled
def copy(data: Bytes, at: Number, out: Bytes, to: Number, length: Number) -> None:
    for place in range(length):
        out[np.uint64(to + place)] = data[np.uint64(at + place)]


@compiled
def put_varint(out: Bytes, to: Number, number: Number, width: Number) -> Number:
    """Write 64 bits in at least `width` bytes; where they end."""
    if 0 <= number < 128 and width == 1:
        out[np.uint64(to)] = np.uint8(number)
        return np.int64(to + 1)
    rest, begin = np.uint64(number), to
    while rest >= np.uint64(128) or to - begin < width - 1:
        out[to] = np.uint8(rest & np.uint64(127) | np.uint64(128))
        rest >>= np.uint64(7)
        to += 1
    out[to] = np.uint8(rest)
    return np.int64(to + 1)


@compiled
def put_fixed(out: Bytes, to: Number, number: Number, width: Number) -> Number:
    for place in range(width):
        out[np.uint64(to + place)] = np.uint8(number >> (8 * place) & 0xFF)
    return np.int64(to + width)


@compiled
def put_scalar(data: Bytes, place: Pair, out: Bytes, target: Pair, field: Pair) -> Pair:
    """(where the value ends, where its field ends in `out`); -1 where it is the reference's.

    `place`: where it begins, and the record ends; `target`: where its field begins, and the room ends; `field`: its kind and tag.
    """
    at, stop = place
    to, limit = target
    kind, tag = field
    if to + HEAD_BYTES_MAX > limit:
        return _LEFT
    if kind == BOOL:
        end = literal(data, at, stop)
        if end < 0 or data[at] == 0x6E:
            return _LEFT
        to = put_varint(out, to, tag, 1)
        out[to] = 1 if data[at] == 0x74 else 0
        return end, np.int64(to + 1)
    if kind == TEXT or kind == BINARY or kind == TRACE_ID or kind == SPAN_ID:
        if data[at] != QUOTE:
            return _LEFT
        end, escapes = string(data, at + 1, stop)
        if end < 0:
            return _LEFT
        if kind == TEXT:
            to = _put_text(data, (at + 1, end), out, target, (tag, escapes))
        elif escapes:
            return _LEFT  # none that these need; some write a slash as one
        elif kind == BINARY:
            to = _put_binary(data, (at + 1, end), out, target, tag)
        else:
            to = _put_id(data, (at + 1, end), out, target, (tag, 16 if kind == TRACE_ID else 8))
        return (end + 1, to) if to >= 0 else _LEFT
    to = put_varint(out, to, tag, 1)
    if kind == DOUBLE:
        bits, end = _double(data, at, stop)
        return (end, put_fixed(out, to, bits, 8)) if end >= 0 else _LEFT
    return _put_integer(data, place, out, to, kind)


@compiled
def _put_text(data: Bytes, place: Pair, out: Bytes, target: Pair, how: Pair) -> Number:
    """`how`: the tag, and whether there are escapes."""
    at, end = place
    to, limit = target
    length = end - at
    if to + HEAD_BYTES_MAX + length > limit:
        return np.int64(-1)
    to = put_varint(out, to, how[0], 1)
    if not how[1]:
        to = put_varint(out, to, length, 1)
        copy(data, at, out, to, length)
        return np.int64(to + length)
    end = unescaped(data, at, end, out, to + PADDED)
    if end >= 0:
        put_varint(out, to, end - to - PADDED, PADDED)
    return end


@compiled
def _put_id(data: Bytes, place: Pair, out: Bytes, target: Pair, how: Pair) -> Number:
    """An id in hex of `how`: (tag, so many bytes); an empty one is none."""
    at, end = place
    to, limit = target
    tag, length = how
    if at == end:
        return np.int64(to)
    if end - at != 2 * length or to + 2 + length > limit:
        return np.int64(-1)
    out[to], out[to + 1] = tag, length
    seen = np.int64(0)
    for offset in range(length):
        high, low = np.int64(_HEX[byte_at(data, at + 2 * offset)]), np.int64(_HEX[byte_at(data, at + 2 * offset + 1)])
        seen |= high | low
        out[np.uint64(to + 2 + offset)] = high << 4 | low
    return np.int64(to + 2 + length) if seen < 16 else np.int64(-1)


@compiled
def _put_binary(data: Bytes, place: Pair, out: Bytes, target: Pair, tag: Number) -> Number:
    """Bytes in base64 as RFC 4648 writes it: padded, its last bits 0."""
    at, end = place
    to, limit = target
    length = (end - at) // 4 * 3
    if (end - at) % 4 != 0 or to + HEAD_BYTES_MAX + length > limit:
        return np.int64(-1)
    missing = 0
    while missing < 2 and end > at and data[end - 1] == 0x3D:
        missing, end = missing + 1, end - 1
    to = put_varint(out, to, tag, 1)
    to = put_varint(out, to, length - missing, 1)
    bits, count, seen = np.int64(0), 0, np.int64(0)
    while at < end:
        digit = np.int64(_BASE64[data[at]])
        seen |= digit
        bits, count = (bits << 6 | digit) & 0xFFFF, count + 6
        if count >= 8:
            count -= 8
            out[to] = np.uint8(bits >> count & 0xFF)
            to += 1
        at += 1
    return np.int64(to) if seen < 64 and bits & ((1 << count) - 1) == 0 else np.int64(-1)


@compiled
def _double(data: Bytes, at: Number, stop: Number) -> Pair:
    """(bits, where the value ends) of a number, or a string that holds one; ends at -1 where it is none."""
    if data[at] != QUOTE:
        return double(data, at, stop)
    end, escapes = string(data, at + 1, stop)
    if end < 0 or escapes:
        return _LEFT
    at += 1
    negative = end - at == 9 and data[at] == MINUS
    if end - at == 3 and np.int64(data[at]) | np.int64(data[at + 1]) << 8 | np.int64(data[at + 2]) << 16 == _NAN_TEXT:
        return np.int64(_NAN), end + 1
    if (negative or end - at == 8) and fixed64(data, end - 8) == _INFINITY_TEXT:
        return np.int64(_INFINITY | (_SIGN if negative else 0)), end + 1
    bits, found = double(data, at, end)
    return (bits, end + 1) if found == end else _LEFT


@compiled
def _put_integer(data: Bytes, place: Pair, out: Bytes, to: Number, kind: Number) -> Pair:
    """A whole number, or a string that holds one; an enum's is no string."""
    at, stop = place
    quoted = data[at] == QUOTE
    if quoted and kind == ENUM:
        return _LEFT
    at += 1 if quoted else 0
    negative = at < stop and data[at] == MINUS
    at += 1 if negative else 0
    first, number = np.int64(at), _U0
    while at < stop:
        digit = byte_at(data, at) - 48
        if not 0 <= digit <= 9:
            break
        number = number * _U10 + np.uint64(digit)
        at += 1
    if not 0 < at - first <= _DIGITS_MAX or (data[first] == 48 and at > first + 1):
        return _LEFT
    if quoted:
        if at >= stop or data[at] != QUOTE:
            return _LEFT
        at += 1
    elif at < stop and (data[at] == 46 or data[at] | 32 == 101):
        return _LEFT
    if negative and (number == _U0 or (kind != INT64 and kind != ENUM)):
        return _LEFT
    most = np.uint64(0xFFFFFFFF)
    if kind == FIXED64:
        most = np.uint64(0xFFFFFFFFFFFFFFFF)
    elif kind == INT64 or kind == ENUM:
        most = np.uint64(0x7FFFFFFFFFFFFFFF if kind == INT64 else 0x7FFFFFFF) + np.uint64(1 if negative else 0)
    if number > most:
        return _LEFT
    value = np.int64(number)
    value = -value if negative else value
    if kind == FIXED32 or kind == FIXED64:
        return np.int64(at), put_fixed(out, to, value, 4 if kind == FIXED32 else 8)
    return np.int64(at), put_varint(out, to, value, 1)
