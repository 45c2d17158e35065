"""Lines of written-down shapes: what they say, what is nearly one, and hostile ones."""

import json
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.normalize.log_build import logs_of, normalized
from tracebraid.pipeline.normalize.log_exception import raised_in, raised_in_text
from tracebraid.pipeline.normalize.log_lines import read_line
from tracebraid.pipeline.normalize.log_time import parse_time
from tracebraid.pipeline.normalize.logfmt import read_logfmt

NOON = 1_767_268_800 * 10**9  # 2026-01-01T12:00:00Z
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_logfmt_is_fields_and_its_message_the_body() -> None:
    line = f'time="2026-01-01T12:00:00Z" level=warning msg="an \\"INFO\\"" dd.trace_id=77 dd.span_id=78 x={TRACE_ID} x=2'
    assert logs_of(line.encode()) == [
        {"trace_id": f"{77:032x}", "span_id": f"{78:016x}", "trace_id_source": "field:dd.trace_id", "time_unix_nano": NOON, "severity_number": 13}
        | {"severity_text": "warning", "body": 'an "INFO"', "attributes": {"x": TRACE_ID, "x#2": "2"}}
    ]


def test_logfmt_without_a_message_keeps_its_line() -> None:
    assert logs_of(b"at=start a=1 service=8ms") == [{"body": "at=start a=1 service=8ms", "attributes": {"at": "start", "a": "1", "service": "8ms"}}]


@pytest.mark.parametrize(
    "line",
    ["", "a=1", "a=1 b", "a=1 and then b=2 went", 'a=1 b="2', 'a=1 b="2"3', 'a=1 b="\\x"', "=1 b=2", "a=1\tb=2", "if a == b then c=d", "b a=1 c=2 d=3"],
)
def test_prose_and_broken_pairs_are_no_logfmt(line: str) -> None:
    assert read_logfmt(line) is None


KEYS = st.text(st.characters(exclude_characters='=" \t', exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@given(st.dictionaries(KEYS.filter(lambda key: "#" not in key), st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=8))
def test_logfmt_gives_back_what_was_written(fields: dict[str, str]) -> None:
    assert read_logfmt(" ".join(f"{key}={json.dumps(value)}" for key, value in fields.items())) == fields


def test_an_envelope_s_fields_stand_behind_the_line_s() -> None:
    envelope = {"log": "level=info caller=a.go:1 msg=hi", "stream": "stdout", "time": "2026-01-01T12:00:00Z", "caller": "agent"}
    assert logs_of(json.dumps(envelope).encode()) == [
        {"time_unix_nano": NOON, "severity_number": 9, "severity_text": "info", "body": "hi"}
        | {"attributes": {"caller": "a.go:1", "caller#2": "agent", "log.iostream": "stdout"}}
    ]


def test_lines_mix_with_texts_and_objects_in_one_batch() -> None:
    rows = normalized([b"<34>1 - - - - - -", b'{"msg":"x"}', b"a=1 b=2", b"plain", b"<34>nothing"]).logs.to_pylist()
    assert [(row["body"], dict(row["attributes"])) for row in rows] == [
        ("<34>1 - - - - - -", {"syslog.facility": "4"}),
        ("x", {}),
        ("a=1 b=2", {"a": "1", "b": "2"}),
        ("plain", {}),
        ("<34>nothing", {}),
    ]


def test_structured_data_loses_its_escapes() -> None:
    line = read_line('<165>1 - h - - - [a@1 x="\\"\\]\\\\" y=""][b]')
    assert line is not None
    assert line.fields == {"syslog.hostname": "h", "syslog.facility": "20", "syslog.sd.a@1.x": '"]\\', "syslog.sd.a@1.y": ""}


@pytest.mark.parametrize(
    ("text", "near", "expected"),
    [
        ("Dec 31 23:59:59", "2026-01-01T00:00:10Z", "2025-12-31T23:59:59Z"),
        ("Jan  1 00:00:01", "2025-12-31T23:59:59Z", "2026-01-01T00:00:01Z"),
        ("Feb 29 12:00:00", "2025-02-28T12:00:00Z", "2024-02-29T12:00:00Z"),
        ("Feb 30 12:00:00", "2025-02-28T12:00:00Z", None),
        ("0102 15:04:05.678901", "2026-01-01T00:00:00Z", "2026-01-02T15:04:05.678901Z"),
        ("Aug 24 05:34:00 CST 1987", "2026-01-01T00:00:00Z", "1987-08-24T05:34:00Z"),
        ("Foo 24 05:34:00", "2026-01-01T00:00:00Z", None),
    ],
)
def test_a_time_without_a_year_is_of_the_nearest_one(text: str, near: str, expected: str | None) -> None:
    about, wanted = parse_time(near), parse_time(expected) if expected else None
    assert about is not None
    found = parse_time(text, about.nanos)
    assert (found and found.nanos) == (wanted and wanted.nanos)
    assert found is None or not found.zoned
    assert (parse_time(text) is None) == ("1987" not in text)


@pytest.mark.parametrize(
    ("trace", "kind", "message"),
    [
        ("java.lang.IllegalStateException\n\tat a.B.c(B.java:1)", "java.lang.IllegalStateException", None),
        ("E: two\nlines\n\tat a.B.c(B.java:1)\nCaused by: F: x\n\tat d", "E", "two\nlines"),
        ("TypeError: x is not a function\n    at f (a.js:1:2)", "TypeError", "x is not a function"),
        ("System.Exception: m\n   at A.B() in a.cs:line 1", "System.Exception", "m"),
        ('Traceback (most recent call last):\n  File "a", line 1\nKeyError', "KeyError", None),
        ('Traceback (most recent call last):\n  File "a", line 1\na.E: m\nn', "a.E", "m\nn"),
        ("goroutine 1 [running]:\nmain.main()\n\t/a.go:1", None, None),
        ("not a trace", None, None),
    ],
)
def test_what_stack_traces_are_of(trace: str, kind: str | None, message: str | None) -> None:
    assert raised_in(trace) == (kind, message, trace)


def test_the_stack_trace_of_a_text_is_all_behind_its_first_line() -> None:
    assert raised_in_text("12:00 ERROR x\nE: m\n\tat a\nCaused by: F\n") == ("E", "m", "E: m\n\tat a\nCaused by: F")
    assert raised_in_text("12:00 INFO x\nmeet me\n  at noon") == (None, None, "meet me\n  at noon")
    assert raised_in_text("two\nlines") is None
    assert raised_in_text("\tat a") is None


ATTACKS = [
    "a=",
    "a=1 ",
    'a="',
    'a="\\',
    "a=b" * 3,
    "a ",
    "<34>1 - - - - - [a",
    '<34>1 - - - - - [a b="',
    "I0102 15:04:05.0 1 a:1] ",
    "\n\tat ",
    "\n",
    " ",
    "A.",
]
HEADS = [
    "",
    '1.1.1.1 - - [01/Jan/2026:13:00:00 +0100] "',
    '1 - - [01/Jan/2026:13:00:00 +0100] "GET /" 200 1 "',
    "<34>1 - - - - - ",
    "<34>1 - - - - - [a",
    'I0102 15:04:05.0 1 a:1] "',
]


@pytest.mark.parametrize("attack", [*ATTACKS, '"', "\\", '\\"', "] [", ' b="c"'])
@pytest.mark.parametrize("head", HEADS)
def test_hostile_lines_cost_a_time_that_grows_with_their_length_alone(head: str, attack: str) -> None:
    text = head + attack * (1_000_000 // len(attack))
    begun = time.process_time()
    for read in (read_line, read_logfmt, raised_in, raised_in_text):
        read(text)
    assert time.process_time() - begun < 2  # a fraction of it where nothing disturbs; minutes if a pattern were not linear


PAIRS, PARAMETERS = "\\n" * 500_000, ' a=""' * 200_000


@pytest.mark.parametrize("line", [f'a=1 b="{PAIRS}"', f'1.2.3.4 - - [01/Jan/2026:12:00:00 +0000] "{PAIRS}" 200 7', f"<1>1 - - - - - [a{PARAMETERS}]"])
def test_a_long_line_takes_little_memory(line: str) -> None:
    """To be able to walk back, a pattern once remembered 70 bytes a byte."""
    tracemalloc.start()
    try:
        found = read_line(line)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(line)
    finally:
        tracemalloc.stop()
    assert found is not None
    assert len(found.fields) < 1_100


def test_structured_data_has_bounds() -> None:
    line = read_line("<1>1 - - - - - [a" + "".join(f' {number}=""' for number in range(5_000)) + "]")
    assert line is not None
    assert len(line.fields) < 1_100
