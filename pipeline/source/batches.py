"""Kafka messages of one partition as one Arrow batch.

In: messages in the order they came, a call's at a time. Out: a RecordBatch of schemas.records.RECORDS with rising offsets. Never: a call to Kafka.

A pass over the messages for each column, by map() over the method of their type: no bytecode runs for a message, which halves what small records cost.
What a call of consume() gave is taken apart before the next one: its messages are in the cache still, and the next ones are made where they lay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.schemas.records import RECORDS
from tracebraid.schemas.table import BINARY, HEADERS, INT64, STRING

TIMESTAMP_NOT_AVAILABLE = 0  # confluent_kafka's, of messages in the oldest format
Headers = Sequence[tuple[str, bytes | None]] | None
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Messages of one partition without their objects. `keys`, `headers`: None where none has any; `sizes`: bytes of each value, 0 of none."""

    place: tuple[str, int]
    offsets: Int64s
    times_ms: Int64s
    keys: list[bytes | None] | None
    values: list[bytes | None]
    sizes: Int64s
    headers: list[Headers] | None


def taken_apart(messages: Sequence[Any], now_ms: int) -> tuple[list[Any], int]:
    """`messages`: confluent_kafka.Message, as one call gave them. Out: Columns of each partition's, and errors as they are, each behind what came of its
    partition before it; and how many messages these were. `now_ms` stands in for the time of a message that has none.

    Most calls give one partition's, without an error. Keep no hold on `messages`: they are to be gone when this returns."""
    if not messages:
        return [], 0
    kind: Any = type(messages[0])
    if not any(map(kind.error, messages)) and len(set(map(kind.topic, messages))) == len(set(map(kind.partition, messages))) == 1:
        return [columns_of((messages[0].topic(), messages[0].partition()), messages, now_ms)], len(messages)
    found, groups = list[Any](), dict[tuple[str, int], list[Any]]()
    for message in messages:
        if message.error() is None:
            groups.setdefault((message.topic(), message.partition()), []).append(message)
        else:
            found += [*(columns_of(place, each, now_ms) for place, each in groups.items()), message]
            groups.clear()
    return [*found, *(columns_of(place, each, now_ms) for place, each in groups.items())], len(messages)


def is_end(message: Any) -> bool:
    """Whether it says that its partition's end was met, which is no error."""
    end: bool = message.error().name() == "_PARTITION_EOF"
    return end


def columns_of(place: tuple[str, int], messages: Sequence[Any], now_ms: int) -> Columns:
    """Of messages of one partition, at least one, none of them an error."""
    kind, count = type(messages[0]), len(messages)
    keys, values, headers = list(map(kind.key, messages)), list(map(kind.value, messages)), _headers(messages)
    try:
        sizes = np.fromiter(map(len, values), np.int64, count)
    except TypeError:  # some have none
        sizes = np.array([len(value or b"") for value in values], np.int64)
    return Columns(
        place,
        np.fromiter(map(kind.offset, messages), np.int64, count),
        _times_ms(list(map(kind.timestamp, messages)), now_ms),
        None if keys.count(None) == count else keys,
        values,
        sizes,
        headers if any(headers) else None,
    )


def _times_ms(stamps: list[tuple[int, int]], now_ms: int) -> Int64s:
    """`stamps`: what kind of time it is, and the time; a positive one is one."""
    times = np.fromiter(map(itemgetter(1), stamps), np.int64, len(stamps))
    if times.min() <= 0:
        times[np.fromiter(map(itemgetter(0), stamps), np.int64, len(stamps)) == TIMESTAMP_NOT_AVAILABLE] = now_ms
    return times


def to_batch(parts: Sequence[Columns], next_offset: int) -> pa.RecordBatch:
    """`parts`: of one partition. Records below `next_offset`, or below one before them, are left out."""
    offsets = np.concatenate([part.offsets for part in parts])
    batch = pa.record_batch(
        [
            pa.array(offsets, INT64),
            pa.array(np.concatenate([part.times_ms for part in parts]), INT64),
            pa.nulls(len(offsets), BINARY) if all(part.keys is None for part in parts) else pa.array(_joined([part.keys for part in parts], parts), BINARY),
            _binary(parts),
            pa.nulls(len(offsets), HEADERS) if all(part.headers is None for part in parts) else header_array(_joined([part.headers for part in parts], parts)),
        ],
        schema=RECORDS,
    )
    before = np.maximum.accumulate(np.concatenate(([next_offset - 1], offsets[:-1])))
    fresh = offsets > before
    return batch if fresh.all() else batch.filter(pa.array(fresh))


def _joined(columns: Sequence[list[Any] | None], parts: Sequence[Columns]) -> list[Any]:
    """A column of all parts, of which some may have none of it."""
    return list(chain.from_iterable([None] * len(part.offsets) if column is None else column for column, part in zip(columns, parts, strict=True)))


def _binary(parts: Sequence[Columns]) -> pa.BinaryArray:
    """The values end to end, in one copy: pa.array makes room as it goes, and copies what it has each time."""
    values, sizes = list(chain.from_iterable(part.values for part in parts)), np.concatenate([part.sizes for part in parts])
    ends = np.zeros(len(values) + 1, np.int32)
    np.cumsum(sizes, out=ends[1:])
    valid, absent = None, 0
    if not sizes.all():  # an empty value, or none
        there = np.fromiter((value is not None for value in values), np.bool_, len(values))
        valid, absent = pa.py_buffer(np.packbits(there, bitorder="little")), len(values) - int(there.sum())
    data = b"".join(values if not absent else [value or b"" for value in values])  # type: ignore[arg-type]
    return pa.Array.from_buffers(BINARY, len(values), [valid if absent else None, pa.py_buffer(ends), pa.py_buffer(data)], absent)


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
