"""Positions of rows, packed: 100 million of them in some ten or hundred megabytes.

In: batches of position columns. Out: per partition, blocks of sorted positions; and these again in windows of ascending offsets. Never: a
Python object a row.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.verify.report import Key, Longs

IDENTITY = ("kafka_cluster", "kafka_topic_id", "kafka_partition")
COLUMNS = (*IDENTITY, "kafka_offset", "record_index", "kafka_time")
BLOCK_ROWS = 16 * 1024
WINDOW_ROWS = 1024 * 1024
_CODEC = pa.Codec("zstd")


@dataclass(frozen=True, slots=True)
class Rows:
    """Positions in ascending order, with the Kafka time in microseconds and the file (an index into a list of files) of each."""

    offsets: Longs
    indexes: Longs
    times_us: Longs
    files: Longs

    def __len__(self) -> int:
        return len(self.offsets)

    def pick(self, chosen: Longs | slice) -> "Rows":
        return Rows(self.offsets[chosen], self.indexes[chosen], self.times_us[chosen], self.files[chosen])


@dataclass(frozen=True, slots=True)
class Block:
    """Up to BLOCK_ROWS sorted positions of one partition in one file, as compressed differences."""

    first: int
    last: int
    rows: int
    file: int
    packed: tuple[bytes, bytes, bytes]

    @classmethod
    def of(cls, offsets: Longs, indexes: Longs, times_us: Longs, file: int) -> "Block":
        """`offsets`: ascending."""
        packed = _pack(offsets), _pack(indexes), _pack(times_us)
        return cls(int(offsets[0]), int(offsets[-1]), len(offsets), file, packed)

    def unpack(self) -> Rows:
        offsets, indexes, times_us = (_unpack(data, self.rows) for data in self.packed)
        return Rows(offsets, indexes, times_us, np.full(self.rows, self.file, dtype=np.int64))


def _pack(values: Longs) -> bytes:
    """Byte by byte of the differences, all lowest bytes first: most of the others are alike."""
    differences = np.diff(values, prepend=np.int64(0))
    planes = np.ascontiguousarray(differences.view(np.uint8).reshape(-1, 8).T)
    packed: bytes = _CODEC.compress(planes, asbytes=True)  # an Arrow buffer would keep the room that the worst case needs
    return packed


def _unpack(data: bytes, rows: int) -> Longs:
    planes = np.frombuffer(_CODEC.decompress(data, rows * 8), dtype=np.uint8).reshape(8, rows)
    return np.cumsum(np.ascontiguousarray(planes.T).reshape(-1).view(np.int64))


def pack_batches(batches: Iterable[pa.RecordBatch], file: int, blocks: defaultdict[Key, list[Block]]) -> tuple[int, int]:
    """Add the positions of one file's batches to `blocks`. Returns the number of rows, and how many of them have none, since a column is null.

    WINDOW_ROWS at a time: sorted by trace, neighbors in offset lie far apart in a file, and apart they do not pack well.
    """
    rows = nulls = 0
    pending: list[pa.RecordBatch] = []
    for batch in batches:
        pending.append(batch)
        rows += batch.num_rows
        if sum(each.num_rows for each in pending) >= WINDOW_ROWS:
            nulls += _pack_batch(_joined(pending), file, blocks)
            pending = []
    if pending:
        nulls += _pack_batch(_joined(pending), file, blocks)
    return rows, nulls


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    (batch,) = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks().to_batches() or batches[:1]
    return batch


def _pack_batch(batch: pa.RecordBatch, file: int, blocks: defaultdict[Key, list[Block]]) -> int:
    complete = pc.is_valid(batch.column(0))
    for name in COLUMNS[1:]:
        complete = pc.and_(complete, pc.is_valid(batch.column(name)))
    nulls = int(batch.num_rows - (pc.sum(complete).as_py() or 0))
    if nulls:
        batch = batch.filter(complete)
    if batch.num_rows:
        owners, codes = _owners(batch)
        offsets, indexes = _longs(batch.column("kafka_offset")), _longs(batch.column("record_index"))
        times_us = _longs(batch.column("kafka_time").cast(pa.timestamp("us", "UTC")))
        order = np.lexsort((indexes, offsets, codes))
        edges = np.searchsorted(codes[order], np.arange(len(owners) + 1))
        for place, owner in enumerate(owners):
            for start in range(int(edges[place]), int(edges[place + 1]), BLOCK_ROWS):
                chosen = order[start : min(start + BLOCK_ROWS, int(edges[place + 1]))]
                blocks[owner].append(Block.of(offsets[chosen], indexes[chosen], times_us[chosen], file))
    return nulls


def _owners(batch: pa.RecordBatch) -> tuple[list[Key], Longs]:
    """The partitions in the batch, and the place of each row's among them."""
    encoded = [_encoded(batch.column(name)) for name in IDENTITY]
    sizes = [len(column.dictionary) for column in encoded]
    codes = np.ravel_multi_index(tuple(_longs(column.indices) for column in encoded), sizes)
    present, places = np.unique(codes, return_inverse=True)
    owners = []
    for each in zip(*np.unravel_index(present, sizes), strict=True):
        cluster, topic_id, number = (column.dictionary[int(place)].as_py() for column, place in zip(encoded, each, strict=True))
        owners.append(Key(cluster, topic_id, number))
    return owners, places.astype(np.int64)


def _encoded(column: pa.Array) -> pa.DictionaryArray:
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def _longs(column: pa.Array) -> Longs:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    values: Longs = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return values


class Windows:
    """The rows of one partition in ascending offsets, as many at a time as memory should hold."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = sorted(blocks, key=lambda block: block.first)
        self._next = 0
        self._open: list[Rows] = []  # of blocks that reach beyond what was taken

    def bound(self) -> int | None:
        """Up to where take() may go so that it gives about WINDOW_ROWS; None: to the end."""
        rows = sum(len(each) for each in self._open)
        first = self._blocks[self._next].first if self._next < len(self._blocks) else 0
        for block in self._blocks[self._next :]:
            if rows >= WINDOW_ROWS and block.first > first:
                return block.first
            rows += block.rows
        return None

    def take(self, until: int | None) -> Rows:
        """All rows below offset `until` that were not taken yet, in order; None: all."""
        while self._next < len(self._blocks) and (until is None or self._blocks[self._next].first < until):
            self._open.append(self._blocks[self._next].unpack())
            self._next += 1
        taken, rest = [], []
        for rows in self._open:
            end = len(rows) if until is None else int(np.searchsorted(rows.offsets, until))
            taken.append(rows.pick(slice(0, end)))
            if end < len(rows):
                rest.append(rows.pick(slice(end, None)))
        self._open = rest
        return _merged(taken)


def _merged(parts: Sequence[Rows]) -> Rows:
    if not parts:
        nothing = np.zeros(0, dtype=np.int64)
        return Rows(nothing, nothing, nothing, nothing)
    offsets, indexes, times_us, files = (np.concatenate([getattr(part, name) for part in parts]) for name in ("offsets", "indexes", "times_us", "files"))
    order = np.lexsort((files, indexes, offsets))
    return Rows(offsets[order], indexes[order], times_us[order], files[order])
