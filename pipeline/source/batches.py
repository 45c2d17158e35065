"""Kafka messages of one partition as one Arrow batch.

In: a list of messages in the order they came. Out: a RecordBatch of schemas.records.RECORDS with rising offsets. Never: a call to Kafka.

One comprehension a column: each touches every message once, and nothing else in the source does.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tracebraid.schemas.records import RECORDS
from tracebraid.schemas.table import BINARY, HEADERS, INT64, STRING

TIMESTAMP_NOT_AVAILABLE = 0  # confluent_kafka's, of messages in the oldest format
Headers = Sequence[tuple[str, bytes | None]] | None


def to_batch(messages: Sequence[Any], next_offset: int, now_ms: int) -> pa.RecordBatch:
    """`messages`: confluent_kafka.Message without error, of one partition. Those below `next_offset`, or below one before them, are left out.

    `now_ms` stands in for the time of a message that has none.
    """
    offsets = np.array([message.offset() for message in messages], dtype=np.int64)
    before = np.maximum.accumulate(np.concatenate(([next_offset - 1], offsets[:-1])))
    fresh = offsets > before
    if not fresh.all():
        messages = [message for message, keep in zip(messages, fresh, strict=True) if keep]
        offsets = offsets[fresh]
    times = [message.timestamp() for message in messages]
    return pa.record_batch(
        [
            pa.array(offsets, INT64),
            pa.array([ms if kind != TIMESTAMP_NOT_AVAILABLE else now_ms for kind, ms in times], INT64),
            pa.array([message.key() for message in messages], BINARY),
            _binary([message.value() for message in messages]),
            header_array([_headers(message) for message in messages]),
        ],
        schema=RECORDS,
    )


def _binary(values: Sequence[bytes | None]) -> pa.BinaryArray:
    """The values end to end, in one copy: pa.array makes room as it goes, and copies what it has each time."""
    ends = np.zeros(len(values) + 1, np.int32)
    np.cumsum([len(value) if value else 0 for value in values], out=ends[1:])
    nulls = [value is None for value in values]
    valid = pa.py_buffer(np.packbits(np.logical_not(nulls), bitorder="little")) if any(nulls) else None
    return pa.Array.from_buffers(BINARY, len(values), [valid, pa.py_buffer(ends), pa.py_buffer(b"".join(value or b"" for value in values))], sum(nulls))


def header_array(headers: Sequence[Headers]) -> pa.Array:
    """`headers`: a list of (key, value) a record, or None. Out: an array of schemas.table.HEADERS, null where there are none."""
    if not any(headers):
        return pa.nulls(len(headers), HEADERS)
    flat = [pair for pairs in headers if pairs for pair in pairs]
    ends = np.cumsum([len(pairs) if pairs else 0 for pairs in headers], dtype=np.int32)
    pairs = pa.StructArray.from_arrays([pa.array([key for key, _ in flat], STRING), pa.array([value for _, value in flat], BINARY)], names=["key", "value"])
    absent = pa.array([not each for each in headers])
    return pa.ListArray.from_arrays(pa.array(np.concatenate(([0], ends)).astype(np.int32)), pairs, type=HEADERS, mask=absent)


def _headers(message: Any) -> Headers:
    try:
        found: Headers = message.headers()
    except UnicodeDecodeError:  # a header's name is UTF-8 by Kafka's protocol; this client cannot hand out another, and the record matters more
        return None
    return found
