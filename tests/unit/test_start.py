"""Step 1 with a real lake and a source of our making: pins, losses, torn cycles that retention overtakes, storage that fails meanwhile."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from tests.unit.store.build import GROUP, ONCE, P, Q, mixed, opened, partition, visible
from tracebraid.pipeline.flow import Flow
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.source.cluster import Absent
from tracebraid.pipeline.start import Starter, start
from tracebraid.pipeline.store.files import LocalFiles
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.ledger import Cycle, Held, Interval


class Crash(Exception):
    """Stands for the end of the process."""


@dataclass
class Source:
    """What step 1 asks of a source. `ends`: where each partition begins and ends; one that lacks is not there."""

    ends: dict[Partition, tuple[int, int]]
    sought: dict[Partition, int] = field(default_factory=dict)
    stopped: list[Partition] = field(default_factory=list)

    def watermarks(self, of: Partition) -> tuple[int, int]:
        if of not in self.ends:
            raise Absent(f"no {of}")
        return self.ends[of]

    def siblings(self, of: Partition) -> list[Partition]:
        return [each for each in self.ends if each.topic_id == of.topic_id]

    def resolve(self, of: Partition, wanted: str) -> int:
        return self.watermarks(of)[wanted == "latest"]

    def seek(self, to: Partition, offset: int) -> None:
        self.sought[to] = offset

    def stop(self, each: Partition) -> None:
        self.stopped.append(each)


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.clock = Clock(monotonic_s=lambda: self.now_s)


def flow_of(lake: Lake, clock: Clock | None = None) -> Flow:
    return Flow(Settings(lake=lake.url), lake, GROUP, metrics=Metrics(), clock=clock or Clock(), stream=False)


def begun(lake: Lake, source: Source, partitions: Iterable[Partition]) -> dict[Partition, int | None]:
    given: Any = source
    return start(flow_of(lake), given, list(partitions), {})


def starter_of(lake: Lake, source: Source, clock: Clock) -> Starter:
    given: Any = source
    return Starter(flow_of(lake, clock), given, None)


def intervals(place: Path) -> list[tuple[Any, ...]]:
    """(partition, kind, first, last, rows in, spans, logs, rejects), by partition and offset."""
    columns = ["kafka_partition", "kind", "first_offset", "last_offset", "rows_in", "rows_spans", "rows_logs", "rows_rejected"]
    found = []
    for uri in DeltaTable(str(place / "intervals")).file_uris():
        read = pq.ParquetFile(uri).read(columns=columns)
        found += zip(*(read[name].to_pylist() for name in columns), strict=True)
    return sorted(found, key=lambda row: (row[0], row[2], row[3]))


@pytest.mark.parametrize("table", ["logs", "spans", "rejects"])
@pytest.mark.parametrize("low", [1, 5, 8, 10, 25])
def test_retention_that_overtakes_a_torn_cycle_is_a_loss_that_counts_what_is_held(tmp_path: Path, table: str, low: int) -> None:
    """Some tables hold the cycle of 0 to 9, intervals does not, and its records are gone from the topic up to `low`."""
    lake = opened(tmp_path)
    lake.commit(Cycle([], [], [], [Interval(P, "start", "earliest", 0, -1)], {P: None}, GROUP))

    def crash(step: str) -> None:
        if step == f"committed {table}":
            raise Crash

    lake.after_step = crash
    with pytest.raises(Crash):
        lake.commit(mixed(expected=0))
    torn = visible(tmp_path)
    held = {name: [offset for offset in offsets if offset < low] for name, offsets in torn.items()}
    source = Source({P: (low, 30)})
    heirs = Lake.open(str(tmp_path), {}, Clock())
    assert begun(heirs, source, [P]) == {P: low}
    counts = tuple(len(held[name]) for name in ("spans", "logs", "rejects"))
    assert intervals(tmp_path) == [(0, "start", 0, -1, 0, 0, 0, 0), (0, "lost", 0, low - 1, sum(counts), *counts)]
    ahead = {(offset, 0): name for name, offsets in torn.items() for offset in offsets if offset >= low}
    assert heirs.read_ledger(P) == Held(low, ahead, max(10, low))
    before = intervals(tmp_path)
    assert begun(Lake.open(str(tmp_path), {}, Clock()), source, [P]) == {P: low}  # and the next start has nothing left to declare
    assert (intervals(tmp_path), visible(tmp_path)) == (before, torn)


@pytest.mark.parametrize("step", ["written", "fenced", "committed intervals"])
def test_a_loss_that_is_torn_itself_is_declared_once(tmp_path: Path, step: str) -> None:
    lake = opened(tmp_path)
    lake.commit(mixed())
    source, dying = Source({P: (20, 30)}), Lake.open(str(tmp_path), {}, Clock())

    def crash(at: str) -> None:
        if at == step:
            raise Crash

    dying.after_step = crash
    with pytest.raises(Crash):
        begun(dying, source, [P])
    assert begun(Lake.open(str(tmp_path), {}, Clock()), source, [P]) == {P: 20}
    assert intervals(tmp_path) == [(0, "stored", 0, 9, 10, 4, 3, 2), (0, "lost", 10, 19, 0, 0, 0, 0)]
    assert visible(tmp_path) == ONCE


def test_many_partitions_are_started_with_as_many_looks_at_the_tables_as_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    update = DeltaTable.update_incremental

    def counted(table: DeltaTable) -> None:
        looks.append(table.table_uri)
        update(table)

    monkeypatch.setattr(DeltaTable, "update_incremental", counted)
    taken = []
    for count in (2, 40):
        lake = Lake.open(str(tmp_path / str(count)), {}, Clock())
        many = [partition(number, topic) for topic in ("one", "two") for number in range(count)]
        ends = dict.fromkeys(many, (3, 9))
        for _ in range(2):  # the first pins them, the second finds them lost in part
            looks.clear()
            assert begun(lake, Source(ends), many) == {each: low for each, (low, _) in ends.items()}
            taken.append(len(looks))
            ends = dict.fromkeys(many, (6, 9))
    assert taken[:2] == taken[2:]
    assert intervals(tmp_path / "2") == [
        (number, kind, first, last, 0, 0, 0, 0) for number in (0, 1) for kind, first, last in (("start", 3, 2), ("start", 3, 2), ("lost", 3, 5), ("lost", 3, 5))
    ]


def test_a_partition_added_later_begins_at_its_beginning_and_one_that_is_not_there_waits(tmp_path: Path) -> None:
    lake, absent = opened(tmp_path), partition(0, "deleted")
    lake.commit(mixed())
    time, source = Time(), Source({P: (0, 10), Q: (2, 7)})
    starter = starter_of(lake, source, time.clock)
    starter.flow.settings = Settings(lake=lake.url, ingest={"start": "latest"})  # type: ignore[arg-type]
    assert starter.assigned([P, Q, absent]) == {P: 10, Q: 2}
    assert (list(starter.waiting), starter.why) == ([absent], "1 partitions are not there")
    starter.again()
    assert source.sought == {}  # not before the pause is over
    source.ends[absent] = (0, 4)
    time.now_s += 1
    starter.again()
    assert (source.sought, list(starter.waiting), starter.why) == ({absent: 4}, [], "")


def test_storage_that_fails_while_partitions_start_is_asked_again_and_nothing_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = opened(tmp_path)
    lake.commit(mixed())
    time, source = Time(), Source({P: (0, 10), Q: (0, 5)})
    starter = starter_of(lake, source, time.clock)
    with monkeypatch.context() as broken:

        def unanswered(*_: object) -> None:
            raise OSError("Generic S3 error: operation timed out")

        broken.setattr(DeltaTable, "update_incremental", unanswered)
        broken.setattr(LocalFiles, "ends_log", unanswered)
        assert starter.assigned([P]) == {}
        starter.restart([Q])
        for _ in range(20):
            starter.again()
            time.now_s += 60
        assert (source.sought, source.stopped, list(starter.waiting)) == ({}, [P, Q], [P, Q])
        assert starter.why.startswith("cannot read ")
        starter.forget([Q])
    starter.again()
    assert (source.sought, list(starter.waiting), starter.why) == ({P: 10}, [], "")
