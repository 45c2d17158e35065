"""Text logs: what is one log, what is several, what is refused."""

import time

import pytest

from tracebraid.pipeline.decode.rows import DecodeError, Rows
from tracebraid.pipeline.decode.text import decode_text


def rows_of(value: bytes) -> list[tuple[str, str | None, str | None]]:
    """Form, body and envelope's time of the rows of one record."""
    rows = Rows()
    decode_text(value, 0, rows)
    return [(row["form"], row["body"], row["envelope_time"]) for row in rows.finish().logs.to_pylist()]


def test_a_record_is_one_log_however_many_lines_it_has() -> None:
    trace = "java.lang.Error: x\n\tat a.b(C.java:1)\n\tat d.e(F.java:2)"
    assert rows_of(trace.encode() + b"\r\n") == [("text", trace, None)]


@pytest.mark.parametrize("text", ["[INFO] x", '"quoted"', "[1,2]", "42", " indented", "a\x00b", "héllo 🙂", "{not json", "2026 was a year"])
def test_what_is_text_stays_as_it_is(text: str) -> None:
    assert rows_of(text.encode()) == [("text", text, None)]


@pytest.mark.parametrize("value", [b"", b" \n\t", b"\xef\xbb\xbf"])
def test_blank_records_give_no_rows(value: bytes) -> None:
    assert rows_of(value) == []


@pytest.mark.parametrize("value", [b"caf\xe9", b"\xff\xfea\x00", b'{"msg":"\xe9"}'])
def test_bytes_that_are_not_utf_8_are_refused(value: bytes) -> None:
    with pytest.raises(DecodeError) as refused:
        decode_text(value, 0, Rows())
    assert refused.value.reason == "invalid_utf8"


def test_cri_lines_are_logs_of_their_own_and_partial_ones_are_joined() -> None:
    value = (
        b"2026-01-01T00:00:00.1Z stdout P begun \n2026-01-01T00:00:00.2Z stderr F other\n"
        b'2026-01-01T00:00:00.3Z stdout P and \n2026-01-01T00:00:00.4Z stdout F ended\n2026-01-01T00:00:00.5+01:00 stdout F {"a":1}\n'
    )
    assert rows_of(value) == [
        ("text", "other", "2026-01-01T00:00:00.2Z"),
        ("text", "begun and ended", "2026-01-01T00:00:00.1Z"),
        ("json", None, "2026-01-01T00:00:00.5+01:00"),
    ]


def test_a_partial_cri_line_without_its_end_is_kept() -> None:
    assert rows_of(b"2026-01-01T00:00:00.1Z stdout P begun\n2026-01-01T00:00:00.2Z stderr F x") == [
        ("text", "x", "2026-01-01T00:00:00.2Z"),
        ("text", "begun", "2026-01-01T00:00:00.1Z"),
    ]


def test_lines_behind_a_cri_line_that_are_none_belong_to_it() -> None:
    assert rows_of(b"2026-01-01T00:00:00.1Z stderr F Traceback\n  File x") == [("text", "Traceback\n  File x", "2026-01-01T00:00:00.1Z")]


def test_json_lines_are_logs_of_their_own() -> None:
    assert rows_of(b'{"a":1}\nplain\n{"b":2}') == [("json", None, None), ("text", "plain", None), ("json", None, None)]


def test_a_line_in_very_many_parts_costs_no_more_than_its_length() -> None:
    parts = b"2026-01-01T00:00:00Z stdout P xxxxxxxxxx\n" * 200_000
    begun = time.process_time()
    [(_, body, _)] = rows_of(parts + b"2026-01-01T00:00:00Z stdout F .")
    assert body == "x" * 2_000_000 + "."
    assert time.process_time() - begun < 3  # a quarter of a second; minutes if each part copied those before it
