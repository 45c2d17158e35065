"""Rows → files: sorted, split by day, readable by bare Parquet readers."""

import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.store.build import NOON_US, partition, rows
from tracebraid.pipeline.store import parquet
from tracebraid.pipeline.store.files import LocalFiles, StoredFiles
from tracebraid.pipeline.store.parquet import encode_rows, write_rows
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.spans import SPANS

ATTRIBUTES = [("http.route", "/cart"), ("user.id", "7")]
EVENTS = [{"time_unix_nano": 5, "name": "retry", "attributes": [("n", "1")], "dropped_attributes_count": 0}]


def span_rows(traces: list[str | None], day: date = date(2026, 1, 2)) -> pa.RecordBatch:
    batch = rows(SPANS, partition(), range(len(traces)), day=day, attributes=ATTRIBUTES, events=EVENTS, start_time=NOON_US)
    return batch.set_column(batch.schema.get_field_index("trace_id"), SPANS.arrow.field("trace_id"), pa.array(traces, pa.string()))


def test_rows_are_sorted_and_split_by_day() -> None:
    encoded = encode_rows(SPANS, [span_rows(["c", None, "a"]), span_rows(["b"], date(2026, 1, 1)), span_rows(["b"])])
    assert [(file.day, file.rows, pq.read_table(pa.BufferReader(file.data))["trace_id"].to_pylist()) for file in encoded] == [
        (date(2026, 1, 1), 1, ["b"]),
        (date(2026, 1, 2), 4, ["a", "b", "c", None]),
    ]


def test_no_rows_no_files() -> None:
    assert encode_rows(SPANS, []) == encode_rows(SPANS, [span_rows([])]) == []


def test_a_file_holds_what_was_given_but_the_partition_column() -> None:
    batch = span_rows(["a", "b"])
    (file,) = encode_rows(SPANS, [batch])
    read = pq.read_table(pa.BufferReader(file.data))
    assert "day" not in read.column_names
    assert read.to_pylist() == pa.Table.from_batches([batch]).drop_columns(["day"]).to_pylist()
    metadata = pq.ParquetFile(pa.BufferReader(file.data)).metadata
    assert metadata.metadata is None  # no Arrow schema of ours: other readers have none either
    column = metadata.row_group(0).column(0)
    assert (column.path_in_schema, column.compression, column.has_column_index, column.has_offset_index) == ("trace_id", "ZSTD", True, True)


def test_only_files_with_traces_have_a_bloom_filter() -> None:
    (with_traces,) = encode_rows(SPANS, [span_rows(["a" * 32])])
    without = parquet._to_parquet(pa.Table.from_batches([span_rows(["a" * 32])]).select(["span_id", "kafka_offset"]))
    blocks = 32  # bytes of the smallest filter
    assert with_traces.data.size - without.size > blocks
    assert b"PAR1" == with_traces.data.to_pybytes()[:4] == without.to_pybytes()[:4]


def test_row_groups_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "row_group_rows_max", 2)
    (file,) = encode_rows(LOGS, [rows(LOGS, partition(), range(5))])
    metadata = pq.ParquetFile(pa.BufferReader(file.data)).metadata
    assert [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)] == [2, 2, 1]


@pytest.mark.parametrize("remote", [False, True])
def test_files_have_fresh_names_below_their_day(tmp_path: Path, remote: bool) -> None:
    files = StoredFiles(tmp_path.as_uri(), {}) if remote else LocalFiles(tmp_path)
    written = write_rows(SPANS, [span_rows(["a"]), span_rows(["b"], date(2026, 1, 1))], files) + write_rows(SPANS, [span_rows(["a"])], files)
    assert [file.day for file in written] == ["2026-01-01", "2026-01-02", "2026-01-02"]
    assert {file.path for file in written} == {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.zstd.parquet")}
    assert len({file.path for file in written}) == 3
    assert [file.bytes for file in written] == [(tmp_path / file.path).stat().st_size for file in written]
    assert [json.loads(file.statistics)["numRecords"] for file in written] == [1, 1, 1]
    assert all(file.path.startswith(f"day={file.day}/part-") for file in written)


@pytest.mark.parametrize("remote", [False, True])
def test_age_and_removal(tmp_path: Path, remote: bool) -> None:
    files = StoredFiles(tmp_path.as_uri(), {}) if remote else LocalFiles(tmp_path)
    files.write_file("day=2026-01-02/part-1.parquet", pa.py_buffer(b"PAR1"))
    assert files.written_at_s("day=2026-01-02/part-1.parquet") == pytest.approx((tmp_path / "day=2026-01-02/part-1.parquet").stat().st_mtime, abs=1)
    large = pa.py_buffer(bytes(range(256)) * 20_000)
    files.write_file("part-2.parquet", large)
    assert (tmp_path / "part-2.parquet").read_bytes() == large.to_pybytes()
    files.remove_file("day=2026-01-02/part-1.parquet")
    files.remove_file("day=2026-01-02/part-1.parquet")
    assert files.written_at_s("day=2026-01-02/part-1.parquet") is None


def test_a_name_is_never_written_twice(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    files.write_file("part-1.parquet", pa.py_buffer(b"first"))
    with pytest.raises(FileExistsError):
        files.write_file("part-1.parquet", pa.py_buffer(b"second"))
    assert (tmp_path / "part-1.parquet").read_bytes() == b"first"


def test_rows_of_more_than_a_column_holds_are_several_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow's offsets end at 2 GiB, and so did ingest, at each try to encode the cycle anew."""
    batches = [span_rows([*traces]) for traces in ("db", "ca", "f", "e")]
    size = max(batch.nbytes for batch in batches)
    for most, expected in ((4 * size, ["abcdef"]), (2 * size, ["abcd", "ef"]), (1, ["bd", "ac", "f", "e"])):
        monkeypatch.setattr(parquet, "encoded_bytes_max", most)
        encoded = encode_rows(SPANS, batches)
        assert ["".join(pq.read_table(pa.BufferReader(file.data))["trace_id"].to_pylist()) for file in encoded] == expected
        assert [file.rows for file in encoded] == [len(each) for each in expected]
