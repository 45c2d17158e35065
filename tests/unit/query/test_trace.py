"""One trace: ids in every spelling, the tree, and how it is drawn."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.query.build import NOON_NS, log, shop_lake, span, write
from tracebraid import trace
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.query.snapshot import take
from tracebraid.pipeline.query.trace import Span, Trace, build, candidates, find
from tracebraid.pipeline.query.tree import as_lines, as_rows, duration
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.spans import SPANS

W3C = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (W3C, [W3C]),
        (W3C.upper(), [W3C]),
        ("4bf92f35-77b3-4da6-a3ce-929d0e0e4736", [W3C]),
        (f"00-{W3C}-00f067aa0ba902b7-01", [W3C]),
        ("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1", ["5759e988bd862e3fe1be46a994272793"]),
        (" 0xA3CE929D0E0E4736 ", ["0" * 16 + "a3ce929d0e0e4736"]),
        ("11803532876627986230", ["0" * 16 + "a3ce929d0e0e4736", "0" * 12 + "11803532876627986230"]),
        (f"00-{W3C}-00f067aa0ba902b7-01".upper(), [W3C]),
        (f"{W3C}-00f067aa0ba902b7-1", [W3C]),
        ("a3ce929d0e0e4736-00f067aa0ba902b7-1-05e3ac9a4f6e3b90", ["0" * 16 + "a3ce929d0e0e4736"]),
        (f"{W3C}:00f067aa0ba902b7:0:1", [W3C]),
        ("3ce929d0e0e4736%3A0f067aa0ba902b7%3A0%3A1", ["0" * 17 + "3ce929d0e0e4736"]),
        (f"projects/shop/traces/{W3C}", [W3C]),
        (f"{W3C}/67667974448284343;o=1", [W3C]),
        ("S/kvNXezTaajzpKdDg5HNg==", [W3C]),
        ("1234567890123456", ["0" * 16 + "1234567890123456", f"{1234567890123456:032x}"]),
        ("a3ce-929d-0e0e-4736", ["0" * 16 + "a3ce929d0e0e4736"]),
        ("12345", ["0" * 27 + "12345", f"{12345:032x}"]),
    ],
)
def test_ids_in_every_spelling(text: str, ids: list[str]) -> None:
    assert candidates(text) == ids


@pytest.mark.parametrize("text", ["", "xyz", "0", "0" * 32, W3C + "0", "-", "' OR 1=1", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"{W3C}:x:0:1"])
def test_no_id(text: str) -> None:
    with pytest.raises(UsageError, match="is no trace id"):
        candidates(text)


def shape(spans: list[Span]) -> list[Any]:
    return [(span.row["name"], [line.row["body"] for line in span.logs], shape(span.children)) for span in spans]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    return find(take(str(shop_lake(tmp_path_factory.mktemp("lake")))), "a".zfill(32))


def test_a_tree_with_its_logs(shop: Trace) -> None:
    assert shape(shop.roots) == [("GET /", ["loose"], [("add", ["adding"], [("SELECT", [], [])])])]
    assert (shop.missing_parent, shop.logs, shop.complete) == ([], [], True)
    assert (shop.spans, shop.errors, shop.log_lines, shop.services, shop.duration_ns) == (3, 1, 2, ["cart", "db", "gateway"], 100_000_000)
    assert [(span.row["name"], span.depth, span.sent, span.failing) for span in shop.walk()] == [
        ("GET /", 0, 2, True),
        ("add", 1, 1, True),
        ("SELECT", 2, 1, False),
    ]


def test_the_drawing(shop: Trace) -> None:
    assert [line.plain.rstrip() for line in as_lines(shop)] == [
        f"trace {'a'.zfill(32)}  2026-01-02T12:00:00Z  100 ms\n3 spans of 3 services, 2 log lines, 1 error",
        "    +0 ns    100 ms ━━━━━━━━━━━━━━━━ gateway GET / server (sent 2 times)",
        "   +10 ms     50 ms  ━━━━━━━━         cart add server ERROR sold out",
        "   +11 ms                              │ INFO adding",
        "   +20 ms     20 ms    ━━━             db SELECT client",
        "   +99 ms                             │ INFO loose",
    ]


def test_the_same_for_programs(shop: Trace) -> None:
    rows = list(as_rows(shop))
    assert [(row["kind"], row.get("depth"), row.get("offset_ns"), row.get("name", row.get("body"))) for row in rows] == [
        ("trace", None, None, None),
        ("span", 0, 0, "GET /"),
        ("span", 1, 10_000_000, "add"),
        ("log", 2, 11_000_000, "adding"),
        ("span", 2, 20_000_000, "SELECT"),
        ("log", 1, 99_000_000, "loose"),
    ]
    assert rows[0]["complete"] is True


def test_the_facade_finds_by_the_low_half(tmp_path: Path) -> None:
    write(tmp_path, SPANS, [span(W3C, "1")], [span("1" + "0" * 15 + "b" * 16, "1"), span("2" + "0" * 15 + "b" * 16, "1")])
    assert trace("a3ce929d0e0e4736", str(tmp_path)).trace_id == W3C
    with pytest.raises(TracebraidError, match=r"low half of several trace ids: 10+b+, 20+b+\. Give one of them"):
        trace("b" * 16, str(tmp_path))


def test_logs_with_the_low_half_of_an_id_are_in_its_trace(tmp_path: Path) -> None:
    write(tmp_path, SPANS, [span(W3C, "1")], [span("b" * 16, "2"), span("1" + "0" * 15 + "b" * 16, "1")])
    write(
        tmp_path, LOGS, [log(W3C[16:], "1", "short"), log(W3C, "1", "whole")], [log("b" * 16, "2", "of a 64-bit trace"), log("c" * 16, None, "of logs alone")]
    )
    for text in (W3C, W3C[16:], "11803532876627986230"):
        found = trace(text, str(tmp_path))
        assert (found.trace_id, [line.row["body"] for line in found.roots[0].logs]) == (W3C, ["short", "whole"])
    assert [line.row["body"] for line in trace("b" * 16, str(tmp_path)).roots[0].logs] == ["of a 64-bit trace"]
    assert trace("1" + "0" * 15 + "b" * 16, str(tmp_path)).log_lines == 0
    assert [line.row["body"] for line in trace("c" * 16, str(tmp_path)).logs] == ["of logs alone"]


def test_not_found_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(TracebraidError) as caught:
        find(take(str(shop_lake(tmp_path))), W3C)
    assert str(caught.value) == f"no trace {W3C} in the lake {tmp_path}. It holds 2026-01-02; its newest event is of 2026-01-02T12:00:00.100000Z"


def plain(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows with the columns that a trace is built of."""
    return [{"status_message": None, "logger": None, "exception_type": None, "exception_message": None, **row} for row in rows]


def test_parents_that_are_absent_and_rings() -> None:
    found = build(
        "t",
        plain(
            span("t", "1"),
            span("t", "2", "77", at_ms=1),
            span("t", "3", "2", at_ms=2),
            span("t", "5", "6", at_ms=3),
            span("t", "6", "5", at_ms=4),
            span("t", "7", "7", at_ms=5),
        ),
        [],
    )
    assert shape(found.roots) == [("op 1", [], [])]
    assert shape(found.missing_parent) == [("op 2", [], [("op 3", [], [])]), ("op 7", [], []), ("op 5", [], [("op 6", [], [])])]
    assert not found.complete
    assert "missing parent" in "".join(line.plain for line in as_lines(found))
    assert [row["missing_parent"] for row in as_rows(found) if row["kind"] == "span"] == [False, True, False, True, True, False]


def test_two_sides_of_a_call_that_share_an_id() -> None:
    client, server = span("t", "1", kind="CLIENT", name="call"), span("t", "1", at_ms=1, kind="SERVER", name="answer", service_name="db")
    found = build("t", plain(client, server, span("t", "2", "1", at_ms=2)), plain(log("t", "1", "of the server", service_name="db")))
    assert shape(found.roots) == [("call", [], [("answer", ["of the server"], [("op 2", [], [])])])]


def test_logs_alone_and_spans_without_times() -> None:
    alone = build("t", [], plain(log("t", "1", "x")))
    assert (alone.roots, [line.row["body"] for line in alone.logs], alone.complete, alone.duration_ns) == ([], ["x"], False, None)
    assert "no root" in next(as_lines(alone)).plain
    timeless = build("t", plain(span("t", "1") | dict.fromkeys(("start_unix_nano", "end_unix_nano", "start_time", "duration_ns"))), [])
    assert "? " in list(as_lines(timeless))[1].plain


def test_ten_thousand_levels() -> None:
    found = build("t", plain(*(span("t", f"{each}", f"{each - 1}" if each else None, at_ms=each) for each in range(10_000))), [])
    assert max(span.depth for span in found.walk()) == 9_999
    assert len(list(as_lines(found))) == 10_001


def test_repeats_are_folded_but_not_what_fails() -> None:
    children = [span("t", f"{each:x}", "1", at_ms=each, name="SELECT", ms=each) for each in range(16, 316)]
    children[100] |= {"status_code": "ERROR"}
    logs = [log("t", "1", f"line {each}", at_ms=each, severity_number=17 if each == 50 else 9) for each in range(100)]
    found = build("t", plain(span("t", "1", ms=400), *children), plain(*logs))
    drawn = [line.plain for line in as_lines(found)]
    assert len(drawn) == 1 + 1 + 4 + 1 + 8 + 1
    assert any("ERROR" in line for line in drawn)
    assert any("line 50" in line for line in drawn)
    assert any("… 296 more SELECT" in line and "(--all)" in line for line in drawn)
    assert any("… 92 more log lines" in line for line in drawn)
    assert len(list(as_lines(found, everything=True))) == 1 + 1 + 300 + 100


def test_nothing_reaches_the_terminal_as_a_command() -> None:
    hostile = "\x1b]0;owned\x07\u202e"
    found = build(
        "t", plain(span("t", "1", name=hostile, service_name=hostile, status_code="ERROR") | {"status_message": hostile}), plain(log("t", "1", hostile))
    )
    assert not any(character in "".join(line.plain for line in as_lines(found)) for character in "\x1b\x07\u202e")


def test_durations() -> None:
    assert [duration(ns) for ns in (None, 0, 999, 1_000, 99_950, 1_234_567, 2_000_000_000, 3_600_000_000_000, -1_500_000)] == [
        *("?", "0 ns", "999 ns", "1 µs", "100 µs", "1.23 ms", "2 s", "3600 s", "-1.5 ms"),
    ]
    assert NOON_NS % 10**9 == 0
