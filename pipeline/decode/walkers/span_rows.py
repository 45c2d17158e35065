"""The tables of a walk → spans as Arrow, schemas.records.WALKED_SPANS.

In: the memory of a walk, the bytes that it read. Out: rows in the order of trace ids. Never: a copy of an attribute's value.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.decode.walkers import memory as m
from tracebraid.pipeline.decode.walkers.gather import (
    Sources,
    by_first_digits,
    coded,
    hexed,
    ids_of,
    integers,
    numbers,
    offsets_of,
    plain_maps,
    slices,
    stored_maps,
    texts_of,
)
from tracebraid.pipeline.decode.walkers.memory import Ints, Memory
from tracebraid.pipeline.decode.walkers.promote import NONE
from tracebraid.pipeline.decode.walkers.shared import Shared, keys_of
from tracebraid.pipeline.decode.walkers.wire import Bytes
from tracebraid.pipeline.kernel.held import no_items, nothing, take
from tracebraid.schemas.records import WALKED_SPANS
from tracebraid.schemas.semconv import SPAN
from tracebraid.schemas.spans import EVENT, LINK
from tracebraid.schemas.table import CODED, INT32, INT64, STRING


def span_rows(memory: Memory, data: Bytes, spelled: bytes, shared: Shared, firsts: Ints) -> pa.RecordBatch:
    """In the order of trace ids: files are written in it, and a file's batches are then read side by side, not here and there.

    `firsts`: see walk_records."""
    rows, keys = memory.rows, keys_of(memory, data)
    order = by_first_digits(memory.ids, rows[m.R_TRACE], (rows[m.R_RECORD], firsts))
    sources = data, memory.digits, np.frombuffer(spelled, np.uint8)

    def texts(column: int, kind: int) -> pa.DictionaryArray:
        return coded(rows[column], texts_of(memory.texts(kind), data), order)

    def number(column: int, to: pa.DataType = INT64) -> pa.Array:
        return numbers(rows[column], order, to)

    columns = {
        "record": number(m.R_RECORD, INT32),
        "record_index": number(m.R_INDEX, INT32),
        "resource": number(m.R_RESOURCE, INT32),
        "trace_id": ids_of(memory.ids, rows[m.R_TRACE], order, m.TRACE_ID),
        "span_id": ids_of(memory.ids, rows[m.R_SPAN], order, m.SPAN_ID),
        "parent_span_id": ids_of(memory.ids, rows[m.R_PARENT], order, m.PARENT_ID),
        "trace_state": texts(m.R_STATE, m.TRACE_STATE),
        "flags": number(m.R_FLAGS),
        "name": _names(rows[m.R_NAME], texts_of(memory.texts(m.NAME), data), order),
        "kind": number(m.R_KIND, INT32),
        "start_unix_nano": number(m.R_START, pa.uint64()),
        "end_unix_nano": number(m.R_END, pa.uint64()),
        "status_code": number(m.R_CODE, INT32),
        "status_message": texts(m.R_MESSAGE, m.STATUS_MESSAGE),
        **shared.scopes(rows[m.R_SCOPE][order]),
        "events": _events(memory, data, order, keys, sources),
        "links": _links(memory, data, order, keys, sources),
        "dropped_attributes_count": number(m.R_DROPPED),
        "dropped_events_count": number(m.R_EVENTS_DROPPED),
        "dropped_links_count": number(m.R_LINKS_DROPPED),
        "attributes": take(stored_maps(memory.items(0), rows[m.R_ITEMS], keys, sources), order),
    }
    for place, (attribute, filled) in enumerate(zip(SPAN, memory.filled, strict=True)):
        if not filled:
            columns[attribute.column] = nothing(len(order), CODED if attribute.type == STRING else INT32)
            continue
        values = rows[m.R_COLUMNS + place]
        is_text = attribute.type == STRING
        columns[attribute.column] = coded(values, texts_of(memory.texts(m.COLUMN + place), data), order) if is_text else integers(values, order, NONE)
    return pa.record_batch([columns[name] for name in WALKED_SPANS.names], schema=WALKED_SPANS)


def _names(numbers: Ints, texts: pa.StringArray, order: Ints) -> pa.DictionaryArray:
    """A span always has a name; the empty one is no text of the table."""
    if (numbers < 0).any():
        texts, numbers = pa.concat_arrays([texts, pa.array([""], STRING)]), np.where(numbers < 0, len(texts), numbers)
    return coded(numbers, texts, order)


def _events(memory: Memory, data: Bytes, order: Ints, keys: pa.StringArray, sources: Sources) -> pa.ListArray:
    rows = memory.events
    if not len(rows):
        return no_items(memory.count(m.U_ROWS), EVENT)
    attributes = plain_maps(stored_maps(memory.items(1), rows[:, m.S_ITEMS], keys, sources))
    names = slices(data, rows[:, m.S_NAME], rows[:, m.S_NAME_LENGTH])
    arrays = [pa.array(rows[:, m.S_TIME].copy()), names, attributes, pa.array(rows[:, m.S_DROPPED].copy())]
    return _lists(memory.rows[m.R_EVENTS], order, arrays, EVENT)


def _links(memory: Memory, data: Bytes, order: Ints, keys: pa.StringArray, sources: Sources) -> pa.ListArray:
    rows = memory.links
    if not len(rows):
        return no_items(memory.count(m.U_ROWS), LINK)
    attributes = plain_maps(stored_maps(memory.items(2), rows[:, m.L_ITEMS], keys, sources))
    states = slices(data, rows[:, m.L_STATE], rows[:, m.L_STATE_LENGTH])
    states = pc.if_else(pc.equal(states, pa.scalar("", STRING)), pa.scalar(None, STRING), states)
    every = np.arange(len(rows))
    ids = [hexed(data, rows[:, column], every, length) for column, length in ((m.L_TRACE, 16), (m.L_SPAN, 8))]
    arrays = [*ids, states, pa.array(rows[:, m.L_FLAGS].copy()), attributes, pa.array(rows[:, m.L_DROPPED].copy())]
    return _lists(memory.rows[m.R_LINKS], order, arrays, LINK)


def _lists(ends: Ints, order: Ints, arrays: list[pa.Array], of: pa.StructType) -> pa.ListArray:
    """Lists that end there, of rows in this order: most have none, so it is the items that are put in order."""
    items = pa.StructArray.from_arrays([array.cast(field.type) for array, field in zip(arrays, of, strict=True)], fields=list(of))
    lengths = np.diff(ends, prepend=0)[order]
    some = np.flatnonzero(lengths)
    first, offsets = (ends[order] - lengths)[some], np.cumsum(lengths)
    places = np.repeat(first - (offsets - lengths)[some], lengths[some]) + np.arange(len(items))
    return pa.ListArray.from_arrays(offsets_of(offsets), items.take(pa.array(places)))
