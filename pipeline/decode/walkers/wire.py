"""Protobuf's wire format and UTF-8, for kernels: every function is told where it must stop, and says -1 where the bytes go on beyond it.

Source: Protocol Buffers, "Encoding"; RFC 3629. What a decoder may or may not accept (a varint of more than 64 bits, a group) is refused here: the reference
decides.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.kernel.compiled import compiled, inlined

Bytes = npt.NDArray[np.uint8]
Number = Any  # an integer of 64 bits: to numba, numpy's and Python's are one
Pair = tuple[Number, Number]
_PREFIX_BYTES = 5  # of a tag or a length, at most: protobuf refuses longer ones, whatever their value
_HIGH_BITS = -0x7F7F7F7F7F7F7F80  # 0x80 in each byte of a word


@inlined
def byte_at(data: Bytes, at: Number) -> Number:
    """An unsigned index spares the question whether it counts from the end, and lets neighboring bytes be read as one word."""
    return np.int64(data[np.uint64(at)])


@inlined
def varint(data: Bytes, at: Number, stop: Number) -> Pair:
    """(the value, where it ends); ends at -1 where it is cut off, or has more than 64 bits. Values from 2^63 on come out negative."""
    if at < stop:
        first = byte_at(data, at)
        if first < 0x80:
            return first, np.int64(at + 1)
    return _long_varint(data, np.int64(at), np.int64(stop))


@compiled
def _long_varint(data: Bytes, at: Number, stop: Number) -> Pair:
    value, shift = np.int64(0), 0
    while at < stop and shift < 63:
        byte = byte_at(data, at)
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, np.int64(at)
        shift += 7
    if at < stop and data[at] == 1:  # the tenth byte holds the sixty-fourth bit, and no more
        return value | np.int64(-0x8000000000000000), np.int64(at + 1)
    return np.int64(0), np.int64(-1)


@inlined
def prefix(data: Bytes, at: Number, stop: Number) -> Pair:
    """(a tag or a length, where it ends); ends at -1 where it is cut off, or longer than protobuf lets it be."""
    if at < stop:
        first = byte_at(data, at)
        if first < 0x80:
            return first, np.int64(at + 1)
    return _long_varint(data, np.int64(at), min(np.int64(stop), np.int64(at + _PREFIX_BYTES)))


@inlined
def content(data: Bytes, at: Number, stop: Number, kind: Number) -> Pair:
    """(start, end) of the content of a field of that wire type whose tag was read; ends at -1 where it is cut off, or of no such type."""
    if kind == 2:
        length, at = prefix(data, at, stop)
        if at < 0 or length < 0 or length > stop - at:
            return np.int64(0), np.int64(-1)
        return at, at + length
    end = np.int64(-1)
    if kind == 0:
        _, end = varint(data, at, stop)
    elif kind == 1:
        end = np.int64(at + 8)
    elif kind == 5:
        end = np.int64(at + 4)
    return np.int64(at), end if end <= stop else np.int64(-1)


@inlined
def fixed32(data: Bytes, at: Number) -> Number:
    return byte_at(data, at) | byte_at(data, at + 1) << 8 | byte_at(data, at + 2) << 16 | byte_at(data, at + 3) << 24


@inlined
def fixed64(data: Bytes, at: Number) -> Number:
    low = byte_at(data, at) | byte_at(data, at + 1) << 8 | byte_at(data, at + 2) << 16 | byte_at(data, at + 3) << 24
    high = byte_at(data, at + 4) | byte_at(data, at + 5) << 8 | byte_at(data, at + 6) << 16 | byte_at(data, at + 7) << 24
    return low | high << 32


@inlined
def digits(four: Number) -> Number:
    """Four bytes as eight hexadecimal digits, all at once: a half byte in each byte, the higher one first, and 39 beyond the digit for those above nine."""
    word = np.uint64(four)
    word = (word | word << np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    word = (word | word << np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    word = (word >> np.uint64(4) | word << np.uint64(8)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    letters = (word + np.uint64(0x0606060606060606)) >> np.uint64(4) & np.uint64(0x0101010101010101)
    return np.int64(word + np.uint64(0x3030303030303030) + letters * np.uint64(39))


@compiled
def is_utf8(data: Bytes, start: Number, stop: Number) -> bool:
    """Whether the bytes are UTF-8: no surrogates, no overlong forms, nothing above U+10FFFF."""
    at, seen = start, np.int64(0)
    while at + 8 <= stop:
        seen |= fixed64(data, at)
        at += 8
    while at < stop:
        seen |= byte_at(data, at)
        at += 1
    if seen & _HIGH_BITS == 0:
        return True
    at = start
    while at < stop:
        first = data[at]
        at += 1
        if first < 0x80:
            continue
        low, high = 0x80, 0xBF
        if 0xC2 <= first <= 0xDF:
            more = 1
        elif 0xE0 <= first <= 0xEF:
            more = 2
            low, high = 0xA0 if first == 0xE0 else 0x80, 0x9F if first == 0xED else 0xBF
        elif 0xF0 <= first <= 0xF4:
            more = 3
            low, high = 0x90 if first == 0xF0 else 0x80, 0x8F if first == 0xF4 else 0xBF
        else:
            return False
        if stop - at < more or not low <= data[at] <= high:
            return False
        for place in range(at + 1, at + more):
            if not 0x80 <= data[place] <= 0xBF:
                return False
        at += more
    return True
