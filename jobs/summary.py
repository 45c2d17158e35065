"""What the demo found, and how it is told: rates, spellings, rejects, the slowest trace, the failing service.

In: a lake that the demo filled, and what its run took. Out: one JSON object, or text for a person. Never: an answer that SQL did not give.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

import click
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from tracebraid.jobs.shop.logs import SPELLINGS
from tracebraid.jobs.shop.services import SERVICES
from tracebraid.pipeline.flow import Totals
from tracebraid.pipeline.query.connection import connect
from tracebraid.pipeline.query.trace import trace
from tracebraid.pipeline.query.tree import as_lines

# Own time: what a span took beyond its children, overlaps counted once. Own error: one that no child explains.
# So a service that only waits for another stays as it was, and the one at fault stands out.
CULPRIT = """\
WITH change AS (SELECT max(start_time) - INTERVAL {seconds} SECOND AS since FROM spans),
children AS (
  SELECT trace_id, parent_span_id AS span_id, status_code = 'ERROR' AS failed, start_unix_nano AS began, end_unix_nano AS ended,
         max(end_unix_nano) OVER (PARTITION BY trace_id, parent_span_id ORDER BY start_unix_nano
                                  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS busy_until
  FROM spans WHERE parent_span_id IS NOT NULL
),
below AS (
  SELECT trace_id, span_id, bool_or(failed) AS failed,
         sum(greatest(0, least(ended, end_unix_nano) - greatest(began, coalesce(busy_until, 0)))) AS ns
  FROM children JOIN spans USING (trace_id, span_id) GROUP BY ALL
),
request AS (
  SELECT service_name, trace_id, min(start_time) >= any_value(since) AS late, max(service_version) AS version,
         max(duration_ns) / 1e6 AS ms, sum(duration_ns - coalesce(ns, 0)) / 1e6 AS own_ms,
         bool_or(status_code = 'ERROR' AND kind IN ('SERVER', 'CONSUMER')) AS failed,
         bool_or(status_code = 'ERROR' AND NOT coalesce(failed, false)) AS own_failed
  FROM spans LEFT JOIN below USING (trace_id, span_id) CROSS JOIN change GROUP BY service_name, trace_id
)
SELECT service_name AS service,
  round(100 * avg(failed::INT) FILTER (NOT late), 1)     AS error_pct_before,
  round(100 * avg(failed::INT) FILTER (late), 1)         AS error_pct_after,
  round(quantile_cont(ms, 0.99) FILTER (NOT late))       AS p99_ms_before,
  round(quantile_cont(ms, 0.99) FILTER (late))           AS p99_ms_after,
  round(100 * avg(own_failed::INT) FILTER (NOT late), 1) AS own_error_pct_before,
  round(100 * avg(own_failed::INT) FILTER (late), 1)     AS own_error_pct_after,
  round(quantile_cont(own_ms, 0.99) FILTER (NOT late))   AS own_p99_ms_before,
  round(quantile_cont(own_ms, 0.99) FILTER (late))       AS own_p99_ms_after,
  max(version) FILTER (NOT late)                         AS version_before,
  max(version) FILTER (late)                             AS version_after
FROM request GROUP BY service_name
ORDER BY own_p99_ms_after - own_p99_ms_before DESC NULLS LAST
"""
LOGS = """\
SELECT service_name AS service, mode(trace_id_source) AS found_in, count(*) AS logs, count(*) FILTER (trace_id IS NULL) AS without_id,
       count(*) FILTER (trace_id IN (SELECT trace_id FROM spans)) AS joined
FROM logs GROUP BY service_name ORDER BY service_name
"""
REJECTS = "SELECT kafka_topic AS topic, reason, count(*) AS rejects, any_value(message) AS example FROM rejects GROUP BY ALL ORDER BY ALL"
SLOWEST = (
    "SELECT trace_id, round(duration_ns / 1e6) AS ms, root_name, spans, logs, errors, len(services) AS services FROM traces ORDER BY duration_ns DESC LIMIT 1"
)
NEXT = (
    "SELECT error_type, server_address, count(*) FROM spans WHERE service_name = 'payment' AND status_code = 'ERROR' GROUP BY ALL ORDER BY 3 DESC",
    "SELECT caller, callee, calls, errors, round(p99_ms) AS p99_ms FROM service_edges ORDER BY errors DESC, p99_ms DESC LIMIT 10",
    "SELECT time, service_name, severity_text, body FROM trace_logs WHERE severity_number >= 17 ORDER BY time DESC LIMIT 10",
)
plain_width = 170  # columns where the output is no terminal


@dataclass(frozen=True, slots=True)
class Ran:
    """What the run took. waited_s: until the first record came; cpu_s: of the whole process, the shop and the broker included."""

    lake: str
    totals: Totals
    value_bytes: int
    seconds: float
    waited_s: float
    cpu_s: float


def summarize(ran: Ran, minutes: float, fault_share: float) -> dict[str, Any]:
    """All findings as plain values. fault_share: the last part of the history that is held against the rest."""
    connection = connect(ran.lake)

    def ask(sql: str) -> list[dict[str, Any]]:
        result = connection.execute(sql)
        names = [column[0] for column in result.description or ()]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    sql = CULPRIT.format(seconds=round(minutes * 60 * fault_share))
    services = ask(sql)
    logs = ask(LOGS)
    libraries = {service.name: service.library for service in SERVICES}
    for row in logs:
        row["library"] = libraries.get(row["service"], "")
        row["spelling"] = SPELLINGS.get(row["library"], "")
    totals, busy_s = ran.totals, max(ran.seconds - ran.waited_s, 1e-9)
    return {
        "lake": ran.lake,
        "minutes": minutes,
        "seconds": round(ran.seconds, 2),
        "cpu_s": round(ran.cpu_s, 2),
        "per_second": {name: round(getattr(totals, name) / busy_s) for name in ("records", "spans", "logs")},
        "received_bytes": ran.value_bytes,
        "stored_bytes": totals.bytes_written,
        "totals": asdict(totals),
        "logs": logs,
        "joined_share": round(sum(row["joined"] for row in logs) / max(1, totals.logs), 4),
        "rejects": ask(REJECTS),
        "slowest": ask(SLOWEST)[0],
        "sql": sql,
        "services": services,
        "culprit": services[0]["service"],
    }


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
