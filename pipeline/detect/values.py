"""The numbers that a rule takes of a window, an array an input.

In: stores of measures, inputs of a compiled rule, rows. Out: float64 arrays. Never: a Python loop over series.

Plain windows are read for all rows at once, and kept while other rules of the same window end ask for them. Widened and pooled ones are read for groups of
rows: each row a group of its own for a wider window, the sparse children of a parent together for the parent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tracebraid.pipeline.detect.axis import Bools, Floats, Ints
from tracebraid.pipeline.detect.histograms import Packed, packed_quantile, relabeled
from tracebraid.pipeline.detect.panes import Field, Store
from tracebraid.pipeline.rules.program import Input

COUNTS = {"count": 0, "errors": 1, "missing": 2, "condition": 3}
SECOND_US = 1_000_000
Stores = Mapping[int, Store]  # by measure id


def fields_of(each: Input) -> set[Field]:
    """The dense fields an input is made of."""
    if each.kind in COUNTS:
        return {("count", COUNTS[each.kind] + each.index)}
    wanted = {"sum": ("sum", "n"), "avg": ("sum", "n"), "min": ("min", "n"), "max": ("max", "n"), "last": ("last", "last_us", "n")}
    return {(name, each.index) for name in wanted.get(each.kind, ())}


@dataclass(slots=True)
class Read:
    """What was read of the windows that end at one time, for some shards: several rules ask for the same."""

    end_us: int
    shards: Ints
    rows: dict[int, Ints] = field(default_factory=dict)  # of id(axis): all of these shards
    entries: dict[tuple[int, int, int], Packed] = field(default_factory=dict)  # of (id(store), column, window)
    quantiles: dict[tuple[int, int, int, float], Floats] = field(default_factory=dict)  # an element a row of the axis
    totals: dict[tuple[int, int, int], Ints] = field(default_factory=dict)  # of (id(store), index, window): of all rows of these shards

    def held(self, store: Store) -> Ints:
        key = id(store.axis)
        if key not in self.rows:
            self.rows[key] = store.axis.held(self.shards)
        return self.rows[key]

    def quantile(self, store: Store, each: Input, rows: Ints) -> Floats:
        key = (id(store), each.index, each.window_us)
        if key not in self.entries:
            self.entries[key] = store.window_entries(self.end_us, each.window_us, each.index, self.shards)
        if (*key, each.quantile) not in self.quantiles:
            self.quantiles[*key, each.quantile] = packed_quantile(self.entries[key], each.quantile, store.axis.capacity)
        return self.quantiles[*key, each.quantile][rows]

    def counts(self, store: Store, window_us: int, index: int, rows: Ints) -> Ints:
        """int64; not to be written to."""
        if rows is not self.rows.get(id(store.axis)):
            return store.counts(self.end_us, window_us, index, rows)
        key = (id(store), index, window_us)
        if key not in self.totals:
            self.totals[key] = store.counts(self.end_us, window_us, index, rows)
        return self.totals[key]


def plain(stores: Stores, each: Input, read: Read, rows: Ints) -> Floats:
    """The input's own window. 'run' is read elsewhere: it goes on over windows."""
    store = stores[each.measure_id]
    if each.kind == "quantile":
        return read.quantile(store, each, rows)
    if each.kind in COUNTS:
        total = read.counts(store, each.window_us, COUNTS[each.kind] + each.index, rows).astype(np.float64)
        return total / (each.window_us / SECOND_US) if each.rate else total
    if not (panes := list(store.window(read.end_us, each.window_us))):
        return np.full(len(rows), np.nan)
    return _folded(each, {key[0]: np.stack([store.values(pane, key, rows) for pane in panes]) for key in fields_of(each)})


def _folded(each: Input, parts: Mapping[str, "np.ndarray[tuple[int, int], np.dtype[np.generic]]"]) -> Floats:
    """Panes by rows → rows; NaN where no pane has a value."""
    n = parts["n"].sum(axis=0, dtype=np.int64)
    if each.kind in ("sum", "avg"):
        found = parts["sum"].sum(axis=0).astype(np.float64)
        found = found / np.maximum(n, 1) if each.kind == "avg" else found
    elif each.kind in ("min", "max"):
        found = (np.min if each.kind == "min" else np.max)(parts[each.kind], axis=0).astype(np.float64)
    else:
        latest = np.argmax(parts["last_us"], axis=0)
        found = parts["last"][latest, np.arange(len(latest))].astype(np.float64)
    return np.where(n > 0, found, np.nan)


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows, the group of each, 0 to size - 1, and the panes that count: starts, the latest first; counts: bool [panes, rows]; width: windows that they are."""

    rows: Ints
    group: Ints
    size: int
    starts: Sequence[int]
    counts: Bools
    width: int


def grouped(stores: Stores, each: Input, read: Read, groups: Groups) -> Floats:
    """One number a group. Counts are those of one window on average: they must not grow with the width; rates are per second all the same."""
    store = stores[each.measure_id]
    if each.kind == "quantile":
        return _grouped_quantile(store, each, read, groups)
    total: dict[str, Floats] = {}
    for key in fields_of(each):
        total[key[0]] = _grouped_field(store, key, groups)
    if each.kind in COUNTS:
        return total["count"] / groups.width / (each.window_us / SECOND_US if each.rate else 1)
    if each.kind == "run":
        return np.full(groups.size, np.nan)
    n, found = total["n"], total["sum" if each.kind == "avg" else each.kind]
    found = found / groups.width if each.kind == "sum" else found / np.maximum(n, 1) if each.kind == "avg" else found
    return np.where(n > 0, found, np.nan)


def _grouped_field(store: Store, key: Field, groups: Groups) -> Floats:
    name = key[0]
    found = np.full(groups.size, {"min": np.inf, "max": -np.inf}.get(name, 0.0))
    newest = np.full(groups.size, np.iinfo(np.int64).min)
    for start, counts in zip(groups.starts, groups.counts, strict=True):
        if (pane := store.panes.get(start)) is None:
            continue
        values, group = store.values(pane, key, groups.rows[counts]).astype(np.float64), groups.group[counts]
        if name in ("min", "max"):
            (np.minimum if name == "min" else np.maximum).at(found, group, values)
        elif name == "last":
            times = store.values(pane, ("last_us", key[1]), groups.rows[counts]).astype(np.int64)
            order = np.lexsort((values, times))
            order = order[times[order] > newest[group[order]]]
            found[group[order]], newest[group[order]] = values[order], times[order]
        elif name != "last_us":
            found += np.bincount(group, values, minlength=groups.size)
    return found


def _grouped_quantile(store: Store, each: Input, read: Read, groups: Groups) -> Floats:
    masks: dict[int, Bools | None] = {}
    for start, counts in zip(groups.starts, groups.counts, strict=True):
        if start in store.panes and counts.any():
            mask = np.zeros(store.axis.capacity, bool)
            mask[groups.rows[counts]] = True
            masks[start] = mask
    number = np.zeros(store.axis.capacity, np.int64)
    number[groups.rows] = groups.group
    return packed_quantile(relabeled(store.entries(masks, each.index, read.shards), number), each.quantile, groups.size)
