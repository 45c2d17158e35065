"""JSON objects that differ from each other in a few values only, as lines in their envelopes do → which have one frame, and where those values lie.

In: bytes of the values, where each begins, which are to be walked. Out: for each record the number of its frame and its holes; a frame is all of an object but
for its holes: texts at the top under names of no fact, and numbers wherever they stand. Never: a record that is no JSON beyond doubt, two records in
one frame that differ outside of their holes; what a frame means is frame_meaning.py's to ask of the reference decoder.
"""

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.decode.walkers.json_text import (
    CLOSE,
    COLON,
    COMMA,
    DECIMAL,
    MINUS,
    OPEN,
    OPEN_LIST,
    QUOTE,
    literal,
    number,
    skip,
    space,
    string,
    valid_escapes,
)
from tracebraid.pipeline.decode.walkers.objects import WANTED, is_shortest
from tracebraid.pipeline.decode.walkers.texts import same
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, Pair, byte_at, fixed64, is_utf8
from tracebraid.pipeline.kernel.compiled import compiled

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
# Kinds of holes: text that stands as it is meant, text with escapes, a number as it is meant, another number.
TEXT, ESCAPED, NUMBER, OTHER_NUMBER = range(4)
HOLES_MAX = 32  # of one record
FRAMES_MAX = 2048
SLOTS = 2 * FRAMES_MAX
_STEPS_MAX = 64
H_START, H_LENGTH, H_KIND = range(3)
_INTEGER_CHARS_MAX = 18
# Names at the top whose texts say where a log is from, and are the same in many.
FACTS = (b"stream", b"host", b"logGroup", b"logStream", b"owner", b"source_type", b"logName", b"severity", b"docker", b"container", b"file", b"tag", b"level")
_PACKED = np.array([int.from_bytes(name[:8], "little") for name in FACTS], np.int64)
_LENGTHS = np.array([len(name) for name in FACTS], np.int64)


@compiled
def find_frames(data: Bytes, starts: Numbers, wanted: Bytes, tables: tuple[Numbers, Numbers, Ints, Ints, Ints]) -> Number:
    """How many frames there are. `tables`: for each record its frame (-1: none) and its first hole; the holes; for each frame a record and how many it has;
    slots, all -1."""
    frame_of, first_of, holes, frames, _ = tables
    count = used = np.int64(0)
    for record in range(len(wanted)):
        frame_of[record], first_of[record] = -1, used
        start, stop = np.int64(starts[record]), np.int64(starts[record + 1])
        if wanted[record] != WANTED or 3 * (used + HOLES_MAX + 2) > len(holes) or not is_utf8(data, start, stop):
            continue
        end = _walk(data, start, stop, holes, used)
        if end < 0:
            continue
        frame = _frame(data, starts, record, tables, count, end - used)
        if frame < 0:
            continue
        if frame == count:
            frames[2 * frame], frames[2 * frame + 1] = record, end - used
            count += 1
        frame_of[record] = frame
        used = end
    return count


@compiled
def _walk(data: Bytes, start: Number, stop: Number, holes: Ints, first: Number) -> Number:
    """Where the holes of a record end, which begin at `first`; -1 where it is left."""
    at, hole = start + 1, np.int64(first)
    while True:
        at = space(data, at, stop)
        if at >= stop or data[at] != QUOTE:
            return np.int64(-1)
        name = at + 1
        close, escapes = string(data, name, stop)
        at = space(data, close + 1, stop)
        if close < 0 or (escapes and not valid_escapes(data, name, close)) or at >= stop or data[at] != COLON:
            return np.int64(-1)
        at = space(data, at + 1, stop)
        if at >= stop:
            return np.int64(-1)
        hole, at = _value(data, (name, close), at, stop, holes, (hole, first + HOLES_MAX))
        if at < 0 or hole < 0 or hole > first + HOLES_MAX:
            return np.int64(-1)
        at = space(data, at, stop)
        if at >= stop:
            return np.int64(-1)
        if data[at] == CLOSE:
            return hole if space(data, at + 1, stop) == stop else np.int64(-1)
        if data[at] != COMMA:
            return np.int64(-1)
        at += 1


@compiled
def _value(data: Bytes, name: Pair, at: Number, stop: Number, holes: Ints, room: Pair) -> Pair:
    """(the next hole, where the value ends): below 0 where it is none. `room`: the hole that comes next, and where there is no more room."""
    hole, last = room
    byte = byte_at(data, at)
    if byte == QUOTE:
        end, escapes = string(data, at + 1, stop)
        if end < 0 or (escapes and not valid_escapes(data, at + 1, end)):
            return np.int64(-1), np.int64(-1)
        if not _is_fact(data, name[0], name[1]):
            hole = _put(holes, hole, at + 1, end, np.int64(ESCAPED if escapes else TEXT))
        return np.int64(hole), end + 1
    if byte == OPEN or byte == OPEN_LIST:
        end = skip(data, at, stop)
        return (_numbers(data, at, end, holes, hole, last) if end >= 0 else np.int64(-1)), np.int64(end)
    if byte == MINUS or 48 <= byte <= 57:
        return _number(data, at, stop, holes, hole)
    return np.int64(hole), np.int64(literal(data, at, stop))


@compiled
def _put(holes: Ints, hole: Number, start: Number, end: Number, kind: Number) -> Number:
    place = 3 * hole
    holes[place + H_START], holes[place + H_LENGTH], holes[place + H_KIND] = start, end - start, kind
    return np.int64(hole + 1)


@compiled
def _number(data: Bytes, at: Number, stop: Number, holes: Ints, hole: Number) -> Pair:
    """(the next hole, where the number ends): -1 where it is none, or one that may lose digits."""
    end, kind = number(data, at, stop)
    if end < 0:
        return np.int64(-1), np.int64(-1)
    if kind == DECIMAL:
        plain = is_shortest(data, at, end)
    else:
        plain = end - at <= _INTEGER_CHARS_MAX and not (data[at] == MINUS and data[at + 1] == 48)
        if not plain:
            return np.int64(-1), np.int64(-1)
    return _put(holes, hole, at, end, np.int64(NUMBER if plain else OTHER_NUMBER)), np.int64(end)


@compiled
def _numbers(data: Bytes, at: Number, stop: Number, holes: Ints, hole: Number, last: Number) -> Number:
    """The numbers within an object or a list, which is one."""
    while at < stop:
        byte = byte_at(data, at)
        if byte == QUOTE:
            at, _ = string(data, at + 1, stop)
            at += 1
        elif byte == MINUS or 48 <= byte <= 57:
            if hole >= last:
                return np.int64(-1)
            hole, at = _number(data, at, stop, holes, hole)
            if hole < 0:
                return np.int64(-1)
        else:
            at += 1
    return np.int64(hole)


@compiled
def _is_fact(data: Bytes, start: Number, stop: Number) -> bool:
    length, packed = stop - start, np.int64(0)
    for place in range(min(length, 8)):
        packed |= byte_at(data, start + place) << (8 * place)
    for name in range(len(_PACKED)):
        if _PACKED[name] == packed and _LENGTHS[name] == length:
            return True
    return False


@compiled
def _frame(data: Bytes, starts: Numbers, record: Number, tables: tuple[Numbers, Numbers, Ints, Ints, Ints], count: Number, holes_of: Number) -> Number:
    """The number of a record's frame, `count` if it is new; -1 where there is no room for it."""
    _, first_of, holes, frames, slots = tables
    hashed = _hash(data, np.int64(starts[record]), np.int64(starts[record + 1]), holes, np.int64(first_of[record]), holes_of)
    slot, steps = hashed & (SLOTS - 1), 0
    while slots[2 * slot] >= 0:
        frame = slots[2 * slot]
        if slots[2 * slot + 1] == hashed and frames[2 * frame + 1] == holes_of and _same(data, starts, (frames[2 * frame], record), first_of, holes, holes_of):
            return np.int64(frame)
        slot, steps = (slot + 1) & (SLOTS - 1), steps + 1
        if steps == _STEPS_MAX:
            return np.int64(-1)
    if count == FRAMES_MAX:
        return np.int64(-1)
    slots[2 * slot], slots[2 * slot + 1] = count, hashed
    return np.int64(count)


@compiled
def _hash(data: Bytes, start: Number, stop: Number, holes: Ints, first: Number, holes_of: Number) -> Number:
    value = np.uint64(0x9E3779B97F4A7C15)
    at = start
    for hole in range(first, first + holes_of + 1):
        end = holes[3 * hole + H_START] if hole < first + holes_of else stop
        while at + 8 <= end:
            value = (value ^ np.uint64(fixed64(data, at))) * np.uint64(0xD6E8FEB86659FD93)
            value ^= value >> np.uint64(32)
            at += 8
        while at < end:
            value = (value ^ np.uint64(byte_at(data, at))) * np.uint64(0xD6E8FEB86659FD93)
            at += 1
        value = (value ^ value >> np.uint64(29)) * np.uint64(0x9E3779B97F4A7C15)
        if hole < first + holes_of:
            at = end + holes[3 * hole + H_LENGTH]
    return np.int64((value ^ value >> np.uint64(29)) & np.uint64(0x7FFFFFFFFFFFFFFF))


@compiled
def _same(data: Bytes, starts: Numbers, records: tuple[Number, Number], first_of: Numbers, holes: Ints, holes_of: Number) -> bool:
    """Whether two records with as many holes have one frame."""
    one, other = records
    at, to = np.int64(starts[one]), np.int64(starts[other])
    first, second = np.int64(first_of[one]), np.int64(first_of[other])
    for hole in range(holes_of + 1):
        if hole < holes_of:
            end, until = holes[3 * (first + hole) + H_START], holes[3 * (second + hole) + H_START]
        else:
            end, until = np.int64(starts[one + 1]), np.int64(starts[other + 1])
        if end - at != until - to or not same(data, at, to, end - at):
            return False
        if hole < holes_of:
            at, to = end + holes[3 * (first + hole) + H_LENGTH], until + holes[3 * (second + hole) + H_LENGTH]
    return True
