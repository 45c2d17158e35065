"""Lines that a container runtime cut into several records, put together again.

In: records of one partition. Out: what to read in place of some of them. Never: lines of two containers in one, as far as a key or a length can tell.

A runtime that follows CRI cuts a long line into parts with the flag P and a last one with the flag F. Parts are joined when nothing else of their stream lies
between them: among records of one key; or, without keys, from one record to the next, if the part is as long as runtimes cut them (none cuts below 8 KiB
of a line that goes on). The line is read at its last part's record, with its first part's time; the others are dropped, and counted, as `joined`.
Parts whose rest is not in the batch stay logs of their own.
"""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.records import Records

_ANY_PART = r"^\d{4}-\d\d-\d\dT[0-9:.Z+-]{8,32} (stdout|stderr) P( |\n|$)"
_ANY_LINE = r" (stdout|stderr) [PF]"
_LINE = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d) (stdout|stderr) )([PF])(?: ([^\n]*))?\n?")
_CUT_BYTES_MIN = 4 * limits.KIB


@dataclass(slots=True)
class _Open:
    """Parts of a line so far: their records, and the line's bytes with its first part's head."""

    records: list[int]
    line: bytearray
    long: bool = False  # whether the last part is as long as runtimes cut them


def joined_lines(records: Records) -> dict[int, bytes | None]:
    """Record → the whole line to read there; None for a record whose part went into a later one. Empty for most batches, at the cost of a look at each."""
    values = records.batch.column("value")
    if not _has_parts(records):
        return {}
    found: dict[int, bytes | None] = {}
    open_lines: dict[bytes | None, dict[bytes, _Open]] = {}  # by key and stream
    keys = records.batch.column("key")
    for record in range(len(values)):
        key, value = keys[record].as_py(), values[record].as_py() or b""
        match = _LINE.fullmatch(value) if len(value) <= limits.record_bytes_max else None
        if match is None:
            open_lines.pop(key, None)
            continue
        if key is None:  # then only the record before counts
            before = open_lines.pop(None, {}).get(match[2])
            if before is not None and before.long:
                open_lines[None] = {match[2]: before}
        _take(record, match, open_lines.setdefault(key, {}), found)
    return found


def may_be_line(records: Records) -> npt.NDArray[np.uint8]:
    """1 for each record that may be read as a line by itself; 0 for one that is too large and, in a batch with parts of lines, for what may be one."""
    values = records.batch.column("value")
    found = np.zeros(len(values), np.uint8)
    if records.encoding in ("auto", "text"):
        found[pc.less_equal(pc.binary_length(values), limits.record_bytes_max).fill_null(False).to_numpy(zero_copy_only=False)] = 1
    if found.any() and _has_parts(records):
        found[pc.fill_null(pc.match_substring_regex(values, _ANY_LINE), True).to_numpy(zero_copy_only=False)] = 0
    return found


def _has_parts(records: Records) -> bool:
    values = records.batch.column("value")
    return records.encoding in ("auto", "text") and bool(pc.any(pc.match_substring_regex(values, _ANY_PART)).as_py())


def _take(record: int, match: re.Match[bytes], streams: dict[bytes, _Open], found: dict[int, bytes | None]) -> None:
    """Add one part to the line that is open of its stream; the last one closes it."""
    text, line = match[4] or b"", streams.pop(match[2], None)
    if line is not None and len(line.line) + len(text) > limits.record_bytes_max:
        line = None
    if match[3] == b"P":
        line = line or _Open([], bytearray(match[1] + b"P "))
        line.records.append(record)
        line.line += text
        line.long = len(text) >= _CUT_BYTES_MIN
        streams[match[2]] = line
    elif line is not None and _is_utf8(whole := bytes(line.line + text)):  # else each part is judged by itself, and keeps its bytes
        found[record] = whole
        found.update(dict.fromkeys(line.records))


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
