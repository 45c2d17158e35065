"""Open partial windows of one ingest process, between two transactions: the stage's entry.

In: Normalized rows, record batch by record batch. Out: messages of kind `partials`, a few hundred series' counts instead of 100,000 spans.
Never: a clock; a row measured at a time that its Kafka timestamp does not bear out; a message larger than a broker takes.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from traceback import extract_tb

import numpy as np
import orjson
import pyarrow as pa
import structlog

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.records import Normalized, Partition, Records
from tracebraid.pipeline.measure.columns import Columns, as_one, halves
from tracebraid.pipeline.measure.reduce import Grouped, Partials, group_rows, reduce_rows
from tracebraid.pipeline.measure.rows import Compiled, Ints, Places, Selection, Taken, select, take
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
    """What one measure took since the last flush, piece by piece. Pieces that several measures of a group took are one and the same Places."""

    measure: Compiled
    series: Series
    taken: list[tuple[Places, Taken]] = field(default_factory=list)


@dataclass(slots=True)
class _Waiting:
    """Batches of one signal that came and are not measured yet, each with the number of its source."""

    batches: list[tuple[int, pa.RecordBatch]] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0  # of the records that they were made of, into which their texts may point


class OpenWindows:
    """`add` rows, take `pieces` into a transaction, `settle` once it is committed; after an aborted one the rows are read, and added, again.

    Rows are not measured as they come but when enough have, or at the flush: what a measure costs beside its rows is some milliseconds, and a poll of many
    partitions gives each a few thousand rows. A row's place, values and series are the same whenever that is."""

    def __init__(self, measures: Sequence[Compiled]) -> None:
        self._open: dict[int, _Open] = {}
        self._covered: dict[Partition, tuple[int, int]] = {}
        self._sources: dict[Partition, int] = {}  # numbers, none of them given twice between two flushes
        self._given = itertools.count()
        self._waiting = {"spans": _Waiting(), "logs": _Waiting()}
        self.overflowed = 0  # rows that went to an overflow series since the start
        self.cut = 0  # observations beyond the bound, likewise
        self.failed = 0  # rows that a measure failed on, likewise
        self._told = set[str]()
        self.set_measures(measures)

    def set_measures(self, measures: Sequence[Compiled]) -> None:
        """From the next row on. A measure that stays keeps its series; those that have the same rows, labels and bound share them."""
        self._measure_all()
        shared = {_series_key(each.measure): each.series for each in self._open.values()}
        for each in measures:
            shared.setdefault(_series_key(each), Series(each.by, each.max_series))
        self._open = {each.id: self._open.get(each.id) or _Open(each, shared[_series_key(each)]) for each in measures}

    def add(self, records: Records, normalized: Normalized) -> None:
        first, _ = self._covered.get(records.partition, (records.first_offset, 0))
        self._covered[records.partition] = first, records.next_offset
        for signal, batch in (("spans", normalized.spans), ("logs", normalized.logs)):
            if not batch.num_rows or not any(each.measure.signal == signal for each in self._open.values()):
                continue
            if records.partition not in self._sources:
                self._sources[records.partition] = next(self._given)
            waiting = self._waiting[signal]
            waiting.batches.append((self._sources[records.partition], batch))
            waiting.rows, waiting.bytes = waiting.rows + batch.num_rows, waiting.bytes + records.batch.nbytes
            if waiting.rows >= limits.measured_rows_min or waiting.bytes >= limits.poll_bytes_max:
                self._measure(signal)

    def _measure_all(self) -> None:
        for signal in self._waiting:
            self._measure(signal)

    def _measure(self, signal: str) -> None:
        """What waits of one signal. What a measure fails on, it leaves out, and no other one does: found by itself, then by halving the rows. They are in the
        lake; to end here would be to end at each start."""
        waiting, mine = self._waiting[signal], [each for each in self._open.values() if each.measure.signal == signal]
        self._waiting[signal] = _Waiting()
        if not waiting.batches or not mine:
            return
        left, tried = [(mine, waiting.batches)], 0
        while left:
            measures, batches = left.pop()
            try:
                taken = _taken(measures, as_one(signal, batches))
            except MemoryError:
                raise
            except Exception as error:
                tried, rows = tried + 1, sum(batch.num_rows for _, batch in batches)
                if len(measures) > 1:
                    left += [([each], batches) for each in reversed(measures)]
                elif rows > 1 and tried < limits.halves_max:
                    left += [(measures, half) for half in reversed(halves(batches))]
                else:
                    self._fail(rows, error)
                continue
            self._keep(taken)

    def _keep(self, taken: "list[tuple[_Open, Selection, Taken]]") -> None:
        found: dict[tuple[int, int], Places] = {}
        for each, selection, one in taken:
            key = id(selection), id(each.series)
            if key not in found:
                place, tuples = selection.labels
                numbers = each.series.numbers(tuples, int(selection.places.time_us.max()))
                found[key] = replace(selection.places, series=numbers[place])
            self.overflowed += int((found[key].series == 0).sum())
            each.taken.append((found[key], one))

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
        number = self._sources.pop(partition, None)
        if number is None:
            return
        for waiting in self._waiting.values():
            waiting.batches = [one for one in waiting.batches if one[0] != number]
        without: dict[int, Places | None] = {id(place): place.without(number) for each in self._open.values() for place, _ in each.taken}
        for each in self._open.values():
            each.taken = [
                (kept, one if kept is place else one.at(place.source != number)) for place, one in each.taken if (kept := without[id(place)]) is not None
            ]

    def pieces(self, shards: int) -> list[Piece]:
        """All that is open, as messages for `shards` partitions. Nothing is forgotten before settle()."""
        self._measure_all()
        sources = sorted(self._sources)
        grouped: dict[tuple[int, ...], Grouped] = {}
        batches = [batch for each in self._open.values() if each.taken and (batch := self._sound(each, grouped, shards))]
        if not batches:
            return []
        distinct = np.unique(np.concatenate([ways for ways, _ in batches]))
        starts, ends = ([np.searchsorted(ways, distinct, side).tolist() for ways, _ in batches] for side in ("left", "right"))
        found = []
        for number, way in enumerate(distinct.tolist()):
            spans = [(batch, start[number], end[number]) for (_, batch), start, end in zip(batches, starts, ends, strict=True)]
            rows = pa.concat_batches([batch.slice(start, end - start) for batch, start, end in spans if start < end])
            partition, shard = sources[way // shards], way % shards
            found += [Piece(shard, value, self._headers(partition, part)) for part, value in enumerate(_values(rows))]
        return found

    def _headers(self, partition: Partition, part: int) -> tuple[tuple[str, bytes], ...]:
        first, behind = self._covered[partition]
        place = {"cluster": partition.cluster, "topic": partition.topic, "topic_id": partition.topic_id, "partition": partition.number}
        source = orjson.dumps({**place, "first_offset": first, "next_offset": behind, "part": part})
        return (KIND_HEADER, b"partials"), (VERSION_HEADER, str(VERSION).encode()), (SOURCE_HEADER, source)

    def _sound(self, each: _Open, grouped: "dict[tuple[int, ...], Grouped]", shards: int) -> tuple[Ints, pa.RecordBatch] | None:
        """None where the measure fails on what it took: that is left out of its windows, not of the others'."""
        try:
            return self._partials(each, grouped, shards)
        except MemoryError:
            raise
        except Exception as error:
            self._fail(sum(len(place.source) for place, _ in each.taken), error)
            each.taken = []
            return None

    def _partials(self, each: _Open, grouped: "dict[tuple[int, ...], Grouped]", shards: int) -> tuple[Ints, pa.RecordBatch]:
        """(where it goes, PARTIALS), an entry a partial window of this measure, in the order of where: place of the source x shards + shard. grouped: by the
        pieces of which it is."""
        key = tuple(id(place) for place, _ in each.taken)
        if key not in grouped:
            sources = np.zeros(1 + max(self._sources.values()), np.int64)
            sources[[self._sources[partition] for partition in sorted(self._sources)]] = np.arange(len(self._sources))
            shard = (each.series.places() % np.uint64(shards)).astype(np.int64)
            grouped[key] = group_rows([place for place, _ in each.taken], each.measure.pane_us, sources, shard)
        groups = grouped[key]
        partials = reduce_rows(groups, [one for _, one in each.taken])
        self.cut += partials.cut
        return groups.source * shards + groups.shard, _batch(each, groups, partials)

    def settle(self) -> None:
        """What was open is published."""
        self._covered, self._sources, self._given = {}, {}, itertools.count()
        self._waiting = {signal: _Waiting() for signal in self._waiting}
        for each in self._open.values():
            each.taken = []
        for series in {id(each.series): each.series for each in self._open.values()}.values():
            series.make_room()


def _series_key(measure: Compiled) -> tuple[object, ...]:
    return (*measure.group, measure.max_series)


def _taken(measures: Sequence[_Open], rows: Columns) -> list[tuple[_Open, Selection, Taken]]:
    """What each takes of the rows; nothing is changed, and measures of one group share their selection."""
    selections = dict[tuple[str, tuple[str, ...], str, int], Selection | None]()
    found = []
    for each in measures:
        if each.measure.group not in selections:
            selections[each.measure.group] = select(each.measure, rows)
        selection = selections[each.measure.group]
        if selection is not None:
            found.append((each, selection, take(each.measure, selection.rows)))
    return found


def _batch(each: _Open, groups: Grouped, partials: Partials) -> pa.RecordBatch:
    used, place = np.unique(groups.series, return_inverse=True)
    labels = pa.array([each.series.labels[number] for number in used.tolist()], pa.list_(STRING)).take(pa.array(place.reshape(-1)))
    hashes = each.series.hashes()[groups.series]
    count = len(hashes)
    measure = pa.array(np.full(count, each.measure.id, np.uint64))
    arrays = [measure, pa.array(hashes), labels, pa.array(groups.pane_us, INT64)]
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
