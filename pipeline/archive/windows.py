"""Partial windows as rows of table `windows`: those of one commit added up.

In: batches of PARTIALS by partition of the windows topic, and what measures mean. Out: rows of schemas.windows.WINDOWS. Never: a Python loop over values.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.histogram import quantiles
from tracebraid.pipeline.rules.measures import Measure
from tracebraid.schemas.table import DATE, INT32, INT64, STRING
from tracebraid.schemas.windows import COUNTS, FLOAT64, PARTIALS, WINDOWS

DURATIONS = ("duration", "duration_ns")  # as measures spell them
WANTED = (0.5, 0.95, 0.99)
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the rows of one measure say. `column`: the place of the durations among the measure's columns; None without them."""

    name: str
    signal: str = ""
    where: str = ""
    by: tuple[str, ...] | None = None
    pane_us: int = 0
    column: int | None = None


def meaning(number: int, measure: Measure | None) -> Meaning:
    """Of a measure that is not known any more, its id remains: labels are then named by their places."""
    name = f"{number:016x}"
    if measure is None:
        return Meaning(name)
    column = next((place for place, text in enumerate(measure.columns) if text in DURATIONS), None)
    return Meaning(name, measure.signal, measure.where, measure.by, measure.pane_us, column)


def window_rows(batches: Sequence[tuple[int, pa.RecordBatch]], measures: Mapping[int, Measure], now_us: int) -> pa.RecordBatch:
    """One row a (partition, measure, series, pane). `batches`: with the number of the partition that each came by. `measures`: by id."""
    if not batches:
        return pa.RecordBatch.from_pylist([], schema=WINDOWS.arrow)
    table = pa.Table.from_batches([batch for _, batch in batches], PARTIALS).combine_chunks()
    shard = np.concatenate([np.full(batch.num_rows, number, np.int64) for number, batch in batches])
    measure = table.column("measure").to_numpy()
    parts = []
    for number in np.unique(measure).tolist():
        chosen = np.flatnonzero(measure == number)
        parts.append(_of_measure(meaning(number, measures.get(number)), table.take(pa.array(chosen)), shard[chosen], now_us))
    return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]


def _of_measure(what: Meaning, rows: pa.Table, shard: Ints, now_us: int) -> pa.RecordBatch:
    order, group = _groups(shard, rows.column("series").to_numpy(), rows.column("pane_us").to_numpy())
    first = order[np.searchsorted(group[order], np.arange(group.max() + 1))]
    size = len(first)
    pane_us, labels = rows.column("pane_us").to_numpy()[first], rows.column("labels").take(pa.array(first)).to_pylist()
    named = [_labels(what, values) for values in labels]
    counts = [_sums(group, pc.list_element(rows.column("counts"), place).to_numpy(), size) for place in range(len(COUNTS))]
    arrays: dict[str, pa.Array] = {
        "day": pa.array((pane_us // 86_400_000_000).astype(np.int32)).cast(DATE),
        "measure": pa.array([what.name] * size, STRING),
        "signal": pa.array([what.signal] * size, STRING),
        "condition": pa.array([what.where] * size, STRING),
        "labels": pa.array([list(each.items()) for each in named], pa.map_(STRING, STRING)),
        "labels_text": pa.array([json.dumps(each, ensure_ascii=False) for each in named], STRING),
        "window_start": pa.array(pane_us, INT64).cast(pa.timestamp("us", tz="UTC")),
        "window_us": pa.array(np.full(size, what.pane_us), INT64),
        "rows_in": pa.array(counts[0], INT64),
        "errors": pa.array(counts[1], INT64),
        "missing": pa.array(counts[2], INT64),
        **_durations(what, rows, group, size),
        "kafka_partition": pa.array(shard[first], INT32),
        "ingested_at": pa.array(np.full(size, now_us), INT64).cast(pa.timestamp("us", tz="UTC")),
    }
    return pa.record_batch([arrays[name] for name in WINDOWS.arrow.names], schema=WINDOWS.arrow)


def _groups(shard: Ints, series: npt.NDArray[np.uint64], pane_us: Ints) -> tuple[Ints, Ints]:
    """(order by group, group of each row), groups numbered from 0."""
    order = np.lexsort((pane_us, series, shard))
    differs = (np.diff(shard[order]) != 0) | (series[order][1:] != series[order][:-1]) | (np.diff(pane_us[order]) != 0)
    group = np.empty(len(order), np.int64)
    group[order] = np.r_[0, np.cumsum(differs)]
    return order, group


def _labels(what: Meaning, values: Sequence[str]) -> dict[str, str]:
    names = what.by if what.by is not None and len(what.by) == len(values) else [str(place) for place in range(len(values))]
    return dict(zip(names, values, strict=True))


def _sums(group: Ints, values: npt.NDArray[np.int64], size: int) -> Ints:
    found = np.zeros(size, np.int64)
    np.add.at(found, group, values)
    return found


def _durations(what: Meaning, rows: pa.Table, group: Ints, size: int) -> dict[str, pa.Array]:
    if what.column is None:
        absent = [field for field in WINDOWS.arrow if field.name.startswith(("duration_", "bucket"))]
        return {field.name: pa.nulls(size, field.type) for field in absent}
    values = pc.list_element(rows.column("columns"), what.column).combine_chunks()
    n = _sums(group, values.field("n").to_numpy(zero_copy_only=False), size)
    present = values.field("n").to_numpy(zero_copy_only=False) > 0
    total, low, high = np.zeros(size), np.full(size, np.inf), np.full(size, -np.inf)
    for into, name, how in ((total, "sum", np.add), (low, "min", np.minimum), (high, "max", np.maximum)):
        how.at(into, group[present], values.field(name).to_numpy(zero_copy_only=False)[present])
    of, bucket, count = _histogram(values, group)
    found = quantiles(of, bucket, count, WANTED, size)
    none = n == 0
    arrays = [pa.array(each, FLOAT64, mask=none) for each in (total, low, high, *np.nan_to_num(found))]
    names = ("sum", "min", "max", "p50", "p95", "p99")
    starts = pa.array(np.searchsorted(of, np.arange(size + 1)).astype(np.int32))
    return {
        **{f"duration_{name}_ns": array for name, array in zip(names, arrays, strict=True)},
        "bucket": pa.ListArray.from_arrays(starts, pa.array(bucket, INT32)),
        "bucket_n": pa.ListArray.from_arrays(starts, pa.array(count, INT64)),
    }


def _histogram(values: pa.StructArray, group: Ints) -> tuple[Ints, npt.NDArray[np.int32], Ints]:
    """(group, bucket, count), ascending, each pair once."""
    lists = values.field("bucket")
    of = group[pc.list_parent_indices(lists).to_numpy()]
    bucket = pc.list_flatten(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    count = pc.list_flatten(values.field("bucket_n")).to_numpy(zero_copy_only=False).astype(np.int64)
    keys, place = np.unique((of << 32) + (bucket - np.iinfo(np.int32).min), return_inverse=True)
    found = _sums(place.reshape(-1), count, len(keys))
    return keys >> 32, ((keys & 0xFFFFFFFF) + np.iinfo(np.int32).min).astype(np.int32), found
