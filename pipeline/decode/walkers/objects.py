"""Log objects in JSON → offset tables, for all records of a batch: a row a record, its fields flattened.

In: bytes of the values that may be changed, where each begins, which are to be walked. Out: tables, and which records are in them; strings with escapes lie
unescaped where they were. Never: a record that decode_json would read otherwise: whatever is unusual (a name twice in an object, text that is no UTF-8, half
a surrogate pair, more than one value) leaves the record to the reference decoder. Whether an object is an envelope is object_rows.py's to tell.
"""

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.decode.walkers.cells import ATTRIBUTES_MAX
from tracebraid.pipeline.decode.walkers.json_text import (
    CLOSE,
    CLOSE_LIST,
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
    unescaped,
)
from tracebraid.pipeline.decode.walkers.memory import (
    B_HARD,
    B_ITEMS,
    B_KEYS,
    B_ROWS,
    EXPECTED,
    H_ITEM,
    H_LENGTH,
    H_LIST,
    H_START,
    HARD,
    I_HIGH,
    I_KEY,
    I_LOW,
    ITEM,
    K_LENGTH,
    K_LIST,
    K_NAME,
    K_START,
    KEY,
    KEYED,
    KEYS_MAX,
    M_HARD,
    M_ITEMS,
    M_ROWS,
    NULL_KEY,
    R_ITEMS,
    R_RECORD,
    U_HARD,
    U_ITEMS,
    U_LISTS,
    U_ROWS,
    U_TEXTS,
    Ints,
)
from tracebraid.pipeline.decode.walkers.texts import FULL, intern, same
from tracebraid.pipeline.decode.walkers.values import GROW, LEFT, OK, put_view
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, byte_at, is_utf8
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.compiled import compiled

WANTED, WALKED = 1, 2
VALUES, DECIMALS = range(2)  # in H_LIST: what Python spells anew, and numbers whose spelling it looks at
LEVELS_MAX = limits.flatten_depth_max
_TRUE, _FALSE = int.from_bytes(b"true", "little"), int.from_bytes(b"fals", "little")
_INTEGER_CHARS_MAX = 18  # longer ones may be beyond 64 bits
_DIGITS_MAX = 15  # so many significant digits survive a double, in their one shortest spelling
_ZEROS_MAX = 3  # behind the point: orjson writes numbers below 0.00001 with an exponent


@compiled
def walk_objects(memory: Ints, data: Bytes, starts: npt.NDArray[np.int32], wanted: Bytes, path: Ints) -> bool:
    """Walk the records that are WANTED, each of which begins with a brace; one that is an object, and whose row is in the tables, becomes WALKED.

    `path`: LEVELS_MAX numbers of scratch. False where the tables have no room for its keys.
    """
    for record in range(len(wanted)):
        if wanted[record] != WANTED:
            continue
        items, hard, row = memory[U_ITEMS], memory[U_HARD], memory[U_ROWS]
        status = LEFT
        if row < memory[M_ROWS] and is_utf8(data, starts[record], starts[record + 1]):
            status = _object(memory, data, starts[record], starts[record + 1], path)
        if status == OK:
            wanted[record] = WALKED
            memory[memory[B_ROWS] + row + R_RECORD * memory[M_ROWS]] = record
            memory[memory[B_ROWS] + row + R_ITEMS * memory[M_ROWS]] = memory[U_ITEMS]
            memory[U_ROWS] += 1
            continue
        memory[U_ITEMS], memory[U_HARD] = items, hard
        if status == GROW:
            return False
    return True


@compiled
def _object(memory: Ints, data: Bytes, start: Number, stop: Number, path: Ints) -> Number:
    """The items of the object that a record is."""
    at, level, first = np.int64(start) + 1, np.int64(0), memory[U_ITEMS]
    path[0] = -1
    memory[U_LISTS] += 1
    while True:
        at = space(data, at, stop)
        if at >= stop or data[at] != QUOTE:
            return LEFT
        begin = at + 1
        close, escapes = string(data, begin, stop)
        end = unescaped(data, begin, close, data, begin) if escapes and close >= 0 else close
        at = space(data, close + 1, stop)
        if close < 0 or end < 0 or at >= stop or data[at] != COLON:
            return LEFT
        key = _key(memory, data, (begin, end), path[level], memory[U_ITEMS] - first)
        if key < 0:
            return GROW if key == FULL else LEFT
        at = space(data, at + 1, stop)
        if at >= stop:
            return LEFT
        if data[at] == OPEN and level + 1 < LEVELS_MAX:
            inner = space(data, at + 1, stop)
            if inner < stop and data[inner] != CLOSE:
                level += 1
                path[level], at = key, inner
                continue
        if memory[U_ITEMS] >= memory[M_ITEMS] or memory[U_ITEMS] - first >= ATTRIBUTES_MAX:
            return LEFT
        item = memory[B_ITEMS] + memory[U_ITEMS] * ITEM
        memory[item + I_KEY] = key
        at = _value(memory, data, item, at, stop)
        if at < 0:
            return LEFT
        memory[U_ITEMS] += 1
        at, level = _behind(data, at, stop, level)
        if at < 0:
            return LEFT
        if level < 0:
            return OK


@compiled
def _behind(data: Bytes, at: Number, stop: Number, level: Number) -> tuple[Number, Number]:
    """(where the next key is looked for, its level), behind a value; the level is -1 where the record ends as it should, the place where it does not."""
    while True:
        at = space(data, at, stop)
        if at >= stop:
            return np.int64(-1), level
        byte = byte_at(data, at)
        at += 1
        if byte == COMMA:
            return np.int64(at), level
        if byte != CLOSE:
            return np.int64(-1), level
        level -= 1
        if level < 0:
            return (np.int64(at) if space(data, at, stop) == stop else np.int64(-1)), level


@compiled
def _key(memory: Ints, data: Bytes, place: tuple[Number, Number], parent: Number, order: Number) -> Number:
    """The number of a key below the key `parent`; FULL, or another one below 0 where the record must be left, as for a key twice in its object.

    `order`: how many items of the record stand before it: keys come as in the record before.
    """
    start, end = place
    length, keys = end - start, memory[B_KEYS]
    number = memory[EXPECTED + (order & 63)]
    expected = number >= 0
    if expected:
        known = keys + number * KEYED
        expected = memory[known + K_LENGTH] == length and memory[known + K_NAME] == parent and same(data, memory[known + K_START], start, length)
    if not expected:
        before = memory[U_TEXTS]
        number = intern(memory, data, KEY, parent + 1, place)
        if number < 0 or number >= KEYS_MAX:
            return np.int64(FULL if number == FULL else FULL - 1)
        known = keys + number * KEYED
        if memory[U_TEXTS] != before:
            memory[known + K_START], memory[known + K_LENGTH], memory[known + K_NAME], memory[known + K_LIST] = start, length, parent, -1
        memory[EXPECTED + (order & 63)] = number
    known = keys + number * KEYED
    if memory[known + K_LIST] == memory[U_LISTS]:
        return np.int64(FULL - 1)
    memory[known + K_LIST] = memory[U_LISTS]
    return number


@compiled
def _value(memory: Ints, data: Bytes, item: Number, at: Number, stop: Number) -> Number:
    """A value that is not flattened, into an item; where it ends, -1 where it is none."""
    byte = byte_at(data, at)
    if byte == QUOTE:
        begin = at + 1
        close, escapes = string(data, begin, stop)
        end = unescaped(data, begin, close, data, begin) if escapes and close >= 0 else close
        if close < 0 or end < 0:
            return np.int64(-1)
        put_view(memory, item, data, begin, end - begin, 0)
        return close + 1
    if byte == MINUS or 48 <= byte <= 57:
        end, kind = number(data, at, stop)
        if end < 0:
            return np.int64(-1)
        put_view(memory, item, data, at, end - at, 0)
        if kind == DECIMAL:
            return end if is_shortest(data, at, end) else _put_hard(memory, item, at, end, DECIMALS)
        if end - at <= _INTEGER_CHARS_MAX and not (byte == MINUS and data[at + 1] == 48):
            return end
        return _put_hard(memory, item, at, end, VALUES)
    if byte == OPEN or byte == OPEN_LIST:
        return _put_hard(memory, item, at, skip(data, at, stop), VALUES)
    end = literal(data, at, stop)
    if byte == 0x6E:
        memory[item + I_KEY] += NULL_KEY
        memory[item + I_LOW] = memory[item + I_HIGH] = 0
    else:
        memory[item + I_LOW] = 4 | _TRUE << 32 if byte == 0x74 else 5 | _FALSE << 32
        memory[item + I_HIGH] = 0 if byte == 0x74 else 0x65
    return end


@compiled
def _put_hard(memory: Ints, item: Number, start: Number, end: Number, how: Number) -> Number:
    if end < 0 or memory[U_HARD] >= memory[M_HARD]:
        return np.int64(-1)
    hard = memory[B_HARD] + memory[U_HARD] * HARD
    memory[hard + H_LIST], memory[hard + H_ITEM] = how, memory[U_ITEMS]
    memory[hard + H_START], memory[hard + H_LENGTH] = start, end - start
    memory[U_HARD] += 1
    return end


@compiled
def is_shortest(data: Bytes, at: Number, end: Number) -> Number:
    """Whether a number is spelled as orjson spells its double, for those of which that is plain to see."""
    if data[at] == MINUS:
        at += 1
    digits, zeros, point = np.int64(0), np.int64(0), np.int64(-1)
    for place in range(at, end):
        byte = byte_at(data, place)
        if byte == 46:
            point = np.int64(place)
        elif byte < 48 or byte > 57:
            return False  # an exponent
        elif digits or byte != 48:
            digits += 1
        elif point >= 0:
            zeros += 1
    ends_as_zero = data[end - 1] == 48
    if ends_as_zero and end - point == 2 and digits:
        return digits <= _DIGITS_MAX  # 3.0
    return 0 < digits <= _DIGITS_MAX and zeros <= _ZEROS_MAX and not ends_as_zero


@compiled
def write_list(data: Bytes, hard: Ints, out: Bytes) -> None:
    """A JSON list of the values that rows of `hard` tell of, into `out`, which is as long as they and a byte for each are, and one."""
    out[0], to = OPEN_LIST, 1
    for row in range(len(hard)):
        start = hard[row, H_START]
        for at in range(start, start + hard[row, H_LENGTH]):
            out[to] = byte_at(data, at)
            to += 1
        out[to] = COMMA
        to += 1
    out[to - 1] = CLOSE_LIST


@compiled
def compare_lists(one: Bytes, other: Bytes, differ: npt.NDArray[np.bool_]) -> None:
    """Which items of two JSON lists of as many numbers each are spelled otherwise."""
    at = to = 1
    for item in range(len(differ)):
        differs = False
        while at < len(one) - 1 and to < len(other) - 1 and one[at] == other[to] and one[at] != COMMA:
            at, to = at + 1, to + 1
        while at < len(one) - 1 and one[at] != COMMA:
            at, differs = at + 1, True
        while to < len(other) - 1 and other[to] != COMMA:
            to, differs = to + 1, True
        differ[item] = differs
        at, to = at + 1, to + 1
