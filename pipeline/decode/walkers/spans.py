"""A span of OTLP → a row, its attributes as items, its events and links.

In: where a Span lies. Out: its row. Never: a span without a time, which could be something else as well: see groups.py.
"""

import numpy as np

from tracebraid.pipeline.decode.walkers.cells import DECIDED, DECIDED_FIELDS_MAX, TAG_MAX, put_attribute, put_text
from tracebraid.pipeline.decode.walkers.memory import (
    B_ROWS,
    M_ROWS,
    NAME,
    R_CODE,
    R_END,
    R_EVENTS,
    R_ITEMS,
    R_KIND,
    R_LINKS,
    R_NAME,
    R_START,
    U_EVENTS,
    U_FIELDS,
    U_HARD,
    U_ITEMS,
    U_LINKS,
    U_NOTED,
    U_ROWS,
    Ints,
)
from tracebraid.pipeline.decode.walkers.promote import note_value, promote_items
from tracebraid.pipeline.decode.walkers.span_fields import span_field
from tracebraid.pipeline.decode.walkers.values import LEFT, OK
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, content, fixed64, prefix
from tracebraid.pipeline.kernel.compiled import compiled


@compiled
def put_span(memory: Ints, data: Bytes, start: Number, stop: Number) -> Number:
    """A row of the span between these places."""
    first_item, first_hard, at, row = memory[U_ITEMS], memory[U_HARD], np.int64(start), memory[B_ROWS] + memory[U_ROWS]
    if memory[U_ROWS] >= memory[M_ROWS]:
        return LEFT
    for column in range(R_ITEMS):
        memory[row + column * memory[M_ROWS]] = 0 if column == R_KIND or column == R_CODE or column >= R_START else -1
    timed, memory[U_NOTED] = False, 0
    while at < stop:
        tag, at = prefix(data, at, stop)
        if at < 0 or not 8 <= tag < TAG_MAX:
            return LEFT
        begin, at = content(data, at, stop, tag & 7)
        if at < 0:
            return LEFT
        memory[U_FIELDS] += 1
        status = OK
        if tag == 0x4A:
            status = put_attribute(memory, data, first_item, (begin, at))
            if status == OK:
                note_value(memory, data, memory[U_ITEMS] - 1)
        elif tag == 0x2A:
            status = put_text(memory, data, row + R_NAME * memory[M_ROWS], NAME, (begin, at))
        elif tag == 0x39 or tag == 0x41:
            timed = True
            memory[row + (R_START if tag == 0x39 else R_END) * memory[M_ROWS]] = fixed64(data, begin)
        else:
            status = span_field(memory, data, row, (tag >> 3, tag & 7), (begin, at))
        if status != OK:
            return status
    if memory[U_FIELDS] > DECIDED_FIELDS_MAX or not timed:
        return LEFT
    memory[U_FIELDS] = DECIDED
    status = promote_items(memory, data, memory[U_ROWS], first_item, first_hard)
    memory[row + R_ITEMS * memory[M_ROWS]], memory[row + R_EVENTS * memory[M_ROWS]], memory[row + R_LINKS * memory[M_ROWS]] = (
        memory[U_ITEMS],
        memory[U_EVENTS],
        memory[U_LINKS],
    )
    memory[U_ROWS] += 1
    return status
