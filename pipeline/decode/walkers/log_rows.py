"""The tables of a walk → logs as Arrow, schemas.records.WALKED_LOGS.

In: the memory of a walk, the bytes that it read. Out: rows in the order of trace ids. Never: an attribute out of its map: normalize knows which have columns.
"""

import numpy as np
import pyarrow as pa

from tracebraid.pipeline.decode.walkers import memory as m
from tracebraid.pipeline.decode.walkers.gather import by_id, coded, hexed, maps, texts_of, views
from tracebraid.pipeline.decode.walkers.memory import Ints, Memory
from tracebraid.pipeline.decode.walkers.shared import Shared, keys_of
from tracebraid.pipeline.decode.walkers.wire import Bytes
from tracebraid.pipeline.kernel.held import take
from tracebraid.schemas.records import WALKED_LOGS
from tracebraid.schemas.table import STRING


def log_rows(memory: Memory, data: Bytes, spelled: bytes, shared: Shared, firsts: Ints) -> pa.RecordBatch:
    """In the order of trace ids, as files are written; those without one come last. `firsts`: see walk_records."""
    rows = memory.rows
    order = by_id(data, rows[m.R_TRACE], (rows[m.R_RECORD], firsts))
    buffers = [pa.py_buffer(data), pa.py_buffer(memory.digits.copy()), pa.py_buffer(spelled)]

    def texts(column: int, kind: int) -> pa.DictionaryArray:
        return coded(rows[column], texts_of(memory.texts(kind), data), order)

    def numbers(column: int, to: type = np.int64) -> pa.Array:
        return pa.array(rows[column].astype(to)[order])

    columns = {
        "record": numbers(m.R_RECORD, np.int32),
        "record_index": numbers(m.R_INDEX, np.int32),
        "resource": numbers(m.R_RESOURCE, np.int32),
        "trace_id": hexed(data, rows[m.R_TRACE], order, 16),
        "span_id": hexed(data, rows[m.R_SPAN], order, 8),
        "flags": numbers(m.R_FLAGS),
        "time_unix_nano": numbers(m.R_TIME).view(pa.uint64()),
        "observed_unix_nano": numbers(m.R_OBSERVED).view(pa.uint64()),
        "severity_number": numbers(m.R_SEVERITY, np.int32),
        "severity_text": texts(m.R_SEVERITY_TEXT, m.SEVERITY_TEXT),
        "body": views(memory.items(m.BODIES)[order], buffers).cast(STRING),
        "event_name": texts(m.R_EVENT_NAME, m.EVENT_NAME),
        **shared.scopes(rows[m.R_SCOPE][order]),
        "dropped_attributes_count": numbers(m.R_DROPPED),
        "attributes": take(maps(memory.items(0), rows[m.R_ITEMS], keys_of(memory, data), buffers), order),
    }
    return pa.record_batch([columns[name] for name in WALKED_LOGS.names], schema=WALKED_LOGS)
