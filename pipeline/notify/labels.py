"""An alert as Alertmanager has it: labels, annotations, a link.

In: a transition, its evidence. Out: texts by name. Never: a label that changes within an episode: Alertmanager knows an alert by all its labels.

Names: https://prometheus.io/docs/concepts/data_model/ - letters, digits and '_', no digit first.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from tracebraid.schemas.alert import Evidence, Transition

TRACES_MAX = 6
FNV_OFFSET, FNV_PRIME = 14695981039346656037, 1099511628211  # of 64 bits
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")
_DURATIONS = ((60e9, "min"), (1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
_SIZES = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))


def valid_names(texts: Mapping[str, str]) -> dict[str, str]:
    """The same under names that Alertmanager takes; of two that become alike, the later in the alphabet gets a number."""
    found: dict[str, str] = {}
    for name in sorted(texts):
        plain = _NOT_IN_NAMES.sub("_", name) or "_"
        plain = f"_{plain}" if plain[0].isdigit() else plain
        unlike, number = plain, 2
        while unlike in found:
            unlike, number = f"{plain}_{number}", number + 1
        found[unlike] = texts[name]
    return found


def labels(alert: Transition) -> dict[str, str]:
    """The group, over it the rule's labels, over those `severity` and `alertname`, the rule. Empty ones are left out, as Alertmanager does."""
    every = {**valid_names(alert.series), **valid_names(alert.labels), "severity": alert.severity, "alertname": alert.rule}
    return {name: value for name, value in sorted(every.items()) if value}


def annotations(alert: Transition, evidence: Evidence | None = None, link: str = "") -> dict[str, str]:
    """The rule's own, and what the alert says: value, threshold, window, exemplar traces, SQL; with evidence, the service at fault and its path."""
    traces = list(dict.fromkeys(each.trace_id for each in alert.exemplars if each.trace_id))[:TRACES_MAX]
    made = {
        "summary": summary(alert),
        "value": shown(alert.value, alert.unit),
        "threshold": shown(alert.threshold, alert.unit),
        "reason": alert.reason,
        "window": f"{alert.window.start} to {alert.window.end}",
        "completeness": f"{alert.completeness:.0%}",
        "alert_id": alert.id,
        "trace_ids": ", ".join(traces),
        "sql": sql(alert),
        "link": filled(link, alert) if link else "",
    }
    if evidence:
        path = next((" > ".join(trace.path) for trace in evidence.traces if trace.path), "")
        made |= {"service_at_fault": evidence.service, "service_reason": evidence.reason, "path": path, "sql": evidence.sql or made["sql"]}
    return {name: value for name, value in {**made, **valid_names(alert.annotations)}.items() if value}


def summary(alert: Transition) -> str:
    """One line: group, what was compared, when."""
    group = ", ".join(f"{name}={value}" for name, value in sorted(alert.series.items()) if value)
    said = [f"{each.text} (is {shown(each.value, each.unit)})" for each in alert.comparisons if each.holds]
    what = " and ".join(said) or (
        f"{shown(alert.value, alert.unit)}, threshold {shown(alert.threshold, alert.unit)}" if alert.value is not None else alert.reason
    )
    return f"{alert.rule}{f' for {group}' if group else ''}: {what}"


def sql(alert: Transition) -> str:
    """The rows of its exemplar traces, or where it has none those of its window, on the lake."""
    traces = list(dict.fromkeys(each.trace_id for each in alert.exemplars if re.fullmatch("[0-9a-f]+", each.trace_id)))[:TRACES_MAX]
    table, time = ("spans", "end_time") if alert.signal == "spans" else ("logs", "time")
    if traces:
        listed = ", ".join(f"'{each}'" for each in traces)
        return f"SELECT * FROM {table} WHERE trace_id IN ({listed})"
    return f"SELECT * FROM {table} WHERE {time} >= TIMESTAMPTZ '{alert.window.start}' AND {time} < TIMESTAMPTZ '{alert.window.end}'"


def filled(link: str, alert: Transition) -> str:
    """`link` with `{id}`, `{rule}`, `{trace_id}` replaced; other braces stay."""
    trace = next((each.trace_id for each in alert.exemplars if each.trace_id), "")
    for name, value in (("id", alert.id), ("rule", alert.rule), ("trace_id", trace)):
        link = link.replace(f"{{{name}}}", quote(value, safe=""))
    return link


def fingerprint(texts: Mapping[str, str]) -> str:
    """16 hex digits, as Alertmanager has them for the same labels: FNV-1a over names and values in order, a byte 255 behind each (prometheus/common)."""
    found = FNV_OFFSET
    for byte in b"".join(part.encode() + b"\xff" for pair in sorted(texts.items()) for part in pair):
        found = (found ^ byte) * FNV_PRIME % 2**64
    return f"{found:016x}"


def shown(value: float | None, unit: str) -> str:
    """A number for people: 912 ms, 5.2 %, 1.5 MiB, 12/s; '' for none."""
    if value is None:
        return ""
    if unit == "1":
        return f"{value * 100:.4g} %"
    if unit == "1/s":
        return f"{value:.4g}/s"
    if unit in ("ns", "By"):
        scale, name = next(((s, n) for s, n in (_DURATIONS if unit == "ns" else _SIZES) if abs(value) >= s), (1.0, "ns" if unit == "ns" else "B"))
        return f"{value / scale:.4g} {name}"
    return f"{value:.6g}"


def rfc3339(us: int) -> str:
    """Microseconds since 1970 as RFC 3339 in UTC."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000, tzinfo=None).isoformat() + "Z"
