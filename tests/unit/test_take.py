"""From records to the open cycle: what a sink cannot take is a reject, alone; and a sink that is full is emptied between pieces of a batch."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tracebraid.pipeline import load
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.load import load_into_lake
from tracebraid.pipeline.store import cycle
from tracebraid.pipeline.store.lake import Lake

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
    totals, _ = loaded(tmp_path, lines(20))
    assert {name: totals[name] for name in ("records", "logs", "rejects", "dropped")} == {"records": 20, "logs": 19, "rejects": 1, "dropped": 0}


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
