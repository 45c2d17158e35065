"""A trace as lines: for a person a tree with offsets, durations, bars and log lines in place; for a program JSON, in the same order.

In: a Trace. Out: rich Texts, or plain dictionaries. Never: more of equal siblings than are worth reading, unless all are asked for.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from rich.text import Text

from tracebraid.pipeline.query.render import CELL_CHARS_MAX, visible
from tracebraid.pipeline.query.trace import Log, Row, Span, Trace

BAR_CHARS = 16
REPEATS_MAX = 4  # siblings of one service and name; beyond it those that fail and the slowest stand for all
LOGS_MAX = 8  # lines of one span; beyond it those of severity ERROR and the first stand for all
SEVERITY_ERROR, SEVERITY_WARN = 17, 13
LEFT_CHARS = 20  # offset and duration
INDENT_MAX = 24  # levels that are drawn; deeper ones say their depth
_COLORS = ("cyan", "green", "magenta", "blue", "bright_cyan", "bright_green", "bright_magenta", "bright_blue", "yellow", "bright_yellow")


@dataclass(frozen=True, slots=True)
class Folded:
    """What was left off below one span: equal siblings, or lines of log."""

    what: str
    count: int
    total_ns: int = 0
    slowest_ns: int = 0
    below: int = 0  # spans below them


Item = tuple[int, Span | Log | Folded]


def items(trace: Trace, everything: bool) -> Iterator[Item]:
    """(depth, what) in the order of reading: a span, then its logs and its children by time. Orphans follow the roots, one level in."""
    waiting: list[Item] = [(0, log) for log in reversed(_fold_logs(trace.logs, everything))]
    waiting += [(1, span) for span in reversed(_fold_spans(trace.missing_parent, everything))]
    waiting += [(0, span) for span in reversed(trace.roots)]
    while waiting:
        depth, item = waiting.pop()
        yield depth, item
        if isinstance(item, Span):
            below = [*_fold_spans(item.children, everything), *_fold_logs(item.logs, everything)]
            timed = sorted((part for part in below if not isinstance(part, Folded)), key=lambda part: part.offset_ns or 0)
            waiting += [(depth + 1, part) for part in reversed([*timed, *(part for part in below if isinstance(part, Folded))])]


def _fold_spans(spans: list[Span], everything: bool) -> list[Span | Folded]:
    groups: dict[tuple[str, str], list[Span]] = defaultdict(list)
    for span in spans:
        groups[str(span.row["service_name"]), str(span.row["name"])].append(span)
    shown: list[Span | Folded] = []
    for (_, name), group in groups.items():
        if everything or len(group) <= REPEATS_MAX:
            shown += group
            continue
        kept = sorted(group, key=lambda span: (not span.failing, -(span.row["duration_ns"] or 0)))[:REPEATS_MAX]
        rest = [span for span in group if span not in kept]
        durations = [span.row["duration_ns"] or 0 for span in rest]
        shown += [span for span in group if span in kept]
        shown.append(Folded(name, len(rest), sum(durations), max(durations), sum(_size(span) for span in rest)))
    return shown


def _size(top: Span) -> int:
    """How many spans lie below."""
    waiting, count = list(top.children), 0
    while waiting:
        waiting.extend(waiting.pop().children)
        count += 1
    return count


def _fold_logs(logs: list[Log], everything: bool) -> list[Log | Folded]:
    if everything or len(logs) <= LOGS_MAX:
        return list(logs)
    kept = sorted(logs, key=lambda log: (log.row["severity_number"] or 0) < SEVERITY_ERROR)[:LOGS_MAX]
    return [*(log for log in logs if log in kept), Folded("log lines", len(logs) - len(kept))]


def as_rows(trace: Trace) -> Iterator[Row]:
    """One dictionary a line: the trace, then every span and log line in order, with its depth and its offset in nanoseconds."""
    yield {
        **{"kind": "trace", "trace_id": trace.trace_id, "start_time": trace.start, "duration_ns": trace.duration_ns, "services": trace.services},
        **{"spans": trace.spans, "errors": trace.errors, "logs": trace.log_lines, "complete": trace.complete},
    }
    orphans = {id(span) for span in trace.missing_parent}
    for depth, item in items(trace, everything=True):
        if isinstance(item, Span):
            renamed = {"span_kind" if name == "kind" else name: value for name, value in item.row.items()}
            yield {"kind": "span", "depth": depth, "offset_ns": item.offset_ns, "sent": item.sent, "missing_parent": id(item) in orphans, **renamed}
        elif isinstance(item, Log):
            yield {"kind": "log", "depth": depth, "offset_ns": item.offset_ns, "sent": item.sent, **item.row}


def as_lines(trace: Trace, everything: bool = False) -> Iterator[Text]:
    """The header, then a line a span or log."""
    yield _header(trace)
    orphans = {id(span) for span in trace.missing_parent}
    said_missing = False
    services: dict[int, str] = {}  # of the span last shown at each depth: a child of the same service does not repeat it
    for depth, item in items(trace, everything):
        if id(item) in orphans and not said_missing:
            said_missing = True
            services.clear()
            yield Text.assemble(" " * (LEFT_CHARS + BAR_CHARS + 1), ("missing parent", "bold yellow"))
        yield _line(trace, depth, item, services.get(depth - 1))
        if isinstance(item, Span):
            services[depth] = item.row["service_name"] or "?"


def _header(trace: Trace) -> Text:
    text = Text.assemble("trace ", (trace.trace_id, "bold"), f"  {trace.start}  {duration(trace.duration_ns)}\n")
    text.append(f"{_count(trace.spans, 'span')} of ")
    text.append(f"{_count(len(trace.services), 'service')}, {_count(trace.log_lines, 'log line')}, ")
    text.append(_count(trace.errors, "error"), style="bold red" if trace.errors else "")
    text.append("" if trace.complete else ", incomplete: " + ("parents are missing" if trace.missing_parent else "no root"), style="yellow")
    return text


def _line(trace: Trace, depth: int, item: Span | Log | Folded, above: str | None) -> Text:
    indent = " " * min(depth, INDENT_MAX) + (f"({depth}) " if depth > INDENT_MAX else "")
    if isinstance(item, Folded):
        more = f"… {item.count} more {visible(item.what, 80)}"
        if item.total_ns or item.slowest_ns:
            more += f", {duration(item.total_ns)} together, the slowest {duration(item.slowest_ns)}"
        if item.below:
            more += f", {_count(item.below, 'span')} below"
        return Text.assemble(" " * (LEFT_CHARS + BAR_CHARS + 1), indent, (f"{more} (--all)", "dim italic"))
    offset = "" if item.offset_ns is None else ("+" if item.offset_ns >= 0 else "-") + duration(abs(item.offset_ns))
    if isinstance(item, Log):
        return Text.assemble((f"{offset:>9}", "dim"), " " * (LEFT_CHARS - 8 + BAR_CHARS), indent, *_log(item))
    row = item.row
    failed = row["status_code"] == "ERROR"
    text = Text.assemble((f"{offset:>9}", "dim"), f" {duration(row['duration_ns']):>9} ", (_bar(trace, item), "red" if failed else "blue"), " ", indent)
    service = row["service_name"] or "?"
    if service != above:
        text.append(f"{visible(service, 60)} ", style=f"bold {color(service)}")
    text.append(visible(row["name"] or "?", 120), style="red" if failed else color(service))
    if row["kind"] not in (None, "UNSPECIFIED", "INTERNAL"):
        text.append(f" {visible(row['kind']).lower()}", style="dim")
    if failed:
        text.append(f" ERROR {visible(row['status_message'] or '', CELL_CHARS_MAX)}".rstrip(), style="red")
    if item.sent > 1:
        text.append(f" (sent {item.sent} times)", style="dim")
    return text


def _log(log: Log) -> Iterator[tuple[str, str] | str]:
    row = log.row
    number = row["severity_number"] or 0
    style = "bold red" if number >= SEVERITY_ERROR else "yellow" if number >= SEVERITY_WARN else "dim"
    yield "│ ", "dim"
    yield f"{visible(row['severity_text'] or 'log', 12)} ", style
    if row["logger"]:
        yield f"{visible(row['logger'], 60)}: ", "dim"
    yield visible(row["body"] or "", CELL_CHARS_MAX), "red" if number >= SEVERITY_ERROR else ""
    if log.sent > 1:
        yield f" (sent {log.sent} times)", "dim"
    if row["exception_type"]:
        yield visible(f" {row['exception_type']}: {row['exception_message'] or ''}", CELL_CHARS_MAX), "red"


def _bar(trace: Trace, span: Span) -> str:
    """Where in the trace the span lies; at least one mark."""
    whole = trace.duration_ns or 0
    if whole <= 0 or span.offset_ns is None:
        return " " * BAR_CHARS
    first = min(max(int(span.offset_ns * BAR_CHARS / whole), 0), BAR_CHARS - 1)
    marks = min(max(round((span.row["duration_ns"] or 0) * BAR_CHARS / whole), 1), BAR_CHARS - first)
    return " " * first + "━" * marks + " " * (BAR_CHARS - first - marks)


def duration(ns: int | None) -> str:
    """In the unit that gives three digits."""
    if ns is None:
        return "?"
    for unit, size in (("s", 10**9), ("ms", 10**6), ("µs", 10**3)):
        if abs(ns) >= size:
            value = ns / size
            return f"{value:.0f} {unit}" if abs(value) >= 100 else f"{value:.3g} {unit}"
    return f"{ns} ns"


def color(service: str) -> str:
    """One color for one service, the same in every trace."""
    return _COLORS[zlib.crc32(service.encode("utf-8", "replace")) % len(_COLORS)]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
