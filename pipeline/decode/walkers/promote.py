"""Attributes that have columns, while their span is walked.

In: the items of one span. Out: the row's promoted columns, and its other items. Never: another choice than pipeline.normalize.attributes makes of the same
map: the first of an attribute's names that the span has, with a value that fits; the others stay items.
"""

import numpy as np

from tracebraid.pipeline.decode.walkers.memory import (
    B_CHOSEN,
    B_COLUMNS,
    B_DIGITS,
    B_FILLED,
    B_HARD,
    B_ITEMS,
    B_KEYS,
    B_NAMES,
    B_NOTED,
    B_ROWS,
    C_ITEM,
    C_KIND,
    C_LENGTH,
    C_NUMBER,
    C_START,
    CHOSEN,
    COLUMN,
    COLUMNS,
    DIGITS,
    H_ITEM,
    H_LIST,
    HARD,
    I_HIGH,
    I_KEY,
    ITEM,
    K_NAME,
    KEYED,
    M_DIGITS,
    M_ROWS,
    N_COLUMN,
    NAMED,
    NULL_KEY,
    R_COLUMNS,
    U_DIGITS,
    U_HARD,
    U_ITEMS,
    U_NOTED,
    V_KIND,
    V_LENGTH,
    V_START,
    Ints,
)
from tracebraid.pipeline.decode.walkers.texts import FULL, intern
from tracebraid.pipeline.decode.walkers.values import GROW, INLINE, INT, LEFT, OK, TEXT
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, fixed64
from tracebraid.pipeline.kernel.compiled import compiled, inlined

NONE = -(1 << 40)  # in a column of integers
_NO_TEXT = -1  # in a column of texts
_TAKEN = 2 * NULL_KEY
_POOLED_MAX = 256  # bytes of a text of which the walk makes a copy


@compiled
def note_value(memory: Ints, data: Bytes, item: Number) -> None:
    """Remember the value that was read last, where its key is a promoted attribute's name; of a longer text of another one, keep a copy."""
    key = memory[memory[B_ITEMS] + item * ITEM + I_KEY]
    if key < 0:
        return
    name = memory[memory[B_KEYS] + key * KEYED + K_NAME]
    if name < 0:
        if memory[V_KIND] == TEXT and INLINE < memory[V_LENGTH] <= _POOLED_MAX:
            _pool(memory, data, item)
        return
    chosen, at = memory[B_CHOSEN] + name * CHOSEN, memory[B_NOTED] + memory[U_NOTED]
    memory[chosen + C_ITEM] = item
    for field in range(4):
        memory[chosen + field] = memory[V_KIND + field]
    while at > memory[B_NOTED] and memory[at - 1] > name:
        memory[at] = memory[at - 1]
        at -= 1
    memory[at] = name  # in the order in which one goes before another; a key comes once
    memory[U_NOTED] += 1


@inlined
def _pool(memory: Ints, data: Bytes, item: Number) -> None:
    """A copy of a text that a view does not hold itself, beside the digits: its bytes are at hand now. When all values are gathered they have left the cache,
    and each would be waited for."""
    start, words, first = memory[V_START], memory[V_LENGTH] + 7 >> 3, memory[U_DIGITS] * DIGITS
    used, to = (words + DIGITS - 1) // DIGITS, memory[B_DIGITS] + first
    if memory[U_DIGITS] + used > memory[M_DIGITS] or start + 8 * words > len(data):
        return
    for word in range(words):
        memory[to + word] = fixed64(data, start + 8 * word)
    memory[memory[B_ITEMS] + item * ITEM + I_HIGH] = 1 | (first * 8) << 32
    memory[U_DIGITS] += used


@compiled
def promote_items(memory: Ints, data: Bytes, row: Number, first_item: Number, first_hard: Number) -> Number:
    """Fill the row's promoted columns from what was noted, and close the gaps in the items."""
    stride = memory[M_ROWS]
    columns, taken = memory[B_ROWS] + row + R_COLUMNS * stride, 0
    for column in range(COLUMNS):
        if memory[memory[B_FILLED] + column]:
            memory[columns + column * stride] = _NO_TEXT if memory[memory[B_COLUMNS] + column] else NONE
    for noted in range(memory[U_NOTED]):
        name = memory[memory[B_NOTED] + noted]
        chosen = memory[B_CHOSEN] + name * CHOSEN
        column = memory[memory[B_NAMES] + name * NAMED + N_COLUMN]
        cell = columns + column * stride
        if not memory[memory[B_FILLED] + column]:
            _begin_column(memory, column, row)
        if memory[memory[B_COLUMNS] + column]:
            if memory[cell] != _NO_TEXT:
                continue
            if memory[chosen + C_KIND] != TEXT:
                return LEFT  # a number or a boolean in a column of texts: the reference spells it
            start = memory[chosen + C_START]
            number = intern(memory, data, COLUMN + column, np.int64(0), (start, start + memory[chosen + C_LENGTH]))
            if number < 0:
                return GROW if number == FULL else LEFT
        else:
            number = _fitting(memory, data, chosen)
            if number == NONE or memory[cell] != NONE:
                continue
        memory[cell] = number
        memory[memory[B_ITEMS] + memory[chosen + C_ITEM] * ITEM + I_KEY] = _TAKEN
        taken += 1
    if taken:
        _close_gaps(memory, first_item, first_hard)
    return OK


@compiled
def _begin_column(memory: Ints, column: Number, row: Number) -> None:
    """Nothing for this row and those before it: most batches have values for few of the columns, and the others are never looked at."""
    memory[memory[B_FILLED] + column] = 1
    first, nothing = memory[B_ROWS] + (R_COLUMNS + column) * memory[M_ROWS], _NO_TEXT if memory[memory[B_COLUMNS] + column] else NONE
    for cell in range(first, first + row + 1):
        memory[cell] = nothing


@compiled
def _fitting(memory: Ints, data: Bytes, chosen: Number) -> Number:
    """The value as an integer of 32 bits, or NONE: an integer, or a text that is spelled as one is."""
    kind, low, high = memory[chosen + C_KIND], -(1 << 31), (1 << 31) - 1
    if kind == INT:
        number = memory[chosen + C_NUMBER]
        return number if low <= number <= high else np.int64(NONE)
    start, length = memory[chosen + C_START], memory[chosen + C_LENGTH]
    if kind != TEXT or not 1 <= length <= 11:
        return np.int64(NONE)
    negative = data[start] == 45
    at, stop = start + (1 if negative else 0), start + length
    if at == stop or (data[at] == 48 and length > 1):
        return np.int64(NONE)
    number = np.int64(0)
    while at < stop:
        digit = np.int64(data[at]) - 48
        if not 0 <= digit <= 9:
            return np.int64(NONE)
        number = number * 10 + digit
        at += 1
    number = -number if negative else number
    return number if low <= number <= high else np.int64(NONE)


@compiled
def _close_gaps(memory: Ints, first_item: Number, first_hard: Number) -> None:
    hard, to, behind = first_hard, first_item, memory[U_HARD]
    for item in range(first_item, memory[U_ITEMS]):
        place, target = memory[B_ITEMS] + item * ITEM, memory[B_ITEMS] + to * ITEM
        while hard < behind and (memory[memory[B_HARD] + hard * HARD + H_LIST] != 0 or memory[memory[B_HARD] + hard * HARD + H_ITEM] < item):
            hard += 1
        if memory[place + I_KEY] == _TAKEN:
            continue
        if hard < behind and memory[memory[B_HARD] + hard * HARD + H_ITEM] == item:
            memory[memory[B_HARD] + hard * HARD + H_ITEM] = to
            hard += 1
        for word in range(ITEM):
            memory[target + word] = memory[place + word]
        to += 1
    memory[U_ITEMS] = to
