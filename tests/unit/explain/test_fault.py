"""Hand-made traces with a known culprit: gateway → cart → db, the gateway also calling ads."""

from typing import Any

from tracebraid.pipeline.explain.evidence import Found, Line, culprit, evidence
from tracebraid.pipeline.explain.fault import suspects, verdict
from tracebraid.pipeline.explain.own import Call, Span, calls_of
from tracebraid.pipeline.kernel import limits
from tracebraid.schemas.alert import Comparison, Exemplar, Transition, Window

MS = 1_000_000


def span(trace: str, number: str, parent: str | None, service: str, start_ms: float, end_ms: float, error: bool = False) -> Span:  # noqa: PLR0917
    return Span(trace, number, parent, service, f"op {number}", int(start_ms * MS), int(end_ms * MS), error)


def shop(trace: str, *, db_ms: float = 10, fails: str = "", ads_ms: float = 5) -> list[Span]:
    """The gateway waits for cart and, beside it, for ads; cart for db. `fails`: the service whose span is the first error, its callers fail with it."""
    failing = {"db": ("db", "cart", "gateway"), "cart": ("cart", "gateway"), "": ()}[fails]
    rows = [("1", None, "gateway", 0, 20 + db_ms), ("2", "1", "cart", 5, 15 + db_ms), ("3", "2", "db", 10, 10 + db_ms), ("4", "1", "ads", 5, 5 + ads_ms)]
    return [span(trace, number, parent, service, start, end, service in failing) for number, parent, service, start, end in rows]


def many(count: int, prefix: str, **how: Any) -> list[Span]:
    return [each for number in range(count) for each in shop(f"{prefix}{number}", **how)]


def named(calls: list[Call]) -> dict[str, float]:
    return {call.span.service: call.own_ns / MS for call in calls}


def test_own_time_is_what_no_child_covers() -> None:
    assert named(calls_of(shop("a"))) == {"gateway": 10, "cart": 10, "db": 10, "ads": 5}
    # Children beside one another count once; what lies outside of the parent does not count.
    both = [span("a", "1", None, "p", 0, 100), span("a", "2", "1", "x", 10, 60), span("a", "3", "1", "y", 40, 80), span("a", "4", "1", "z", 90, 150)]
    assert named(calls_of(both)) == {"p": 20, "x": 50, "y": 40, "z": 60}


def test_spans_sent_twice_without_times_or_in_a_ring() -> None:
    ring = [span("a", "1", "2", "x", 0, 10), span("a", "2", "1", "y", 2, 8), span("a", "2", "1", "y", 2, 8)]
    calls = calls_of(ring)
    assert named(calls) == {"x": 4, "y": 0}
    assert [len(call.way()) for call in calls] == [2, 2]
    assert calls_of([Span("a", "1", None, "x", "op", None, 5, True)])[0].own_ns == 0


def test_the_first_error_is_blamed_and_not_those_that_it_caused() -> None:
    assert [call.span.service for call in calls_of(shop("a", fails="db")) if call.blamed] == ["db"]
    # The cart gave up after 50 ms, the database went on: no error of the cart.
    gave_up = [span("a", "1", None, "gateway", 0, 60, True), span("a", "2", "1", "cart", 5, 55, True), span("a", "3", "2", "db", 10, 900)]
    assert [call.span.service for call in calls_of(gave_up) if call.blamed] == ["db"]


def test_the_slow_service_is_named_not_those_that_wait_for_it() -> None:
    before = calls_of(many(40, "b"))
    slow = calls_of(many(3, "w", db_ms=400) + many(20, "n"))
    exemplars = [call for call in slow if call.span.trace_id.startswith("w")]
    found = suspects(exemplars, slow, before, "time")
    assert verdict(found, "gateway", True)[0] == "db"
    assert [each.service for each in found] == ["db"]
    assert found[0].own_ns_before == 10 * MS


def test_the_failing_service_is_named_although_another_is_slower() -> None:
    before, now = calls_of(many(40, "b")), calls_of(many(4, "w", fails="cart", ads_ms=9) + many(20, "n"))
    exemplars = [call for call in now if call.span.trace_id.startswith("w")]
    assert verdict(suspects(exemplars, now, before, "errors"), "gateway", True)[0] == "cart"


def test_where_nothing_is_otherwise_the_alerts_own_service_is_told() -> None:
    calm = calls_of(many(40, "b"))
    assert verdict(suspects(calm[:8], calm, calm, "any"), "gateway", True) == ("gateway", "the alert's own service: no service stands out in its traces")
    assert verdict(suspects([], [], calm, "any"), "", False) == ("", "no trace of it was found")


def alert(*trace_ids: str) -> Transition:
    window = Window(start="2026-01-02T12:00:00Z", end="2026-01-02T12:01:00Z", start_us=1_767_355_200_000_000, end_us=1_767_355_260_000_000)
    slow = Comparison(text="p99(duration) > 300ms", unit="ns", value=4e8, threshold=3e8, holds=True)
    told = {"rule": "slow", "rule_version": "0", "severity": "warning", "labels": {}, "signal": "spans", "transition": "firing", "reason": "condition"}
    known = {
        "series": {"service_name": "gateway"},
        "started_us": 0,
        "window": window,
        "unit": "ns",
        "value": 4e8,
        "threshold": 3e8,
        "completeness": 1.0,
        "width_us": 60_000_000,
    }
    return Transition(id="a" * 32, **told, **known, comparisons=[slow], exemplars=[Exemplar(trace_id=each) for each in trace_ids])  # type: ignore[arg-type]


def test_the_path_leads_from_the_root_to_the_culprit() -> None:
    found = Found(exemplars=shop("w0", db_ms=400), before=many(40, "b"), sql="SELECT 1", tables={"spans": 7}, waited_s=1.5, complete=True)
    made = evidence(alert("w0", "not there"), found)
    assert (made.service, [each.path for each in made.traces]) == ("db", [["gateway: op 1", "cart: op 2", "db: op 3"]])
    assert (made.traces[0].duration_ns, made.tables, made.complete, made.sql) == (420 * MS, {"spans": 7}, True, "SELECT 1")
    assert culprit(calls_of(shop("a", fails="cart")), "elsewhere").span.service == "cart"


def test_log_lines_are_few_short_and_the_telling_ones() -> None:
    lines = [Line("w0", f"2026-01-02T12:00:{n:02}Z", "gateway", 9, "INFO", f"line {n}") for n in range(30)]
    lines += [Line("w0", "2026-01-02T12:00:40Z", "db", 17, "ERROR", "é" * 5000), Line("w0", "2026-01-02T12:00:41Z", "gateway", 17, "ERROR", "upstream")]
    made = evidence(alert("w0"), Found(exemplars=shop("w0", db_ms=400), before=many(40, "b"), lines=lines))
    assert len(made.logs) == 10
    assert [each.service for each in made.logs if each.severity == "ERROR"] == ["db", "gateway"]
    assert max(len(each.body.encode()) for each in made.logs) <= limits.KIB


def test_the_message_fits_whatever_the_names_are() -> None:
    deep = [Span("w0", str(n), str(n - 1) if n else None, "s" * 3000 + str(n), "\x00" * 3000, n * MS, (900 - n) * MS, False) for n in range(400)]
    lines = [Line("w0", "t", "s" * 9000, 17, "ERROR", "\x01" * 4000) for _ in range(30)]
    made = evidence(alert("w0"), Found(exemplars=deep, window=deep, lines=lines, sql="x" * 70_000))
    assert len(made.model_dump_json().encode()) <= limits.alert_bytes_max
