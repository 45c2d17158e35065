"""One KeyValue of OTLP → a key's number and Arrow's view of the value's text.

In: the bytes of a KeyValue. Out: an item of a table; what a promoted column may want to know of it is left in the head of the memory. Never: a text that is
no UTF-8, a key twice in one list, a field that this kernel does not know: such records are the reference decoder's.
"""

import numpy as np

from tracebraid.pipeline.decode.walkers.memory import (
    B_DIGITS,
    B_HARD,
    B_KEYS,
    B_NAMES,
    DIGITS,
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
    M_DIGITS,
    M_HARD,
    N_LENGTH,
    N_TEXT,
    NAMED,
    NAMES,
    NULL_KEY,
    SCRATCH,
    U_DIGITS,
    U_HARD,
    U_LISTS,
    U_TEXTS,
    V_KIND,
    V_LENGTH,
    V_NUMBER,
    V_START,
    Ints,
)
from tracebraid.pipeline.decode.walkers.texts import FULL, intern, same
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, Pair, content, fixed32, fixed64, is_utf8, prefix, varint
from tracebraid.pipeline.kernel.compiled import compiled, inlined

OK, LEFT, GROW = 0, 1, 2  # LEFT: to the reference decoder. GROW: there is no room for another text
NULL, TEXT, BOOL, INT, DOUBLE, ARRAY, MAP, BINARY = range(8)  # AnyValue's field numbers
INLINE = 12  # bytes that a view holds itself
_NO_TEXT = -2  # in the place of a key's name: it is no UTF-8
_TRUE, _FALSE = int.from_bytes(b"true", "little"), int.from_bytes(b"fals", "little")


@compiled
def put_view(memory: Ints, item: Number, data: Bytes, start: Number, length: Number, buffer: Number) -> None:
    """Arrow's string view: length, then the text itself or its first four bytes, the buffer it is in, and its place there."""
    low, high = np.int64(0), np.int64(0)
    if start + INLINE <= len(data):
        low = fixed32(data, start)
        if length <= INLINE:
            high = fixed64(data, start + 4)
    else:
        for at in range(min(length, INLINE)):
            if at < 4:
                low |= np.int64(data[start + at]) << (8 * at)
            else:
                high |= np.int64(data[start + at]) << (8 * (at - 4))
    if length > INLINE:
        high = np.int64(buffer) | np.int64(start) << 32
    elif length <= 4:
        low &= (np.int64(1) << (8 * length)) - 1
        high = np.int64(0)
    elif length < INLINE:
        high &= (np.int64(1) << (8 * (length - 4))) - 1
    memory[item + I_LOW] = np.int64(length) | low << 32
    memory[item + I_HIGH] = high


@compiled
def put_views(items: Ints, places: Ints, data: Bytes, buffer: Number) -> None:
    """Views of many texts: `places` holds [item, start, length] of each in `data`. A call from Python costs what a hundred of these do."""
    for row in range(len(places)):
        put_view(items, places[row, 0] * ITEM, data, places[row, 1], places[row, 2], buffer)


@compiled
def _put_integer(memory: Ints, item: Number, number: Number) -> Number:
    """Its decimal digits; those that a view cannot hold go to Arrow's second buffer, 24 bytes for each."""
    rest = np.uint64(number) if number >= 0 else ~np.uint64(number) + np.uint64(1)
    length, power = 1, np.uint64(10)
    while length < 20 and rest >= power:
        length += 1
        power *= np.uint64(10) if length < 20 else np.uint64(1)
    at = length + (1 if number < 0 else 0)
    length = at
    memory[SCRATCH] = memory[SCRATCH + 1] = memory[SCRATCH + 2] = 0
    if number < 0:
        memory[SCRATCH] = 45
    for _ in range(length - (1 if number < 0 else 0)):
        at -= 1
        memory[SCRATCH + (at >> 3)] |= np.int64(np.uint64(48) + rest % np.uint64(10)) << (8 * (at & 7))
        rest //= np.uint64(10)
    first = memory[SCRATCH]
    memory[item + I_LOW] = np.int64(length) | first << 32
    if length <= INLINE:
        memory[item + I_HIGH] = (first >> 32 & 0xFFFFFFFF) | memory[SCRATCH + 1] << 32
        return OK
    if memory[U_DIGITS] >= memory[M_DIGITS]:
        return LEFT
    place = memory[B_DIGITS] + memory[U_DIGITS] * DIGITS
    for word in range(DIGITS):
        memory[place + word] = memory[SCRATCH + word]
    memory[item + I_HIGH] = np.int64(1) | (memory[U_DIGITS] * DIGITS * 8) << 32
    memory[U_DIGITS] += 1
    return OK


@compiled
def put_value(memory: Ints, data: Bytes, item: Number, place: Pair, which: Pair) -> Number:
    """An AnyValue of at most one field, at `place`, into the item at `item`; `which`: its list's number, and its own in there."""
    at, stop = place
    memory[item + I_LOW] = memory[item + I_HIGH] = 0
    if at == stop:
        memory[item + I_KEY] += NULL_KEY
        memory[V_KIND] = NULL
        return OK
    tag, begin = prefix(data, at, stop)
    if begin < 0:
        return LEFT
    field, kind = tag >> 3, tag & 7
    start, end = content(data, begin, stop, kind)
    if end != stop:
        return LEFT
    memory[V_KIND], memory[V_START], memory[V_LENGTH] = field, start, end - start
    if field == TEXT and kind == 2:
        if not is_utf8(data, start, end):
            return LEFT
        put_view(memory, item, data, start, end - start, np.int64(0))
    elif field == BOOL and kind == 0:
        number, _ = varint(data, start, end)
        memory[item + I_LOW] = 4 | _TRUE << 32 if number else 5 | _FALSE << 32
        memory[item + I_HIGH] = 0 if number else 0x65
    elif field == INT and kind == 0:
        memory[V_NUMBER], _ = varint(data, start, end)
        return _put_integer(memory, item, memory[V_NUMBER])
    elif (field == DOUBLE and kind == 1) or (ARRAY <= field <= BINARY and kind == 2):
        if memory[U_HARD] >= memory[M_HARD]:
            return LEFT
        hard = memory[B_HARD] + memory[U_HARD] * HARD
        memory[hard + H_LIST], memory[hard + H_ITEM] = which
        memory[hard + H_START], memory[hard + H_LENGTH] = at, stop - at
        memory[U_HARD] += 1
    else:
        return LEFT
    return OK


@compiled
def _name_of(memory: Ints, data: Bytes, start: Number, length: Number) -> Number:
    """Which promoted attribute's name a key is; -1 for none. Asked once a key and batch."""
    for number in range(NAMES):
        name = memory[B_NAMES] + number * NAMED
        equal = memory[name + N_LENGTH] == length
        at = 0
        while equal and at < length:
            equal = (memory[name + N_TEXT + (at >> 3)] >> (8 * (at & 7))) & 0xFF == data[start + at]
            at += 1
        if equal:
            return number
    return -1


@inlined
def _key(memory: Ints, data: Bytes, start: Number, end: Number, order: Number) -> Number:
    """The number of a key, FULL, or _NO_TEXT - 1 where the record must be left. `order`: its place in its list: keys come as in the span before."""
    length, keys = end - start, memory[B_KEYS]
    number = memory[EXPECTED + (order & 63)]
    if number >= 0:
        known = keys + number * KEYED
        if memory[known + K_LENGTH] == length and same(data, memory[known + K_START], start, length):
            return number
    before = memory[U_TEXTS]
    number = intern(memory, data, np.int64(KEY), np.int64(0), (start, end))
    if number < 0 or number >= KEYS_MAX:
        return np.int64(FULL if number == FULL else _NO_TEXT - 1)
    if memory[U_TEXTS] != before:
        known = keys + number * KEYED
        memory[known + K_START], memory[known + K_LENGTH], memory[known + K_LIST] = start, length, -1
        memory[known + K_NAME] = _name_of(memory, data, start, length) if is_utf8(data, start, end) else _NO_TEXT
    memory[EXPECTED + (order & 63)] = number
    return number


@compiled
def put_item(memory: Ints, data: Bytes, item: Number, place: Pair, which: Pair, order: Number) -> Number:
    """A KeyValue at `place` into the item at `item`. `which`: its list's number, and its own in there; `order`: the how manieth of its span."""
    at, stop = place
    key_at, key_end, value_at, value_end = np.int64(0), np.int64(-1), np.int64(0), np.int64(-1)
    while at < stop:
        tag = data[at]
        start, at = content(data, at + 1, stop, 2)
        if at < 0:
            return LEFT
        if tag == 0x0A and key_end < 0:
            key_at, key_end = start, at
        elif tag == 0x12 and value_end < 0:
            value_at, value_end = start, at
        else:
            return LEFT
    number = _key(memory, data, key_at, max(key_end, key_at), order)
    if number < 0:
        return GROW if number == FULL else LEFT
    known = memory[B_KEYS] + number * KEYED
    if memory[known + K_NAME] == _NO_TEXT or memory[known + K_LIST] == memory[U_LISTS]:
        return LEFT  # no UTF-8, or a second time in this list
    memory[known + K_LIST] = memory[U_LISTS]
    memory[item + I_KEY] = number
    return put_value(memory, data, item, (value_at, max(value_end, value_at)), which)
