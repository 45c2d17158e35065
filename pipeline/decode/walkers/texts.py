"""Texts that repeat, each known by a number: an open hash table over bytes that stay where they lie.

In: places in one array of bytes. Out: numbers, from 0 in the order in which texts of a kind were first seen. Never: a copy of a text; two numbers for one
text of a kind.
"""

import numpy as np

from tracebraid.pipeline.decode.walkers.memory import (
    B_COUNTS,
    B_ENTRIES,
    B_SLOTS,
    E_FIRST,
    E_HASH,
    E_KIND,
    E_LAST,
    E_LENGTH,
    E_NUMBER,
    E_OWNER,
    E_START,
    ENTRY,
    M_ENTRIES,
    M_SLOTS,
    U_TEXTS,
    Ints,
)
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, Pair, byte_at, fixed32, fixed64, is_utf8
from tracebraid.pipeline.kernel.compiled import compiled, inlined

EMPTY, FULL, NO_UTF8, CROWDED = -1, -2, -3, -4
_HEAD = 16  # bytes of a text that its entry holds: to look at the text itself is to miss the cache
# In a table that is half full the longest search for a place takes some 40 steps with a million texts. Whoever chooses texts by their hashes, which are
# no secret, makes each search as long as there are texts: 80,000 of them, 800 KB, took 5.6 s, and twice as many four times that.
_STEPS_MAX = 512


@inlined
def _head(data: Bytes, start: Number, length: Number) -> Pair:
    """Two words that hold all of a text of up to 16 bytes, given its length, or the first 16 of a longer one."""
    if length >= _HEAD:
        return fixed64(data, start), fixed64(data, start + 8)
    if length >= 8:
        return fixed64(data, start), fixed64(data, start + length - 8) if length > 8 else np.int64(0)
    if length >= 4:
        return fixed32(data, start), fixed32(data, start + length - 4)
    word = np.int64(0)
    for at in range(length):
        word = word << 8 | byte_at(data, start + at)
    return word, np.int64(0)


@inlined
def _hash(data: Bytes, place: Pair, seed: Number, head: Pair) -> Number:
    """Multiply and fold, eight bytes at a time; the table compares all bytes, so that no two texts are ever taken for one."""
    start, stop = place
    value = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(stop - start)
    value = (value ^ np.uint64(head[0])) * np.uint64(0xD6E8FEB86659FD93)
    value = (value ^ value >> np.uint64(32) ^ np.uint64(head[1])) * np.uint64(0xD6E8FEB86659FD93)
    at = start + _HEAD
    while at < stop:
        value = (value ^ value >> np.uint64(32) ^ np.uint64(fixed64(data, min(at, stop - 8)))) * np.uint64(0xD6E8FEB86659FD93)
        at += 8
    return np.int64((value ^ value >> np.uint64(29)) & np.uint64(0x7FFFFFFFFFFFFFFF))


@compiled
def same(data: Bytes, one: Number, other: Number, length: Number) -> bool:
    at = 0
    while at + 8 <= length:
        if fixed64(data, one + at) != fixed64(data, other + at):
            return False
        at += 8
    while at < length:
        if byte_at(data, one + at) != byte_at(data, other + at):
            return False
        at += 1
    return True


@compiled
def intern(memory: Ints, data: Bytes, kind: Number, owner: Number, place: Pair) -> Number:
    """The number of the text from place[0] to place[1] among those of its kind; FULL where the table has no room, CROWDED where too many are in its place.

    `owner`: what else two texts must have in common to be one, for a message that means something only beside another.
    """
    start, length = place[0], place[1] - place[0]
    slots, entries, mask = memory[B_SLOTS], memory[B_ENTRIES], memory[M_SLOTS] - 1
    first, last = head = _head(data, start, length)
    hashed = _hash(data, place, kind + (owner << 8), head)
    slot, steps = hashed & mask, 0
    while memory[slots + slot] >= 0:
        entry = entries + memory[slots + slot] * ENTRY
        if memory[entry + E_HASH] == hashed and memory[entry + E_LENGTH] == length and memory[entry + E_KIND] == kind:
            if memory[entry + E_OWNER] == owner and memory[entry + E_FIRST] == first and memory[entry + E_LAST] == last:
                if length <= _HEAD or same(data, memory[entry + E_START] + _HEAD, start + _HEAD, length - _HEAD):
                    return memory[entry + E_NUMBER]
        slot, steps = (slot + 1) & mask, steps + 1
        if steps == _STEPS_MAX:
            return np.int64(CROWDED)
    if memory[U_TEXTS] >= memory[M_ENTRIES]:
        return np.int64(FULL)
    memory[slots + slot] = memory[U_TEXTS]
    entry, number = entries + memory[U_TEXTS] * ENTRY, memory[memory[B_COUNTS] + kind]
    memory[entry + E_HASH], memory[entry + E_KIND], memory[entry + E_OWNER] = hashed, kind, owner
    memory[entry + E_START], memory[entry + E_LENGTH], memory[entry + E_NUMBER] = start, length, number
    memory[entry + E_FIRST], memory[entry + E_LAST] = first, last
    memory[memory[B_COUNTS] + kind] = number + 1
    memory[U_TEXTS] += 1
    return number


@compiled
def text_number(memory: Ints, data: Bytes, kind: Number, place: Pair) -> Number:
    """The number of a text of the wire; EMPTY, FULL, NO_UTF8 or CROWDED, all below 0, where it has none."""
    if place[1] <= place[0]:
        return np.int64(EMPTY)
    if not is_utf8(data, place[0], place[1]):
        return np.int64(NO_UTF8)
    return intern(memory, data, np.int64(kind), np.int64(0), place)
