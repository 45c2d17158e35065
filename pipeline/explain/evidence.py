"""The evidence of one alert, put together and cut to what a message may hold.

In: the alert, spans and log lines that were looked up for it. Out: schemas.alert.Evidence. Never: a message of more than 64 KiB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tracebraid.pipeline.explain.fault import Kind, suspects, verdict
from tracebraid.pipeline.explain.fewer import Rows, first_fallen, is_about_fewer, told, upstream
from tracebraid.pipeline.explain.own import Call, Span, by_trace, calls_of
from tracebraid.pipeline.kernel import limits
from tracebraid.schemas.alert import Evidence, LogEvidence, Suspect, TraceEvidence, Transition

LOGS_MAX = 10
LOG_BYTES_MAX = limits.KIB
NAME_CHARS_MAX = 200
SEVERITY_WARN = 13


@dataclass(frozen=True, slots=True)
class Line:
    """A log line of one of the exemplar traces. time: ISO 8601."""

    trace_id: str
    time: str
    service: str
    severity_number: int
    severity: str
    body: str


@dataclass(frozen=True, slots=True)
class Found:
    """What was looked up. exemplars: spans of the alert's exemplar traces; window, before: of samples; rows: of services, where too few are what it is about.

    complete: whether the lake held all of the window.
    """

    exemplars: Sequence[Span] = ()
    window: Sequence[Span] = ()
    before: Sequence[Span] = ()
    rows: Mapping[str, Rows] = field(default_factory=dict)
    lines: Sequence[Line] = ()
    sql: str = ""
    tables: Mapping[str, int] = field(default_factory=dict)
    waited_s: float = 0.0
    complete: bool = False


def evidence(alert: Transition, found: Found) -> Evidence:
    exemplars, window, before = (calls_of(spans) for spans in (found.exemplars, found.window, found.before))
    suspected = suspects(exemplars, window, before, kind_of(alert))
    service, reason = _at_fault(alert, found, suspected)
    made = Evidence(
        id=alert.id,
        rule=alert.rule,
        series=alert.series,
        window=alert.window,
        service=service,
        reason=reason,
        suspects=suspected,
        traces=_traces(alert, exemplars, service),
        logs=_lines(found.lines, service),
        sql=found.sql,
        tables=dict(found.tables),
        waited_s=round(found.waited_s, 3),
        complete=found.complete,
    )
    return _fitting(made)


def _at_fault(alert: Transition, found: Found, suspected: Sequence[Suspect]) -> tuple[str, str]:
    """(service, why). Lines without trace ids are their own service's, and requests that are missing took no time: what is slow meanwhile is chance."""
    itself, texts = alert.series.get("service_name", ""), told(alert)
    if itself and texts and all("missing_trace_id_rate" in each for each in texts):
        return itself, "the alert's own service: its lines come without trace ids"
    if is_about_fewer(alert):
        return first_fallen(upstream(found.before, itself), found.rows, itself)
    return verdict(suspected, itself, bool(found.exemplars or found.window))


def kind_of(alert: Transition) -> Kind:
    """What the alert is about: the first comparison that holds says it."""
    texts = " ".join(told(alert))
    if "error" in texts or "status_code" in texts or "severity_number" in texts:
        return "any" if "duration" in texts else "errors"
    return "time" if "duration" in texts or alert.unit == "ns" else "any"


def _traces(alert: Transition, calls: Sequence[Call], service: str) -> list[TraceEvidence]:
    """In the alert's order of exemplars."""
    traces = by_trace(calls)
    order = [trace_id for trace_id in dict.fromkeys(each.trace_id for each in alert.exemplars) if trace_id in traces]
    return [_trace(trace_id, traces[trace_id], service) for trace_id in order]


def _trace(trace_id: str, calls: Sequence[Call], service: str) -> TraceEvidence:
    starts = [call.span.start_ns for call in calls if call.span.start_ns is not None]
    ends = [call.span.end_ns for call in calls if call.span.end_ns is not None]
    way = culprit(calls, service).way()
    return TraceEvidence(
        trace_id=trace_id,
        duration_ns=max(ends) - min(starts) if starts and ends else None,
        error=any(call.span.error for call in calls),
        path=[f"{call.span.service}: {call.span.name}"[:NAME_CHARS_MAX] for call in way],
    )


def culprit(calls: Sequence[Call], service: str) -> Call:
    """The span to blame in one trace: of the service at fault, if it is in there; one with an own error, if there is one; the longest on its own."""
    of_service = [call for call in calls if call.span.service == service] or list(calls)
    return max(of_service, key=lambda call: (call.blamed, call.own_ns))


def _lines(lines: Sequence[Line], service: str) -> list[LogEvidence]:
    """The ten that tell most: severe ones first, the service at fault's before others'; in the order of time."""
    order = sorted(lines, key=lambda line: (-min(line.severity_number, SEVERITY_WARN + 4), line.service != service, line.time))[:LOGS_MAX]
    return [
        LogEvidence(trace_id=line.trace_id, time=line.time, service=line.service, severity=line.severity[:40], body=_cut(line.body))
        for line in sorted(order, key=lambda line: line.time)
    ]


def _cut(text: str) -> str:
    """At most 1 KiB of UTF-8, whole characters."""
    data = text.encode("utf-8", "replace")
    return text if len(data) <= LOG_BYTES_MAX else data[: LOG_BYTES_MAX - 3].decode("utf-8", "ignore") + "…"


def _fitting(made: Evidence) -> Evidence:
    """What people miss least goes first."""
    while len(made.model_dump_json().encode()) > limits.alert_bytes_max:
        if made.logs:
            made = made.model_copy(update={"logs": made.logs[:-1]})
        elif len(made.traces) > 1:
            made = made.model_copy(update={"traces": made.traces[:-1]})
        elif made.sql:
            made = made.model_copy(update={"sql": ""})
        elif made.traces or made.suspects:
            made = made.model_copy(update={"traces": [], "suspects": made.suspects[:1], "reason": made.reason[:NAME_CHARS_MAX]})
            if made.suspects and len(made.suspects[0].service) > NAME_CHARS_MAX:
                made = made.model_copy(update={"suspects": [], "service": made.service[:NAME_CHARS_MAX]})
        else:
            break
    return made
