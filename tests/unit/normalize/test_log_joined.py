"""Stack traces that arrive line by line: what their logs get, and that every record keeps its row."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.normalize.log_build import normalized

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
JAVA = ["a.PayException: card refused", "\tat a.B.c(B.java:1)", "Caused by: a.E: limit", "\t... 1 more"]
PYTHON = [
    *(
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in f',
        "KeyError: 'x'",
        "",
        "During handling of the above exception, another exception occurred:",
        "",
    ),
    *("Traceback (most recent call last):", '  File "a.py", line 2, in g', "ValueError: no money"),
]
HEAD = f"2026-01-01T12:00:00Z ERROR failed trace_id={TRACE_ID} span_id=00f067aa0ba902b7"


def in_pod(line: str, pod: str = "p") -> bytes:
    return json.dumps({"log": line + "\n", "stream": "stderr", "time": "2026-01-01T12:00:00Z", "kubernetes": {"pod_name": pod}}).encode()


def rows_of(*values: bytes) -> list[dict[str, Any]]:
    result = normalized(values)
    rows = result.logs.to_pylist()
    assert len(rows) == len(values)
    return rows


def told(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["exception_type"], row["exception_message"], row["exception_stacktrace"]


def test_a_log_gets_the_trace_behind_it_and_its_lines_the_log_s_ids() -> None:
    for lines, kind, message in ((JAVA, "a.PayException", "card refused"), (PYTHON, "ValueError", "no money")):
        rows = rows_of(*map(in_pod, [HEAD, *lines, "2026-01-01T12:00:01Z INFO next"]))
        assert told(rows[0]) == (kind, message, "\n".join(lines))
        assert [row["body"] for row in rows] == [HEAD, *lines, "2026-01-01T12:00:01Z INFO next"]
        assert {(row["trace_id"], row["span_id"], row["trace_id_source"]) for row in rows[1:-1]} == {(TRACE_ID, "00f067aa0ba902b7", "line above")}
        assert (told(rows[-1]), rows[-1]["trace_id"]) == ((None, None, None), None)
        assert {row["severity_number"] for row in rows[1:-1]} <= {0, 17}


def test_two_pods_that_talk_at_once_are_kept_apart() -> None:
    rows = rows_of(in_pod(HEAD), in_pod("12:00:00 INFO other", "q"), in_pod(JAVA[0]), in_pod("\tat q.Q", "q"), in_pod(JAVA[1]))
    assert told(rows[0]) == ("a.PayException", "card refused", "\n".join(JAVA[:2]))
    assert told(rows[1]) == (None, None, "\tat q.Q")


def test_a_line_that_only_looks_like_a_trace_s_first_is_a_log() -> None:
    rows = rows_of(in_pod(HEAD), in_pod("Error: disk full"), in_pod("Error: disk fuller"), in_pod("\tat a.B"))
    assert told(rows[0]) == (None, None, None)
    assert (rows[1]["trace_id"], rows[2]["trace_id"]) == (None, None)
    assert told(rows[1]) == ("Error", "disk fuller", "Error: disk fuller\n\tat a.B")


def test_objects_and_the_ends_of_batches_end_a_trace() -> None:
    rows = rows_of(in_pod(HEAD), in_pod('{"msg":"x"}'), in_pod(JAVA[1]))
    assert [told(row) for row in rows] == [(None, None, None), (None, None, JAVA[1]), (None, None, None)]
    [row] = rows_of(in_pod("\tat a.B"))
    assert (told(row), row["trace_id"]) == ((None, None, None), None)


LINES = st.sampled_from([HEAD, *JAVA, *PYTHON, "Error: x", "plain", 'Exception in thread "main" a.E: m'])


@given(st.lists(st.tuples(LINES, st.sampled_from("pq")), max_size=12), st.integers(0, 12))
def test_where_a_batch_ends_changes_no_position_and_no_body(lines: list[tuple[str, str]], cut: int) -> None:
    values = [in_pod(line, pod) for line, pod in lines]
    whole = rows_of(*values)
    parts = [*rows_of(*values[:cut]), *rows_of(*values[cut:])]
    assert [row["body"] for row in whole] == [row["body"] for row in parts] == [line for line, _ in lines]
    assert [row["severity_number"] for row in whole] == [row["severity_number"] for row in parts]
