"""Measures that fail on a row: it is left out of theirs, and of nobody else's; nothing ends."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pytest
from structlog.testing import capture_logs

from tests.measures import ByService, Row, normalized_of
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.kernel.settings import NormalizedSettings, StreamSettings
from tracebraid.pipeline.measure import windows as measure_windows
from tracebraid.pipeline.measure.windows import OpenWindows
from tracebraid.pipeline.stream import OpenStream
from tracebraid.schemas.windows import PARTIALS, SOURCE_HEADER

P = Partition("c", "spans", "t", 0)
T0 = 1_700_000_040_000_000
POISON = "poison"


@dataclass(frozen=True)
class Fragile(ByService):
    """Fails over spans of one name."""

    id: int = 8

    def column_arrays(self, batch: pa.RecordBatch) -> list[pa.DoubleArray]:
        if POISON in batch.column("name").to_pylist():
            raise pa.ArrowInvalid("offset overflow: the secret poison")
        return super().column_arrays(batch)


@dataclass(frozen=True)
class FragileErrors(ByService):
    """The same, over what all measures share."""

    def errors(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        if POISON in batch.column("name").to_pylist():
            raise pa.ArrowInvalid("of these rows")
        return super().errors(batch)


def spans(count: int, poisoned: Iterable[int] = ()) -> list[Row]:
    common = {"service_name": "cart", "kind": "SERVER", "end_time": T0, "kafka_time": T0, "duration_ns": 5}
    return [{**common, "name": POISON if number in poisoned else "fine"} for number in range(count)]


def counts_of(windows: OpenWindows) -> dict[int, int]:
    """measure → rows."""
    found = [row for piece in windows.pieces(1) for row in pa.ipc.read_record_batch(pa.py_buffer(piece.value), PARTIALS).to_pylist()]
    return {row["measure"]: row["counts"][0] for row in found}


def test_a_row_is_left_out_of_the_measure_that_fails_on_it_alone() -> None:
    windows = OpenWindows([ByService(), Fragile()])
    with capture_logs() as told:
        windows.add(*normalized_of(P, 0, spans(20, {3, 11})))
        windows.add(*normalized_of(P, 20, spans(5)))
        assert counts_of(windows) == {7: 25, 8: 23}
    assert windows.failed == 2
    (line,) = told
    assert line["why"].startswith("ArrowInvalid at ")
    assert "secret" not in str(told)


def test_no_other_partitions_rows_go_with_it() -> None:
    windows, other = OpenWindows([ByService(), Fragile()]), Partition("c", "spans", "t", 1)
    windows.add(*normalized_of(P, 0, spans(7, {6})))
    windows.add(*normalized_of(other, 0, spans(5, {0, 2})))
    found: dict[tuple[int, int], int] = {}
    for piece in windows.pieces(1):
        source = orjson.loads(dict(piece.headers)[SOURCE_HEADER])
        for row in pa.ipc.read_record_batch(pa.py_buffer(piece.value), PARTIALS).to_pylist():
            found[row["measure"], source["partition"]] = row["counts"][0]
    assert found == {(7, 0): 7, (7, 1): 5, (8, 0): 6, (8, 1): 3}
    assert windows.failed == 3


def test_what_is_computed_of_all_rows_at_once_fails_on_one_alone() -> None:
    windows = OpenWindows([FragileErrors()])
    for number, poisoned in enumerate(({6}, {0, 2}, set[int]())):
        windows.add(*normalized_of(Partition("c", "spans", "t", number), 0, spans(7, poisoned)))
    assert sum(row["counts"][0] for piece in windows.pieces(1) for row in pa.ipc.read_record_batch(pa.py_buffer(piece.value), PARTIALS).to_pylist()) == 18
    assert windows.failed == 3


def test_what_failed_is_forgotten_with_its_partition() -> None:
    windows, other = OpenWindows([ByService(), Fragile()]), Partition("c", "spans", "t", 1)
    windows.add(*normalized_of(P, 0, spans(7, {6})))
    windows.add(*normalized_of(other, 0, spans(5, {0})))
    assert counts_of(windows)
    windows.forget(P)
    assert counts_of(windows) == {7: 5, 8: 4}


def test_one_that_fails_on_everything_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "halves_max", 8)
    windows = OpenWindows([ByService(), Fragile()])
    windows.add(*normalized_of(P, 0, spans(1_000, range(1_000))))
    assert (counts_of(windows), windows.failed) == ({7: 1_000}, 1_000)


def test_a_fault_at_the_flush_leaves_out_what_its_measure_took(monkeypatch: pytest.MonkeyPatch) -> None:
    reduce_rows = measure_windows.reduce_rows

    def fragile(rows: Any, taken: Any) -> Any:
        if rows.pane_us[0] % 60_000_000:
            raise OverflowError("of these rows")
        return reduce_rows(rows, taken)

    monkeypatch.setattr(measure_windows, "reduce_rows", fragile)
    windows = OpenWindows([ByService(), ByService(id=9, pane_us=7_000_000)])
    windows.add(*normalized_of(P, 0, spans(4)))
    for _ in range(2):  # asked again, as after an aborted transaction
        assert (counts_of(windows), windows.failed) == ({7: 4}, 4)


def test_no_memory_is_nobodys_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(measure_windows, "take", full)
    windows = OpenWindows([ByService()])
    windows.add(*normalized_of(P, 0, spans(4)))
    with pytest.raises(MemoryError):
        windows.pieces(1)


def test_the_stream_goes_on_behind_such_a_row() -> None:
    stream = OpenStream(StreamSettings(), "group", NormalizedSettings())
    stream.windows.set_measures([Fragile()])
    stream.begin(P, 0)
    stream.add(*normalized_of(P, 0, spans(3, {0, 1, 2})))
    stream.add(*normalized_of(P, 3, spans(3)))
    assert stream.next_offsets == {P: 6}
    assert counts_of(stream.windows) == {8: 3}
    assert stream.messages(1, lambda _: True)
