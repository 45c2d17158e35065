"""Texts that repeat, each known by a number: an open hash table over bytes that stay where they lie.

In: places in one array of bytes. Out: numbers, from 0 in the order in which texts of a kind were first seen. Never: a copy of a text; two numbers for one
text of a kind.
"""

import numpy as np

from tracebraid.pipeline.decode.walkers.memory import (
    B_COUNTS,
    B_ENTRIES,
    B_SLOTS,
    E_HASH,
    E_KIND,
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
from tracebraid.pipeline.kernel.compiled import compiled

EMPTY, FULL, NO_UTF8, CROWDED = -1, -2, -3, -4
# In a table that is half full the longest search for a place takes some 40 steps with a million texts. Whoever chooses texts by their hashes, which are
# no secret, makes each search as long as there are texts: 80,000 of them, 800 KB, took 5.6 s, and twice as many four times that.
_STEPS_MAX = 512


@compiled
def _hash(data: Bytes, start: Number, length: Number, seed: Number) -> Number:
    """Multiply and fold, eight bytes at a time; the table compares byte by byte, so that no two texts are ever taken for one."""
    value = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(length)
    at, stop = start, start + length
    while at + 8 <= stop:
        value = (value ^ np.uint64(fixed64(data, at))) * np.uint64(0xD6E8FEB86659FD93)
        value ^= value >> np.uint64(32)
        at += 8
    rest = np.uint64(0)
    if at + 4 <= stop:
        rest = np.uint64(fixed32(data, at))
        at += 4
    while at < stop:
        rest = rest << np.uint64(8) | np.uint64(byte_at(data, at))
        at += 1
    value = (value ^ rest) * np.uint64(0xD6E8FEB86659FD93)
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
    hashed = _hash(data, start, length, kind + (owner << 8))
    slot, steps = hashed & mask, 0
    while memory[slots + slot] >= 0:
        entry = entries + memory[slots + slot] * ENTRY
        if memory[entry + E_HASH] == hashed and memory[entry + E_LENGTH] == length and memory[entry + E_KIND] == kind:
            if memory[entry + E_OWNER] == owner and same(data, memory[entry + E_START], start, length):
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
    return intern(memory, data, kind, 0, place)
