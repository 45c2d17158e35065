"""What lines of text say, for a whole batch in compiled loops: where their time, level, logger, thread and ids stand.

In: texts. Out: places within them, and what kind of line each is. Never: another reading than the patterns of normalize/log_text.py and log_lines.py give: a
line of which this is not sure is said to be unusual, and left to those. Usual are lines of one line that begin with a time, a bracket or a word, with ids in
plain hex; stack traces are not. Of lines that may be of an access log, syslog or klog the same is found but for their time, for log_shapes.py.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.compiled import compiled
from tracebraid.pipeline.kernel.line_heads import is_space, level_at, next_of, origin, time_first, word_at
from tracebraid.pipeline.kernel.line_ids import find_ids
from tracebraid.pipeline.kernel.line_parts import bytes_of
from tracebraid.schemas.records import DECODED_LOGS
from tracebraid.schemas.table import CODED

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Found = npt.NDArray[np.int32]
Number = Any  # an integer of 64 bits
# DECODED_LOGS whose texts may be read so; what the reference decoders alone have read is read a row at a time.
LINES = pa.schema([field.with_type(CODED) if field.name == "envelope" else field for field in DECODED_LOGS])
# What is found of a line; places are counted from the beginning of all texts, lengths are 0 where there is nothing.
F_LEVEL, F_TIME, F_TIME_LENGTH, F_LOGGER, F_LOGGER_LENGTH, F_THREAD, F_THREAD_LENGTH, F_TRACE, F_TRACE_LENGTH, F_SPAN, F_KIND = range(11)
FIELDS = 11
# Kinds, bits: what is UNUSUAL is read otherwise; a line MAY_BELONG to the stack trace of the line above; IN_TRACE ones show that there is one.
UNUSUAL, MAY_BELONG, IN_TRACE, PAIRS = 1, 2, 4, 8  # PAIRS: unusual, and may be one of line_pairs.py
ACCESS, SYSLOG, KLOG = 16, 32, 64  # unusual, and may be of such a log
SHAPED = ACCESS | SYSLOG | KLOG
UPPER = (
    *("TRACE", "DEBUG", "INFO", "NOTICE", "WARNING", "WARN", "ERROR", "FATAL", "CRITICAL", "SEVERE", "ALERT", "EMERG", "PANIC", "FINEST", "FINER", "FINE"),
    *("CONFIG", "VERBOSE", "TRC", "DBG", "INF", "WRN", "ERR", "FTL", "VRB"),
)
LOWER = ("trace", "debug", "info", "notice", "warn", "warning", "error", "err", "crit", "critical", "alert", "emerg", "fatal", "panic")
WORDS = (*UPPER, *LOWER)
_PACKED = np.array([int.from_bytes(word.encode(), "little") for word in WORDS], np.int64)
_UPPER = len(UPPER)
_LEVEL_CHARS, _ORIGIN_CHARS, _FORMAT_CHARS, _SEARCH_CHARS = 200, 400, 600, limits.id_search_chars_max
_PLAIN_BYTES = 48  # at a line's start, where a time may stand: there digits of other scripts would count
_TRACEBACK, _CAUSED, _BETWEEN, _DURING, _IN_THREAD = b"Traceback (most", b"Caused by: ", b"The above", b"During ", b'Exception in thread "'
_SERVICE = b"service.name="


def lines_of(texts: pa.StringArray) -> Found:
    """[FIELDS, rows]: what is found of each text; nothing of nulls."""
    found = np.zeros((FIELDS, len(texts)), np.int32)
    if len(texts) and texts.buffers()[2]:
        offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
        _read(bytes_of(texts), offsets, _PACKED, found)
    else:
        found[F_LEVEL] = -1
    return found


@compiled
def _read(data: Bytes, offsets: npt.NDArray[np.int32], words: Ints, found: Found) -> None:
    for row in range(len(offsets) - 1):
        start, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        found[F_LEVEL, row] = -1
        kind = _belongs(data, start, stop)
        if start < stop:
            kind |= _head(data, start, stop, row, words, found)
        found[F_KIND, row] = kind


@compiled
def _belongs(data: Bytes, start: Number, stop: Number) -> Number:
    """MAY_BELONG and IN_TRACE of normalize/log_joined.py's rules, and sometimes of other lines too."""
    if start == stop:
        return np.int64(MAY_BELONG)
    first = np.int64(data[start])
    if is_space(first):
        return np.int64(MAY_BELONG | IN_TRACE)
    if first >= 0x80:
        return np.int64(MAY_BELONG)
    if word_at(data, start, stop, _TRACEBACK) or word_at(data, start, stop, _CAUSED):
        return np.int64(MAY_BELONG | IN_TRACE)
    letter = 97 <= first | 32 <= 122 or first == 95 or first == 36
    if not letter:
        return np.int64(0)
    if word_at(data, start, stop, _BETWEEN) or word_at(data, start, stop, _DURING) or word_at(data, start, stop, _IN_THREAD):
        return np.int64(MAY_BELONG)
    at = start + 1
    while at < stop and (97 <= data[at] | 32 <= 122 or 48 <= data[at] <= 57 or data[at] in (36, 46, 95) or data[at] >= 0x80):
        at += 1
    return np.int64(MAY_BELONG if at == stop or data[at] in (58, 10) else 0)


@compiled
def _seen(data: Bytes, start: Number, stop: Number) -> tuple[Number, Number]:
    """(the bits of all bytes, how many line ends)."""
    bits, ends = np.uint8(0), np.int64(0)
    for at in range(start, stop):
        byte = data[np.uint64(at)]
        bits |= byte
        ends += byte == 10
    return np.int64(bits), ends


@compiled
def _end_of(data: Bytes, start: Number, stop: Number, chars: Number, ascii_only: bool) -> Number:
    """Where so many characters end, at most at `stop`."""
    if ascii_only:
        return np.int64(min(stop, start + chars))
    at, left = start, chars
    while at < stop:
        if data[at] & 0xC0 != 0x80:
            if left == 0:
                return np.int64(at)
            left -= 1
        at += 1
    return np.int64(stop)


@compiled
def _is_plain(data: Bytes, start: Number, stop: Number, end: Number) -> bool:
    """Whether a line begins with ASCII, and has no white space of Unicode, nor letters that turn into ASCII in lower case, up to `end`."""
    for at in range(start, min(stop, start + _PLAIN_BYTES)):
        if data[at] >= 0x80:
            return False
    for at in range(start, end):
        byte = data[at]
        if byte < 0x80:
            continue
        second = data[at + 1] if at + 1 < stop else 0
        third = data[at + 2] if at + 2 < stop else 0
        if byte == 0xC2 and (second == 0x85 or second == 0xA0):
            return False
        if byte == 0xC4 and second == 0xB0:
            return False
        if byte == 0xE1 and second == 0x9A and third == 0x80:
            return False
        if byte == 0xE2 and ((second == 0x80 and (third <= 0x8A or third in (0xA8, 0xA9, 0xAF))) or (second == 0x81 and third == 0x9F)):
            return False
        if (byte == 0xE2 and second == 0x84 and third == 0xAA) or (byte == 0xE3 and second == 0x80 and third == 0x80):
            return False
    return True


@compiled
def _format(data: Bytes, start: Number, stop: Number, end: Number) -> Number:
    """UNUSUAL where a line may have a shape of log_lines.py, with PAIRS or what else it may be. `end`: of what is looked at for an access log's."""
    first = np.int64(data[start])
    if first == 60 or first == 123:  # the latter as JSON
        return np.int64(UNUSUAL | SYSLOG if first == 60 else UNUSUAL)
    if first in (73, 87, 69, 70) and start + 1 < stop and 48 <= data[start + 1] <= 57:
        return np.int64(UNUSUAL | KLOG)
    if 97 <= first | 32 <= 122 or first == 95:
        at = start
        while at < stop and not is_space(np.int64(data[at])) and data[at] != 34 and data[at] != 61:
            at += 1
        if at < stop and data[at] == 61:
            return np.int64(UNUSUAL | PAIRS)
    at = next_of(data, start, end - 2, np.int64(93))
    while at >= 0:
        if data[at + 1] == 32 and data[at + 2] == 34:
            return np.int64(UNUSUAL | ACCESS)
        at = next_of(data, at + 1, end - 2, np.int64(93))
    return np.int64(0)


@compiled
def _head(data: Bytes, start: Number, stop: Number, row: Number, words: Ints, found: Found) -> Number:
    """Level, time, logger, thread and ids of a line; its kind, 0 where it is usual."""
    bits, ends = _seen(data, start, stop)
    ascii_only = bits < 0x80
    window = _end_of(data, start, stop, _SEARCH_CHARS, ascii_only)
    if ends or not (ascii_only or _is_plain(data, start, stop, window)):
        return np.int64(UNUSUAL)
    kind = _format(data, start, stop, _end_of(data, start, stop, _FORMAT_CHARS, ascii_only))
    if kind and not kind & SHAPED:
        return np.int64(kind if window == stop else UNUSUAL)
    head = _end_of(data, start, stop, _LEVEL_CHARS, ascii_only)
    level = level_at(data, start, head, words, _UPPER)
    if level == -2:
        return np.int64(UNUSUAL)
    found[F_LEVEL, row] = level
    if not kind & ACCESS:
        begin, end = time_first(data, start, window, head)
        if end < 0:
            return np.int64(UNUSUAL)
        found[F_TIME, row], found[F_TIME_LENGTH, row] = begin, end - begin
    if 48 <= data[start] <= 57:
        logger, logger_end, thread, thread_end = origin(data, start, _end_of(data, start, stop, _ORIGIN_CHARS, ascii_only), words, _UPPER)
        if logger < 0:
            return np.int64(UNUSUAL)
        found[F_LOGGER, row], found[F_LOGGER_LENGTH, row] = logger, logger_end - logger
        found[F_THREAD, row], found[F_THREAD_LENGTH, row] = thread, thread_end - thread
    return np.int64(kind if _ids(data, start, window, row, found) else UNUSUAL)


@compiled
def _ids(data: Bytes, start: Number, window: Number, row: Number, found: Found) -> bool:
    """The trace and the span that a line names; whether both are in plain hex, or not there."""
    at = next_of(data, start, window, np.int64(61))
    while at >= 0:  # a service by its attribute's name
        if at - start >= len(_SERVICE) - 1 and word_at(data, at + 1 - len(_SERVICE), window, _SERVICE):
            return False
        at = next_of(data, at + 1, window, np.int64(61))
    trace, length, span = find_ids(data, start, window)
    if length < 0:
        return False
    found[F_TRACE, row], found[F_TRACE_LENGTH, row], found[F_SPAN, row] = trace, length, span
    return True
