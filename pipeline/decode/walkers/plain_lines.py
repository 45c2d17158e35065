"""Records that are lines of text, bare or as a container runtime writes them (CRI) → where their texts lie; and whether a text is one, or holds something else.

In: bytes of the values, where each begins, which are to be looked at. Out: kinds and places. Never: a record that decode_text would read otherwise, or that
may be of another encoding: what begins as JSON, is no UTF-8 or has control characters is the reference decoder's.
"""

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.decode.walkers.json_text import CLOSE, OPEN, unescaped
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, is_utf8
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.compiled import compiled
from tracebraid.pipeline.kernel.line_heads import word_at
from tracebraid.pipeline.kernel.texts import copy_bytes

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
NONE, BARE, STDOUT, STDERR = range(4)
L_START, L_LENGTH, L_TIME_LENGTH, L_KIND = range(4)  # a CRI line's time stands at its record's start
OTHER, PLAIN, OBJECT = range(3)
CONSTANT, AS_IT_IS, WITH_ESCAPES = range(3)  # where a value of write_values() is from
V_FROM, V_START, V_LENGTH = range(3)
_BLANKS_MAX = 40  # registry.py looks for JSON behind 64
_STREAM_BYTES = 192  # in which a CRI line has its stream, however its digits are written
_LINES_BYTES_MAX = limits.record_rows_any  # so that not more lines than a record may have are in it
_STDOUT, _STDERR, _GZIP = b" stdout ", b" stderr ", b"H4sI"
_ISO = b"0000-00-00T00:00:00"


@compiled
def find_lines(data: Bytes, starts: Numbers, wanted: Bytes, lines: Numbers) -> None:
    """`lines`: [4, records]; their kind is NONE where a record is left."""
    for record in range(len(wanted)):
        start, stop = np.int64(starts[record]), np.int64(starts[record + 1])
        lines[L_KIND, record] = NONE
        if not wanted[record] or not _is_text(data, start, stop):
            continue
        end = _without_newline(data, start, stop)
        kind, begin, time = np.int64(BARE), start, np.int64(0)
        if _may_be_cri(data, start, end):
            kind, begin, time = _cri(data, start, end)
        elif end - start > _LINES_BYTES_MAX and _begins_with_digit(data, start):
            kind = np.int64(NONE)
        if kind == BARE:
            end = stop  # its line end is taken off with those of other texts
        lines[L_START, record], lines[L_LENGTH, record], lines[L_TIME_LENGTH, record], lines[L_KIND, record] = begin - start, end - begin, time, kind


@compiled
def _is_text(data: Bytes, start: Number, stop: Number) -> bool:
    at, last = start, min(stop, start + _BLANKS_MAX)
    while at < last and (data[at] == 32 or data[at] == 9):
        at += 1
    if at == last or data[at] <= 32 or data[at] >= 127 or data[at] in (123, 91, 34) or word_at(data, start, stop, _GZIP):
        return False
    for place in range(start, stop):
        byte = data[place]
        if (byte < 32 and byte != 9 and byte != 10 and byte != 13 and byte != 27) or byte == 127:
            return False
    return is_utf8(data, start, stop)


@compiled
def _begins_with_digit(data: Bytes, at: Number) -> bool:
    """Of a text that is not blank."""
    while data[at] == 32 or data[at] == 9:
        at += 1
    return bool(48 <= data[at] <= 57)


@compiled
def _without_newline(data: Bytes, start: Number, stop: Number) -> Number:
    """Where a text ends without the one line end that runtimes leave on a line."""
    if stop > start and data[stop - 1] == 10:
        return np.int64(stop - 2 if stop - 1 > start and data[stop - 2] == 13 else stop - 1)
    return np.int64(stop)


@compiled
def _may_be_cri(data: Bytes, start: Number, stop: Number) -> bool:
    for at in range(start, min(stop, start + _STREAM_BYTES)):
        if data[at] == 32 and (word_at(data, at, stop, _STDOUT) or word_at(data, at, stop, _STDERR)):
            return True
    return False


@compiled
def _cri(data: Bytes, start: Number, stop: Number) -> tuple[Number, Number, Number]:
    """(kind, where its text begins, how long its time is) of a whole CRI line; NONE where it may be another one."""
    left = (np.int64(NONE), np.int64(0), np.int64(0))
    at = _time(data, start, stop)
    if at < 0:
        return left
    kind = np.int64(STDOUT if word_at(data, at, stop, _STDOUT) else STDERR if word_at(data, at, stop, _STDERR) else NONE)
    flag = at + len(_STDOUT)
    if kind == NONE or flag + 1 >= stop or data[flag] != 70 or data[flag + 1] != 32:
        return left
    for place in range(flag, stop):
        if data[place] == 10:
            return left
    return kind, np.int64(flag + 2), np.int64(at - start)


@compiled
def _time(data: Bytes, start: Number, stop: Number) -> Number:
    """Where a CRI line's time ends; -1 where it has none."""
    at = start + len(_ISO)
    if at >= stop:
        return np.int64(-1)
    for place in range(len(_ISO)):
        byte = data[start + place]
        if not 48 <= byte <= 57 if _ISO[place] == 48 else byte != _ISO[place]:
            return np.int64(-1)
    if data[at] == 46:
        first = at + 1
        at = first
        while at < stop and 48 <= data[at] <= 57:
            at += 1
        if not 1 <= at - first <= 9 or at == stop:
            return np.int64(-1)
    if data[at] == 90:
        return np.int64(at + 1)
    right = at + 6 <= stop and (data[at] == 43 or data[at] == 45) and data[at + 3] == 58
    for place in (1, 2, 4, 5):
        right = right and 48 <= data[at + place] <= 57
    return np.int64(at + 6 if right else -1)


@compiled
def _is_plain(data: Bytes, start: Number, stop: Number) -> bool:
    """Whether a text is neither a CRI line, nor JSON, nor begins with white space of Unicode."""
    at = start
    while at < stop and (9 <= data[at] <= 13 or 28 <= data[at] <= 32):
        at += 1
    if at < stop and (data[at] == 123 or data[at] in (0xC2, 0xE1, 0xE2, 0xE3)):
        return False
    return not _may_be_cri(data, start, stop)


@compiled
def write_values(data: Bytes, constants: Bytes, values: Ints, out: tuple[Bytes, Numbers, npt.NDArray[np.bool_]]) -> None:
    """Values one behind the other into out[0], which is as long as they; where each ends; and which are none, since an escape in them is none."""
    texts, ends, broken = out
    to = np.int64(0)
    for value in range(len(broken)):
        start, length = values[3 * value + V_START], values[3 * value + V_LENGTH]
        if values[3 * value + V_FROM] == WITH_ESCAPES:
            end = unescaped(data, start, start + length, texts, to)
            broken[value] = end < 0
            to = max(end, to)
        elif values[3 * value + V_FROM] == AS_IT_IS:
            copy_bytes(data, start, texts, to, length)
            to += length
        else:
            copy_bytes(constants, start, texts, to, length)
            to += length
        ends[value + 1] = to


@compiled
def judge_texts(texts: Bytes, ends: Numbers, lengths: Numbers, kinds: Bytes) -> None:
    """How long each text is without its line end, and whether it is no more than a text (PLAIN), or may be an OBJECT."""
    for value in range(len(lengths)):
        start = np.int64(ends[value])
        end = _without_newline(texts, start, np.int64(ends[value + 1]))
        lengths[value], kinds[value] = end - start, OTHER
        if _is_plain(texts, start, end):
            kinds[value] = PLAIN
        elif end - start > 1 and texts[start] == OPEN and texts[end - 1] == CLOSE:
            kinds[value] = OBJECT
