"""Records of OTLP as protobuf → offset tables, for all records of a batch: what spans and logs have in common.

In: the bytes of the values, where each begins, which are to be walked, as records of which signal. Out: tables, and which records are in them. Never: a record
that opentelemetry-proto would read otherwise: whatever is unusual (a field twice that protobuf merges, of another type or unknown where it decides, an id of
another length, text that is no UTF-8, more than the tables hold) leaves the whole record to the reference decoder. Source: opentelemetry-proto 1.x, whose
messages of both signals have the same numbers down to the item.
"""

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.decode.walkers.cells import TAG_MAX
from tracebraid.pipeline.decode.walkers.logs import put_log
from tracebraid.pipeline.decode.walkers.memory import (
    B_HARD,
    B_ROWS,
    BEFORE,
    H_RECORD,
    HARD,
    LOGS,
    M_ROWS,
    R_INDEX,
    R_RECORD,
    R_RESOURCE,
    R_SCOPE,
    RESOURCE,
    SCHEMA_URL,
    SCOPE,
    SIGNAL,
    U_FIELDS,
    U_HARD,
    U_LISTS,
    U_ROWS,
    Ints,
)
from tracebraid.pipeline.decode.walkers.spans import put_span
from tracebraid.pipeline.decode.walkers.texts import EMPTY, FULL, intern, text_number
from tracebraid.pipeline.decode.walkers.values import GROW, LEFT, OK
from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, Pair, content, prefix
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.compiled import compiled

WANTED, WALKED = 1, 2
_ROWS_MAX, _SHARED_BY_MAX = limits.record_rows_max, limits.repetition_ratio_max
# Rows repeat their resource and scope; as text a byte may become six. What comes near the limit is for the reference to judge.
_REPETITION_MAX = limits.repetition_ratio_max // 6
_NEWER = 4 << 3  # the tag of the first field that a group does not have


@compiled
def walk(memory: Ints, data: Bytes, starts: npt.NDArray[np.int32], wanted: Bytes, signal: Number) -> bool:
    """Walk the records that are WANTED, as such of spans or of logs; one that is, and whose rows are in the tables, becomes WALKED.

    False where the tables have no room for its texts.
    """
    memory[SIGNAL] = signal
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
    """ResourceSpans or ResourceLogs: (status, bytes of what its rows share)."""
    first_row, at, stop, shared = memory[U_ROWS], np.int64(place[0]), place[1], np.int64(0)
    head: Pair = (np.int64(0), np.int64(-1))
    url: Pair = (np.int64(0), np.int64(0))
    while at < stop:
        tag, at = prefix(data, at, stop)
        if at < 0 or not 8 <= tag < _NEWER or tag & 7 != 2:
            return LEFT, shared  # a newer field, too: a list of Zipkin's spans has some, and may look like this otherwise
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
    """ScopeSpans or ScopeLogs: (status, bytes of the scope)."""
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
            status = put_log(memory, data, begin, at) if memory[SIGNAL] == LOGS else put_span(memory, data, begin, at)
            if status != OK:
                return status, shared
        elif tag >> 3 == 3:
            url = (begin, at)
    return _close_group(memory, data, (SCOPE, R_SCOPE), first_row, head, url), shared + max(head[1] - head[0], 0)


@compiled
def _close_group(memory: Ints, data: Bytes, what: Pair, first_row: Number, head: Pair, url: Pair) -> Number:
    """Give the rows since `first_row` their resource or scope, which may come behind them. `what`: the kind of text, and its column."""
    if first_row == memory[U_ROWS] and head[1] > head[0]:
        return LEFT  # nobody reads the head of no rows, and it must be one all the same
    owner = text_number(memory, data, np.int64(SCHEMA_URL), url)
    if owner < EMPTY:
        return GROW if owner == FULL else LEFT
    number = intern(memory, data, np.int64(what[0]), owner + 1, (head[0], max(head)))
    if number < 0:
        return GROW if number == FULL else LEFT
    for row in range(first_row, memory[U_ROWS]):
        memory[memory[B_ROWS] + row + what[1] * memory[M_ROWS]] = number
    return OK
