"""The head of a line of text, for kernels: its time, its level, its logger and thread, as the patterns of normalize/log_text.py find them.

In: bytes that are UTF-8, and where the part that is looked at ends. Out: places. Never: a line of which a pattern might say something else: -2, or an end below
0, is 'ask the pattern'.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.kernel.compiled import compiled, inlined

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Number = Any  # an integer of 64 bits
Pair = tuple[Number, Number]
Four = tuple[Number, Number, Number, Number]
_WORD_CHARS = 8
_LOGGER_CHARS, _THREAD_CHARS = 256, 128
_OTEL, _DASH, _DASHES = b"[trace_id=", b" - ", b" --- "
_LEVEL, _SEVERITY, _LVL = b"level", b"severity", b"lvl"
_FRACTION_CHARS = 9
_ONES, _HIGH = 0x0101010101010101, -0x7F7F7F7F7F7F7F80


@inlined
def _eight(data: Bytes, at: Number) -> Number:
    low = np.int64(data[at]) | np.int64(data[at + np.uint64(1)]) << 8 | np.int64(data[at + np.uint64(2)]) << 16 | np.int64(data[at + np.uint64(3)]) << 24
    at = at + np.uint64(4)
    high = np.int64(data[at]) | np.int64(data[at + np.uint64(1)]) << 8 | np.int64(data[at + np.uint64(2)]) << 16 | np.int64(data[at + np.uint64(3)]) << 24
    return low | high << 32


@compiled
def next_of(data: Bytes, at: Number, stop: Number, byte: Number) -> Number:
    """Where a byte of ASCII stands next, -1 where it does not; a letter that is given in lower case stands in either."""
    letter = 32 if 97 <= byte <= 122 else 0
    many, either = _ONES * byte, _ONES * letter
    while at + 8 <= stop:
        word = (np.int64(_eight(data, np.uint64(at))) | either) ^ many
        if (word - _ONES) & ~word & _HIGH != 0:
            break
        at += 8
    while at < stop:
        if data[at] | letter == byte:
            return np.int64(at)
        at += 1
    return np.int64(-1)


@compiled
def word_at(data: Bytes, at: Number, stop: Number, word: bytes) -> bool:
    """Whether a word of ASCII stands there."""
    if at + len(word) > stop:
        return False
    for place in range(len(word)):
        if data[at + place] != word[place]:
            return False
    return True


@compiled
def low_word_at(data: Bytes, at: Number, stop: Number, word: bytes) -> bool:
    """Whether a word of lower-case ASCII stands there, in whatever case."""
    if at + len(word) > stop:
        return False
    for place in range(len(word)):
        byte = data[at + place]
        if (byte | 32 if 65 <= byte <= 90 else byte) != word[place]:
            return False
    return True


@compiled
def is_space(byte: Number) -> bool:
    """ASCII's white space, as Python's patterns and str.strip() have it."""
    return bool(9 <= byte <= 13 or 28 <= byte <= 32)


@compiled
def _digits(data: Bytes, at: Number, stop: Number, count: Number) -> bool:
    if at + count > stop:
        return False
    for place in range(at, at + count):
        if data[place] < 48 or data[place] > 57:
            return False
    return True


@compiled
def _word(data: Bytes, at: Number, stop: Number, words: Ints, first: Number, last: Number) -> Number:
    """The number of the word from `at` to `stop`, of those from `first` to `last`; -1 where it is none."""
    if stop - at > _WORD_CHARS or stop - at < 3:
        return np.int64(-1)
    packed = np.int64(0)
    for place in range(stop - at):
        packed |= np.int64(data[at + place]) << (8 * place)
    for number in range(first, last):
        if words[number] == packed:
            return np.int64(number)
    return np.int64(-1)


@compiled
def level_at(data: Bytes, start: Number, stop: Number, words: Ints, upper: Number) -> Number:
    """The number of a level's word in the head of a line; -1 where there is none, -2 where a pattern must tell. `upper`: how many words are in upper case."""
    lower, named = np.int64(-1), False
    at = start
    while at < stop:
        byte = data[at]
        before = data[at - 1] if at > start else np.uint8(32)
        if 65 <= byte <= 90:
            end = at + 1
            while end < stop and 65 <= data[end] <= 90:
                end += 1
            if is_space(np.int64(before)) or before in (91, 40, 124, 60, 58, 62, 34, 45):
                if end == stop or is_space(np.int64(data[end])) or data[end] in (93, 41, 124, 60, 58, 62, 44, 45):
                    number = _word(data, at, end, words, np.int64(0), upper)
                    if number >= 0:
                        return number
            named |= _names_level(data, at, stop)
            at = end
            continue
        if lower < 0 and 97 <= byte <= 122 and (before == 91 or before == 40):
            end = at + 1
            while end < stop and 97 <= data[end] <= 122:
                end += 1
            if end < stop and (data[end] == 93 or data[end] == 41):
                lower = _word(data, at, end, words, upper, np.int64(len(words)))
        named |= _names_level(data, at, stop)
        at += 1
    if lower >= 0:
        return lower
    if named:
        return np.int64(-2)
    at = start  # `info: ` at its start
    while at < stop and 97 <= data[at] <= 122:
        at += 1
    return np.int64(-2 if 4 <= at - start <= _WORD_CHARS and at + 1 < stop and data[at] == 58 and data[at + 1] == 32 else -1)


@compiled
def _names_level(data: Bytes, at: Number, stop: Number) -> bool:
    byte = data[at] | 32
    if byte == 108:
        return low_word_at(data, at, stop, _LEVEL) or low_word_at(data, at, stop, _LVL)
    return byte == 115 and low_word_at(data, at, stop, _SEVERITY)


@compiled
def _zone(data: Bytes, at: Number, stop: Number, named: bool) -> Number:
    """Where a zone ends that may stand at `at`, behind a blank or not; `at` where there is none. `named`: it may be UTC or GMT."""
    begin = at + 1 if at < stop and data[at] == 32 else at
    if begin >= stop:
        return np.int64(at)
    byte = data[begin]
    if byte == 90:
        return np.int64(begin + 1)
    if named and begin + 3 <= stop:
        if (byte == 85 and data[begin + 1] == 84 and data[begin + 2] == 67) or (byte == 71 and data[begin + 1] == 77 and data[begin + 2] == 84):
            return np.int64(begin + 3)
    if (byte == 43 or byte == 45) and _digits(data, begin + 1, stop, np.int64(2)):
        colon = 1 if begin + 3 < stop and data[begin + 3] == 58 else 0
        if _digits(data, begin + 3 + colon, stop, np.int64(2)):
            return np.int64(begin + 5 + colon)
    return np.int64(at)


@compiled
def _date(data: Bytes, at: Number, stop: Number) -> bool:
    """Whether a date stands there, with a T or a blank behind it."""
    right = _digits(data, at, stop, np.int64(4)) and at + 11 <= stop
    right = right and (data[at + 4] == 45 or data[at + 4] == 47) and (data[at + 7] == 45 or data[at + 7] == 47)
    right = right and _digits(data, at + 5, stop, np.int64(2)) and _digits(data, at + 8, stop, np.int64(2))
    return right and (data[at + 10] == 84 or data[at + 10] == 32)


@compiled
def clock(data: Bytes, at: Number, stop: Number, named: bool) -> Number:
    """Where a time of day with its fraction and its zone ends; -1 where there is none, -2 where a pattern must tell."""
    if not (_digits(data, at, stop, np.int64(2)) and _digits(data, at + 3, stop, np.int64(2)) and _digits(data, at + 6, stop, np.int64(2))):
        return np.int64(-1)
    if data[at + 2] != 58 or data[at + 5] != 58:
        return np.int64(-1)
    at += 8
    if at + 1 < stop and (data[at] == 46 or data[at] == 44) and 48 <= data[at + 1] <= 57:
        first = at + 1
        at = first
        while at < stop and 48 <= data[at] <= 57:
            at += 1
        if at - first > _FRACTION_CHARS:
            return np.int64(-2)
    at = _zone(data, at, stop, named)
    return np.int64(-2 if at < stop and 48 <= data[at] <= 57 else at)


@compiled
def time_first(data: Bytes, start: Number, stop: Number, head: Number) -> Pair:
    """From where to where the time with its date stands at a line's start; nowhere (0, 0) where there is none; ends at -1 where a pattern must tell."""
    at = start + 1 if data[start] in (91, 40, 34) else start
    if _date(data, at, stop):
        end = clock(data, at + 11, stop, True)
        if end == -2:
            return np.int64(0), np.int64(-1)
        if end >= 0:
            return np.int64(at), end
    place = next_of(data, start, head - 3, np.int64(91))
    while place >= 0:  # an access log's
        if 48 <= data[place + 1] <= 57 and 48 <= data[place + 2] <= 57 and data[place + 3] == 47:
            return np.int64(0), np.int64(-1)
        place = next_of(data, place + 1, head - 3, np.int64(91))
    return np.int64(0), np.int64(0)


@compiled
def origin(data: Bytes, start: Number, stop: Number, words: Ints, upper: Number) -> Four:
    """(logger, its end, thread, its end) of a line that begins with a digit, both empty where it has neither; -1 where a pattern must tell."""
    unsure, none = (np.int64(-1), np.int64(0), np.int64(0), np.int64(0)), (np.int64(0), np.int64(0), np.int64(0), np.int64(0))
    at = next_of(data, start, stop, np.int64(91))
    while at >= 0:
        if word_at(data, at, stop, _OTEL):
            return unsure
        at = next_of(data, at + 1, stop, np.int64(91))
    at = np.int64(clock(data, start + 11 if _date(data, start, stop) else start, stop, False))
    if at < 0:
        return none if at == -1 else unsure
    if word_at(data, at, stop, _DASH):
        return _of_python(data, at + len(_DASH), stop, words, upper)
    begin = at
    at = _blanks(data, at, stop, np.int64(3))
    if at == begin:
        return none
    thread, thread_end = np.int64(0), np.int64(0)
    at = np.int64(at)
    if at < stop and data[at] == 91:
        thread, thread_end, at = _bracketed(data, at, stop)
        if thread_end <= thread:
            return unsure
    end = at
    while end < stop and 65 <= data[end] <= 90:
        end += 1
    if _word(data, at, end, words, np.int64(0), upper) < 0:
        return unsure if thread_end > 0 else none
    at = _blanks(data, end, stop, np.int64(3))
    if at == end or at >= stop:
        return none
    return _logger(data, at, stop, (thread, thread_end))


@compiled
def _blanks(data: Bytes, at: Number, stop: Number, most: Number) -> Number:
    end = min(stop, at + most)
    while at < end and data[at] == 32:
        at += 1
    return np.int64(at)


@compiled
def _of_python(data: Bytes, first: Number, stop: Number, words: Ints, upper: Number) -> Four:
    """The logger of Python's `TIME - LOGGER - LEVEL - `, given where it begins."""
    unsure, none = (np.int64(-1), np.int64(0), np.int64(0), np.int64(0)), (np.int64(0), np.int64(0), np.int64(0), np.int64(0))
    at = np.int64(first)
    while at < stop and (48 <= data[at] <= 57 or 97 <= data[at] | 32 <= 122 or data[at] == 95 or data[at] == 46):
        at += 1
    if at < stop and data[at] >= 0x80:
        return unsure
    if not 1 <= at - first <= _THREAD_CHARS or not word_at(data, at, stop, _DASH):
        return none
    begin = at + len(_DASH)
    end = begin
    while end < stop and 65 <= data[end] <= 90:
        end += 1
    if _word(data, begin, end, words, np.int64(0), upper) < 0 or not word_at(data, end, stop, _DASH):
        return none
    return np.int64(first), at, np.int64(0), np.int64(0)


@compiled
def _bracketed(data: Bytes, at: Number, stop: Number) -> tuple[Number, Number, Number]:
    """From where to where the text in the brackets that begin there, without blanks around it, and what is behind them; empty where a pattern must tell."""
    begin = np.int64(at + 1)
    at = begin
    while at < stop and data[at] != 93 and data[at] != 91 and data[at] < 0x80:
        at += 1
    if at >= stop - 1 or data[at] != 93 or data[at + 1] != 32 or at - begin > _THREAD_CHARS:
        return np.int64(0), np.int64(0), np.int64(0)
    behind, end = at + 2, np.int64(at)
    while begin < end and data[begin] == 32:
        begin += 1
    while begin < end and data[end - 1] == 32:
        end -= 1
    if begin == end or is_space(np.int64(data[begin])) or is_space(np.int64(data[end - 1])):
        return np.int64(0), np.int64(0), np.int64(0)
    return begin, end, np.int64(behind)


@compiled
def _logger(data: Bytes, at: Number, stop: Number, thread: Pair) -> Four:
    """The same, behind a level: a process as Spring Boot has it, a thread in brackets if none was before, then the logger."""
    unsure = (np.int64(-1), np.int64(0), np.int64(0), np.int64(0))
    begin, thread_end = thread
    sure, at = thread_end == 0, np.int64(at)
    end = at
    while end < stop and 48 <= data[end] <= 57:
        end += 1
    if end > at and word_at(data, end, stop, _DASHES):
        if end - at > _WORD_CHARS:
            return unsure
        at, sure = end + len(_DASHES), False
    if at < stop and data[at] == 91:
        if thread_end > 0:
            return unsure
        begin, thread_end, at = _bracketed(data, at, stop)
        sure = False
        if thread_end <= begin:
            return unsure
    if at >= stop or data[at] == 91:
        return unsure
    end = _logger_end(data, at, stop)
    if end > at:
        return at, end, begin, thread_end
    return (np.int64(0), np.int64(0), np.int64(0), np.int64(0)) if sure and end == -1 else unsure


@compiled
def _logger_end(data: Bytes, first: Number, stop: Number) -> Number:
    """Where the logger ends that begins there: before its line's number, or before ` - ` or ` : `. -1 where it is none, -2 where a pattern must tell."""
    at = first
    while at < stop and data[at] != 34 and not is_space(np.int64(data[at])) and at - first <= _LOGGER_CHARS:
        if data[at] >= 0x80:
            return np.int64(-2)
        if data[at] == 35 and at > first:
            end = at + 1
            while end < stop and 48 <= data[end] <= 57:
                end += 1
            if 1 <= end - at - 1 <= 7 and end < stop and data[end] == 32:
                return np.int64(at)
        at += 1
    if at - first > _LOGGER_CHARS:
        return np.int64(-2)
    end = _blanks(data, at, stop, np.int64(40))
    if at == first or end == at or end >= stop:
        return np.int64(-1)
    if data[end] == 91:
        return np.int64(-2)
    return np.int64(at if data[end] in (45, 58) and end + 1 < stop and data[end + 1] == 32 else -1)
