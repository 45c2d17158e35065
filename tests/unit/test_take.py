"""From records to the open cycle: what a sink cannot take is a reject, alone; and a sink that is full is emptied between pieces of a batch."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.batches import FIRST_OFFSET, PARTITION, records_of
from tracebraid.pipeline import load
from tracebraid.pipeline.flow import Flow
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.load import load_into_lake
from tracebraid.pipeline.store import cycle
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.ledger import Held

_not_held = cycle._not_held


def lines(count: int) -> bytes:
    return b"\n".join(json.dumps({"time": "2026-01-01T00:00:00Z", "level": "info", "msg": f"message {number}"}).encode() for number in range(count))


def loaded(tmp_path: Path, content: bytes, **chosen: Any) -> tuple[dict[str, int], Lake]:
    (tmp_path / "a.jsonl").write_bytes(content)
    settings = Settings(lake=str(tmp_path / "lake"), **chosen)
    totals = load_into_lake(settings, [tmp_path / "a.jsonl"], "auto", lambda done, total: None)
    return totals, Lake.open(settings.lake, settings.storage_config(), Clock())


def table(lake: Lake, name: str) -> pa.Table:
    return lake.tables[name].snapshot().to_pyarrow_table()


def test_a_record_that_the_open_cycle_cannot_take_is_a_reject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile(batch: pa.RecordBatch, held: Any) -> pa.RecordBatch:
        if "body" in batch.schema.names and "message 7" in batch.column("body").to_pylist():
            raise pa.ArrowInvalid("of message 7")
        return _not_held(batch, held)

    monkeypatch.setattr(cycle, "_not_held", fragile)
    totals, lake = loaded(tmp_path, lines(20))
    assert {name: totals[name] for name in ("records", "logs", "rejects", "dropped")} == {"records": 20, "logs": 19, "rejects": 1, "dropped": 0}
    metrics = Metrics()
    flow = Flow(Settings(lake=lake.url), lake, "group", metrics=metrics, clock=Clock(), stream=False)
    flow.begin(PARTITION, Held(FIRST_OFFSET), None)
    assert sum(1 for _ in flow.take(records_of(lines(20).splitlines()))) > 1
    records_in = metrics.registry.get_sample_value("tracebraid_records_in_total", {"topic": PARTITION.topic, "partition": str(PARTITION.number)})
    assert (records_in, flow.cycle.records) == (20, 20)  # each is counted once, however often it was tried


def test_a_cycle_that_is_full_is_committed_before_the_rest_of_a_batch_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a poll of small records that are many rows each would be in it at once."""
    monkeypatch.setattr(limits, "batch_rows_max", 1_000)
    records, committed = [b"[" + b",".join([b"1"] * 500) + b"]"] * 10, []
    commit = load.Lake.commit

    def counted(self: Lake, closed: Any) -> Any:
        committed.append(sum(batch.num_rows for batch in closed.logs))
        return commit(self, closed)

    monkeypatch.setattr(load.Lake, "commit", counted)
    totals, _ = loaded(tmp_path, b"\n".join(records), ingest={"flush_records": 2})
    assert totals["logs"] == 5_000
    assert (sum(committed), max(committed) <= 2_000) == (5_000, True)  # one may be encoded while the next fills, and its piece


def test_a_partition_that_goes_while_a_sink_is_emptied_leaves_nothing_of_the_rest_of_its_batch(tmp_path: Path) -> None:
    """Its topic was found made again before a commit: what is taken later would be of nobody, and ended ingest with a KeyError."""
    settings = Settings(lake=str(tmp_path / "lake"))
    lake = Lake.open(settings.lake, settings.storage_config(), Clock(), create=True)
    flow = Flow(settings, lake, "group", metrics=Metrics(), clock=Clock(), stream=True)
    flow.begin(PARTITION, Held(FIRST_OFFSET), FIRST_OFFSET + 2)
    assert flow.stream
    pieces = flow.take(records_of([b"line %d" % number for number in range(4)]))
    next(pieces)
    assert (flow.cycle.records, flow.stream.next_offsets) == (2, {})
    flow.forget(PARTITION)
    assert (list(pieces), flow.cycle.records, flow.stream.next_offsets) == ([], 0, {})
