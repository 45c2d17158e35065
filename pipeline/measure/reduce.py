"""Rows of measures, of several source partitions → one partial window a (source, series, pane).

In: Grouped, of measures that share their rows; Taken, of each. Out: Partials. Never: a Python loop over rows, series or panes; a sort of the rows, but for
observations, and where a sum would depend on their order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.choosing import choose_largest
from tracebraid.pipeline.kernel.grouping import Moments, add_up, numbered
from tracebraid.pipeline.kernel.held import take
from tracebraid.pipeline.kernel.histogram import LOWEST, bucket_of
from tracebraid.pipeline.measure.rows import Bools, Floats, Ints, Places, Taken
from tracebraid.schemas.table import BOOL, INT32, INT64, STRING
from tracebraid.schemas.windows import COLUMN, EXEMPLAR, FLOAT64, OBSERVATION

_PANES_MAX = 1 << 20  # between the first and the last: beyond it those that are there are counted


@dataclass(frozen=True, slots=True)
class Grouped:
    """of: the group of each row. source, shard, series, pane_us: of each group, which lie in their order. Of rows: traced, whether it has a trace id."""

    of: Ints
    source: Ints
    shard: Ints
    series: Ints
    pane_us: Ints
    moments: Moments
    trace_ids: pa.StringArray | pa.ChunkedArray
    traced: Bools


@dataclass(frozen=True, slots=True)
class Partials:
    """An entry a group; these four as in schemas.windows.PARTIALS. cut: observations beyond the bound."""

    counts: pa.ListArray
    columns: pa.ListArray
    exemplars: pa.ListArray
    observations: pa.ListArray
    cut: int


def group_rows(taken: Sequence[Places], pane_us: int, places: Ints, shards: Ints) -> Grouped:
    """One row at least. places: under which number a source goes from here on. shards: of each series."""
    source, series, time_us, offset, index = (
        np.concatenate(each) for each in zip(*((one.source, one.series, one.time_us, one.offset, one.index) for one in taken), strict=True)
    )
    pane = time_us // pane_us
    low, count = int(pane.min()), int(pane.max()) - int(pane.min()) + 1
    if count > _PANES_MAX:
        there, pane = np.unique(pane, return_inverse=True)
        low, count = 0, len(there)
    else:
        there = np.arange(low, low + count)
    wide = int(series.max()) + 1
    keys = (source * wide + series) * count + (pane - low)
    numbers, first = numbered(keys)
    order = np.lexsort((keys[first], shards[series[first]], places[source[first]]))  # of groups: they are few
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    first = first[order]
    trace_ids = [one.trace_ids for one in taken]
    return Grouped(
        of=rank[numbers],
        source=places[source[first]],
        shard=shards[series[first]],
        series=series[first],
        pane_us=there[pane[first] - low] * pane_us,
        moments=(time_us, offset, index),
        trace_ids=_joined(trace_ids),
        traced=np.concatenate([each.is_valid().to_numpy(zero_copy_only=False) if each.null_count else np.ones(len(each), np.bool_) for each in trace_ids]),
    )


def _joined(texts: Sequence[pa.StringArray]) -> pa.StringArray | pa.ChunkedArray:
    """As one array, of which rows are taken in half the time; unless it were too large for one."""
    if sum(each.nbytes for each in texts) < limits.encoded_bytes_max:
        return pa.concat_arrays(texts) if len(texts) > 1 else texts[0]
    return pa.chunked_array(texts, STRING)


def reduce_rows(rows: Grouped, taken: Sequence[Taken]) -> Partials:
    """`taken`: of the rows, piece by piece in their order."""
    groups = len(rows.source)
    flags = [np.concatenate(each) for each in zip(*(one.flags for one in taken), strict=True)]
    values = [np.concatenate(each) for each in zip(*(one.values for one in taken), strict=True)]
    observed = [one.observed for one in taken if one.observed is not None]
    counts = np.column_stack([np.bincount(rows.of, minlength=groups), *(np.bincount(rows.of[flag], minlength=groups) for flag in flags)])
    cut, observations = _observations(rows, np.concatenate(observed) if observed else None)
    return Partials(
        counts=_lists(np.arange(groups + 1) * counts.shape[1], pa.array(counts.reshape(-1), INT64)),
        columns=_columns(rows, values),
        exemplars=_exemplars(rows, flags[0], values),
        observations=observations,
        cut=cut,
    )


def _lists(offsets: Ints, items: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets, INT32), items)


def _columns(rows: Grouped, values: Sequence[Floats]) -> pa.ListArray:
    """n, sum, min, max, last and buckets of each group and column; null where the group has no value."""
    groups, wide = len(rows.source), len(values)
    n, last_us = np.zeros((groups, wide), np.int64), np.zeros((groups, wide), np.int64)
    found = np.zeros((4, groups, wide))  # sum, min, max, last
    keys = [np.empty(0, np.int64)]
    for column, value in enumerate(values):
        counts, last = np.zeros(groups, np.int64), np.zeros(groups, np.int64)
        sums, least, most = np.zeros((3, groups))
        if not add_up(value, rows.of, rows.moments, (counts, last), (sums, least, most)):
            sums = _sums(rows, value)
        n[:, column], last_us[:, column], found[:, :, column] = counts, rows.moments[0][last], (sums, least, most, value[last])
        there = ~np.isnan(value)
        of, some = (rows.of, value) if there.all() else (rows.of[there], value[there])
        keys.append((of * wide + column << 32) + (bucket_of(some).astype(np.int64) - LOWEST))
    distinct, bucket_n = _counted(np.concatenate(keys))
    upto = np.searchsorted(distinct >> 32, np.arange(groups * wide + 1))
    empty = (n == 0).reshape(-1)
    numbers = [pa.array(each.reshape(-1), FLOAT64, mask=empty) for each in found]
    buckets = [_lists(upto, pa.array((distinct & 0xFFFFFFFF) + LOWEST, INT32)), _lists(upto, pa.array(bucket_n, INT64))]
    arrays = [pa.array(n.reshape(-1), INT64), *numbers, pa.array(last_us.reshape(-1), INT64, mask=empty), *buckets]
    return _lists(np.arange(groups + 1) * wide, pa.StructArray.from_arrays(arrays, fields=list(COLUMN)))


def _sums(rows: Grouped, values: Floats) -> Floats:
    """Of values that are not whole, or large: their sum depends on the order, so that is the one of time, however the rows came."""
    order = _order(rows)
    found: Floats = np.bincount(rows.of[order], np.nan_to_num(values[order], nan=0.0), len(rows.source)).astype(np.float64, copy=False)
    return found


def _order(rows: Grouped) -> Ints:
    """Rows by group, then in the order of time."""
    order: Ints = np.lexsort((*reversed(rows.moments), rows.of))
    return order


def _counted(keys: Ints) -> tuple[Ints, Ints]:
    """(distinct keys, ascending; how often each is there). Numpy's unique() takes twice as long."""
    keys.sort()
    starts = np.flatnonzero(np.r_[np.ones(min(1, len(keys)), np.bool_), keys[1:] != keys[:-1]])
    return keys[starts], np.diff(starts, append=len(keys))


def _exemplars(rows: Grouped, errors: Bools, values: Sequence[Floats]) -> pa.ListArray:
    """The slowest rows that have a trace id, and the slowest failing ones; a row that is both is there once. Slow: by the measure's first column."""
    groups, most = len(rows.source), limits.exemplars_max
    value = np.nan_to_num(values[0], nan=0.0) if values else np.zeros(len(rows.of))
    found = np.full((groups, 2 * most), -1)
    choose_largest((rows.traced, errors), value, rows.of, rows.moments, (found.reshape(-1), np.full(groups * most, -1), most))
    there = found >= 0
    chosen = found[there]
    ids = rows.trace_ids.take(pa.array(chosen)).combine_chunks() if isinstance(rows.trace_ids, pa.ChunkedArray) else take(rows.trace_ids, chosen)
    arrays = [ids.cast(STRING), pa.array(value[chosen], FLOAT64), pa.array(errors[chosen], BOOL)]
    return _lists(np.r_[0, np.cumsum(there.sum(axis=1))], pa.StructArray.from_arrays(arrays, fields=list(EXEMPLAR)))


def _observations(rows: Grouped, observed: Bools | None) -> tuple[int, pa.ListArray]:
    """(how many are beyond the bound, the others): the first of each group, in the order of time."""
    order = _order(rows) if observed is not None else np.empty(0, np.int64)
    group = rows.of[order]
    rank = np.arange(len(group)) - np.searchsorted(group, group, side="left")
    at = order[rank < limits.observations_max]
    time_us, offset, index = (each[at] for each in rows.moments)
    true = observed[at] if observed is not None else np.empty(0, np.bool_)
    arrays = [pa.array(time_us, INT64), pa.array(offset, INT64), pa.array(index, INT32), pa.array(true, BOOL)]
    offsets = np.searchsorted(rows.of[at], np.arange(len(rows.source) + 1))
    return len(order) - len(at), _lists(offsets, pa.StructArray.from_arrays(arrays, fields=list(OBSERVATION)))
