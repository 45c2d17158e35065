"""Records of OTLP as JSON → the same as protobuf, which the walkers of protobuf then read.

In: the bytes of a batch, and of which kind each record may be. Out: the bytes of those that are beyond doubt, one behind the other, as protobuf. Never: a
record that the reference decoder would read otherwise: whatever is unusual (a field twice, of another type or spelling, no UTF-8, a name with an escape, both
signals, bytes behind the object, more levels than a stack has) leaves the whole record to it. No recursion: one loop over the tables of otlp_json_tables.py.
"""

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.decode.walkers.json_text import CLOSE, CLOSE_LIST, COLON, COMMA, OPEN, OPEN_LIST, QUOTE, literal, skip, space, string
from tracebraid.pipeline.decode.walkers.memory import Ints
from tracebraid.pipeline.decode.walkers.otlp_json_tables import ANY_VALUE, MESSAGE, MESSAGES, RECORD, RESERVED, SKIPPED, field_named
from tracebraid.pipeline.decode.walkers.otlp_json_values import copy, put_scalar, put_varint
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, Pair, byte_at, fixed64, is_utf8
from tracebraid.pipeline.kernel.compiled import compiled

LEVELS_MAX = 60  # of messages, one in the other; protobuf's parser takes 100
# The stack: which level is read, where the room ends; then of each level its message, the fields that it had, where it begins, the word of its list.
_LEVEL, _LIMIT, _FRAMES = range(3)
_OF, _SEEN, _BEGIN, _LIST, _FRAME = range(5)
STACK = _FRAMES + (LEVELS_MAX + 1) * _FRAME
_NULL = 0x6E
_RESOURCE = int.from_bytes(b"resource", "little")
_HEAD_CHARS = len('"resource')
_HEAD_BYTES_MAX = 8  # of a tag, and a length as far as it is reserved


@compiled
def begins_otlp(data: Bytes, start: Number, stop: Number) -> bool:
    """Whether JSON begins as OTLP does, with the name of one of its lists."""
    at = space(data, start + 1, stop)
    if at + _HEAD_CHARS > stop or byte_at(data, at) != QUOTE or fixed64(data, at + 1) != _RESOURCE:
        return False
    end, _ = string(data, at + 1, stop)
    return end > 0 and bool(field_named(RECORD, data, at + 1, end) != 0)


@compiled
def as_protobuf(data: Bytes, starts: npt.NDArray[np.int32], kinds: Bytes, out: Bytes, out_starts: npt.NDArray[np.int32], stack: Ints) -> None:
    """Records of kind 1, as they are, and of kind 2, as protobuf, into `out`, which is as large as `data`; those of kind 2 that are left become 0."""
    to = np.int64(0)
    for record in range(len(kinds)):
        out_starts[record] = to
        start, stop = np.int64(starts[record]), np.int64(starts[record + 1])
        if kinds[record] == 1:
            copy(data, start, out, to, stop - start)
            to += stop - start
        elif kinds[record] == 2:
            end = _transcoded(data, (start, stop), out, to, stack)
            kinds[record] = 1 if end >= 0 else 0
            to = max(to, end)
    out_starts[len(kinds)] = to


@compiled
def _transcoded(data: Bytes, place: Pair, out: Bytes, to: Number, stack: Ints) -> Number:
    """Where the protobuf of a record ends; -1 where it is left. It is never longer than the JSON: a limit may be judged by either."""
    at, stop = np.int64(place[0] + 1), place[1]
    stack[_LEVEL], stack[_LIMIT] = 0, to + stop - place[0]
    stack[_FRAMES + _OF], stack[_FRAMES + _SEEN], stack[_FRAMES + _BEGIN], stack[_FRAMES + _LIST] = RECORD, 0, to, 0
    first = True  # whether the object has had no field yet
    while True:
        at = space(data, at, stop)
        if at >= stop:
            return np.int64(-1)
        if data[at] == CLOSE:
            if stack[_LEVEL] == 0:
                return np.int64(to) if space(data, at + 1, stop) == stop and is_utf8(data, place[0], stop) else np.int64(-1)
            of_list = stack[_FRAMES + stack[_LEVEL] * _FRAME + _LIST]
            to, at, first = _closed(out, to, stack), at + 1, False
            if of_list and to >= 0:
                at, to = _next_of_list(data, (at, stop), out, (to, of_list), stack)
                first = to >= 0 and data[at - 1] == OPEN
            if to < 0 or at < 0:
                return np.int64(-1)
            continue
        if not first:
            if data[at] != COMMA:
                return np.int64(-1)
            at = space(data, at + 1, stop)
        word, at = _name(data, at, stop, stack)
        if at < 0:
            return np.int64(-1)
        level = stack[_LEVEL]
        at, to = _field(data, (at, stop), out, (to, word), stack)
        if at < 0 or to < 0:
            return np.int64(-1)
        first = stack[_LEVEL] > level


@compiled
def _name(data: Bytes, at: Number, stop: Number, stack: Ints) -> Pair:
    """(the word of the field whose name begins at `at`, where its value begins); begins at -1 where the record is left."""
    if at >= stop or data[at] != QUOTE:
        return np.int64(0), np.int64(-1)
    end, escapes = string(data, at + 1, stop)
    if end < 0 or escapes:
        return np.int64(0), np.int64(-1)
    frame = _FRAMES + stack[_LEVEL] * _FRAME
    word = field_named(stack[frame + _OF], data, at + 1, end)
    at = space(data, end + 1, stop)
    if at >= stop or data[at] != COLON:
        return np.int64(0), np.int64(-1)
    at = space(data, at + 1, stop)
    bit = np.int64(1) << (word >> 32)
    if at >= stop or (word == 0 and stack[frame + _OF] == RECORD) or (word and stack[frame + _SEEN] & bit):
        return np.int64(0), np.int64(-1)
    stack[frame + _SEEN] |= bit
    return word, at


@compiled
def _field(data: Bytes, place: Pair, out: Bytes, target: Pair, stack: Ints) -> Pair:
    """(where the value ends, or the message that it begins has its first field, where what is written ends); -1 where the record is left."""
    at, stop = place
    to, word = target
    kind, tag = word & 0xFF, word >> 16 & 0xFFFF
    if word == 0 or kind == SKIPPED:
        return skip(data, at, stop), to
    if data[at] == _NULL:
        return literal(data, at, stop), to
    frame = _FRAMES + stack[_LEVEL] * _FRAME
    if stack[frame + _OF] == ANY_VALUE and to > stack[frame + _BEGIN]:
        return np.int64(-1), np.int64(-1)  # a second value: the reference takes the first
    if kind == MESSAGE:
        if data[at] != OPEN:
            return np.int64(-1), np.int64(-1)
        return np.int64(at + 1), _opened(out, to, stack, word, np.int64(0))
    if kind == MESSAGES:
        if data[at] != OPEN_LIST:
            return np.int64(-1), np.int64(-1)
        at = space(data, at + 1, stop)
        if at < stop and data[at] == CLOSE_LIST:
            return at + 1, to
        if at >= stop or data[at] != OPEN:
            return np.int64(-1), np.int64(-1)
        return at + 1, _opened(out, to, stack, word, word)
    return put_scalar(data, (at, stop), out, (to, stack[_LIMIT]), (kind, tag))


@compiled
def _opened(out: Bytes, to: Number, stack: Ints, word: Number, of_list: Number) -> Number:
    """Begin a message: its tag, room for its length, a level of the stack. `of_list`: the word again, where it is one of a list."""
    level, message = stack[_LEVEL] + 1, word >> 8 & 0xFF
    if level > LEVELS_MAX or to + _HEAD_BYTES_MAX > stack[_LIMIT]:
        return np.int64(-1)
    out[to] = word >> 16 & 0xFF
    to += 1 + RESERVED[message]
    frame = _FRAMES + level * _FRAME
    stack[_LEVEL] = level
    stack[frame + _OF], stack[frame + _SEEN], stack[frame + _BEGIN], stack[frame + _LIST] = message, 0, to, of_list
    return np.int64(to)


@compiled
def _closed(out: Bytes, to: Number, stack: Ints) -> Number:
    """End the message that is read, and write its length before it; where it ends. It is moved where there is no room for its length."""
    frame = _FRAMES + stack[_LEVEL] * _FRAME
    begin, reserved = stack[frame + _BEGIN], RESERVED[stack[frame + _OF]]
    length, needed = to - begin, np.int64(1)
    while length >> (7 * needed):
        needed += 1
    stack[_LEVEL] -= 1
    moved = max(needed - reserved, 0)
    if to + moved > stack[_LIMIT]:
        return np.int64(-1)
    if moved:
        for place in range(length):
            out[to + moved - 1 - place] = out[to - 1 - place]
    put_varint(out, begin - reserved, length, reserved)
    return np.int64(to + moved)


@compiled
def _next_of_list(data: Bytes, place: Pair, out: Bytes, target: Pair, stack: Ints) -> Pair:
    """Behind a message of a list: begin the next one, or end the list; (where that ends, where what is written ends). `target`: that, and the list's word."""
    at, stop = space(data, place[0], place[1]), place[1]
    to, of_list = target
    if at >= stop:
        return np.int64(-1), np.int64(-1)
    if data[at] == CLOSE_LIST:
        return at + 1, to
    if data[at] != COMMA:
        return np.int64(-1), np.int64(-1)
    at = space(data, at + 1, stop)
    if at >= stop or data[at] != OPEN:
        return np.int64(-1), np.int64(-1)
    return at + 1, _opened(out, to, stack, of_list, of_list)
