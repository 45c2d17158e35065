"""Packed positions come back as they were, in windows of ascending offsets, however they lay in files."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebraid.pipeline.verify import positions
from tracebraid.pipeline.verify.positions import COLUMNS, Block, Windows, pack_batches
from tracebraid.pipeline.verify.report import Key, runs

Row = tuple[str, int, int, int]  # topic id, partition, offset, index
offsets = st.one_of(st.integers(0, 40), st.integers(0, 2**62))
rows_of_a_file = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2), offsets, st.integers(-1, 2**31 - 1)), max_size=30)


def batch(rows: list[Row], *, encoded: bool) -> pa.RecordBatch:
    names = [pa.array(["cluster"] * len(rows), pa.string()), pa.array([row[0] for row in rows], pa.string())]
    names = [name.dictionary_encode() for name in names] if encoded else names
    numbers = [pa.array([row[1] for row in rows], pa.int32()), pa.array([row[2] for row in rows], pa.int64()), pa.array([row[3] for row in rows], pa.int32())]
    times = pa.array([row[2] % 1_000_000 for row in rows], pa.timestamp("us", "UTC"))
    return pa.RecordBatch.from_arrays([*names, *numbers, times], names=COLUMNS)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(rows_of_a_file, min_size=1, max_size=3), max_size=4), st.booleans(), st.lists(offsets, max_size=4), st.integers(1, 20))
def test_windows_give_every_row_once_in_order(files: list[list[list[Row]]], encoded: bool, cuts: list[int], rows_max: int) -> None:
    before, positions.BLOCK_ROWS, positions.WINDOW_ROWS = (positions.BLOCK_ROWS, positions.WINDOW_ROWS), 4, rows_max
    try:
        blocks: defaultdict[Key, list[Block]] = defaultdict(list)
        for number, batches in enumerate(files):
            assert pack_batches([batch(rows, encoded=encoded) for rows in batches], number, blocks) == (sum(map(len, batches)), 0)
        expected = sorted(
            (topic, part, offset, index, number) for number, batches in enumerate(files) for rows in batches for topic, part, offset, index in rows
        )
        found = [(key.topic_id, key.number, *row) for key in sorted(blocks) for row in walked(Windows(blocks[key]), sorted(cuts))]
    finally:
        positions.BLOCK_ROWS, positions.WINDOW_ROWS = before
    assert found == expected


def walked(windows: Windows, cuts: list[int]) -> list[tuple[int, int, int]]:
    """All rows, taken up to each of `cuts` and to the bounds that the windows ask for."""
    found: list[tuple[int, int, int]] = []
    for cut in [*cuts, None]:
        low = found[-1][0] if found else -1
        while (bound := windows.bound()) is not None and (cut is None or bound < cut):
            part = windows.take(bound)
            found += zip(part.offsets.tolist(), part.indexes.tolist(), part.files.tolist(), strict=True)
        part = windows.take(cut)
        assert (part.times_us == part.offsets % 1_000_000).all()
        assert not len(part) or part.offsets[0] >= low
        found += zip(part.offsets.tolist(), part.indexes.tolist(), part.files.tolist(), strict=True)
    return found


def test_a_million_positions_in_some_kilobytes() -> None:
    count = 1_000_000
    shuffled = np.random.default_rng(1).permutation(count)
    table = pa.table(
        {
            "kafka_cluster": pa.array(["cluster"] * count).dictionary_encode(),
            "kafka_topic_id": pa.array(["id"] * count).dictionary_encode(),
            "kafka_partition": pa.array(np.zeros(count), pa.int32()),
            "kafka_offset": shuffled // 4,
            "record_index": pa.array(shuffled % 4, pa.int32()),
            "kafka_time": pa.array(shuffled // 4 * 1000, pa.timestamp("us", "UTC")),
        }
    )
    blocks: defaultdict[Key, list[Block]] = defaultdict(list)
    assert pack_batches(table.to_batches(131_072), 0, blocks) == (count, 0)
    assert sum(len(column) for block in blocks["cluster", "id", 0] for column in block.packed) < 50_000


def test_runs() -> None:
    assert runs(np.array([], dtype=np.int64)) == []
    assert runs(np.array([3, 4, 4, 5, 7, 9, 10])) == [(3, 5, 4), (7, 7, 1), (9, 10, 2)]
