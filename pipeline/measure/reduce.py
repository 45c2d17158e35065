"""Rows of one measure, of several source partitions → one partial window a (source, series, pane).

In: Rows, numpy arrays with an entry a row. Out: Partials. Never: a Python loop over rows, series or panes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.choosing import choose_largest
from tracebraid.pipeline.kernel.histogram import LOWEST, bucket_of
from tracebraid.pipeline.measure.rows import Bools, Floats, Ints
from tracebraid.schemas.table import BOOL, INT32, INT64, STRING
from tracebraid.schemas.windows import COLUMN, EXEMPLAR, FLOAT64, OBSERVATION


@dataclass(frozen=True, slots=True)
class Rows:
    """source, series: numbers from 0. The rest as in Taken; `observed` is None for a measure that keeps no observations."""

    source: Ints
    series: Ints
    pane_us: Ints
    time_us: Ints
    flags: Bools
    values: Floats
    trace_ids: pa.ChunkedArray
    observed: Bools | None
    offset: Ints
    index: Ints


@dataclass(frozen=True, slots=True)
class Partials:
    """An entry a (source, series, pane), in that order; the last four as in schemas.windows.PARTIALS. cut: observations beyond the bound."""

    source: Ints
    series: Ints
    pane_us: Ints
    counts: pa.ListArray
    columns: pa.ListArray
    exemplars: pa.ListArray
    observations: pa.ListArray
    cut: int


def reduce_rows(rows: Rows) -> Partials:
    """`rows` holds one row at least."""
    order = _order((rows.source, rows.series, rows.pane_us, rows.time_us, rows.offset, rows.index))
    source, series, pane = rows.source[order], rows.series[order], rows.pane_us[order]
    new = (source[1:] != source[:-1]) | (series[1:] != series[:-1]) | (pane[1:] != pane[:-1])
    starts = np.flatnonzero(np.r_[True, new])
    group = np.cumsum(np.r_[0, new]).astype(np.int64)
    flags, values = rows.flags[order], rows.values[order]
    sizes = np.diff(np.r_[starts, len(order)])
    counts = np.column_stack((sizes, np.add.reduceat(flags.astype(np.int64), starts, axis=0)))
    cut, observations = _observations(rows, order, group, starts)
    return Partials(
        source=source[starts],
        series=series[starts],
        pane_us=pane[starts],
        counts=_lists(np.arange(len(starts) + 1) * counts.shape[1], pa.array(counts.reshape(-1), INT64)),
        columns=_columns(values, rows.time_us[order], group, starts),
        exemplars=_exemplars(flags[:, 0], values, (rows.trace_ids, order), group, len(starts)),
        observations=observations,
        cut=cut,
    )


def _order(keys: Sequence[Ints]) -> Ints:
    """Rows by the first key, then the second … As one number where their ranges allow it, which is the rule: six sorts become one."""
    combined, room = np.zeros(len(keys[0]), np.int64), 1
    for key in keys:
        low, high = int(key.min()), int(key.max())
        room *= high - low + 1
        if room >= 1 << 62:
            return np.lexsort(tuple(reversed(keys)))
        combined = combined * (high - low + 1) + (key - low)
    return np.argsort(combined)  # no two rows have one place


def _lists(offsets: Ints, items: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets, INT32), items)


def _columns(values: Floats, time_us: Ints, group: Ints, starts: Ints) -> pa.ListArray:
    """n, sum, min, max, last and buckets of each group and column; null where the group has no value."""
    groups, wide = len(starts), values.shape[1]
    there = ~np.isnan(values)
    fields = {name: np.zeros((groups, wide)) for name in ("sum", "min", "max", "last")}
    n, last_us = np.zeros((groups, wide), np.int64), np.zeros((groups, wide), np.int64)
    keys: list[Ints] = []
    for column in range(wide):
        ok, value = there[:, column], values[:, column]
        n[:, column] = np.add.reduceat(ok.astype(np.int64), starts)
        fields["sum"][:, column] = np.add.reduceat(np.where(ok, value, 0.0), starts)
        fields["min"][:, column] = np.minimum.reduceat(np.where(ok, value, np.inf), starts)
        fields["max"][:, column] = np.maximum.reduceat(np.where(ok, value, -np.inf), starts)
        at = np.maximum.reduceat(np.where(ok, np.arange(len(value)), -1), starts)  # rows of a group lie in the order of time
        fields["last"][:, column], last_us[:, column] = value[at], time_us[at]
        keys.append(((group[ok] * wide + column) << 32) + (bucket_of(value[ok]).astype(np.int64) - LOWEST))
    distinct, bucket_n = np.unique(np.concatenate(keys) if keys else np.empty(0, np.int64), return_counts=True)
    upto = np.searchsorted(distinct >> 32, np.arange(groups * wide + 1))
    empty = (n == 0).reshape(-1)
    numbers = [pa.array(fields[name].reshape(-1), FLOAT64, mask=empty) for name in ("sum", "min", "max", "last")]
    buckets = [_lists(upto, pa.array((distinct & 0xFFFFFFFF) + LOWEST, INT32)), _lists(upto, pa.array(bucket_n, INT64))]
    arrays = [pa.array(n.reshape(-1), INT64), *numbers, pa.array(last_us.reshape(-1), INT64, mask=empty), *buckets]
    return _lists(np.arange(groups + 1) * wide, pa.StructArray.from_arrays(arrays, fields=list(COLUMN)))


def _exemplars(errors: Bools, values: Floats, ids: tuple[pa.ChunkedArray, Ints], group: Ints, groups: int) -> pa.ListArray:
    """The slowest rows that have a trace id, and the slowest failing ones; a row that is both is there once. Slow: by the measure's first column."""
    value = np.nan_to_num(values[:, 0], nan=0.0) if values.shape[1] else np.zeros(len(group))
    trace_ids, order = ids
    traced = pc.is_valid(trace_ids).to_numpy()[order]
    chosen = np.zeros(len(group), np.bool_)
    for candidates in (traced, traced & errors):
        choose_largest(candidates, value, group, limits.exemplars_max, chosen)
    rows = np.flatnonzero(chosen)
    rows = rows[np.lexsort((-value[rows], group[rows]))]
    arrays = [trace_ids.take(pa.array(order[rows])).combine_chunks().cast(STRING), pa.array(value[rows], FLOAT64), pa.array(errors[rows], BOOL)]
    return _lists(np.searchsorted(group[rows], np.arange(groups + 1)), pa.StructArray.from_arrays(arrays, fields=list(EXEMPLAR)))


def _rank(group: Ints) -> Ints:
    """The place of each row within its group; groups are ascending."""
    return np.arange(len(group)) - np.searchsorted(group, group, side="left")


def _observations(rows: Rows, order: Ints, group: Ints, starts: Ints) -> tuple[int, pa.ListArray]:
    """(how many are beyond the bound, the others): the first of each group, in the order of time."""
    kept = np.empty(0, np.int64) if rows.observed is None else np.flatnonzero(_rank(group) < limits.observations_max)
    at = order[kept]
    true = rows.observed[at] if rows.observed is not None else np.empty(0, bool)
    arrays = [pa.array(rows.time_us[at], INT64), pa.array(rows.offset[at], INT64), pa.array(rows.index[at], INT32), pa.array(true, BOOL)]
    offsets = np.searchsorted(group[kept], np.arange(len(starts) + 1))
    cut = len(order) - len(kept) if rows.observed is not None else 0
    return cut, _lists(offsets, pa.StructArray.from_arrays(arrays, fields=list(OBSERVATION)))
