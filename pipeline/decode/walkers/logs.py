"""A log record of OTLP → a row, its attributes as items, its body as an item of a list of its own.

In: where a LogRecord lies. Out: its row. Never: a log that no field tells from a span or a metric, which sniff may call ambiguous: see groups.py.
"""

import numpy as np

from tracebraid.pipeline.decode.walkers.cells import DECIDED, DECIDED_FIELDS_MAX, TAG_MAX, UINT32, put_attribute, put_id, put_text
from tracebraid.pipeline.decode.walkers.memory import (
    B_BODIES,
    B_ROWS,
    BODIES,
    EVENT_NAME,
    I_HIGH,
    I_KEY,
    I_LOW,
    ITEM,
    M_ITEMS,
    M_ROWS,
    NULL_KEY,
    R_DROPPED,
    R_EVENT_NAME,
    R_FLAGS,
    R_ITEMS,
    R_OBSERVED,
    R_SEVERITY,
    R_SEVERITY_TEXT,
    R_SPAN,
    R_TIME,
    R_TRACE,
    SEVERITY_TEXT,
    U_BODIES,
    U_FIELDS,
    U_ITEMS,
    U_ROWS,
    Ints,
)
from tracebraid.pipeline.decode.walkers.values import LEFT, OK, put_value
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, Pair, content, fixed32, fixed64, prefix, varint
from tracebraid.pipeline.kernel.compiled import compiled

_WIRE_TYPES = (-1, 1, 0, 2, -1, 2, 2, 0, 5, 2, 2, 1, 2, -1, -1, -1, -1)  # of each field of LogRecord; spans have fields that it has not up to 16
_TELLING = 1 << 1 | 1 << 2 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 11  # fields that neither spans nor metrics have with that type


@compiled
def put_log(memory: Ints, data: Bytes, start: Number, stop: Number) -> Number:
    """A row of the log record between these places."""
    first_item, at, row, stride = memory[U_ITEMS], np.int64(start), memory[B_ROWS] + memory[U_ROWS], memory[M_ROWS]
    body, seen = memory[B_BODIES] + memory[U_BODIES] * ITEM, np.int64(0)
    if memory[U_ROWS] >= stride or memory[U_BODIES] >= memory[M_ITEMS]:
        return LEFT
    memory[row + R_TRACE * stride] = memory[row + R_SPAN * stride] = memory[row + R_SEVERITY_TEXT * stride] = memory[row + R_EVENT_NAME * stride] = -1
    memory[row + R_SEVERITY * stride] = memory[row + R_FLAGS * stride] = memory[row + R_DROPPED * stride] = 0
    memory[row + R_TIME * stride] = memory[row + R_OBSERVED * stride] = 0
    memory[body + I_KEY], memory[body + I_LOW], memory[body + I_HIGH] = NULL_KEY, 0, 0
    while at < stop:
        tag, at = prefix(data, at, stop)
        if at < 0 or not 8 <= tag < TAG_MAX:
            return LEFT
        begin, at = content(data, at, stop, tag & 7)
        if at < 0:
            return LEFT
        memory[U_FIELDS] += 1
        number, status = tag >> 3, OK
        if number >= len(_WIRE_TYPES):
            continue  # a newer field
        if tag & 7 != _WIRE_TYPES[number]:
            return LEFT
        if number == 6:
            status = put_attribute(memory, data, first_item, (begin, at))
        elif number == 5:
            if seen & 1 << 5:
                return LEFT  # a second one: protobuf merges them
            memory[body + I_KEY] = 0
            status = put_value(memory, data, body, (begin, at), (BODIES, memory[U_BODIES]))
        else:
            status = _field(memory, data, row, number, (begin, at))
        if status != OK:
            return status
        seen |= 1 << number
    if memory[U_FIELDS] > DECIDED_FIELDS_MAX or seen & _TELLING == 0:
        return LEFT
    memory[U_FIELDS] = DECIDED
    memory[row + R_ITEMS * stride] = memory[U_ITEMS]
    memory[U_BODIES] += 1
    memory[U_ROWS] += 1
    return OK


@compiled
def _field(memory: Ints, data: Bytes, row: Number, number: Number, place: Pair) -> Number:
    """A field that is neither the body nor an attribute. `row`: where its row is in the first column."""
    begin, end = place
    stride = memory[M_ROWS]
    if number == 1:
        memory[row + R_TIME * stride] = fixed64(data, begin)
    elif number == 11:
        memory[row + R_OBSERVED * stride] = fixed64(data, begin)
    elif number == 2:
        severity, _ = varint(data, begin, end)
        memory[row + R_SEVERITY * stride] = np.int64(np.int32(severity))
    elif number == 3:
        return put_text(memory, data, row + R_SEVERITY_TEXT * stride, SEVERITY_TEXT, place)
    elif number == 7:
        count, _ = varint(data, begin, end)
        memory[row + R_DROPPED * stride] = count & UINT32
    elif number == 8:
        memory[row + R_FLAGS * stride] = fixed32(data, begin)
    elif number == 9:
        return put_id(memory, row + R_TRACE * stride, place, 16)
    elif number == 10:
        return put_id(memory, row + R_SPAN * stride, place, 8)
    elif number == 12:
        return put_text(memory, data, row + R_EVENT_NAME * stride, EVENT_NAME, place)
    return OK
