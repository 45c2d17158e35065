"""What the demo found: rates, spellings, rejects, the slowest trace, the failing service.

In: a lake that the demo filled, and what its run took. Out: plain values. Never: an answer that SQL did not give.
"""

from dataclasses import asdict, dataclass
from typing import Any

from tracebraid.jobs.shop.logs import SPELLINGS
from tracebraid.jobs.shop.services import SERVICES
from tracebraid.pipeline.query.connection import connect
from tracebraid.pipeline.store.totals import Totals

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
  mode(version) FILTER (NOT late)                        AS version_before,
  mode(version) FILTER (late)                            AS version_after
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


@dataclass(frozen=True, slots=True)
class Ran:
    """What the run took. waited_s: until the first record came; cpu_s: of the whole process, the shop and the broker included."""

    lake: str
    totals: Totals
    value_bytes: int
    seconds: float
    waited_s: float
    cpu_s: float
    alerts: list[dict[str, Any]]


def summarize(ran: Ran, minutes: float, fault_share: float, fault_us: int = 0) -> dict[str, Any]:
    """All findings as plain values. fault_share: the last part of the history that is held against the rest. fault_us: when the fault began."""
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
        "alerts": [_alert(each, fault_us) for each in ran.alerts],
    }


def _alert(told: dict[str, Any], fault_us: int) -> dict[str, Any]:
    """A transition, and how long after the fault's beginning its window had ended, in event time."""
    names = ("id", "rule", "transition", "reason", "severity", "series", "value", "unit", "threshold", "band", "comparisons", "exemplars")
    return {**{name: told[name] for name in names}, "at": told["window"]["end"], "after_s": round((told["window"]["end_us"] - fault_us) / 1e6, 1)}
