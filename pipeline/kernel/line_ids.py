"""Ids in a line of text, for kernels, as normalize/log_text.py finds them.

In: bytes that are UTF-8, and where the part that is looked at ends. Out: where a trace id and a span id stand. Never: an id that is not plain hex of 16 or 32
digits behind its name: a length of -1 is 'ask the patterns', which know all other forms.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.kernel.compiled import compiled
from tracebraid.pipeline.kernel.line_heads import low_word_at, next_of

Bytes = npt.NDArray[np.uint8]
Number = Any  # an integer of 64 bits
_TRACE, _SPAN, _ID, _CONTEXT, _PARENT = b"trace", b"span", b"id", b"context", b"parent"
_SAMPLED, _ROOT, _SKYWALKING, _TID = b"sampled", b"root=1-", b"sw_ctx:", b"tid:"
_AROUND = 4  # so many quotes and blanks at most stand on either side of what is between a name and its value
_VALUE_CHARS, _SPAN_CHARS = 128, 20


@compiled
def _is_hex(byte: Number) -> bool:
    return bool(48 <= byte <= 57 or 97 <= byte | 32 <= 102)


@compiled
def _behind(data: Bytes, at: Number, stop: Number) -> Number:
    """Where the value begins behind a name, `:` or `=`, and quotes around them; -1 where none does."""
    count = 0
    while at < stop and count < _AROUND and data[at] in (92, 34, 39, 32):
        at, count = at + 1, count + 1
    if at >= stop or (data[at] != 58 and data[at] != 61):
        return np.int64(-1)
    at, count = at + 1, 0
    while at < stop and count < _AROUND and data[at] in (92, 34, 39, 32, 91):
        at, count = at + 1, count + 1
    return np.int64(at) if at < stop and _is_hex(np.int64(data[at])) else np.int64(-1)


@compiled
def _named(data: Bytes, at: Number, stop: Number) -> Number:
    """Where the value of a trace's id begins whose name begins at `at` with `trace`; -1 where it is no such name."""
    at += len(_TRACE)
    if low_word_at(data, at, stop, _PARENT):
        return _behind(data, at + len(_PARENT), stop)
    if at < stop and data[at] in (45, 95, 46, 32):
        at += 1
    if low_word_at(data, at, stop, _ID):
        return _behind(data, at + len(_ID), stop)
    return _behind(data, at + len(_CONTEXT), stop) if low_word_at(data, at, stop, _CONTEXT) else np.int64(-1)


@compiled
def _id_length(data: Bytes, begin: Number, stop: Number) -> Number:
    """16 or 32 where the value there is so many hex digits and not all 0; else -1."""
    end, digits, some, last = begin, np.int64(0), False, min(stop, begin + _VALUE_CHARS)
    while end < last and _is_hex(np.int64(data[end])):
        some |= data[end] != 48
        end += 1
    digits = end - begin
    while end < last and data[end] in (58, 61, 59, 47, 95, 46, 45):  # which are taken off
        end += 1
    if end < last and (data[end] == 37 or _is_hex(np.int64(data[end]))):
        return np.int64(-1)
    return np.int64(digits) if some and (digits == 16 or digits == 32) else np.int64(-1)


@compiled
def find_ids(data: Bytes, start: Number, stop: Number) -> tuple[Number, Number, Number]:
    """(the trace id, its length, the span id): both lengths 0, and the span's place -1, where there is none; the length is -1 where patterns must tell."""
    at = start
    while True:
        at = _next_word(data, at, stop, _TRACE, np.int64(3))
        if at < 0:
            break
        begin = _named(data, at, stop)
        if begin < 0:
            at += 1
            continue
        length = _id_length(data, begin, stop)
        if length < 0 or (at >= start + 3 and data[at - 1] == 46 and data[at - 2] | 32 == 100 and data[at - 3] | 32 == 100):
            return np.int64(0), np.int64(-1), np.int64(-1)
        span = _span(data, at, stop)
        if span == -1:
            span = _span(data, start, stop)
        if span == -2 or _next_word(data, start, stop, _SAMPLED, np.int64(2)) >= 0:
            return np.int64(0), np.int64(-1), np.int64(-1)
        return np.int64(begin), length, span
    return np.int64(0), np.int64(-1 if _may_hold_others(data, start, stop) else 0), np.int64(-1)


@compiled
def _span(data: Bytes, start: Number, stop: Number) -> Number:
    """Where the first span id stands; -1 where none does, -2 where it is not plain hex of 16 digits."""
    at = start
    while True:
        at = _next_word(data, at, stop, _SPAN, np.int64(1))
        if at < 0:
            return np.int64(-1)
        place = at + len(_SPAN)
        at += 1
        if place < stop and data[place] in (45, 95, 46, 32):
            place += 1
        begin = _behind(data, place + len(_ID), stop) if low_word_at(data, place, stop, _ID) else np.int64(-1)
        if begin < 0:
            continue
        end, some = begin, False
        while end < stop and _is_hex(np.int64(data[end])):
            some |= data[end] != 48
            end += 1
        if end - begin > _SPAN_CHARS or (end < stop and (97 <= data[end] | 32 <= 122)):
            continue
        return begin if end - begin == 16 and some else np.int64(-2)


@compiled
def _next_word(data: Bytes, start: Number, stop: Number, word: bytes, rare: Number) -> Number:
    """Where a word stands next, in whatever case; -1 where it does not. `rare`: which of its letters is the least frequent one."""
    at = np.int64(start + rare)
    while True:
        at = next_of(data, at, stop, np.int64(word[rare]))
        if at < 0:
            return at
        if low_word_at(data, at - rare, stop, word):
            return at - rare
        at += 1


@compiled
def _may_hold_others(data: Bytes, start: Number, stop: Number) -> bool:
    """Whether a line without a name of a trace may hold its id in another form: W3C's, X-Ray's, SkyWalking's, or in brackets."""
    run = start
    for at in range(start, stop):
        byte = np.int64(data[at])
        if not _is_hex(byte):
            if byte == 45 and at - run >= 32:
                return True
            if (byte == 45 or byte == 44) and at - run >= 16 and run > start and (data[run - 1] == 91 or data[run - 1] == 44):
                return True
            run = at + 1
        low = byte | 32
        if (low == 114 and low_word_at(data, at, stop, _ROOT)) or (low == 115 and low_word_at(data, at, stop, _SKYWALKING)):
            return True
        if low == 116 and low_word_at(data, at, stop, _TID):
            return True
    return False
