"""Partial windows beside a slow oracle; and that their parts add up however the rows were cut, spread and ordered."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.measures import ByService, Row, normalized_of, quantile
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.histogram import LOWEST, RELATIVE_ERROR_MAX, bucket_of, quantiles, value_of
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.kernel.series import OVERFLOW, series_hash, shard_hash
from tracebraid.pipeline.measure.windows import OpenWindows, Piece
from tracebraid.schemas.windows import PARTIALS, SOURCE_HEADER

MINUTE = 60_000_000
T0 = 1_700_000_040_000_000  # a window begins here
PARTITIONS = [Partition("c", "spans", "t", number) for number in range(3)]
SHARDS = 4

rows = st.fixed_dictionaries(
    {
        "service_name": st.sampled_from(["checkout", "cart", None]),
        "kind": st.sampled_from(["SERVER", "CLIENT"]),
        "end_time": st.one_of(st.none(), st.integers(T0 - 3 * MINUTE, T0 + 3 * MINUTE), st.sampled_from([0, T0 + 10 * MINUTE, T0 - 2 * 86_400_000_000])),
        "duration_ns": st.one_of(st.none(), st.integers(-5, 5), st.integers(1, 10**12)),
        "status_code": st.sampled_from(["OK", "ERROR", None]),
        "trace_id": st.one_of(st.none(), st.integers(0, 99).map(lambda number: f"{number:032x}")),
        "kafka_time": st.just(T0),
    }
)


def pane_of(row: Row) -> int:
    own = row["end_time"] if row["end_time"] is not None else T0
    if own > T0 + limits.plausible_ahead_s * 1_000_000 or own < T0 - limits.plausible_behind_s * 1_000_000:
        own = T0
    return own - own % MINUTE


def slow(given_rows: list[Row]) -> dict[Any, Any]:
    """(labels, pane) → counts, and the durations."""
    found: dict[Any, Any] = defaultdict(lambda: ([0, 0, 0, 0], []))
    for row in given_rows:
        counts, durations = found[(row["service_name"] or "", row["kind"]), pane_of(row)]
        duration = row["duration_ns"]
        for place, true in enumerate((True, row["status_code"] == "ERROR", row["trace_id"] is None, duration is not None and duration > 10**9)):
            counts[place] += true
        if duration is not None:
            durations.append(float(duration))
    return dict(found)


def read(pieces: list[Piece]) -> list[dict[str, Any]]:
    return [row for piece in pieces for row in pa.ipc.read_record_batch(pa.py_buffer(piece.value), PARTIALS).to_pylist()]


def merged(pieces: list[Piece]) -> dict[Any, Any]:
    found: dict[Any, Any] = defaultdict(lambda: [np.zeros(4, int), 0, 0.0, np.inf, -np.inf, defaultdict(int)])
    for row in read(pieces):
        into, column = found[tuple(row["labels"]), row["pane_us"]], row["columns"][0]
        into[0] += row["counts"]
        if column["n"]:
            into[1], into[2] = into[1] + column["n"], into[2] + column["sum"]
            into[3], into[4] = min(into[3], column["min"]), max(into[4], column["max"])
            for bucket, n in zip(column["bucket"], column["bucket_n"], strict=True):
                into[5][bucket] += n
    return dict(found)


@given(st.lists(st.tuples(st.integers(0, 2), rows), min_size=1, max_size=60), st.integers(1, 20), st.integers(1, 4))
def test_partial_windows_add_up_to_the_rows(placed: list[tuple[int, Row]], cut: int, flushes: int) -> None:
    windows, pieces, offsets = OpenWindows([ByService()]), [], [0, 0, 0]
    batches = [placed[start : start + cut] for start in range(0, len(placed), cut)]
    for number, batch in enumerate(batches):
        for partition in range(3):
            if mine := [row for where, row in batch if where == partition]:
                windows.add(*normalized_of(PARTITIONS[partition], offsets[partition], mine))
                offsets[partition] += len(mine)
        if number % flushes == 0 or number == len(batches) - 1:
            pieces += windows.pieces(SHARDS)
            windows.settle()
    expected, found = slow([row for _, row in placed]), merged(pieces)
    assert {key: (counts, len(values)) for key, (counts, values) in expected.items()} == {key: (each[0].tolist(), each[1]) for key, each in found.items()}
    for key, (_, values) in expected.items():
        _, n, total, least, most, buckets = found[key]
        if n:
            assert (least, most) == (min(values), max(values))
            np.testing.assert_allclose(total, sum(values), rtol=1e-9, atol=1e-6)
            assert sum(buckets.values()) == n
            for q in (0.5, 0.99, 1.0):
                arrays = np.zeros(len(buckets), np.int64), np.array(list(buckets), np.int32), np.array(list(buckets.values()), np.int64)
                near = quantiles(*arrays, (q,), 1)[0, 0]
                assert abs(near - max(0.0, quantile(values, q))) <= RELATIVE_ERROR_MAX * abs(quantile(values, q)) + 1e-9
    assert windows.pieces(SHARDS) == []


def told(windows: OpenWindows) -> list[tuple[Any, ...]]:
    """What all pieces say, of each source partition."""
    found = []
    for piece in windows.pieces(SHARDS):
        source = orjson.loads(dict(piece.headers)[SOURCE_HEADER])
        found += [(source["partition"], source["first_offset"], source["next_offset"], piece.shard, row) for row in read([piece])]
    return sorted(found, key=repr)


fractions = st.lists(st.tuples(st.integers(0, 2), rows, st.sampled_from([0.1, 1 / 3, 7.0, 2.0**60, -1e-9])), min_size=1, max_size=40)


@dataclass(frozen=True)
class Scaled(ByService):
    """Values whose sum depends on the order in which they are added."""

    id: int = 8

    def column_arrays(self, batch: Any) -> list[pa.DoubleArray]:
        (durations,) = super().column_arrays(batch)
        scales = pc.cast(batch.column("tenant"), pa.float64())
        return [pc.multiply(durations, scales), durations]


@settings(max_examples=40)
@given(fractions, st.integers(1, 20), st.sets(st.integers(0, 2)), st.integers(1, 50), st.booleans())
def test_windows_are_the_same_however_rows_were_cut_and_what_was_measured_at_once(
    placed: list[tuple[int, Row, float]], cut: int, gone: set[int], at_once: int, pauses: bool
) -> None:
    """One OpenWindows is given each partition's rows as one batch and is asked at the end; another one gets them in batches, beside those of partitions that
    go again, and measures whenever so many rows wait."""
    measures = [ByService(), Scaled(), ByService(id=9, observe="duration > 1s"), ByService(id=10, only="cart"), Scaled(id=11, only="cart", pane_us=7_000_000)]
    placed = [(where, {**row, "tenant": repr(scale)}, scale) for where, row, scale in placed]
    whole, parts, offsets = OpenWindows(measures), OpenWindows(measures), [0, 0, 0]
    for partition in range(3):
        if partition not in gone and (mine := [row for where, row, _ in placed if where == partition]):
            whole.add(*normalized_of(PARTITIONS[partition], 0, mine))
    with patch.object(limits, "measured_rows_min", at_once):
        for start in range(0, len(placed), cut):
            for partition in range(3):
                if mine := [row for where, row, _ in placed[start : start + cut] if where == partition]:
                    parts.add(*normalized_of(PARTITIONS[partition], offsets[partition], mine))
                    offsets[partition] += len(mine)
            if pauses:
                parts.pieces(SHARDS)  # a transaction that fails
        for partition in gone:
            parts.forget(PARTITIONS[partition])
    assert told(parts) == told(whole)
    assert parts.cut >= whole.cut == 0


def test_a_partition_that_comes_again_is_measured_anew() -> None:
    windows, again = OpenWindows([ByService()]), OpenWindows([ByService()])
    row = {"kind": "SERVER", "service_name": "a", "end_time": T0, "kafka_time": T0, "duration_ns": 3}
    for number in range(2):
        windows.add(*normalized_of(PARTITIONS[number], 0, [row] * 4))
    windows.pieces(SHARDS)
    windows.forget(PARTITIONS[0])
    windows.forget(PARTITIONS[1])
    for each in (windows, again):
        each.add(*normalized_of(PARTITIONS[1], 1, [row] * 3))
        each.add(*normalized_of(PARTITIONS[0], 2, [row] * 2))
    assert told(windows) == told(again)


def test_panes_may_lie_far_apart() -> None:
    windows, far = OpenWindows([ByService()]), [T0 - 50 * 365 * 86_400_000_000, T0, T0 + MINUTE]
    row = {"kind": "SERVER", "service_name": "a", "duration_ns": 3}
    windows.add(*normalized_of(PARTITIONS[0], 0, [{**row, "kafka_time": time_us, "end_time": time_us} for time_us in [*far, *far[::-1]]]))
    assert [(each["pane_us"], each["counts"][0]) for each in read(windows.pieces(1))] == [(time_us - time_us % MINUTE, 2) for time_us in far]


def test_a_new_measure_begins_with_the_next_row() -> None:
    windows = OpenWindows([ByService()])
    row = {"kind": "SERVER", "service_name": "a", "end_time": T0, "kafka_time": T0, "duration_ns": 3}
    windows.add(*normalized_of(PARTITIONS[0], 0, [row] * 4))
    windows.set_measures([ByService(), ByService(id=8)])
    windows.add(*normalized_of(PARTITIONS[0], 4, [row]))
    assert {row["measure"]: row["counts"][0] for row in read(windows.pieces(SHARDS))} == {7: 5, 8: 1}


@given(st.lists(st.tuples(st.integers(0, 2), rows), min_size=1, max_size=40))
def test_every_piece_says_where_it_is_from_and_goes_where_its_series_goes(placed: list[tuple[int, Row]]) -> None:
    windows = OpenWindows([ByService()])
    for partition in range(3):
        if mine := [row for where, row in placed if where == partition]:
            windows.add(*normalized_of(PARTITIONS[partition], 5, mine))
    for piece in windows.pieces(SHARDS):
        source = orjson.loads(dict(piece.headers)[SOURCE_HEADER])
        assert (source["first_offset"], source["next_offset"]) == (5, 5 + sum(where == source["partition"] for where, _ in placed))
        for row in read([piece]):
            assert row["series"] == series_hash(ByService.by, row["labels"])
            assert shard_hash(ByService.by, row["labels"]) % SHARDS == piece.shard


@given(st.lists(rows, min_size=1, max_size=40))
def test_exemplars_are_the_slowest_and_the_failing(given_rows: list[Row]) -> None:
    windows = OpenWindows([ByService()])
    windows.add(*normalized_of(PARTITIONS[0], 0, given_rows))
    for row in read(windows.pieces(SHARDS)):
        mine = [each for each in given_rows if ((each["service_name"] or "", each["kind"]), pane_of(each)) == (tuple(row["labels"]), row["pane_us"])]
        traced = sorted(((each["duration_ns"] or 0, each["status_code"] == "ERROR") for each in mine if each["trace_id"] is not None), key=lambda one: -one[0])
        failing = [value for value, error in traced if error]
        told = [(each["value"], each["failing"]) for each in row["exemplars"]]
        assert told == sorted(told, key=lambda one: -one[0])
        assert [value for value, _ in told][:3] == [value for value, _ in traced][:3]
        assert [value for value, error in told if error][:3] == failing[:3]
        assert len(told) <= 2 * limits.exemplars_max


@given(st.lists(rows, min_size=1, max_size=40))
def test_observations_lie_in_the_order_of_time(given_rows: list[Row]) -> None:
    windows = OpenWindows([ByService(observe="duration > 1s")])
    windows.add(*normalized_of(PARTITIONS[0], 0, given_rows))
    told = [each for row in read(windows.pieces(SHARDS)) for each in row["observations"]]
    assert sum(each["true"] for each in told) == sum((row["duration_ns"] or 0) > 10**9 for row in given_rows)
    assert len(told) == len(given_rows)
    for row in read(windows.pieces(SHARDS)):
        keys = [(each["time_us"], each["offset"]) for each in row["observations"]]
        assert keys == sorted(keys)


def test_past_the_bound_one_series_takes_the_rest() -> None:
    windows = OpenWindows([ByService(max_series=5)])
    row = {"kind": "SERVER", "end_time": T0, "kafka_time": T0}
    windows.add(*normalized_of(PARTITIONS[0], 0, [{**row, "service_name": f"service-{number % 20}"} for number in range(100)]))
    counts = {tuple(each["labels"]): each["counts"][0] for each in read(windows.pieces(SHARDS))}
    assert len(counts) == 6
    assert counts[OVERFLOW, OVERFLOW] == windows.overflowed == 75
    windows.settle()
    later = {"kind": "SERVER", "end_time": T0 + 2 * 3600 * 1_000_000, "kafka_time": T0 + 2 * 3600 * 1_000_000, "service_name": "late"}
    windows.add(*normalized_of(PARTITIONS[0], 100, [later]))  # time goes on, but its place is free only at the next flush
    windows.pieces(SHARDS)
    windows.settle()
    windows.add(*normalized_of(PARTITIONS[0], 101, [later]))
    assert [each["labels"] for each in read(windows.pieces(SHARDS))] == [["late", "SERVER"]]


def test_a_partition_that_went_is_not_told_of() -> None:
    windows = OpenWindows([ByService()])
    row = {"kind": "SERVER", "service_name": "a", "end_time": T0, "kafka_time": T0}
    for number in range(2):
        windows.add(*normalized_of(PARTITIONS[number], 0, [row]))
    windows.forget(PARTITIONS[0])
    assert [orjson.loads(dict(piece.headers)[SOURCE_HEADER])["partition"] for piece in windows.pieces(SHARDS)] == [1]


def test_large_messages_are_cut() -> None:
    windows = OpenWindows([ByService(max_series=10**6)])
    row = {"kind": "SERVER", "end_time": T0, "kafka_time": T0, "duration_ns": 5, "trace_id": "0" * 32}
    windows.add(*normalized_of(PARTITIONS[0], 0, [{**row, "service_name": f"{number}-{'x' * 100}"} for number in range(5000)]))
    pieces = windows.pieces(1)
    assert len(pieces) > 1
    assert max(len(piece.value) for piece in pieces) <= limits.partials_bytes_max
    assert len(read(pieces)) == 5000


@given(st.lists(st.floats(1e-9, 1e18), min_size=1))
def test_a_bucket_stands_for_its_values(values: list[float]) -> None:
    given_values = np.array(values)
    assert np.all(np.abs(value_of(bucket_of(given_values)) - given_values) <= (RELATIVE_ERROR_MAX + 1e-9) * given_values)
    assert bucket_of(np.array([0.0, -1.0])).tolist() == [LOWEST, LOWEST]
    assert value_of(np.array([LOWEST], np.int32)).tolist() == [0.0]


def test_a_series_is_called_the_same_everywhere() -> None:
    assert series_hash(("service_name",), ("checkout",)) == 16234128086657739695
    assert series_hash(("a", "b"), ("x", "")) != series_hash(("a",), ("x",))
