"""Parts of a line in several records are one log; lines of other containers stay out of it."""

from collections import Counter

import pyarrow as pa
import pytest

from tests.batches import records_of
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.records import Decoded, Records
from tracebraid.schemas.records import RECORDS

LONG = "x" * 8192
Line = tuple[bytes | None, str | bytes]


def part(flag: str, text: str, stream: str = "stdout", second: int = 0) -> str:
    return f"2026-01-01T00:00:{second:02d}.5Z {stream} {flag} {text}"


def read(*lines: Line, encoding: str = "auto") -> Decoded:
    """A batch of (key, value)."""
    records = records_of([value if isinstance(value, bytes) else value.encode() for _, value in lines], encoding)
    columns = dict(zip(RECORDS.names, records.batch.columns, strict=True)) | {"key": pa.array([key for key, _ in lines], pa.binary())}
    return decode(Records(records.partition, pa.record_batch(list(columns.values()), schema=RECORDS), encoding))


def bodies(decoded: Decoded) -> list[tuple[int, str]]:
    assert decoded.rejects.num_rows == 0
    return [(row["record"], row["body"]) for row in decoded.logs.to_pylist()]


@pytest.mark.parametrize("encoding", ["auto", "text"])
def test_parts_of_one_key(encoding: str) -> None:
    decoded = read(
        (b"a", part("P", "one ", second=1)),
        (b"b", part("F", "of another container")),
        (b"a", part("F", "on stderr", "stderr")),
        (b"a", part("P", "two ", second=2)),
        (b"a", part("F", "three\n", second=3)),
        (b"a", part("F", "next")),
        encoding=encoding,
    )
    assert bodies(decoded) == [(1, "of another container"), (2, "on stderr"), (4, "one two three"), (5, "next")]
    assert decoded.dropped == Counter(joined=2)
    assert decoded.rows_in == 6
    assert decoded.logs.to_pylist()[2]["envelope_time"] == "2026-01-01T00:00:01.5Z"


def test_without_keys_the_next_record_and_a_length_that_runtimes_cut_at() -> None:
    assert bodies(read((None, part("P", LONG)), (None, part("P", LONG)), (None, part("F", "end")))) == [(2, LONG + LONG + "end")]
    for between in (part("F", "e", "stderr"), "plain text", '{"msg":"m"}'):
        assert len(read((None, part("P", LONG)), (None, between), (None, part("F", "end"))).logs) == 3
    assert bodies(read((None, part("P", "short")), (None, part("F", "end")))) == [(0, "short"), (1, "end")]


def test_what_lies_between_parts_of_one_key_ends_the_line() -> None:
    assert len(read((b"a", part("P", "one")), (b"a", "plain text"), (b"a", part("F", "end"))).logs) == 3


def test_parts_without_an_end_and_ends_without_parts() -> None:
    assert bodies(read((b"a", part("F", "end")), (b"a", part("P", "begun")), (b"b", part("F", "end")))) == [(0, "end"), (1, "begun"), (2, "end")]


def test_a_character_that_was_cut_in_two_is_whole_again() -> None:
    head = part("P", "").encode()
    tail = part("F", "").encode()
    assert bodies(read((b"a", head + b"\xe8\xae"), (b"a", tail + b"\xa2"))) == [(1, "订")]


def test_bytes_that_are_no_text_either_way_are_rejects_of_their_own() -> None:
    decoded = read((b"a", part("P", "").encode() + b"\xff"), (b"a", part("F", "fine")))
    assert (decoded.rejects.column("record").to_pylist(), decoded.logs.column("body").to_pylist()) == ([0], ["fine"])
    assert decoded.dropped == Counter()


def test_a_line_beyond_the_limit_is_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "record_bytes_max", 100)
    parts = [(b"a", part("P", "x" * 50)), (b"a", part("F", "y" * 50))]
    assert [body for _, body in bodies(read(*parts))] == ["x" * 50, "y" * 50]


def test_other_encodings_are_not_looked_at() -> None:
    parts = [(b"a", part("P", "one ")), (b"a", part("F", "two"))]
    assert len(read(*parts, encoding="raw").logs) == 2
