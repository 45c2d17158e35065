"""Kafka messages of one partition as one Arrow batch.

In: a list of messages in the order they came. Out: a RecordBatch of schemas.records.RECORDS with rising offsets. Never: a call to Kafka.

A pass over the messages for each column, by map() over the method of their type: no bytecode runs for a message, which halves what small records cost.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, cast

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
    kind, count = type(messages[0]), len(messages)
    offsets = np.fromiter(map(kind.offset, messages), np.int64, count)
    before = np.maximum.accumulate(np.concatenate(([next_offset - 1], offsets[:-1])))
    fresh = offsets > before
    if not fresh.all():
        messages = [message for message, keep in zip(messages, fresh, strict=True) if keep]
        offsets, count = offsets[fresh], len(messages)
    times = np.fromiter(chain.from_iterable(map(kind.timestamp, messages)), np.int64, 2 * count).reshape(count, 2)  # what kind of time it is, and the time
    return pa.record_batch(
        [
            pa.array(offsets, INT64),
            pa.array(np.where(times[:, 0] != TIMESTAMP_NOT_AVAILABLE, times[:, 1], now_ms), INT64),
            pa.array(list(map(kind.key, messages)), BINARY),
            _binary(list(map(kind.value, messages))),
            header_array(_headers(messages)),
        ],
        schema=RECORDS,
    )


def sizes_of(messages: Sequence[Any]) -> tuple[int, dict[str, int]]:
    """Bytes of all values, and of each topic's largest one. `messages`: as they come, errors among them."""
    if not messages:
        return 0, {}
    kind = type(messages[0])
    try:
        sizes = list(map(len, map(kind.value, messages)))
    except TypeError:  # some have none
        sizes = [len(message.value() or b"") for message in messages]
    topics = set(map(kind.topic, messages))
    if len(topics) == 1:
        return sum(sizes), {topics.pop() or "": max(sizes)}
    named = (topic or "" for topic in map(kind.topic, messages))
    return sum(sizes), dict(sorted(zip(named, sizes, strict=True)))  # the last of a topic is its largest


def _binary(values: list[bytes | None]) -> pa.BinaryArray:
    """The values end to end, in one copy: pa.array makes room as it goes, and copies what it has each time."""
    nulls = np.zeros(0, np.bool_)
    if None in values:
        nulls = np.fromiter((value is None for value in values), np.bool_, len(values))
    there = [value or b"" for value in values] if len(nulls) else cast(list[bytes], values)
    ends = np.zeros(len(values) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, there), np.int64, len(there)), out=ends[1:])
    valid = pa.py_buffer(np.packbits(~nulls, bitorder="little")) if len(nulls) else None
    return pa.Array.from_buffers(BINARY, len(values), [valid, pa.py_buffer(ends), pa.py_buffer(b"".join(there))], int(nulls.sum()))


def header_array(headers: Sequence[Headers]) -> pa.Array:
    """`headers`: a list of (key, value) a record, or None. Out: an array of schemas.table.HEADERS, null where there are none."""
    if not any(headers):
        return pa.nulls(len(headers), HEADERS)
    flat = [pair for pairs in headers if pairs for pair in pairs]
    ends = np.cumsum([len(pairs) if pairs else 0 for pairs in headers], dtype=np.int32)
    pairs = pa.StructArray.from_arrays([pa.array([key for key, _ in flat], STRING), pa.array([value for _, value in flat], BINARY)], names=["key", "value"])
    absent = pa.array([not each for each in headers])
    return pa.ListArray.from_arrays(pa.array(np.concatenate(([0], ends)).astype(np.int32)), pairs, type=HEADERS, mask=absent)


def _headers(messages: Sequence[Any]) -> list[Headers]:
    try:
        return list(map(type(messages[0]).headers, messages)) if messages else []
    except UnicodeDecodeError:
        return list(map(_headers_of, messages))


def _headers_of(message: Any) -> Headers:
    try:
        found: Headers = message.headers()
    except UnicodeDecodeError:  # a header's name is UTF-8 by Kafka's protocol; this client cannot hand out another, and the record matters more
        return None
    return found
