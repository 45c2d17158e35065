"""Open partial windows of one ingest process, between two transactions: the stage's entry.

In: Normalized rows, record batch by record batch. Out: messages of kind `partials`, a few hundred series' counts instead of 100,000 spans.
Never: a clock; a row measured at a time that its Kafka timestamp does not bear out; a message larger than a broker takes.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from traceback import extract_tb

import numpy as np
import orjson
import pyarrow as pa
import structlog

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.records import Normalized, Partition, Records
from tracebraid.pipeline.measure.reduce import Partials, Rows, reduce_rows
from tracebraid.pipeline.measure.rows import Compiled, Ints, Selection, Taken, select, take, with_derived
from tracebraid.pipeline.measure.series import Series
from tracebraid.schemas.table import INT64, STRING
from tracebraid.schemas.windows import KIND_HEADER, PARTIALS, SOURCE_HEADER, VERSION, VERSION_HEADER

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Piece:
    """A message's value, and where it goes: bytes of PARTIALS of one source partition for one partition of the windows topic."""

    shard: int
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class _Open:
    """What one measure took since the last flush: for each batch its source, its series' numbers, its rows."""

    measure: Compiled
    series: Series
    taken: list[tuple[Partition, Ints, Taken]] = field(default_factory=list)


class OpenWindows:
    """`add` rows, take `pieces` into a transaction, `settle` once it is committed; after an aborted one the rows are read, and added, again."""

    def __init__(self, measures: Sequence[Compiled]) -> None:
        self._open: dict[int, _Open] = {}
        self._covered: dict[Partition, tuple[int, int]] = {}
        self.overflowed = 0  # rows that went to an overflow series since the start
        self.cut = 0  # observations beyond the bound, likewise
        self.failed = 0  # rows that a measure failed on, likewise
        self._told = set[str]()
        self.set_measures(measures)

    def set_measures(self, measures: Sequence[Compiled]) -> None:
        """From the next row on. A measure that stays keeps its series."""
        self._open = {each.id: self._open.get(each.id) or _Open(each, Series(each.by, each.max_series)) for each in measures}

    def add(self, records: Records, normalized: Normalized) -> None:
        first, _ = self._covered.get(records.partition, (records.first_offset, 0))
        self._covered[records.partition] = first, records.next_offset
        for signal, batch in (("spans", normalized.spans), ("logs", normalized.logs)):
            mine = [each for each in self._open.values() if each.measure.signal == signal]
            if batch.num_rows and mine:
                self._add(records.partition, mine, batch)

    def _add(self, partition: Partition, mine: "list[_Open]", batch: pa.RecordBatch) -> None:
        """What a measure fails on, it leaves out, and no other one does: found by itself, then by halving the batch. The rows are in the lake; to end here
        would be to end at each start."""
        left, tried = [(mine, batch)], 0
        while left:
            measures, rows = left.pop()
            try:
                taken = _taken(measures, rows)
            except MemoryError:
                raise
            except Exception as error:
                tried += 1
                if len(measures) > 1:
                    left += [([each], rows) for each in reversed(measures)]
                elif rows.num_rows > 1 and tried < limits.halves_max:
                    left += [(measures, rows.slice(rows.num_rows // 2)), (measures, rows.slice(0, rows.num_rows // 2))]
                else:
                    self._fail(rows.num_rows, error)
                continue
            for each, selection, one in taken:
                place, tuples = selection.labels
                numbers = each.series.numbers(tuples, int(selection.time_us.max()))[place]
                self.overflowed += int((numbers == 0).sum())
                each.taken.append((partition, numbers, one))

    def _fail(self, rows: int, error: Exception) -> None:
        self.failed += rows
        frame = extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} at {frame.filename}:{frame.lineno}"  # what it says may repeat the row
        if kind not in self._told:
            self._told.add(kind)
            log.error("a measure left rows out by a fault of tracebraid's; please report it", why=kind, rows=rows)

    def forget(self, partition: Partition) -> None:
        """Its next owner reads these rows again."""
        self._covered.pop(partition, None)
        for each in self._open.values():
            each.taken = [one for one in each.taken if one[0] != partition]

    def pieces(self, shards: int) -> list[Piece]:
        """All that is open, as messages for `shards` partitions. Nothing is forgotten before settle()."""
        sources = sorted(self._covered)
        batches = [batch for each in self._open.values() if each.taken and (batch := self._sound(each, sources, shards))]
        if not batches:
            return []
        order = np.lexsort((np.concatenate([shard for _, shard, _ in batches]), np.concatenate([source for source, _, _ in batches])))
        source = np.concatenate([source for source, _, _ in batches])[order]
        shard = np.concatenate([shard for _, shard, _ in batches])[order]
        table = pa.Table.from_batches([batch for _, _, batch in batches]).take(pa.array(order)).combine_chunks().to_batches()[0]
        edges = [0, *(np.flatnonzero((source[1:] != source[:-1]) | (shard[1:] != shard[:-1])) + 1).tolist(), len(order)]
        found = []
        for start, end in itertools.pairwise(edges):
            partition = sources[source[start]]
            values = enumerate(_values(table.slice(start, end - start)))
            found += [Piece(int(shard[start]), value, self._headers(partition, part)) for part, value in values]
        return found

    def _headers(self, partition: Partition, part: int) -> tuple[tuple[str, bytes], ...]:
        first, behind = self._covered[partition]
        place = {"cluster": partition.cluster, "topic": partition.topic, "topic_id": partition.topic_id, "partition": partition.number}
        source = orjson.dumps({**place, "first_offset": first, "next_offset": behind, "part": part})
        return (KIND_HEADER, b"partials"), (VERSION_HEADER, str(VERSION).encode()), (SOURCE_HEADER, source)

    def _sound(self, each: _Open, sources: Sequence[Partition], shards: int) -> tuple[Ints, Ints, pa.RecordBatch] | None:
        """None where the measure fails on what it took: that is left out of its windows, not of the others'."""
        try:
            return self._partials(each, sources, shards)
        except MemoryError:
            raise
        except Exception as error:
            self._fail(sum(len(numbers) for _, numbers, _ in each.taken), error)
            each.taken = []
            return None

    def _partials(self, each: _Open, sources: Sequence[Partition], shards: int) -> tuple[Ints, Ints, pa.RecordBatch]:
        """(source, shard, PARTIALS), an entry a partial window of this measure."""
        partials = reduce_rows(_rows(each, {partition: number for number, partition in enumerate(sources)}))
        self.cut += partials.cut
        hashes = each.series.hashes()[partials.series]
        shard = (each.series.places()[partials.series] % np.uint64(shards)).astype(np.int64)
        return partials.source, shard, _batch(each, partials, hashes)

    def settle(self) -> None:
        """What was open is published."""
        self._covered = {}
        for each in self._open.values():
            each.taken = []
            each.series.make_room()


def _taken(measures: Sequence[_Open], batch: pa.RecordBatch) -> list[tuple[_Open, Selection, Taken]]:
    """What each takes of the batch; nothing is changed, and measures of one group share their selection."""
    rows, selections = with_derived(measures[0].measure.signal, batch), dict[tuple[str, tuple[str, ...], str, int], Selection | None]()
    found = []
    for each in measures:
        if each.measure.group not in selections:
            selections[each.measure.group] = select(each.measure, rows)
        selection = selections[each.measure.group]
        if selection is not None:
            found.append((each, selection, take(each.measure, selection)))
    return found


def _rows(each: _Open, numbers: dict[Partition, int]) -> Rows:
    taken = [one for _, _, one in each.taken]
    time_us = np.concatenate([one.time_us for one in taken])
    observed = [one.observed for one in taken if one.observed is not None]
    return Rows(
        source=np.concatenate([np.full(len(series), numbers[partition]) for partition, series, _ in each.taken]),
        series=np.concatenate([series for _, series, _ in each.taken]),
        pane_us=time_us - time_us % each.measure.pane_us,
        time_us=time_us,
        flags=np.concatenate([one.flags for one in taken]),
        values=np.concatenate([one.values for one in taken]),
        trace_ids=pa.chunked_array([one.trace_ids for one in taken], STRING),
        observed=np.concatenate(observed) if observed else None,
        offset=np.concatenate([one.offset for one in taken]),
        index=np.concatenate([one.index for one in taken]),
    )


def _batch(each: _Open, partials: Partials, hashes: "np.ndarray[tuple[int], np.dtype[np.uint64]]") -> pa.RecordBatch:
    used, place = np.unique(partials.series, return_inverse=True)
    labels = pa.array([each.series.labels[number] for number in used.tolist()], pa.list_(STRING)).take(pa.array(place.reshape(-1)))
    count = len(hashes)
    measure = pa.array(np.full(count, each.measure.id, np.uint64))
    arrays = [measure, pa.array(hashes), labels, pa.array(partials.pane_us, INT64)]
    arrays += [partials.counts, partials.columns, partials.exemplars, partials.observations]
    return pa.record_batch([array.cast(kind) for array, kind in zip(arrays, PARTIALS.types, strict=True)], schema=PARTIALS)


def _values(batch: pa.RecordBatch) -> Iterator[bytes]:
    """The batch in as few messages as a broker's default size allows; a single row is one, whatever its size."""
    value = batch.serialize().to_pybytes()
    if len(value) <= limits.partials_bytes_max or batch.num_rows == 1:
        yield value
        return
    half = batch.num_rows // 2
    yield from _values(batch.slice(0, half))
    yield from _values(batch.slice(half))
