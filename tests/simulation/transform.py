"""Stand-ins for decode, normalize and Parquet: they cost little, and two decoders may differ in their verdicts.

In: Records whose values are `<serial> <verdict of decoder 1> <of decoder 2>`, a verdict being a letter a row: s a span, l a log, r a
reject, '-' no row. Out: rows that carry their whole value, so that a row in a wrong place is found; files that are lists of rows.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from tracebraid.pipeline.kernel.records import Decoded, Normalized, Records
from tracebraid.pipeline.store.parquet import Encoded
from tracebraid.schemas.table import HEADERS, Table

ROW = pa.schema([("kafka_offset", pa.int64()), ("record_index", pa.int32()), ("place", pa.string()), ("value", pa.string())])
_TEXTS = ("reason", "message", "encoding", "tenant", "kafka_cluster", "kafka_topic", "kafka_topic_id", "value_sha256")
_FACTS = pa.schema(
    [
        *ROW,
        *((name, pa.string()) for name in _TEXTS),
        ("kafka_partition", pa.int32()),
        ("kafka_time", pa.timestamp("us", "UTC")),
        ("value_bytes", pa.int64()),
        ("record_key", pa.binary()),
        ("record_value", pa.binary()),
        ("record_headers", HEADERS),
    ]
)
_TABLES = {"s": "spans", "l": "logs", "r": "rejects"}
EMPTY = pa.RecordBatch.from_pylist([], schema=ROW)
NO_REJECTS = pa.RecordBatch.from_pylist([], schema=_FACTS)
_TIME = datetime(2023, 11, 14, tzinfo=UTC)
Row = tuple[str, int, int, str]  # place, offset, index, value
LATE_S = 60


def verdict(value: str, decoder: int) -> str:
    """A letter a row, '' for none."""
    return value.split(" ")[decoder].strip("-")


def event_time_us(value: str) -> int:
    """As records were produced, but up to LATE_S late: out of order."""
    serial = int(value.split(" ", maxsplit=1)[0])
    return (serial - serial * 7919 % LATE_S) * 1_000_000


def place_of(topic_id: str, number: int) -> str:
    return f"{topic_id}/{number}"


@dataclass(frozen=True, slots=True)
class Rows:
    """What a virtual file holds; `size` as a Parquet buffer has it."""

    rows: tuple[Any, ...]

    @property
    def size(self) -> int:
        return 100 * len(self.rows)


def stand_ins(decoder_now: Callable[[], int]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """(decode, normalize); `decoder_now`: which decoder the running process has."""

    def decode(records: Records, **_: object) -> Decoded:
        values = records.batch.column("value").to_pylist()
        dropped = sum(not verdict(value.decode(), decoder_now()) for value in values)
        return Decoded(EMPTY, EMPTY, EMPTY, EMPTY, Counter({"empty": dropped}))

    def normalize(records: Records, _: Decoded, *, now_us: int, **__: object) -> Normalized:
        place = place_of(records.partition.topic_id, records.partition.number)
        found: dict[str, list[tuple[int, int, str, str]]] = {"spans": [], "logs": [], "rejects": []}
        times_us = []
        offsets, values = records.batch.column("kafka_offset").to_pylist(), records.batch.column("value").to_pylist()
        for offset, raw in zip(offsets, values, strict=True):
            value = raw.decode()
            times_us.append(event_time_us(value))
            for index, letter in enumerate(verdict(value, decoder_now())):
                found[_TABLES[letter]].append((offset, index, place, value))
        range_us = min(times_us), max(times_us)
        return Normalized(_batch(found["spans"]), _batch(found["logs"]), _rejects(records, found["rejects"]), event_time_us=range_us)

    return decode, normalize


def _batch(rows: Sequence[tuple[int, int, str, str]]) -> pa.RecordBatch:
    if not rows:
        return EMPTY
    return pa.RecordBatch.from_arrays([pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), ROW, strict=True)], schema=ROW)


def _rejects(records: Records, rows: Sequence[tuple[int, int, str, str]]) -> pa.RecordBatch:
    if not rows:
        return NO_REJECTS
    each = records.partition
    texts = ("malformed", "", "json", "", each.cluster, each.topic, each.topic_id, "")
    found = [
        {
            **dict(zip(ROW.names, row, strict=True)),
            **dict(zip(_TEXTS, texts, strict=True)),
            "kafka_partition": each.number,
            "kafka_time": _TIME,
            "value_bytes": len(row[3]),
            "record_value": row[3].encode(),
        }
        for row in rows
    ]
    return pa.RecordBatch.from_pylist(found, schema=_FACTS)


def encode_rows(table: Table, batches: Sequence[pa.RecordBatch]) -> list[Encoded]:
    """In place of Parquet. Rows of odd and even offsets lie in different days, so that a cycle has several files of a table."""
    if table.name == "intervals":
        return [Encoded(date(2023, 11, 14), Rows(tuple(row for batch in batches for row in batch.to_pylist())), 1, "{}")]
    days: dict[int, list[Row]] = {}
    for batch in batches:
        columns = [batch.column(name).to_pylist() for name in ("place", "kafka_offset", "record_index", "value")]
        for row in zip(*columns, strict=True):
            days.setdefault(row[1] % 2, []).append(row)
    return [Encoded(date(2023, 11, 14 + day), Rows(tuple(rows)), len(rows), "{}") for day, rows in sorted(days.items())]
