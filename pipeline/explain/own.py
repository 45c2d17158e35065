"""Own time and own errors of spans: what remains once the work of others is taken out.

In: spans of whole traces. Out: a Call for each span, with its own nanoseconds, its own error, and the way to it. Never: a recursion; an endless one, since
parents may form a ring.

Own time of a span: its duration minus the union of its children's intervals, each cut to the span's own. Own error: an error span none of whose
children is an error. A call that its caller gave up while the callee went on (a child that ends after its parent) is the callee's error, not the caller's.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

PATH_MAX = 64  # spans of a way that are told


@dataclass(frozen=True, slots=True)
class Span:
    """As table `spans` has it. Times in nanoseconds since 1970; a span without both has no time of its own."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    service: str
    name: str
    start_ns: int | None
    end_ns: int | None
    error: bool


@dataclass(slots=True, eq=False)
class Call:
    """One span and its place in its trace. blamed: an own error of its service."""

    span: Span
    parent: "Call | None" = None
    children: list["Call"] = field(default_factory=list)
    own_ns: int = 0
    blamed: bool = False

    @property
    def duration_ns(self) -> int:
        start, end = self.span.start_ns, self.span.end_ns
        return max(end - start, 0) if start is not None and end is not None else 0

    def way(self) -> list["Call"]:
        """From the root down to here; the middle of one of more than PATH_MAX is left out."""
        found: list[Call] = []
        here: Call | None = self
        seen: set[int] = set()
        while here is not None and id(here) not in seen:
            seen.add(id(here))
            found.append(here)
            here = here.parent
        found.reverse()
        return found if len(found) <= PATH_MAX else [*found[: PATH_MAX // 2], *found[-PATH_MAX // 2 :]]


def calls_of(spans: Sequence[Span]) -> list[Call]:
    """A Call a (trace, span id), of several sent the one that started first; in the order of start."""
    first: dict[tuple[str, str], Span] = {}
    for span in sorted(spans, key=lambda each: (each.start_ns is None, each.start_ns or 0)):
        first.setdefault((span.trace_id, span.span_id), span)
    calls = {key: Call(span) for key, span in first.items()}
    for (trace_id, span_id), call in calls.items():
        parent = calls.get((trace_id, call.span.parent_span_id or ""))
        if parent is not None and call.span.parent_span_id != span_id:
            call.parent = parent
            parent.children.append(call)
    for call in calls.values():
        call.own_ns = call.duration_ns - _covered_ns(call)
    for call in calls.values():
        _blame(call)
    return list(calls.values())


def _covered_ns(call: Call) -> int:
    """How long some child was at work within the span."""
    start, end = call.span.start_ns, call.span.end_ns
    if start is None or end is None:
        return 0
    covered, upto = 0, start
    for child in call.children:  # in the order of their starts
        child_start, child_end = child.span.start_ns, child.span.end_ns
        if child_start is None or child_end is None:
            continue
        begin, finish = max(child_start, upto), min(child_end, end)
        if finish > begin:
            covered, upto = covered + finish - begin, finish
    return covered


def _blame(call: Call) -> None:
    if not call.span.error or any(child.span.error for child in call.children):
        return
    late = [child for child in call.children if child.span.end_ns is not None and call.span.end_ns is not None and child.span.end_ns > call.span.end_ns]
    if late:
        _slowest_below(max(late, key=lambda child: child.duration_ns)).blamed = True
    else:
        call.blamed = True


def _slowest_below(call: Call) -> Call:
    """Down from a call that was given up, along the child that took most, to the one that was long on its own."""
    seen: set[int] = set()
    while call.children and id(call) not in seen:
        seen.add(id(call))
        longest = max(call.children, key=lambda child: child.duration_ns)
        if longest.duration_ns <= call.own_ns:
            break
        call = longest
    return call


def by_trace(calls: Sequence[Call]) -> dict[str, list[Call]]:
    found: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        found[call.span.trace_id].append(call)
    return found
