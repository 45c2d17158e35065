"""Messages of partial windows, flat: lists of lists as numpy arrays with offsets, so that a measure's part is taken by indices.

In: batches of schemas.windows.PARTIALS, each with its shard and the watermark at its arrival. Out: Flat. Never: a Python loop over rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tracebraid.pipeline.detect.axis import Bools, Floats, Hashes, Ints


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message. watermark_us: its shard's when it came. partition: number of its source's partition, which orders observations of equal times."""

    shard: int
    watermark_us: int
    partition: int
    batch: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class Flat:
    """An entry a partial window. *_at: where an entry's part of the flat arrays begins, one more than entries; buckets hang on columns, not on entries."""

    shard: Ints
    watermark_us: Ints
    partition: Ints
    measure: Hashes
    series: Hashes
    labels: pa.ListArray
    pane_us: Ints
    counts_at: Ints
    counts: Ints
    columns_at: Ints
    numbers: dict[str, Floats]  # n, sum, min, max, last, last_us of each column; last_us as int64
    buckets_at: Ints
    bucket: Ints
    bucket_n: Ints
    exemplars_at: Ints
    trace_id: pa.StringArray
    exemplar_value: Floats
    failing: Bools
    observations_at: Ints
    observed: dict[str, Ints]  # time_us, offset, index, true


def flat(messages: Sequence[Arrived]) -> Flat:
    """One message at least."""
    rows = [each.batch.num_rows for each in messages]
    table = pa.Table.from_batches([each.batch for each in messages]).combine_chunks()
    columns = {name: table.column(name).chunk(0) if table.num_rows else pa.array([], table.field(name).type) for name in table.column_names}
    numbers = columns["columns"].flatten()
    fields = dict(zip(numbers.type.names, numbers.flatten(), strict=True)) if len(numbers) else {each.name: pa.array([], each.type) for each in numbers.type}
    exemplars, observations = columns["exemplars"].flatten(), columns["observations"].flatten()
    trace_id, value, failing = exemplars.flatten()
    return Flat(
        shard=np.repeat([each.shard for each in messages], rows).astype(np.int64),
        watermark_us=np.repeat([each.watermark_us for each in messages], rows).astype(np.int64),
        partition=np.repeat([each.partition for each in messages], rows).astype(np.int64),
        measure=columns["measure"].to_numpy(),
        series=columns["series"].to_numpy(),
        labels=columns["labels"],
        pane_us=columns["pane_us"].to_numpy(),
        counts_at=_offsets(columns["counts"]),
        counts=columns["counts"].flatten().to_numpy(),
        columns_at=_offsets(columns["columns"]),
        numbers={name: _plain(fields[name]) for name in ("n", "sum", "min", "max", "last", "last_us")},
        buckets_at=_offsets(fields["bucket"]),
        bucket=fields["bucket"].flatten().to_numpy().astype(np.int64),
        bucket_n=fields["bucket_n"].flatten().to_numpy(),
        exemplars_at=_offsets(columns["exemplars"]),
        trace_id=trace_id,
        exemplar_value=_plain(value),
        failing=failing.to_numpy(zero_copy_only=False).astype(bool),
        observations_at=_offsets(columns["observations"]),
        observed={
            name: array.to_numpy(zero_copy_only=False).astype(np.int64)
            for name, array in zip(("time_us", "offset", "index", "true"), observations.flatten(), strict=True)
        },
    )


def ragged(offsets: Ints, at: Ints) -> tuple[Ints, Ints]:
    """(places in the flat array, the place in `at` that each belongs to) of the lists at `at`."""
    starts = offsets[at]
    sizes = offsets[at + 1] - starts
    owner = np.repeat(np.arange(len(at)), sizes)
    return np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + np.repeat(starts, sizes), owner


def _offsets(lists: pa.ListArray) -> Ints:
    """From 0, as flatten() lays the items; a null list is an empty one."""
    sizes = lists.value_lengths().fill_null(0).to_numpy()
    return np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)


def _plain(array: pa.Array) -> Any:
    """Nulls are 0: a column without values has n = 0 beside them."""
    return array.fill_null(0).to_numpy()
