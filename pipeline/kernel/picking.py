"""Fields of log objects by their role, found for a whole batch in one compiled loop.

In: maps as batches hold them, a role for each key. Out: which item a row takes for each role. Never: a verdict on a value; a row in which it takes care to
say whether one is blank is said to be unusual.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.kernel.compiled import compiled

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Number = Any  # an integer of 64 bits


def picked(maps: pa.MapArray, roles: npt.NDArray[np.int32], ranks: npt.NDArray[np.int32], count: int) -> tuple[Ints, npt.NDArray[np.int64], Bools]:
    """For each role the item of each row that goes before its others: [count, rows], -1 where there is none. Which roles a row has two of, as bits. And rows
    with a value of which it takes care to say whether it is blank.

    `maps`: HELD_ATTRIBUTES. `roles`: of each key, -1 where it has none; `ranks`: lower goes before higher, of equals the first.
    """
    keys, items, rows = maps.keys, maps.items, len(maps)
    views = np.frombuffer(items.buffers()[1], np.int64)[2 * items.offset :]
    valid = items.is_valid().to_numpy(zero_copy_only=False) if items.null_count else np.empty(0, np.bool_)
    chosen, more, unusual = np.full((count, rows), -1, np.int64), np.zeros(rows, np.int64), np.zeros(rows, np.bool_)
    _pick((keys.indices.to_numpy(), views, maps.offsets.to_numpy()), valid, (roles, ranks), chosen, (more, unusual))
    return chosen, more, unusual


@compiled
def _pick(
    held: tuple[npt.NDArray[np.int32], Ints, npt.NDArray[np.int32]],
    valid: Bools,
    meant: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]],
    chosen: Ints,
    told: tuple[Ints, Bools],
) -> None:
    codes, views, offsets = held
    roles, ranks = meant
    more, unusual = told
    for row in range(len(offsets) - 1):
        for item in range(offsets[row], offsets[row + 1]):
            role = roles[codes[item]]
            if role < 0 or (len(valid) and not valid[item]):
                continue
            blank = _blank(views[2 * item])
            if blank == 1:
                continue
            unusual[row] |= blank == 2
            before = chosen[role, row]
            if before >= 0:
                more[row] |= 1 << role
                if ranks[codes[before]] <= ranks[codes[item]]:
                    continue
            chosen[role, row] = item


@compiled
def _blank(low: Number) -> Number:
    """1 for an empty text, 2 for one that begins with white space and may be nothing else, 0 for others; given the first word of its view."""
    length, first, second, third = low & 0xFFFFFFFF, low >> 32 & 0xFF, low >> 40 & 0xFF, low >> 48 & 0xFF
    if length == 0:
        return 1
    white = first <= 0x20
    if first == 0xC2:
        white = second in (0x85, 0xA0)
    elif first == 0xE1:
        white = second == 0x9A and third == 0x80
    elif first == 0xE2:
        white = second in (0x80, 0x81)
    elif first == 0xE3:
        white = second == 0x80 and third == 0x80
    return 2 if white else 0
