"""What rows of spans and of logs hold alike: numbers of texts, places of ids, attributes.

In: where a field lies. Out: a cell, or an item. Never: an id of an unusual length, a text that is no UTF-8, more attributes than a row may have: see groups.py.
"""

import numpy as np

from tracebraid.pipeline.decode.walkers.memory import B_ITEMS, ITEM, M_ITEMS, OWN_LIST, U_ITEMS, U_LISTS, Ints
from tracebraid.pipeline.decode.walkers.texts import EMPTY, FULL, text_number
from tracebraid.pipeline.decode.walkers.values import GROW, LEFT, OK, put_item
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, Pair
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.compiled import compiled

ATTRIBUTES_MAX = limits.attributes_per_row_max
TAG_MAX = 1 << 32
UINT32 = 0xFFFFFFFF
DECIDED_FIELDS_MAX = 2000  # sniff looks at 4,096 fields: a record whose first item comes so late is not walked
DECIDED = -(1 << 60)  # in place of a count, once the first item of a record has told its signal


@compiled
def put_text(memory: Ints, data: Bytes, cell: Number, kind: Number, place: Pair) -> Number:
    """The number of a text into a cell; EMPTY for an empty one."""
    memory[cell] = number = text_number(memory, data, np.int64(kind), place)
    return OK if number >= EMPTY else GROW if number == FULL else LEFT


@compiled
def put_id(memory: Ints, cell: Number, place: Pair, length: Number) -> Number:
    begin, end = place
    if end != begin and end - begin != length:
        return LEFT
    memory[cell] = begin if end > begin else -1
    return OK


@compiled
def put_attribute(memory: Ints, data: Bytes, first_item: Number, place: Pair) -> Number:
    """An attribute of a row, the last of the items then."""
    number = memory[U_ITEMS]
    if number >= memory[M_ITEMS] or number - first_item >= ATTRIBUTES_MAX:
        return LEFT
    if number == first_item:
        memory[U_LISTS] += 1
        memory[OWN_LIST] = memory[U_LISTS]
    elif memory[U_LISTS] != memory[OWN_LIST]:
        return LEFT  # events or links between attributes: a key's last list, theirs, would hide that the key comes a second time
    status = put_item(memory, data, memory[B_ITEMS] + number * ITEM, place, (np.int64(0), number), number - first_item)
    memory[U_ITEMS] = number + 1
    return status
