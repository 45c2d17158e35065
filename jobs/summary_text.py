"""The demo's findings for a person: in color at a terminal, plain elsewhere.

In: what summary.py found. Out: text on standard output. Never: a finding of its own.
"""

import json
from typing import Any

import click
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from tracebraid.pipeline.query.trace import trace
from tracebraid.pipeline.query.tree import as_lines

NEXT = (
    "SELECT server_address, error_type, count(*) AS calls FROM spans WHERE service_name = 'payment' AND kind = 'CLIENT' AND status_code = 'ERROR' GROUP BY ALL",
    "SELECT caller, callee, calls, errors, round(p99_ms) AS p99_ms FROM service_edges ORDER BY errors DESC, p99_ms DESC LIMIT 10",
    "SELECT time, service_name, severity_text, body FROM trace_logs WHERE severity_number >= 17 ORDER BY time DESC LIMIT 10",
)
plain_width = 170  # columns where the output is no terminal


def show(summary: dict[str, Any], *, as_json: bool, kept: bool) -> None:
    """One JSON object a line, or text: in color at a terminal."""
    if as_json:
        click.echo(json.dumps(summary, default=str))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=plain_width)
    _show_rates(console, summary)
    _show_logs(console, summary)
    _show_rejects(console, summary)
    _show_slowest(console, summary)
    _show_alerts(console, summary)
    _show_culprit(console, summary)
    _show_next(console, summary, kept)


def _show_rates(console: Console, summary: dict[str, Any]) -> None:
    totals, rates = summary["totals"], summary["per_second"]
    _title(console, f"{summary['minutes']} minutes of a shop with twelve services, in {summary['seconds']:.1f} s")
    console.print(f"{totals['records']:,} Kafka records: {totals['spans']:,} spans, {totals['logs']:,} logs, {totals['rejects']:,} rejects")
    console.print(
        f"{rates['records']:,} records/s: {rates['spans']:,} spans/s and {rates['logs']:,} logs/s; {summary['cpu_s']:.1f} s of CPU,"
        " the shop and the broker included"
    )
    console.print(f"{summary['received_bytes'] / 1e6:.1f} MB came in, {summary['stored_bytes'] / 1e6:.1f} MB of Parquet lie in {summary['lake']}")


def _show_logs(console: Console, summary: dict[str, Any]) -> None:
    _title(console, f"Logs: {summary['joined_share']:.1%} joined to the spans of their trace, whoever wrote them")
    table = _table("service", "library", "trace id spelled", "found in", "logs", "without id", "joined")
    for row in summary["logs"]:
        counts = (f"{row[name]:,}" for name in ("logs", "without_id", "joined"))
        table.add_row(row["service"] or "(not told)", row["library"], row["spelling"], row["found_in"] or "", *counts)
    console.print(table)


def _show_rejects(console: Console, summary: dict[str, Any]) -> None:
    _title(console, "Rejects: bytes that are no record, kept with their reason")
    table = _table("topic", "reason", "records", "example")
    for row in summary["rejects"]:
        table.add_row(row["topic"], row["reason"], str(row["rejects"]), row["example"][:100])
    console.print(table)


def _show_slowest(console: Console, summary: dict[str, Any]) -> None:
    slowest = summary["slowest"]
    _title(console, f"The slowest trace: {slowest['root_name']}, {slowest['ms']:,.0f} ms, {slowest['spans']} spans, {slowest['logs']} logs")
    for line in as_lines(trace(slowest["trace_id"], summary["lake"])):
        console.print(line, no_wrap=True, overflow="ellipsis")


def _show_culprit(console: Console, summary: dict[str, Any]) -> None:
    _title(console, "Which service is at fault? In SQL:")
    console.print(Syntax(summary["sql"], "sql", background_color="default", word_wrap=True) if console.is_terminal else summary["sql"], markup=False)
    table = _table("service", "errors %", "p99 ms", "own errors %", "own p99 ms", "version")
    for row in summary["services"]:
        pairs = [_pair(row[f"{name}_before"], row[f"{name}_after"]) for name in ("error_pct", "p99_ms", "own_error_pct", "own_p99_ms", "version")]
        table.add_row(row["service"], *pairs, style="bold red" if row["service"] == summary["culprit"] else None)
    console.print(table)
    worst = summary["services"][0]
    console.print(
        f"{worst['service']} is at fault: without what it waits for, its p99 went from {worst['own_p99_ms_before']:,.0f} to"
        f" {worst['own_p99_ms_after']:,.0f} ms, with errors of its own in {worst['own_error_pct_after']} % of its requests,"
        f" since version {worst['version_after']}. The others that are slow wait for it.",
        style="bold",
    )


def _show_alerts(console: Console, summary: dict[str, Any]) -> None:
    firing = [alert for alert in summary["alerts"] if alert["transition"] == "firing"]
    _title(console, f"Alerts: {len(firing)} of the starter rules as they ship; nobody set a threshold")
    table = _table("since the fault s", "rule", "series", "value", "expected below", "an example")
    for alert in firing:
        band = alert["band"] or {}
        value, high = (_measured(number, alert["unit"]) for number in (alert["value"], band.get("high")))
        example = alert["exemplars"][0]["trace_id"] if alert["exemplars"] else ""
        table.add_row(f"{alert['after_s']:,.0f}", alert["rule"], " ".join(alert["series"].values()), value, high, example)
    console.print(table)


def _measured(value: float | None, unit: str) -> str:
    """A number for people."""
    if value is None:
        return "-"
    return f"{value / 1e6:,.0f} ms" if unit == "ns" else f"{value:.1%}" if unit == "1" else f"{value:,.3g} {unit}".strip()


def _show_next(console: Console, summary: dict[str, Any], kept: bool) -> None:
    _title(console, "Try next" if kept else "Try next, after `tracebraid demo --keep`")
    lake = summary["lake"] if kept else "DIRECTORY"
    console.print(f"export TRACEBRAID_LAKE={lake}")
    for sql in NEXT:
        console.print(f'tracebraid sql "{sql}"', markup=False, soft_wrap=True)
    console.print(f"tracebraid trace {summary['slowest']['trace_id']}")


def _pair(before: float | str | None, after: float | str | None) -> str:
    """One value where both are the same, else both."""
    texts = ["-" if value is None else f"{value:,g}" if isinstance(value, float) else value for value in (before, after)]
    return texts[0] if texts[0] == texts[1] else " → ".join(texts)


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(text, style="bold cyan", markup=False)


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        numeric = name in ("logs", "without id", "joined", "records") or name.endswith(("%", "ms"))
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    return table
