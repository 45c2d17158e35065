"""Tables: made on demand, with the whole schema; foreign, newer and unsafe ones refused."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable, write_deltalake

from tests.unit.store.build import partition, rows
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.tables import TABLES, check_options, lake_url, open_table
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import INT64, Column, Table


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_new_table_has_the_whole_schema(tmp_path: Path, table: Table) -> None:
    made = open_table(str(tmp_path / "a lake, größer"), table, {}, create=True)
    fields = {field.name: field for field in made.schema().fields}
    assert {name: field.metadata["comment"] for name, field in fields.items()} == {column.name: column.comment for column in table.columns}
    assert {name: field.nullable for name, field in fields.items()} == {column.name: not column.required for column in table.columns}
    assert (made.metadata().partition_columns, made.metadata().name, made.metadata().description) == (["day"], table.name, table.comment)
    protocol = made.protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version, protocol.reader_features, protocol.writer_features) == (1, 2, None, None)
    assert made.metadata().configuration["tracebraid.schemaVersion"] == str(table.version)


def test_nested_types_arrive_in_delta(tmp_path: Path) -> None:
    fields = {field.name: field.type for field in open_table(str(tmp_path), SPANS, {}, create=True).schema().fields}
    attributes = {"type": "map", "keyType": "string", "valueType": "string", "valueContainsNull": True}
    assert _plain(fields["attributes"].to_json()) == attributes
    event = _plain(fields["events"].to_json())
    assert (event["type"], {field["name"]: field["type"] for field in event["elementType"]["fields"]}) == (
        "array",
        {"time_unix_nano": "long", "name": "string", "attributes": attributes, "dropped_attributes_count": "long"},
    )
    assert _plain(fields["start_time"].to_json()) == "timestamp"


def _plain(text: str) -> Any:
    return json.loads(text)


def test_reading_a_lake_that_is_not_there_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(TracebraidError, match=r"there is no lake at .*/none: it has no table logs\. Set TRACEBRAID_LAKE"):
        Lake.open(str(tmp_path / "none"), {}, Clock(), create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("attempt", range(8))
def test_those_that_make_one_lake_at_once_share_it(tmp_path: Path, attempt: int) -> None:
    ready = threading.Barrier(4)
    ids = []

    def make() -> None:
        ready.wait()
        ids.append(Lake.open(str(tmp_path / "lake"), {}, Clock()).lake_id)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 4
    assert len(set(ids)) == 1
    assert [DeltaTable(str(tmp_path / "lake" / table.name)).version() for table in TABLES] == [0, 0, 0, 0]


def test_a_newer_lake_is_refused_in_one_line(tmp_path: Path) -> None:
    newer = replace(SPANS, version=SPANS.version + 1, columns=(*SPANS.columns, Column("later", INT64, "Of a later version.")))
    open_table(str(tmp_path), newer, {}, create=True)
    with pytest.raises(TracebraidError) as error:
        Lake.open(str(tmp_path), {}, Clock())
    assert str(error.value) == f"the table {tmp_path}/spans has schema version 2, this tracebraid knows 1. Upgrade tracebraid"


def test_a_foreign_table_is_refused(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "spans"), rows(SPANS, partition(), [1]))
    with pytest.raises(TracebraidError, match="not one of tracebraid's"):
        Lake.open(str(tmp_path), {}, Clock())


def test_a_lake_is_a_path_or_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    assert [lake_url(place) for place in ("lake/", "~/lake", "file:///var/a%20lake/", "s3://bucket/lake/", "/var/lake")] == [
        f"{tmp_path}/lake",
        "/home/someone/lake",
        "/var/a lake",
        "s3://bucket/lake",
        "/var/lake",
    ]


def test_stores_without_conditional_put_are_refused() -> None:
    check_options({"aws_region": "eu-central-1", "aws_conditional_put": "etag", "aws_s3_allow_unsafe_rename": "false"})
    for options in ({"aws_s3_allow_unsafe_rename": "true"}, {"AWS_CONDITIONAL_PUT": "disabled"}):
        with pytest.raises(UsageError, match="overwrite each other's commits"):
            check_options(options)
