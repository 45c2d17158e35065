"""One trace with its logs: found by any spelling of its id, put together as a tree.

In: a Snapshot and the text of an id. Out: a Trace. Never: a recursion, since a hostile trace is deep, or an endless one, since its parents may form a ring.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracebraid.pipeline.kernel.environment import load_settings
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.kernel.trace_context import parse_trace_id
from tracebraid.pipeline.query.connection import literal
from tracebraid.pipeline.query.render import to_text
from tracebraid.pipeline.query.snapshot import Snapshot, take
from tracebraid.pipeline.query.statement import question

_SPAN = "trace_id, span_id, parent_span_id, service_name, name, kind, start_time, start_unix_nano, end_unix_nano, duration_ns, status_code, status_message"
_LOG = "trace_id, span_id, service_name, time, time_unix_nano, severity_number, severity_text, logger, body, exception_type, exception_message"
_HEX = re.compile(r"[0-9a-f]{1,32}")
_PADDING = "0" * 16  # before a 64-bit id
SERVER_SIDES = ("SERVER", "CONSUMER")
Row = dict[str, Any]


@dataclass(slots=True, eq=False)
class Span:
    """One span of the tree. sent: how many times it lies in the lake. offset_ns: from the trace's earliest start. failing: it or one below it."""

    row: Row
    sent: int = 1
    offset_ns: int | None = None
    depth: int = 0
    failing: bool = False
    children: list["Span"] = field(default_factory=list)
    logs: list["Log"] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Log:
    """One log line, or several equal in all that is shown."""

    row: Row
    offset_ns: int | None = None
    sent: int = 1


@dataclass(frozen=True, slots=True)
class Trace:
    """roots: spans without a parent; missing_parent: spans whose parent is absent, or that are their own ancestors; logs: those of no span here."""

    trace_id: str
    roots: list[Span]
    missing_parent: list[Span]
    logs: list[Log]
    services: list[str]
    spans: int
    errors: int
    log_lines: int
    start: str
    duration_ns: int | None

    @property
    def complete(self) -> bool:
        return bool(self.roots) and not self.missing_parent

    def walk(self) -> Iterator[Span]:
        """Every span, parents first, siblings by start."""
        waiting = [*reversed([*self.roots, *self.missing_parent])]
        while waiting:
            span = waiting.pop()
            yield span
            waiting.extend(reversed(span.children))


def trace(trace_id: str, lake: str | None = None, *, config: str | None = None) -> Trace:
    """The trace of that id, in any spelling, in the lake (else that of the settings). Raises UsageError (no id), TracebraidError (no such trace)."""
    settings = load_settings(config, lake=lake)
    return find(take(settings.lake, settings.storage_config()), trace_id)


def candidates(text: str) -> list[str]:
    """Canonical ids that the text may mean, the likeliest first: any spelling that logs are read in, in either case, and hex of up to 32 digits.

    Digits alone are decimal too, as Datadog writes ids: first where there are 17 to 20 of them, else last. Raises UsageError where it is no id.
    """
    low = text.strip().lower().removeprefix("0x")
    found = parse_trace_id(text) or parse_trace_id(low)  # base64 has two cases, traceparent one
    plain = low.replace("-", "")
    if (found and plain != low) or not _HEX.fullmatch(plain):
        ids = [found]
    else:
        ids = [found, plain.zfill(32), parse_trace_id(plain, decimal=True) if plain.isdecimal() else None]
    given = [name for name in dict.fromkeys(ids) if name and name.strip("0")]
    if not given:
        raise UsageError(f"{text!r} is no trace id", "Give 16 or 32 hex characters, a decimal of 64 bits, or a header: traceparent, b3, uber-trace-id, X-Ray's")
    return given


def find(snapshot: Snapshot, text: str) -> Trace:
    """The one trace that the text names. A 64-bit id that no span has names the trace whose low half it is."""
    for name in candidates(text):
        found = _load(snapshot, name)
        if (found is None or not found.spans) and name.startswith(_PADDING):
            ids = f"SELECT DISTINCT trace_id FROM {{}} WHERE trace_id[17:] = {literal(name[16:])} AND trace_id <> {literal(name)}"
            wider = sorted(row[0] for row in _rows(snapshot, f"{ids.format('spans')} UNION {ids.format('logs')} LIMIT 6"))
            if len(wider) > 1:
                raise TracebraidError(f"{text} is the low half of several trace ids: {', '.join(wider[:5])}", "Give one of them")
            found = (_load(snapshot, wider[0]) if wider else None) or found
        if found:
            return found
    raise TracebraidError(f"no trace {candidates(text)[0]} in the lake {snapshot.lake}", holds(snapshot))


def holds(snapshot: Snapshot) -> str:
    """Which days a lake holds, and how fresh it is, in a sentence."""
    days = sorted({day for name in ("spans", "logs") for day in snapshot.tables[name].days})
    if not days:
        return "It holds no spans and no logs yet"
    newest = _rows(snapshot, "SELECT max(event_time_max) FROM intervals")[0][0]
    fresh = f"; its newest event is of {to_text(newest)}" if newest else ""
    return f"It holds {days[0]}" + (f" to {days[-1]}" if len(days) > 1 else "") + fresh


def _rows(snapshot: Snapshot, sql: str) -> list[tuple[Any, ...]]:
    with question(snapshot, sql) as (_, blocks):
        return [row for block in blocks for row in block]


def _load(snapshot: Snapshot, trace_id: str) -> Trace | None:
    """The trace, with the logs that have the low half of its id alone, where no span has that."""
    short = _PADDING + trace_id[16:]
    with question(snapshot, f"SELECT {_SPAN} FROM spans WHERE trace_id IN ({literal(trace_id)}, {literal(short)})") as (names, blocks):
        spans = [dict(zip(names, row, strict=True)) for block in blocks for row in block]
    own = [row for row in spans if row["trace_id"] == trace_id]
    ids = [trace_id] if len(own) < len(spans) else [trace_id, short]
    order = "ORDER BY coalesce(time_unix_nano, epoch_ns(time)), kafka_topic, kafka_partition, kafka_offset, record_index"
    with question(snapshot, f"SELECT {_LOG} FROM logs WHERE trace_id IN ({', '.join(map(literal, ids))}) {order}") as (names, blocks):
        logs = [dict(zip(names, row, strict=True)) for block in blocks for row in block]
    return build(trace_id, own, logs) if own or logs else None


def build(trace_id: str, spans: Sequence[Row], logs: Sequence[Row]) -> Trace:
    """Put rows of the tables spans and logs together; rows equal in all that is shown are one span, or log line, sent more than once."""
    sent = Counter(tuple(row.items()) for row in spans)
    nodes = sorted((Span(dict(items), count) for items, count in sent.items()), key=lambda node: (_start(node.row), str(node.row["span_id"])))
    start_ns = min((row["start_unix_nano"] for row in spans if row["start_unix_nano"] is not None), default=None)
    if start_ns is None:
        start_ns = min((ns for row in logs if (ns := _time(row)) is not None), default=None)
    for node in nodes:
        node.offset_ns = _minus(node.row["start_unix_nano"], start_ns)
    by_id: dict[str | None, list[Span]] = defaultdict(list)
    for node in nodes:
        by_id[node.row["span_id"]].append(node)
    roots, missing = _link(nodes, by_id)
    lines = [Log(dict(said), _minus(_time(dict(said)), start_ns), count) for said, count in Counter(tuple(row.items()) for row in logs).items()]
    loose = [line for line in lines if not _place(line, by_id)]
    if roots:
        roots[0].logs += loose
        roots[0].logs.sort(key=lambda line: line.offset_ns or 0)
    ends = [row["end_unix_nano"] for row in spans if row["end_unix_nano"] is not None]
    found = Trace(
        trace_id,
        roots,
        missing,
        [] if roots else loose,
        sorted({row["service_name"] for row in [*spans, *logs] if row["service_name"]}),
        len(nodes),
        sum(node.row["status_code"] == "ERROR" for node in nodes),
        len(logs),
        to_text(min((time for row in [*spans, *logs] if (time := row.get("start_time", row.get("time"))) is not None), default=None)),
        _minus(max(ends, default=None), start_ns),
    )
    _settle(found)
    return found


def _link(nodes: Sequence[Span], by_id: dict[str | None, list[Span]]) -> tuple[list[Span], list[Span]]:
    """Hang each span below its parent; the roots, and those whose parent is absent, or that form a ring (cut at its earliest span)."""
    parents: dict[Span, Span] = {}
    roots: list[Span] = []
    missing: list[Span] = []
    for node in nodes:
        same = by_id[node.row["span_id"]] if node.row["span_id"] else [node]
        above = by_id.get(node.row["parent_span_id"], []) if node.row["parent_span_id"] else []
        if node is not same[0]:
            parents[node] = same[0]  # two sides of a call may share an id (Zipkin): the later one answers the earlier
        elif above and node not in above:
            parents[node] = _answering(above)
        else:
            (missing if node.row["parent_span_id"] else roots).append(node)
    reached: set[Span] = set()
    below: dict[Span, list[Span]] = defaultdict(list)
    for node, parent in parents.items():
        below[parent].append(node)

    def reach(top: Span) -> None:
        waiting = [top]
        while waiting:
            span = waiting.pop()
            reached.add(span)
            span.children = [child for child in below[span] if child not in reached]
            waiting.extend(span.children)

    for top in [*roots, *missing]:
        reach(top)
    for node in nodes:
        if node not in reached:
            missing.append(node)
            reach(node)
    return roots, missing


def _answering(same: Sequence[Span]) -> Span:
    """Of spans that share an id, the one that has the children: the server's side."""
    return next((span for span in same if span.row["kind"] in SERVER_SIDES), same[-1])


def _place(line: Log, by_id: dict[str | None, list[Span]]) -> bool:
    same = by_id.get(line.row["span_id"]) if line.row["span_id"] else None
    if not same:
        return False
    next((span for span in same if span.row["service_name"] == line.row["service_name"]), _answering(same)).logs.append(line)
    return True


def _settle(found: Trace) -> None:
    """Depths from above, failures from below."""
    order = list(found.walk())
    for span in order:
        for child in span.children:
            child.depth = span.depth + 1
    for span in reversed(order):
        span.failing = span.row["status_code"] == "ERROR" or any(child.failing for child in span.children)


def _start(row: Row) -> int:
    return 2**63 if row["start_unix_nano"] is None else int(row["start_unix_nano"])


def _time(row: Row) -> int | None:
    if row["time_unix_nano"] is not None:
        return int(row["time_unix_nano"])
    return None if not hasattr(row["time"], "timestamp") else int(row["time"].timestamp() * 1_000_000) * 1000


def _minus(value: int | None, start: int | None) -> int | None:
    return None if value is None or start is None else value - start
