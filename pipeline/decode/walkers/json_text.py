"""JSON's grammar, for kernels: every function is told where it must stop, and says -1 where the bytes are no JSON, or such as orjson and the limits leave open.

In: bytes that are UTF-8. Out: where things end. Never: recursion, or a number or an escape that the reference might read otherwise: what is merely unusual
(half a surrogate pair, an exponent of three digits, a number of hundreds of them, a depth near the limit) is -1 too. Source: RFC 8259.
"""

import numpy as np

from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, Pair, byte_at, fixed64
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.compiled import compiled

QUOTE, BACKSLASH, COMMA, COLON, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, MINUS = (ord(each) for each in '"\\,:{}[]-')
DEPTH_MAX = min(limits.nesting_depth_max, 64) - 12  # a bit of a word for each level; what comes near the limit, with what lies around it, is the reference's
INTEGER, DECIMAL = 0, 1
_ONES, _HIGH = 0x0101010101010101, -0x7F7F7F7F7F7F7F80
_QUOTES, _BACKSLASHES, _CONTROLS = _ONES * QUOTE, _ONES * BACKSLASH, _ONES * 0x20
_SHORT = b'"\\/bfnrt'
_MEANT = b'"\\/\b\f\n\r\t'
_EXPONENT_DIGITS_MAX = 2
_NUMBER_CHARS_MAX = 200  # with such an exponent, that is within a double: orjson refuses a whole text for one that is beyond
_TRUE, _ALSE, _NULL = (int.from_bytes(word, "little") for word in (b"true", b"alse", b"null"))


@compiled
def space(data: Bytes, at: Number, stop: Number) -> Number:
    """Where white space ends."""
    while at < stop and (data[at] == 0x20 or data[at] == 0x0A or data[at] == 0x0D or data[at] == 0x09):
        at += 1
    return np.int64(at)


@compiled
def string(data: Bytes, at: Number, stop: Number) -> Pair:
    """(where the quote that ends a string is, whether it has escapes), given where its first character is. Escapes are not looked at: see unescaped()."""
    escapes = np.int64(0)
    while True:
        while at + 8 <= stop:
            word = np.int64(fixed64(data, at))
            quotes, backslashes = word ^ _QUOTES, word ^ _BACKSLASHES
            found = (quotes - _ONES) & ~quotes | (backslashes - _ONES) & ~backslashes | (word - _CONTROLS) & ~word
            if found & _HIGH != 0:
                break
            at += 8
        if at >= stop:
            return np.int64(-1), escapes
        byte = byte_at(data, at)
        if byte == QUOTE:
            return np.int64(at), escapes
        if byte < 0x20:
            return np.int64(-1), escapes
        if byte == BACKSLASH:
            escapes = np.int64(1)
            at += 1
        at += 1


@compiled
def _hex4(data: Bytes, at: Number) -> Number:
    """The number that four hexadecimal digits write; -1 where they are none."""
    number = np.int64(0)
    for place in range(4):
        digit = byte_at(data, at + place)
        if 48 <= digit <= 57:
            digit -= 48
        elif 97 <= digit | 32 <= 102:
            digit = (digit | 32) - 87
        else:
            return np.int64(-1)
        number = number << 4 | digit
    return number


@compiled
def _escape(data: Bytes, at: Number, stop: Number) -> Pair:
    """(the character, where the escape ends) for the escape whose backslash is before `at`; ends at -1 where it is none, or half a pair."""
    if at >= stop:
        return np.int64(0), np.int64(-1)
    byte = byte_at(data, at)
    for each in range(len(_SHORT)):
        if _SHORT[each] == byte:
            return np.int64(_MEANT[each]), np.int64(at + 1)
    if byte != 0x75 or at + 5 > stop:
        return np.int64(0), np.int64(-1)
    code, at = _hex4(data, at + 1), np.int64(at + 5)
    if code < 0 or 0xDC00 <= code <= 0xDFFF:
        return np.int64(0), np.int64(-1)
    if code >= 0xD800 and code <= 0xDBFF:
        if at + 6 > stop or data[at] != BACKSLASH or data[at + 1] != 0x75:
            return np.int64(0), np.int64(-1)
        low = _hex4(data, at + 2)
        if not 0xDC00 <= low <= 0xDFFF:
            return np.int64(0), np.int64(-1)
        return 0x10000 + ((code - 0xD800) << 10 | low - 0xDC00), at + 6
    return code, at


@compiled
def unescaped(data: Bytes, at: Number, stop: Number, out: Bytes, to: Number) -> Number:
    """Write the string from `at` to `stop` as it is meant to `out` from `to` on; where that ends, -1 where an escape is none. It is never longer than what it
    is read from, so `out` may be `data`, and `to` where it lies."""
    while at < stop:
        while at + 8 <= stop:
            word = np.int64(fixed64(data, at))
            backslashes = word ^ _BACKSLASHES
            if (backslashes - _ONES) & ~backslashes & _HIGH != 0:
                break
            for place in range(8):
                out[np.uint64(to + place)] = word >> 8 * place & 0xFF
            at, to = at + 8, to + 8
        if at == stop:
            break
        byte = byte_at(data, at)
        at += 1
        if byte != BACKSLASH:
            out[to] = byte
            to += 1
            continue
        code, at = _escape(data, at, stop)
        if at < 0:
            return np.int64(-1)
        if code < 0x80:
            out[to] = code
            to += 1
            continue
        length = 2 if code < 0x800 else 3 if code < 0x10000 else 4
        out[to] = (0xF00 >> length) & 0xFF | code >> (6 * (length - 1))
        for place in range(1, length):
            out[to + place] = 0x80 | code >> (6 * (length - 1 - place)) & 0x3F
        to += length
    return np.int64(to)


@compiled
def valid_escapes(data: Bytes, at: Number, stop: Number) -> bool:
    """Whether all escapes of a string are such as unescaped() takes."""
    while at < stop:
        while at + 8 <= stop:
            word = np.int64(fixed64(data, at))
            backslashes = word ^ _BACKSLASHES
            if (backslashes - _ONES) & ~backslashes & _HIGH != 0:
                break
            at += 8
        if at == stop:
            break
        if byte_at(data, at) != BACKSLASH:
            at += 1
            continue
        _, at = _escape(data, at + 1, stop)
        if at < 0:
            return False
    return True


@compiled
def number(data: Bytes, at: Number, stop: Number) -> Pair:
    """(where a number ends, INTEGER or DECIMAL); ends at -1 where it is none."""
    start, kind = at, np.int64(INTEGER)
    if at < stop and data[at] == MINUS:
        at += 1
    first = np.int64(at)
    while at < stop and 48 <= data[at] <= 57:
        at += 1
    if at == first or (data[first] == 48 and at > first + 1):
        return np.int64(-1), kind
    if at < stop and data[at] == 46:
        kind, at = np.int64(DECIMAL), at + 1
        first = np.int64(at)
        while at < stop and 48 <= data[at] <= 57:
            at += 1
        if at == first:
            return np.int64(-1), kind
    if at < stop and data[at] | 32 == 101:
        kind, at = np.int64(DECIMAL), at + 1
        if at < stop and (data[at] == 43 or data[at] == 45):
            at += 1
        first = np.int64(at)
        while at < stop and 48 <= data[at] <= 57:
            at += 1
        if at == first or at > first + _EXPONENT_DIGITS_MAX:
            return np.int64(-1), kind
    return np.int64(at if at - start <= _NUMBER_CHARS_MAX else -1), kind


@compiled
def literal(data: Bytes, at: Number, stop: Number) -> Number:
    """Where `true`, `false` or `null` ends; -1 where none of them begins at `at`. Its first byte tells which it was."""
    if at + 4 > stop:
        return np.int64(-1)
    word = byte_at(data, at) | byte_at(data, at + 1) << 8 | byte_at(data, at + 2) << 16 | byte_at(data, at + 3) << 24
    if word == _TRUE or word == _NULL:
        return np.int64(at + 4)
    if at + 5 <= stop and byte_at(data, at) == 0x66 and word >> 8 | byte_at(data, at + 4) << 24 == _ALSE:
        return np.int64(at + 5)
    return np.int64(-1)


@compiled
def scalar(data: Bytes, at: Number, stop: Number) -> Number:
    """Where the value at `at` ends, which begins neither an object nor a list; -1 where it is none."""
    byte = byte_at(data, at)
    if byte == QUOTE:
        end, escapes = string(data, at + 1, stop)
        if end < 0 or (escapes and not valid_escapes(data, at + 1, end)):
            return np.int64(-1)
        return end + 1
    if byte == MINUS or 48 <= byte <= 57:
        end, _ = number(data, at, stop)
        return end
    return literal(data, at, stop)


@compiled
def skip(data: Bytes, at: Number, stop: Number) -> Number:
    """Where the value at `at` ends, whatever it is; -1 where it is none. No recursion: a bit a level says whether that is an object."""
    kinds, depth, expected = np.int64(0), np.int64(0), np.int64(0)  # 0: a value; 1: what follows one; 2: the first key or value, or the end; 3: a key
    while True:
        at = space(data, at, stop)
        if at >= stop:
            return np.int64(-1)
        byte, in_object = byte_at(data, at), kinds & 1
        if expected == 1 or (expected == 2 and (byte == CLOSE or byte == CLOSE_LIST)):
            at += 1
            if byte == COMMA and expected == 1:
                expected = np.int64(3) if in_object else np.int64(0)
                continue
            if byte != (CLOSE if in_object else CLOSE_LIST):
                return np.int64(-1)
            kinds, depth, expected = kinds >> 1, depth - 1, np.int64(1)
            if depth == 0:
                return np.int64(at)
            continue
        if in_object and expected >= 2:
            end = scalar(data, at, stop) if byte == QUOTE else np.int64(-1)
            if end < 0:
                return np.int64(-1)
            at = space(data, end, stop)
            if at >= stop or data[at] != COLON:
                return np.int64(-1)
            at, expected = at + 1, np.int64(0)
            continue
        if byte == OPEN or byte == OPEN_LIST:
            if depth == DEPTH_MAX:
                return np.int64(-1)
            kinds, depth, expected = kinds << 1 | np.int64(byte == OPEN), depth + 1, np.int64(2)
            at += 1
            continue
        at = scalar(data, at, stop)
        if at < 0 or depth == 0:
            return np.int64(at)
        expected = np.int64(1)
