"""A table's snapshot by our own reading of its log is that of delta-rs, with checkpoints and without; damage in the log is named."""

import json
import random
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.transaction import AddAction

from tests.unit.store.build import P
from tests.unit.verify.damage import filled
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.store import tables
from tracebraid.pipeline.verify.delta_log import Snapshot, read_snapshot
from tracebraid.pipeline.verify.place import Place
from tracebraid.pipeline.verify.reader import verify
from tracebraid.pipeline.verify.report import Finding, Key


def read(lake: Path, table: str) -> Snapshot:
    return read_snapshot(Place.of(str(lake), {}), table)


def same_as_delta_rs(lake: Path, table: str) -> None:
    ours, theirs = read(lake, table), DeltaTable(str(lake / table))
    actions = pa.table(theirs.get_add_actions()).to_pylist()
    assert ours.version == theirs.version()
    assert {path: json.loads(add.statistics)["numRecords"] for path, add in ours.files.items()} == {unquote(a["path"]): a["num_records"] for a in actions}
    assert ours.properties == theirs.metadata().configuration
    assert ours.ledgers
    for key, ledger in ours.ledgers.items():
        assert theirs.transaction_version(f"{key.cluster}/{key.topic_id}/{key.number}") == ledger
    assert ours.findings == []


def test_a_table_of_200_commits_with_checkpoints(tmp_path: Path) -> None:
    schema = pa.schema([("day", pa.date32()), ("value", pa.int64())])
    table = DeltaTable.create(str(tmp_path / "logs"), schema, partition_by=["day"], configuration={"delta.checkpointInterval": "100"})
    for number in range(200):
        add = AddAction(f"day=2026-01-02/part {number}.parquet", 10, {"day": "2026-01-02"}, 0, True, json.dumps({"numRecords": number}))
        ledgers = [Transaction(f"cluster/id/{number % 7}", number)]
        table.create_write_transaction([add], "append", table.schema(), ["day"], commit_properties=CommitProperties(app_transactions=ledgers))
        table.update_incremental()
    log = tmp_path / "logs" / "_delta_log"
    checkpoints = sorted(log.glob("*.checkpoint.parquet"))
    assert len(checkpoints) == 2
    same_as_delta_rs(tmp_path, "logs")
    assert len(read(tmp_path, "logs").files) == 200
    for entry in sorted(log.glob("*.json"))[:150]:  # as its expiry removes them
        entry.unlink()
    same_as_delta_rs(tmp_path, "logs")


def test_a_lake_whose_log_begins_with_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "CHECKPOINT_INTERVAL", 5)
    lake = filled(tmp_path, cycles=5)
    for table in ("spans", "logs", "rejects", "intervals"):
        newest = max(int(path.name[:20]) for path in (tmp_path / table / "_delta_log").glob("*.checkpoint.parquet"))
        for entry in lake.log(table)[:newest]:
            entry.unlink()
        same_as_delta_rs(tmp_path, table)
    assert verify(str(tmp_path), None) == []


def test_files_removed_by_compaction_are_not_live(tmp_path: Path) -> None:
    place = tmp_path / "logs"
    random_numbers = random.Random(7)
    for number in range(12):
        rows = pa.table({"day": ["a b", "ü"], "value": [random_numbers.random(), 1.0]})
        properties = CommitProperties(app_transactions=[Transaction(f"cluster/id/{number % 3}", number)])
        write_deltalake(
            place, rows, mode="append", partition_by=["day"], commit_properties=properties, configuration={"delta.appendOnly": "false"} if number == 0 else None
        )
        if number == 6:
            DeltaTable(place).optimize.compact()
            DeltaTable(place).create_checkpoint()
    DeltaTable(place).delete("day = 'ü'")
    same_as_delta_rs(tmp_path, "logs")


def test_the_hint_names_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    filled(tmp_path)
    hint = tmp_path / "logs" / "_delta_log" / "_last_checkpoint"
    hint.write_text('{"version": 3, "size": 1}')
    (found,) = verify(str(tmp_path), None)
    assert found == Finding("log", table="logs", file="_delta_log/_last_checkpoint", detail="names the checkpoint of version 3, which is not there")
    hint.write_text("{")
    (found,) = verify(str(tmp_path), None)
    assert (found.kind, found.file) == ("log", "_delta_log/_last_checkpoint")


def test_a_checkpoint_that_cannot_be_read_leaves_the_entries(tmp_path: Path) -> None:
    filled(tmp_path)
    DeltaTable(str(tmp_path / "logs")).create_checkpoint()
    (checkpoint,) = (tmp_path / "logs" / "_delta_log").glob("*.checkpoint.parquet")
    assert verify(str(tmp_path), None) == []
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    (found,) = verify(str(tmp_path), None)
    assert (found.kind, found.table, found.file) == ("log", "logs", f"_delta_log/{checkpoint.name}")


def test_an_entry_that_is_torn(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    lake.append("logs", {"commitInfo": {}})
    entry = lake.log("logs")[-1]
    entry.write_text('{"commitInfo": {}}\n{"add": {"pa')
    (found,) = verify(str(tmp_path), None)
    assert (found.kind, found.file) == ("log", f"_delta_log/{entry.name}")


def test_ledgers_by_their_names(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    lake.append("logs", {"txn": {"appId": "a/b/c/7", "version": 3}}, {"txn": {"appId": "spark", "version": 9}}, {"txn": {"appId": "x/1", "version": 9}})
    assert read(tmp_path, "logs").ledgers == {
        Key(*P.ledger_key.split("/")[:2], 0): 30,
        Key(P.cluster, P.topic_id, 1): 30,
        Key("a/b", "c", 7): 3,
        Key("", "x", 1): 9,
    }


def test_a_protocol_beyond_ours(tmp_path: Path) -> None:
    filled(tmp_path).append("logs", {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7}})
    with pytest.raises(TracebraidError, match="Delta reader version 3"):
        read(tmp_path, "logs")
