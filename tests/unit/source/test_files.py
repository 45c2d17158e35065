"""Files as records: every layout gives the same records, every fault one line."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.pipeline.source.files import FileSource

RECORDS = [b'{"time":"2023-01-29T08:42:%02d.000Z","n":%d}' % (number % 60, number) for number in range(500)]
BASE_MS = 1_674_981_720_000
NOW = Clock(unix_nano=lambda: 1_800_000_000_000_000_000)


def prefixed(messages: list[bytes]) -> bytes:
    return b"".join(len(message).to_bytes(4, "big") + message for message in messages)


def values(source: FileSource) -> list[bytes]:
    return [value for records in source for value in records.batch.column("value").to_pylist()]


LAYOUTS: dict[str, Callable[[], bytes]] = {
    "lines": lambda: b"\n".join(RECORDS) + b"\n",
    "no newline at the end": lambda: b"\n".join(RECORDS),
    "blank lines and CRLF": lambda: b"\r\n" + b"\r\n \r\n\r\n".join(RECORDS) + b"\r\n",
    "gzip": lambda: gzip.compress(b"\n".join(RECORDS)),
    "gzip in two members": lambda: gzip.compress(b"\n".join(RECORDS[:50]) + b"\n") + gzip.compress(b"\n".join(RECORDS[50:])),
    "zstd": lambda: zstandard.compress(b"\n".join(RECORDS)),
    "zstd in a frame a record": lambda: b"".join(zstandard.compress(record + b"\n") for record in RECORDS),
    "length-prefixed": lambda: prefixed(RECORDS),
    "length-prefixed, each compressed": lambda: prefixed([zstandard.compress(record) for record in RECORDS]),
    "length-prefixed, all compressed": lambda: zstandard.compress(prefixed(RECORDS)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_records(tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracebraid.pipeline.source.framing.CHUNK_BYTES", 100)  # so that records lie across chunks
    path = tmp_path / "capture"
    path.write_bytes(LAYOUTS[layout]())
    source = FileSource(path)
    assert values(source) == RECORDS
    assert (source.bytes_read, source.bytes_total) == (path.stat().st_size, path.stat().st_size)


def test_records_are_numbered_and_stamped_with_their_own_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "poll_records_max", 2)
    path = tmp_path / "a.log"
    path.write_bytes(b"no time yet\n" + RECORDS[1] + b"\nlike the one before\n")
    partition = Partition("files", str(path), hashlib.sha256(path.read_bytes()).hexdigest()[:16], 0)
    batches: list[Records] = list(FileSource(path, "json", "t", NOW))
    assert [(each.partition, each.encoding, each.tenant) for each in batches] == [(partition, "json", "t")] * 2
    assert [row for each in batches for row in each.batch.to_pylist()] == [
        {"kafka_offset": 0, "kafka_time_ms": 1_800_000_000_000, "key": None, "value": b"no time yet", "headers": None},
        {"kafka_offset": 1, "kafka_time_ms": BASE_MS + 1000, "key": None, "value": RECORDS[1], "headers": None},
        {"kafka_offset": 2, "kafka_time_ms": BASE_MS + 1000, "key": None, "value": b"like the one before", "headers": None},
    ]


def test_batches_are_bounded_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "poll_bytes_max", 1000)
    path = tmp_path / "a"
    path.write_bytes(b"\n".join([b"." * 400] * 10))
    assert [each.batch.num_rows for each in FileSource(path)] == [3, 3, 3, 1]


def test_a_document_over_several_lines_is_one_record(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{\n "a": 1\n}\n')
    assert values(FileSource(path)) == [b'{\n "a": 1\n}\n']


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert values(FileSource(tmp_path / "a")) == []


@pytest.mark.parametrize(
    ("content", "records", "fault"),
    [
        (zstandard.compress(b"\n".join(RECORDS) + b"\n") + zstandard.compress(b"." * 100)[:-3], 500, "its compression is broken: it ends too early"),
        (zstandard.compress(b"a\nb\n") + b"rubbish", 2, "its compression is broken: "),
        (gzip.compress(b"\n".join(RECORDS))[:-9], None, "its compression is broken: "),
        (prefixed([b"a", b"b"]) + b"\x00\x00\x00\x09cut", 2, "it ends within a message"),
        (prefixed([b"a"]) + b"\x05\x00\x00\x00....", 1, "a message claims 83886080 bytes"),
        (prefixed([b"a", zstandard.compress(b"b")[:-2]]), 1, "its compression is broken: "),
    ],
)
def test_a_broken_file_is_one_line_after_its_whole_records(tmp_path: Path, content: bytes, records: int | None, fault: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    batches: list[Records] = []
    with pytest.raises(TracebraidError) as raised:
        batches.extend(FileSource(path))
    taken = sum(each.batch.num_rows for each in batches)
    assert str(raised.value).startswith(f"{path} is broken after {taken} records, near byte ")
    assert fault in str(raised.value)
    assert "\n" not in str(raised.value)
    assert records in (None, taken)


def test_a_message_that_inflates_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "inflated_bytes_max", 10_000)
    path = tmp_path / "bomb"
    path.write_bytes(prefixed([b"a", zstandard.compress(bytes(1_000_000))]))
    with pytest.raises(TracebraidError, match=r"after 1 records.* a message inflates to more than"):
        list(FileSource(path))


def test_a_line_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracebraid.pipeline.source.framing.CHUNK_BYTES", 100)
    monkeypatch.setattr(limits, "record_bytes_max", 1000)
    path = tmp_path / "long"
    path.write_bytes(b"a\n" + b"." * 5000)
    with pytest.raises(TracebraidError, match=r"after 1 records.* a line is longer than"):
        list(FileSource(path))


@pytest.mark.parametrize("name", ["absent", "."])
def test_a_path_that_cannot_be_read_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(TracebraidError, match=r"cannot read .*: (No such file|Is a directory)"):
        FileSource(tmp_path / name)


@pytest.mark.shared
def test_a_real_capture_is_read_whole(shared: Path) -> None:
    logs = FileSource(shared / "data/trainticket/logs.jsonl.zst")
    assert sum(each.batch.num_rows for each in logs) == 172_722
