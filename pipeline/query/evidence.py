"""What explain asks of the lake: how far it has come, spans of traces, samples of traces, log lines.

In: a Snapshot, a series, a window. Out: rows. Never: a write; more rows than a message's evidence can rest on.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.query.connection import literal
from tracebraid.pipeline.query.snapshot import Snapshot
from tracebraid.pipeline.query.statement import question
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import STRING, Table

SAMPLE_TRACES = 200
SPANS_MAX = 50_000
LINES_MAX = 1_000
AROUND_US = 10 * 60 * 1_000_000  # a trace's other spans lie so near to the window
GROUP = "tracebraid.group"
OVERFLOW = "(other)"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Row = tuple[Any, ...]


def time_sql(us: int) -> str:
    """Microseconds since 1970 as SQL."""
    return f"TIMESTAMPTZ '{(_EPOCH + timedelta(microseconds=us)).isoformat()}'"


def filling_group(snapshot: Snapshot) -> str:
    """The consumer group that fills the lake; '' where none has claimed it."""
    delta = snapshot.tables["intervals"].delta
    return "" if delta is None else delta.metadata().configuration.get(GROUP) or ""


def next_offsets(snapshot: Snapshot, since_us: int) -> dict[Partition, int]:
    """How far the lake has come in each partition that has intervals of the day before `since_us` or later."""
    day = (_EPOCH + timedelta(microseconds=since_us) - timedelta(days=1)).date().isoformat()
    sql = f"""SELECT kafka_cluster, any_value(kafka_topic), kafka_topic_id, kafka_partition, max(last_offset) + 1 FROM intervals
        WHERE day >= DATE '{day}' GROUP BY kafka_cluster, kafka_topic_id, kafka_partition"""
    return {Partition(*row[:4]): row[4] for row in _rows(snapshot, sql)}


def newest_event_us(snapshot: Snapshot) -> int | None:
    """The latest event time that the lake has."""
    ((found,),) = _rows(snapshot, "SELECT epoch_us(max(event_time_max)) FROM intervals")
    return None if found is None else int(found)


def conditions(table: Table, series: Mapping[str, str]) -> list[str] | None:
    """The series as SQL over the table, as far as its columns go; None where no label is a column, and nothing can be said."""
    texts = {column.name for column in table.columns if column.type == STRING}
    found = [f"{name} = {literal(value)}" for name, value in series.items() if name in texts and value not in ("", OVERFLOW)]
    # Of spans without http_route the name stands for the route, ids taken out: those are not left out.
    routes = _routes(series) if table is SPANS else []
    found += [f"(http_route = {literal(route)} OR http_route IS NULL)" for route in routes]
    return found if found or not series else None


def _routes(series: Mapping[str, str]) -> list[str]:
    return [series[name] for name in ("route", "operation") if series.get(name, OVERFLOW) not in ("", OVERFLOW)]


def reproduction(signal: str, series: Mapping[str, str], start_us: int, end_us: int) -> str:
    """SQL that gives the rows behind the window, the worst first."""
    table, time = (SPANS, "end_time") if signal == "spans" else (LOGS, "time")
    terms = [*(conditions(table, series) or ()), f"{time} >= {time_sql(start_us)}", f"{time} < {time_sql(end_us)}"]
    if table is SPANS:
        shown, order = "trace_id, span_id, service_name, name, duration_ns, status_code", "status_code = 'ERROR' DESC, duration_ns DESC"
    else:
        shown, order = "time, service_name, severity_text, trace_id, body", "severity_number DESC, time"
    return f"SELECT {shown} FROM {table.name} WHERE {' AND '.join(terms)} ORDER BY {order} LIMIT 100"


def sample(snapshot: Snapshot, series: Mapping[str, str], start_us: int, end_us: int) -> list[str]:
    """Ids of at most SAMPLE_TRACES traces with a span of the series that ended in the time: the same ones each time, and none by its time.

    A span without http_route may be of the series' route by its name, or a call that its service made for any other: those count only where no span
    has the route itself.
    """
    terms = conditions(SPANS, series)
    if terms is None:
        return []
    terms += [f"end_time >= {time_sql(start_us)}", f"end_time < {time_sql(end_us)}", "trace_id IS NOT NULL"]
    routed = "bool_or(http_route IS NOT NULL)" if _routes(series) else "true"
    found = f"SELECT trace_id, {routed} AS routed FROM spans WHERE {' AND '.join(terms)} GROUP BY trace_id"
    sql = f"SELECT trace_id FROM ({found}) QUALIFY routed OR NOT bool_or(routed) OVER () ORDER BY hash(trace_id), trace_id LIMIT {SAMPLE_TRACES}"
    return [row[0] for row in _rows(snapshot, sql)]


def requests_of(snapshot: Snapshot, services: Collection[str], since_us: int, start_us: int, end_us: int) -> dict[str, tuple[int, int]]:
    """service → (requests that ended from start_us on, and from since_us to then); those without any are left out."""
    if not services:
        return {}
    sql = f"""SELECT service_name, count(*) FILTER (WHERE end_time >= {time_sql(start_us)}), count(*) FILTER (WHERE end_time < {time_sql(start_us)}) FROM spans
        WHERE service_name IN ({_texts(services)}) AND kind IN ('SERVER', 'CONSUMER', 'UNSPECIFIED')
        AND end_time >= {time_sql(since_us)} AND end_time < {time_sql(end_us)} GROUP BY service_name"""
    return {row[0]: (row[1], row[2]) for row in _rows(snapshot, sql)}


def spans_of(snapshot: Snapshot, trace_ids: Collection[str], start_us: int, end_us: int) -> list[Row]:
    """(trace_id, span_id, parent_span_id, service_name, name, start_unix_nano, end_unix_nano, whether it failed) of the traces, near the time."""
    if not trace_ids:
        return []
    near = f"start_time >= {time_sql(start_us - AROUND_US)} AND start_time < {time_sql(end_us + AROUND_US)}"
    sql = f"""SELECT trace_id, span_id, parent_span_id, service_name, name, start_unix_nano, end_unix_nano, status_code = 'ERROR' FROM spans
        WHERE trace_id IN ({_texts(trace_ids)}) AND span_id IS NOT NULL AND {near} LIMIT {SPANS_MAX}"""
    return _rows(snapshot, sql)


def lines_of(snapshot: Snapshot, trace_ids: Collection[str]) -> list[Row]:
    """(trace_id, time, service_name, severity_number, severity_text, body) of the traces' log lines, severe ones first.

    Those with the low half of an id alone are among them, under the whole one.
    """
    if not trace_ids:
        return []
    whole = {"0" * 16 + trace_id[16:]: trace_id for trace_id in trace_ids} | {trace_id: trace_id for trace_id in trace_ids}
    sql = f"""SELECT trace_id, time, service_name, severity_number, severity_text, body FROM logs WHERE trace_id IN ({_texts(whole)})
        ORDER BY severity_number DESC NULLS LAST, time LIMIT {LINES_MAX}"""
    return [(whole[row[0]], *row[1:]) for row in _rows(snapshot, sql)]


def alert_messages_of(snapshot: Snapshot, alert_id: str) -> list[tuple[int, int, str]]:
    """(partition, offset, message) of the alerts whose id begins so, as table `alerts` has them."""
    sql = f"SELECT kafka_partition, kafka_offset, message FROM alerts WHERE starts_with(alert_id, {literal(alert_id)}) ORDER BY kafka_partition, kafka_offset"
    return [(int(row[0]), int(row[1]), str(row[2])) for row in _rows(snapshot, sql)]


def _texts(values: Collection[str]) -> str:
    return ", ".join(literal(value) for value in sorted(values))


def _rows(snapshot: Snapshot, sql: str) -> list[Row]:
    with question(snapshot, sql) as (_, blocks):
        return [row for block in blocks for row in block]
