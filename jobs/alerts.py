"""`tracebraid alerts`: which alerts there are now, what comes, and all there is of one."""

import json
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import Any

import click

from tracebraid.jobs.common import config_option, json_option, start
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.kernel.settings import Settings

ORDER = {"firing": 0, "pending": 1, "resolved": 2, "cancelled": 3}
ID_CHARS = 32
POLL_S = 0.5
Alert = dict[str, Any]


@click.group(name="alerts")
def command() -> None:
    """List the present alerts, follow what comes, show all there is of one.

    Example: tracebraid alerts list
    """


@command.command(name="list")
@config_option
@json_option
@click.option("--all", "everything", is_flag=True, help="Also those that are resolved or were cancelled.")
def list_(config: str | None, as_json: bool, everything: bool) -> None:
    """List the present alerts: those that fire first, then those that are pending. To a pipe, one JSON object a line.

    Example: tracebraid alerts list --json
    """
    settings = start(config)
    from tracebraid.pipeline.source.compacted import CompactedTopic

    topic = CompactedTopic(settings.client_config(), settings.stream.alerts_state_topic, Clock())
    try:
        held = topic.latest().values()
    finally:
        topic.close()
    alerts = [alert for change in held if (alert := _parsed(change.value)) and (everything or alert["transition"] in ("firing", "pending"))]
    alerts.sort(key=lambda alert: (ORDER.get(alert["transition"], 9), -alert["window"]["end_us"], alert["rule"]))
    if as_json or not sys.stdout.isatty():
        _json_lines(alerts)
        return
    from tracebraid.pipeline.query.render import print_table

    names = ["state", "severity", "rule", "series", "value", "threshold", "since", "id"]
    print_table(names, [_row(alert) for alert in alerts], more=False, wide=True)
    if not alerts:
        click.echo("no alert fires, none is pending", err=True)


@command.command(name="tail")
@config_option
@json_option
@click.option("--from-start", is_flag=True, help="Begin with what the topic still has.")
def tail(config: str | None, as_json: bool, from_start: bool) -> None:
    """Follow tracebraid.alerts until interrupted: transitions, and the evidence behind them.

    Example: tracebraid alerts tail
    """
    settings = start(config)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    from tracebraid.pipeline.source.compacted import CompactedTopic

    topic = CompactedTopic(settings.client_config(), settings.stream.alerts_topic, Clock())
    try:
        came = topic.read()
        shown = came if from_start else []
        while not stop.is_set():
            alerts = [alert for change in shown if (alert := _parsed(change.value))]
            if as_json or not sys.stdout.isatty():
                _json_lines(alerts)
            else:
                for alert in alerts:
                    click.echo("\n".join(_lines(alert)))
            shown = topic.poll(POLL_S)
    finally:
        topic.close()


@command.command(name="show")
@click.argument("alert_id", metavar="ID")
@config_option
@json_option
def show(alert_id: str, config: str | None, as_json: bool) -> None:
    """Show every transition of one alert, and its evidence, from table `alerts` and the topic. ID may be its beginning, of eight characters or more.

    Example: tracebraid alerts show 3f2a91c07be4d815
    """
    wanted = alert_id.lower()
    if not 8 <= len(wanted) <= ID_CHARS or any(character not in "0123456789abcdef" for character in wanted):
        raise UsageError(f"{alert_id!r} is no alert's id", "Give its 32 hex characters, or the first eight or more: `tracebraid alerts list` prints them")
    settings = start(config)
    messages = {**_kept(settings, wanted), **_on_topic(settings, wanted)}
    ids = sorted({alert["id"] for alert in messages.values()})
    if not ids:
        raise TracebraidError(f"there is no alert {alert_id}", "`tracebraid alerts list --all` prints those that are known")
    if len(ids) > 1:
        raise UsageError(f"{alert_id} begins the ids of {len(ids)} alerts: {', '.join(ids[:3])}", "Give more of it")
    alerts = sorted(messages.values(), key=lambda alert: (alert["window"]["end_us"], alert["kind"] == "evidence"))
    if as_json or not sys.stdout.isatty():
        _json_lines(alerts)
    else:
        for alert in alerts:
            click.echo("\n".join(_lines(alert)))


def _kept(settings: Settings, wanted: str) -> dict[tuple[int, int], Alert]:
    """(partition, offset) → message, by table `alerts`; nothing where there is no lake."""
    from tracebraid.pipeline.query.evidence import alert_messages_of
    from tracebraid.pipeline.query.snapshot import take

    try:
        rows = alert_messages_of(take(settings.lake, settings.storage_config()), wanted)
    except TracebraidError as error:
        click.echo(f"tracebraid: warning: only the topic is looked at: {error}", err=True)
        return {}
    return {(partition, offset): alert for partition, offset, text in rows if (alert := _parsed(text.encode()))}


def _on_topic(settings: Settings, wanted: str) -> dict[tuple[int, int], Alert]:
    from tracebraid.pipeline.source.compacted import CompactedTopic

    try:
        topic = CompactedTopic(settings.client_config(), settings.stream.alerts_topic, Clock())
    except TracebraidError as error:
        click.echo(f"tracebraid: warning: only the lake is looked at: {error}", err=True)
        return {}
    try:
        found = {(change.partition, change.offset): alert for change in topic.read() if (alert := _parsed(change.value))}
    finally:
        topic.close()
    return {place: alert for place, alert in found.items() if alert["id"].startswith(wanted)}


def _parsed(value: bytes | None) -> Alert | None:
    """The message; None for what is none."""
    try:
        alert = json.loads(value or b"null")
        known = isinstance(alert, dict) and isinstance(alert["id"], str) and isinstance(alert["window"]["end_us"], int) and bool(alert["kind"])
        return alert if known and (alert["kind"] == "evidence" or alert["transition"]) and alert["rule"] is not None else None
    except (ValueError, KeyError, TypeError):
        return None


def _json_lines(alerts: Iterable[Alert]) -> None:
    from tracebraid.pipeline.query.render import to_json

    sys.stdout.buffer.write(b"".join(to_json(alert) + b"\n" for alert in alerts))
    sys.stdout.buffer.flush()


def _row(alert: Alert) -> tuple[Any, ...]:
    shown = (alert["transition"], alert.get("severity"), alert["rule"], _series(alert))
    return (*shown, _amount(alert.get("value"), alert.get("unit")), _amount(alert.get("threshold"), alert.get("unit")), alert["window"].get("end"), alert["id"])


def _series(alert: Alert) -> str:
    return ", ".join(f"{name}={value}" for name, value in alert.get("series", {}).items())


def _amount(value: float | None, unit: str | None) -> str:
    from tracebraid.pipeline.query.tree import duration

    if value is None:
        return ""
    return duration(round(value)) if unit == "ns" else f"{value:.3g}" + (f" {unit}" if unit not in ("1", "", None) else "")


def _lines(alert: Alert) -> Sequence[str]:
    from tracebraid.pipeline.query.render import visible

    if alert["kind"] == "evidence":
        found = [f"  evidence: {alert.get('service') or 'no service stands out'}: {alert.get('reason')}"]
        found += [f"    trace {each['trace_id']}: {' → '.join(each['path'])}" for each in alert.get("traces", [])]
        found += [f"    {each['time']} {each['service']} {each['severity']}: {each['body']}" for each in alert.get("logs", [])]
        found.append(f"    {alert.get('sql')}")
    else:
        measured = _amount(alert.get("value"), alert.get("unit"))
        beside = _amount(alert.get("threshold"), alert.get("unit"))
        what = f"{measured} beside {beside}" if measured and beside else measured
        found = [f"{alert['window'].get('end')} {alert['transition']:<9} {alert['rule']} {_series(alert)}: {what} ({alert.get('reason')}) {alert['id']}"]
    return [visible(line, 2000) for line in found]
