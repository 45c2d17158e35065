"""Fields of a span beside its attributes, name and times: ids, status, events, links.

In: where a field lies. Out: the row's cells, rows of events and links. Never: a field twice that protobuf would merge (status), an id of an unusual length:
see groups.py.
"""

import numpy as np

from tracebraid.pipeline.decode.walkers.cells import ATTRIBUTES_MAX, TAG_MAX, UINT32, put_id, put_text
from tracebraid.pipeline.decode.walkers.memory import (
    B_EVENT_ITEMS,
    B_EVENTS,
    B_IDS,
    B_LINK_ITEMS,
    B_LINKS,
    EVENT,
    IDS,
    ITEM,
    L_DROPPED,
    L_FLAGS,
    L_ITEMS,
    L_SPAN,
    L_STATE,
    L_STATE_LENGTH,
    L_TRACE,
    LINK,
    M_EVENTS,
    M_ITEMS,
    M_LINKS,
    M_ROWS,
    PARENT_ID,
    R_CODE,
    R_DROPPED,
    R_EVENTS_DROPPED,
    R_FLAGS,
    R_KIND,
    R_LINKS_DROPPED,
    R_MESSAGE,
    R_PARENT,
    R_SPAN,
    R_STATE,
    R_TRACE,
    S_DROPPED,
    S_ITEMS,
    S_NAME,
    S_NAME_LENGTH,
    S_TIME,
    SPAN_ID,
    STATUS_MESSAGE,
    TRACE_ID,
    TRACE_STATE,
    U_EVENT_ITEMS,
    U_EVENTS,
    U_LINK_ITEMS,
    U_LINKS,
    U_LISTS,
    U_ROWS,
    Ints,
)
from tracebraid.pipeline.decode.walkers.texts import EMPTY
from tracebraid.pipeline.decode.walkers.values import LEFT, OK, put_item
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, Pair, content, digits, fixed32, fixed64, is_utf8, prefix, varint
from tracebraid.pipeline.kernel.compiled import compiled, inlined

_WIRE_TYPES = (-1, 2, 2, 2, 2, 2, 0, 1, 1, 2, 0, 2, 0, 2, 0, 2, 5)  # of each field of Span


@compiled
def span_field(memory: Ints, data: Bytes, row: Number, field: Pair, place: Pair) -> Number:
    """A field of a span that is not among the commonest.

    `row`: where its row is in the first column; `field`: number and wire type; `place`: where its content lies.
    """
    number, kind = field
    begin, end = place
    if number > 16:
        return OK  # a newer field
    if kind != _WIRE_TYPES[number]:
        return LEFT
    if number == 1:
        return _put_span_id(memory, data, row + R_TRACE * memory[M_ROWS], place, TRACE_ID)
    if number == 2:
        return _put_span_id(memory, data, row + R_SPAN * memory[M_ROWS], place, SPAN_ID)
    if number == 4:
        return _put_span_id(memory, data, row + R_PARENT * memory[M_ROWS], place, PARENT_ID)
    if number == 3:
        return put_text(memory, data, row + R_STATE * memory[M_ROWS], TRACE_STATE, place)
    if number == 6:
        kind_number, _ = varint(data, begin, end)
        memory[row + R_KIND * memory[M_ROWS]] = np.int64(np.int32(kind_number))
    elif number == 10 or number == 12 or number == 14:
        count, _ = varint(data, begin, end)
        memory[row + (R_DROPPED if number == 10 else R_EVENTS_DROPPED if number == 12 else R_LINKS_DROPPED) * memory[M_ROWS]] = count & UINT32
    elif number == 11:
        return _put_event(memory, data, begin, end)
    elif number == 13:
        return _put_link(memory, data, begin, end)
    elif number == 15:
        return _put_status(memory, data, row, begin, end)
    elif number == 16:
        memory[row + R_FLAGS * memory[M_ROWS]] = fixed32(data, begin)
    return OK


@inlined
def _put_span_id(memory: Ints, data: Bytes, cell: Number, place: Pair, which: Pair) -> Number:
    """Where an id of the span lies, and its digits: here it is at hand, rows in the order of ids lie anywhere."""
    status = put_id(memory, cell, place, 4 * which[1])
    if status == OK and place[1] > place[0]:
        out = memory[B_IDS] + IDS * memory[U_ROWS] + which[0]
        for word in range(which[1]):
            memory[out + word] = digits(fixed32(data, place[0] + 4 * word))
    return status


@compiled
def _put_status(memory: Ints, data: Bytes, row: Number, start: Number, stop: Number) -> Number:
    at = np.int64(start)
    if memory[row + R_CODE * memory[M_ROWS]] != 0 or memory[row + R_MESSAGE * memory[M_ROWS]] != EMPTY:
        return LEFT  # a second one: protobuf merges them
    while at < stop:
        tag, at = prefix(data, at, stop)
        if at < 0 or not 8 <= tag < TAG_MAX:
            return LEFT
        begin, at = content(data, at, stop, tag & 7)
        if at < 0:
            return LEFT
        if tag == 0x12:
            status = put_text(memory, data, row + R_MESSAGE * memory[M_ROWS], STATUS_MESSAGE, (begin, at))
            if status != OK:
                return status
        elif tag == 0x18:
            code, _ = varint(data, begin, at)
            memory[row + R_CODE * memory[M_ROWS]] = np.int64(np.int32(code))
        elif 2 <= tag >> 3 <= 3:
            return LEFT
    return OK


@compiled
def _put_sub_item(memory: Ints, data: Bytes, which: Number, first: Number, place: Pair) -> Number:
    """An attribute of an event (which = 1) or a link (2)."""
    counter = U_EVENT_ITEMS if which == 1 else U_LINK_ITEMS
    number = memory[counter]
    if number >= memory[M_ITEMS] or number - first >= ATTRIBUTES_MAX:
        return LEFT
    memory[counter] = number + 1
    item = memory[B_EVENT_ITEMS if which == 1 else B_LINK_ITEMS] + number * ITEM
    return put_item(memory, data, item, place, (which, number), 32 + (number - first))


@compiled
def _put_event(memory: Ints, data: Bytes, start: Number, stop: Number) -> Number:
    first, at, event = memory[U_EVENT_ITEMS], np.int64(start), memory[B_EVENTS] + memory[U_EVENTS] * EVENT
    if memory[U_EVENTS] >= memory[M_EVENTS]:
        return LEFT
    memory[event : event + EVENT] = 0
    memory[U_LISTS] += 1
    while at < stop:
        tag, at = prefix(data, at, stop)
        if at < 0 or not 8 <= tag < TAG_MAX:
            return LEFT
        begin, at = content(data, at, stop, tag & 7)
        if at < 0:
            return LEFT
        if tag == 0x09:
            memory[event + S_TIME] = fixed64(data, begin)
            if memory[event + S_TIME] < 0:
                return LEFT  # beyond int64: the reference keeps it among the attributes
        elif tag == 0x12:
            if not is_utf8(data, begin, at):
                return LEFT
            memory[event + S_NAME], memory[event + S_NAME_LENGTH] = begin, at - begin
        elif tag == 0x1A:
            status = _put_sub_item(memory, data, np.int64(1), first, (begin, at))
            if status != OK:
                return status
        elif tag == 0x20:
            count, _ = varint(data, begin, at)
            memory[event + S_DROPPED] = count & UINT32
        elif tag >> 3 <= 4:
            return LEFT
    memory[event + S_ITEMS] = memory[U_EVENT_ITEMS]
    memory[U_EVENTS] += 1
    return OK


@compiled
def _put_link(memory: Ints, data: Bytes, start: Number, stop: Number) -> Number:
    first, at, link = memory[U_LINK_ITEMS], np.int64(start), memory[B_LINKS] + memory[U_LINKS] * LINK
    if memory[U_LINKS] >= memory[M_LINKS]:
        return LEFT
    memory[link : link + LINK] = 0
    memory[link + L_TRACE] = memory[link + L_SPAN] = -1
    memory[U_LISTS] += 1
    while at < stop:
        tag, at = prefix(data, at, stop)
        if at < 0 or not 8 <= tag < TAG_MAX:
            return LEFT
        begin, at = content(data, at, stop, tag & 7)
        if at < 0:
            return LEFT
        length, status = at - begin, OK
        if tag == 0x0A:
            status = put_id(memory, link + L_TRACE, (begin, at), 16)
        elif tag == 0x12:
            status = put_id(memory, link + L_SPAN, (begin, at), 8)
        elif tag == 0x1A and is_utf8(data, begin, at):
            memory[link + L_STATE], memory[link + L_STATE_LENGTH] = begin, length
        elif tag == 0x22:
            status = _put_sub_item(memory, data, np.int64(2), first, (begin, at))
        elif tag == 0x28:
            count, _ = varint(data, begin, at)
            memory[link + L_DROPPED] = count & UINT32
        elif tag == 0x35:
            memory[link + L_FLAGS] = fixed32(data, begin)
        elif tag >> 3 <= 6:
            return LEFT
        if status != OK:
            return status
    memory[link + L_ITEMS] = memory[U_LINK_ITEMS]
    memory[U_LINKS] += 1
    return OK
