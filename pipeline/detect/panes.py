"""What is held of one measure: panes of counts and columns in arrays over the series' rows, and histograms as sorted numbers.

In: Flat partial windows. Out: sums, extremes and quantiles of windows, an element a row. Never: a Python loop over series; a pane that is closed opened again.
A window longer than `hourly_from_us` is summed from hours, the last of them from panes: its start is rounded down to the hour.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.detect.axis import NEVER, Axis, Bools, Floats, Ints, fitted
from tracebraid.pipeline.detect.histograms import ROW_SHIFT, Packed, merged, pack
from tracebraid.pipeline.detect.partials import Flat, ragged
from tracebraid.pipeline.kernel.limits import exemplars_max

HOUR_US = 3_600_000_000
HOURLY_FROM_US = 6 * HOUR_US
Field = tuple[str, int]  # ('count', index in PARTIALS.counts) or ('n' | 'sum' | 'min' | 'max' | 'last' | 'last_us', column)
_START = {"count": 0, "n": 0, "sum": 0.0, "min": np.inf, "max": -np.inf, "last": 0.0, "last_us": NEVER}
_TYPES = {"count": np.int32, "n": np.int32, "last_us": np.int64}
FOREVER_US = int(np.iinfo(np.int64).max)
_COUNT_MAX = np.iinfo(np.int32).max


@dataclass(slots=True)
class Exemplars:
    """An entry an exemplar: the slowest and the failing of each row."""

    row: Ints
    trace_id: npt.NDArray[np.bytes_]  # S32: the hexadecimal characters
    value: Floats
    failing: Bools

    def best(self) -> "Exemplars":
        """The slowest few and the slowest failing few of each row; equal ones by trace id, so that the order in which they came is no matter."""
        order = np.lexsort((self.trace_id, -self.value, self.row)) if len(self.row) else np.empty(0, np.int64)
        keep = np.zeros(len(order), bool)
        for chosen in (order, order[self.failing[order]]):
            keep[chosen[np.arange(len(chosen)) - np.searchsorted(self.row[chosen], self.row[chosen]) < exemplars_max]] = True
        return self.take(order[keep[order]])

    def take(self, at: Ints | Bools) -> "Exemplars":
        return Exemplars(self.row[at], self.trace_id[at], self.value[at], self.failing[at])


def joined(parts: list[Exemplars]) -> Exemplars:
    if not parts:
        return Exemplars(np.empty(0, np.int64), np.empty(0, "S32"), np.empty(0), np.empty(0, bool))
    columns = zip(*((each.row, each.trace_id, each.value, each.failing) for each in parts), strict=True)
    return Exemplars(*(np.concatenate(each) for each in columns))


@dataclass(slots=True)
class Pane:
    """fields: dense, an element a row. histograms: column → shard → packed entries. observations: (row, time, partition, offset, index, true) columns."""

    fields: dict[Field, npt.NDArray[Any]] = field(default_factory=dict)
    histograms: dict[int, dict[int, list[Packed]]] = field(default_factory=dict)
    exemplars: list[Exemplars] = field(default_factory=list)
    observations: list[Ints] = field(default_factory=list)
    shards: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Wanted:
    """What the rules ask of a measure. span_us: how long panes are kept, hours_us: hours, exemplars_us: exemplars and observations.

    whole_us: how long histograms are kept whole; sparse: panes of a window → min_count, the largest: older ones are kept for series below it, see trim().
    """

    fields: set[Field] = field(default_factory=lambda: {("count", 0)})
    histograms: set[int] = field(default_factory=set)
    observations: bool = False
    span_us: int = 0
    hours_us: int = 0
    exemplars_us: int = 0
    whole_us: int = 0
    sparse: dict[int, int] = field(default_factory=dict)


class Store:
    """One measure at one lateness. trimmed_us: by shard, the last pane whose histograms were cut down."""

    def __init__(self, axis: Axis, pane_us: int, lateness_us: int, shards: int) -> None:
        self.axis, self.pane_us, self.lateness_us = axis, pane_us, lateness_us
        self.wanted = Wanted()
        self.panes: dict[int, Pane] = {}
        self.hours: dict[int, Pane] = {}
        self.trimmed_us = np.zeros(shards, np.int64)
        self.late = np.zeros(shards, np.int64)  # partial windows that came after their pane was closed
        self.touched: Bools = np.zeros(0, bool)  # rows with new data, until a rule that may fire early has looked at them

    def add(self, flat: Flat, at: Ints) -> None:
        """Entries `at` of `flat`, all of this measure; those of another shape than the measure's say nothing."""
        at = at[self._fits(flat, at)]
        closed = flat.pane_us[at] + self.pane_us + self.lateness_us <= flat.watermark_us[at]
        np.add.at(self.late, flat.shard[at[closed]], 1)
        if not (at := at[~closed]).size:
            return
        rows = self.axis.rows(flat.series[at], flat.shard[at], lambda new: [tuple(each) for each in flat.labels.take(pa.array(at[new])).to_pylist()])
        pane_us = flat.pane_us[at]
        np.maximum.at(self.axis.seen_us, rows, pane_us + self.pane_us)
        self.touched = fitted(self.touched, self.axis.capacity, False)
        self.touched[rows] = True
        for start in np.unique(pane_us).tolist():
            here = pane_us == start
            self._fill(self.panes.setdefault(start, Pane()), flat, at[here], rows[here])
            if self.wanted.hours_us:
                self._fill(self.hours.setdefault(start - start % HOUR_US, Pane()), flat, at[here], rows[here], hour=True)

    def _fits(self, flat: Flat, at: Ints) -> Bools:
        counts = 1 + max(index for name, index in self.wanted.fields if name == "count")
        columns = 1 + max([*(index for name, index in self.wanted.fields if name != "count"), *self.wanted.histograms], default=-1)
        labels = flat.labels.value_lengths().to_numpy()[at] == len(self.axis.by)
        panes = flat.pane_us[at] % self.pane_us == 0
        found: Bools = labels & panes & (np.diff(flat.counts_at)[at] >= counts) & (np.diff(flat.columns_at)[at] >= columns)
        return found

    def _fill(self, pane: Pane, flat: Flat, at: Ints, rows: Ints, hour: bool = False) -> None:
        pane.shards.update(np.unique(flat.shard[at]).tolist())
        for name, index in sorted(self.wanted.fields):
            if name == "count":
                np.add.at(self.field(pane, (name, index)), rows, np.minimum(flat.counts[flat.counts_at[at] + index], _COUNT_MAX).astype(np.int32))
            elif name != "last_us":
                self._fill_column(pane, (name, index), flat, flat.columns_at[at] + index, rows)
        for column in self.wanted.histograms:
            owner, codes = ragged_entries(flat, flat.columns_at[at] + column)
            shard = flat.shard[at][owner]
            chunks = pane.histograms.setdefault(column, {})
            for each in np.unique(shard).tolist():
                mine = shard == each
                parts = chunks.setdefault(each, [])
                parts.append(pack(rows[owner[mine]], codes[0][mine], codes[1][mine]))
                if len(parts) > 16:
                    chunks[each] = [merged(parts)]
        if not hour:
            self._fill_lists(pane, flat, at, rows)

    def _fill_column(self, pane: Pane, key: Field, flat: Flat, entries: Ints, rows: Ints) -> None:
        name, column = key
        some = flat.numbers["n"][entries] > 0
        entries, rows = entries[some], rows[some]
        values, array = flat.numbers[name][entries], self.field(pane, key)
        if name == "n":
            np.add.at(array, rows, values.astype(np.int32))
        elif name == "sum":
            np.add.at(array, rows, values)
        elif name in ("min", "max"):
            (np.minimum if name == "min" else np.maximum).at(array, rows, values)
        else:  # of equal times the greater value, so that the order in which they came is no matter
            times, held = flat.numbers["last_us"][entries], self.field(pane, ("last_us", column))
            order = np.lexsort((values, times))
            rows, values, times = rows[order], values[order], times[order]
            last = np.zeros(len(rows), bool)
            last[len(rows) - 1 - np.unique(rows[::-1], return_index=True)[1]] = True
            newer = last & ((times > held[rows]) | ((times == held[rows]) & (values > array[rows])))
            array[rows[newer]], held[rows[newer]] = values[newer], times[newer]

    def _fill_lists(self, pane: Pane, flat: Flat, at: Ints, rows: Ints) -> None:
        places, owner = ragged(flat.exemplars_at, at)
        if places.size:
            trace_ids = flat.trace_id.take(pa.array(places)).to_numpy(zero_copy_only=False).astype("S32")
            pane.exemplars.append(Exemplars(rows[owner], trace_ids, flat.exemplar_value[places], flat.failing[places]))
            if len(pane.exemplars) > 16:
                pane.exemplars = [joined(pane.exemplars).best()]
        if self.wanted.observations:
            places, owner = ragged(flat.observations_at, at)
            observed = flat.observed
            columns = (
                rows[owner],
                observed["time_us"][places],
                flat.partition[at][owner],
                observed["offset"][places],
                observed["index"][places],
                observed["true"][places],
            )
            pane.observations.append(np.stack(columns))

    def field(self, pane: Pane, key: Field) -> npt.NDArray[Any]:
        """The array of a field, to be written to."""
        held = pane.fields.get(key)
        if held is None or len(held) < self.axis.capacity:
            start = _START[key[0]]
            held = np.full(self.axis.capacity, start, _TYPES.get(key[0], np.float64)) if held is None else fitted(held, self.axis.capacity, start)
            pane.fields[key] = held
        return held

    # Windows

    def window(self, end_us: int, window_us: int) -> Iterator[Pane]:
        """The panes and hours of a window that exist, the latest first."""
        start_us = end_us - window_us
        if window_us > HOURLY_FROM_US:
            edge = end_us - end_us % HOUR_US
            for hour in range(edge - HOUR_US, start_us - start_us % HOUR_US - 1, -HOUR_US):
                if hour in self.hours:
                    yield self.hours[hour]
            start_us = edge
        for start in range(end_us - self.pane_us, start_us - 1, -self.pane_us):
            if start in self.panes:
                yield self.panes[start]

    def values(self, pane: Pane, key: Field, rows: Ints) -> npt.NDArray[Any]:
        """A field at `rows`, what it starts from where the pane holds nothing."""
        held = pane.fields.get(key)
        if held is None:
            return np.full(len(rows), _START[key[0]], _TYPES.get(key[0], np.float64))
        return fitted(held, self.axis.capacity, _START[key[0]])[rows]

    def counts(self, end_us: int, window_us: int, index: int, rows: Ints) -> Ints:
        """int64: sums of counts[index]."""
        total = np.zeros(len(rows), np.int64)
        for pane in self.window(end_us, window_us):
            total += self.values(pane, ("count", index), rows)
        return total

    def entries(self, panes: Mapping[int, Bools | None], column: int, shards: Ints) -> Packed:
        """Packed histogram entries, sorted, of panes by start; where a mask over all rows stands, only of these."""
        found: list[Packed] = []
        for start, mask in panes.items():
            pane = self.panes.get(start)
            for shard in shards.tolist() if pane else ():
                parts = pane.histograms.get(column, {}).get(shard, []) if pane else []
                found += parts if mask is None else [each[mask[each >> ROW_SHIFT]] for each in parts]
        return np.sort(np.concatenate(found)) if found else np.empty(0, np.uint64)

    def window_entries(self, end_us: int, window_us: int, column: int, shards: Ints) -> Packed:
        found = [part for pane in self.window(end_us, window_us) for shard in shards.tolist() for part in pane.histograms.get(column, {}).get(shard, [])]
        return np.sort(np.concatenate(found)) if found else np.empty(0, np.uint64)

    def exemplars(self, end_us: int, window_us: int, rows: Ints) -> Exemplars:
        found = joined([part for pane in self.window(end_us, min(window_us, HOURLY_FROM_US)) for part in pane.exemplars])
        return found.take(np.isin(found.row, rows)).best()

    def next_pane(self, shard: int, from_us: int) -> int | None:
        """The first pane from `from_us` on that holds something of the shard."""
        return min((start for start, pane in self.panes.items() if start >= from_us and shard in pane.shards), default=None)

    # Forgetting

    def trim(self, next_us: Ints) -> None:
        """Histograms older than whole_us, of the window that comes next in each shard: those of series that were sparse then stay, for windows that widen.

        Sparse: the five windows that end with the pane hold fewer rows than min_count.
        """
        whole_us = self.wanted.whole_us
        if not self.wanted.sparse or not self.panes:
            return
        for start in sorted(self.panes):
            shards = np.flatnonzero((next_us != FOREVER_US) & (start < next_us - whole_us) & (start > self.trimmed_us))
            if not shards.size:
                continue
            rows = np.arange(self.axis.capacity)
            sparse = np.zeros(len(rows), bool)
            for base, enough in self.wanted.sparse.items():
                sparse |= self.counts(start + self.pane_us, 5 * base * self.pane_us, 0, rows) < enough
            for chunks in self.panes[start].histograms.values():
                for shard in shards.tolist():
                    if shard in chunks:
                        entries = merged(chunks[shard])
                        chunks[shard] = [entries[sparse[entries >> ROW_SHIFT]]]
            self.trimmed_us[shards] = start

    def expire(self, before_us: int) -> None:
        """All shards have evaluated windows up to `before_us`."""
        for start in [start for start in self.panes if start < before_us - self.wanted.span_us]:
            del self.panes[start]
        for start in [start for start in self.hours if start + HOUR_US < before_us - self.wanted.hours_us - HOUR_US]:
            del self.hours[start]
        for start, pane in self.panes.items():
            if start < before_us - self.wanted.exemplars_us:
                pane.exemplars = []
                pane.observations = []

    def nbytes(self) -> int:
        """Of all that is held."""
        total = 0
        for pane in (*self.panes.values(), *self.hours.values()):
            total += sum(held.nbytes for held in pane.fields.values()) + sum(held.nbytes for held in pane.observations)
            total += sum(part.nbytes for chunks in pane.histograms.values() for parts in chunks.values() for part in parts)
            total += sum(each.row.nbytes + each.trace_id.nbytes + each.value.nbytes + each.failing.nbytes for each in pane.exemplars)
        return total

    def clear(self, rows: Ints) -> None:
        """Before the rows are given to others."""
        gone = np.zeros(self.axis.capacity, bool)
        gone[rows] = True
        for pane in (*self.panes.values(), *self.hours.values()):
            for (name, _), held in pane.fields.items():
                held[rows[rows < len(held)]] = _START[name]
            for chunks in pane.histograms.values():
                for shard, parts in chunks.items():
                    chunks[shard] = [each[~gone[each >> ROW_SHIFT]] for each in parts]
            pane.exemplars = [each.take(~gone[each.row]) for each in pane.exemplars]
            pane.observations = [each[:, ~gone[each[0]]] for each in pane.observations]


def ragged_entries(flat: Flat, columns: Ints) -> tuple[Ints, tuple[Ints, Ints]]:
    """(place in `columns` of each bucket, (bucket, count))."""
    places, owner = ragged(flat.buckets_at, columns)
    return owner, (flat.bucket[places], flat.bucket_n[places])
