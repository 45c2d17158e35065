"""OTLP spans as protobuf → offset tables, for all records of a batch.

In: the bytes of the values, where each begins, which are to be walked. Out: tables, and which records are in them. Never: a record that opentelemetry-proto
would read otherwise: whatever is unusual (a field twice that protobuf merges, of another type or unknown where it decides, an id of another length, text that
is no UTF-8, more than the tables hold) leaves the whole record to the reference decoder. Source: opentelemetry-proto 1.x.
"""

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.decode.walkers.memory import (
    B_HARD,
    B_ITEMS,
    B_ROWS,
    BEFORE,
    H_RECORD,
    HARD,
    ITEM,
    M_ITEMS,
    M_ROWS,
    NAME,
    R_CODE,
    R_END,
    R_EVENTS,
    R_INDEX,
    R_ITEMS,
    R_KIND,
    R_LINKS,
    R_NAME,
    R_RECORD,
    R_RESOURCE,
    R_SCOPE,
    R_START,
    RESOURCE,
    SCHEMA_URL,
    SCOPE,
    U_EVENTS,
    U_FIELDS,
    U_HARD,
    U_ITEMS,
    U_LINKS,
    U_LISTS,
    U_ROWS,
    Ints,
)
from tracebraid.pipeline.decode.walkers.promote import forget_values, note_value, promote_items
from tracebraid.pipeline.decode.walkers.span_fields import ATTRIBUTES_MAX, TAG_MAX, put_text, span_field
from tracebraid.pipeline.decode.walkers.texts import EMPTY, FULL, intern, text_number
from tracebraid.pipeline.decode.walkers.values import GROW, LEFT, OK, put_item
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, Pair, content, fixed64, prefix
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.compiled import compiled

WANTED, WALKED = 1, 2
_ROWS_MAX, _SHARED_BY_MAX = limits.record_rows_max, limits.repetition_ratio_max
# Rows repeat their resource and scope; as text a byte may become six. What comes near the limit is for the reference to judge.
_REPETITION_MAX = limits.repetition_ratio_max // 6
_DECIDED_FIELDS_MAX = 2000  # sniff looks at 4,096 fields: a record whose first span comes so late is not walked
_DECIDED = -(1 << 60)  # in place of a count, once the first span of a record has told that it holds spans


@compiled
def walk(memory: Ints, data: Bytes, starts: npt.NDArray[np.int32], wanted: Bytes) -> bool:
    """Walk the records that are WANTED; one that could be, and whose rows are in the tables, becomes WALKED.

    False where the tables have no room for its texts.
    """
    for record in range(len(wanted)):
        if wanted[record] != WANTED:
            continue
        for counter in range(U_LISTS):
            memory[BEFORE + counter] = memory[counter]
        status = _record(memory, data, starts[record], starts[record + 1])
        first, behind = memory[BEFORE + U_ROWS], memory[U_ROWS]
        if status == OK and 0 < behind - first <= _ROWS_MAX:
            wanted[record] = WALKED
            for row in range(first, behind):
                memory[memory[B_ROWS] + row + R_RECORD * memory[M_ROWS]] = record
                memory[memory[B_ROWS] + row + R_INDEX * memory[M_ROWS]] = row - first
            for hard in range(memory[BEFORE + U_HARD], memory[U_HARD]):
                memory[memory[B_HARD] + hard * HARD + H_RECORD] = record
            continue
        for counter in range(U_LISTS):
            memory[counter] = memory[BEFORE + counter]
        forget_values(memory)
        if status == GROW:
            return False
    return True


@compiled
def _record(memory: Ints, data: Bytes, start: Number, stop: Number) -> Number:
    at, repeated, first_row = np.int64(start), np.int64(0), memory[U_ROWS]
    memory[U_FIELDS] = 0
    while at < stop:
        if data[at] != 0x0A:
            return LEFT
        begin, at = content(data, at + 1, stop, 2)
        if at < 0:
            return LEFT
        memory[U_FIELDS] += 1
        rows = memory[U_ROWS]
        status, shared = _group(memory, data, (begin, at))
        if status != OK:
            return status
        repeated += shared * (memory[U_ROWS] - rows)
    return OK if repeated <= (stop - start) * _REPETITION_MAX or memory[U_ROWS] - first_row <= _SHARED_BY_MAX else LEFT


@compiled
def _group(memory: Ints, data: Bytes, place: Pair) -> Pair:
    """ResourceSpans: (status, bytes of what its spans share)."""
    first_row, at, stop, shared = memory[U_ROWS], np.int64(place[0]), place[1], np.int64(0)
    head: Pair = (np.int64(0), np.int64(-1))
    url: Pair = (np.int64(0), np.int64(0))
    while at < stop:
        tag, at = prefix(data, at, stop)
        if at < 0 or not 8 <= tag < TAG_MAX or (tag >> 3 <= 3 and tag & 7 != 2):
            return LEFT, shared
        begin, at = content(data, at, stop, tag & 7)
        if at < 0:
            return LEFT, shared
        memory[U_FIELDS] += 1
        if tag >> 3 == 1:
            if head[1] >= 0:
                return LEFT, shared
            head = (begin, at)
        elif tag >> 3 == 2:
            status, of_scope = _scope(memory, data, (begin, at))
            if status != OK:
                return status, shared
            shared = max(shared, of_scope)
        elif tag >> 3 == 3:
            url = (begin, at)
    return _close_group(memory, data, (RESOURCE, R_RESOURCE), first_row, head, url), shared + max(head[1] - head[0], 0)


@compiled
def _scope(memory: Ints, data: Bytes, place: Pair) -> Pair:
    """ScopeSpans: (status, bytes of the scope)."""
    first_row, at, stop, shared = memory[U_ROWS], np.int64(place[0]), place[1], np.int64(0)
    head: Pair = (np.int64(0), np.int64(-1))
    url: Pair = (np.int64(0), np.int64(0))
    while at < stop:
        tag, at = prefix(data, at, stop)
        if at < 0 or not 8 <= tag < TAG_MAX or (tag >> 3 <= 3 and tag & 7 != 2):
            return LEFT, shared
        begin, at = content(data, at, stop, tag & 7)
        if at < 0:
            return LEFT, shared
        memory[U_FIELDS] += 1
        if tag >> 3 == 1:
            if head[1] >= 0:
                return LEFT, shared
            head = (begin, at)
        elif tag >> 3 == 2:
            status = _span(memory, data, begin, at)
            if status != OK:
                return status, shared
        elif tag >> 3 == 3:
            url = (begin, at)
    return _close_group(memory, data, (SCOPE, R_SCOPE), first_row, head, url), shared + max(head[1] - head[0], 0)


@compiled
def _close_group(memory: Ints, data: Bytes, what: Pair, first_row: Number, head: Pair, url: Pair) -> Number:
    """Give the rows since `first_row` their resource or scope, which may come behind them. `what`: the kind of text, and its column."""
    owner = text_number(memory, data, SCHEMA_URL, url)
    if owner < EMPTY:
        return GROW if owner == FULL else LEFT
    if first_row == memory[U_ROWS] and head[1] > head[0]:
        return LEFT  # of no span: nobody would read it, and find out whether it is one
    number = intern(memory, data, what[0], owner + 1, (head[0], max(head)))
    if number < 0:
        return GROW if number == FULL else LEFT
    for row in range(first_row, memory[U_ROWS]):
        memory[memory[B_ROWS] + row + what[1] * memory[M_ROWS]] = number
    return OK


@compiled
def _span(memory: Ints, data: Bytes, start: Number, stop: Number) -> Number:
    first_item, first_hard, at, row = memory[U_ITEMS], memory[U_HARD], np.int64(start), memory[B_ROWS] + memory[U_ROWS]
    if memory[U_ROWS] >= memory[M_ROWS]:
        return LEFT
    for column in range(R_ITEMS):
        memory[row + column * memory[M_ROWS]] = 0 if column == R_KIND or column == R_CODE or column >= R_START else -1
    memory[U_LISTS] += 1
    own_list, timed = memory[U_LISTS], False
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
            status = _attribute(memory, data, first_item, own_list, (begin, at))
        elif tag == 0x2A:
            status = put_text(memory, data, row + R_NAME * memory[M_ROWS], NAME, (begin, at))
        elif tag == 0x39 or tag == 0x41:
            timed = True
            memory[row + (R_START if tag == 0x39 else R_END) * memory[M_ROWS]] = fixed64(data, begin)
        else:
            status = span_field(memory, data, row, (tag >> 3, tag & 7), (begin, at))
        if status != OK:
            return status
    if memory[U_FIELDS] > _DECIDED_FIELDS_MAX or not timed:
        return LEFT
    memory[U_FIELDS] = _DECIDED
    status = promote_items(memory, data, memory[U_ROWS], first_item, first_hard)
    memory[row + R_ITEMS * memory[M_ROWS]], memory[row + R_EVENTS * memory[M_ROWS]], memory[row + R_LINKS * memory[M_ROWS]] = (
        memory[U_ITEMS],
        memory[U_EVENTS],
        memory[U_LINKS],
    )
    memory[U_ROWS] += 1
    return status


@compiled
def _attribute(memory: Ints, data: Bytes, first_item: Number, own_list: Number, place: Pair) -> Number:
    number, lists = memory[U_ITEMS], memory[U_LISTS]
    if number >= memory[M_ITEMS] or number - first_item >= ATTRIBUTES_MAX:
        return LEFT
    if lists != own_list and number > first_item:
        return LEFT  # events or links between attributes: a key's last list, theirs, would hide that the key comes a second time
    memory[U_LISTS] = own_list
    status = put_item(memory, data, memory[B_ITEMS] + number * ITEM, place, (0, number), number - first_item)
    memory[U_LISTS] = lists
    memory[U_ITEMS] = number + 1
    if status == OK:
        note_value(memory, number)
    return status
