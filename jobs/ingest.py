"""`tracebraid ingest`: read topics, normalize, keep in the lake.

In: topics of a Kafka cluster. Out: Delta tables, rejects. SIGTERM and SIGINT finish the open cycle and exit 0.
"""

import json
import signal
import sys
import threading
from dataclasses import asdict
from typing import Any

import click

from tracebraid.jobs.common import config_option, json_option, start
from tracebraid.jobs.http import serve_http
from tracebraid.pipeline.flow import Ingest, Totals, run_ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.settings import ENCODINGS, Encoding, TopicSettings

STALE_S = 60.0  # a loop that has not turned for so long is not ready


@click.command()
@config_option
@json_option
@click.option("--topic", "topics", multiple=True, metavar="NAME", help="Topic to read; may be repeated. A name that begins with ^ is a regular expression.")
@click.option("--encoding", type=click.Choice(ENCODINGS), default=None, help="Encoding of the topics given by --topic.  [default: auto]")
@click.option("--drain", is_flag=True, help="Stop when every partition has reached the end it had at the start.")
@click.option("--start", "start_at", metavar="PLACE", default=None, help="Where a partition starts that was never read: earliest, latest or a time.")
def command(config: str | None, *, as_json: bool, topics: tuple[str, ...], encoding: Encoding | None, drain: bool, start_at: str | None) -> None:
    """Read topics, normalize logs and spans into one schema, keep them in the lake.

    Example: TRACEBRAID_LAKE=lake tracebraid ingest --topic otlp_spans --topic otlp_logs --drain
    """
    overrides: dict[str, Any] = {}
    if topics:
        overrides["topics"] = tuple(
            TopicSettings(**({"pattern": name.removeprefix("^")} if name.startswith("^") else {"name": name}), encoding=encoding or "auto") for name in topics
        )
    elif encoding:
        raise UsageError("--encoding without --topic", "Give --topic, or set the encoding of each topic in the settings file")
    settings = start(config, **overrides)
    if start_at:
        settings = start(config, **overrides, ingest=settings.ingest.model_copy(update={"start": start_at}).model_dump())
    if not settings.topics:
        raise UsageError("no topic to read", "Give --topic NAME, or [[topics]] in the settings file")
    metrics, clock, stop = Metrics(), Clock(), threading.Event()
    turned_s = [0.0]

    def ready() -> str:
        if not turned_s[0]:
            return "starting"
        age_s = clock.monotonic_s() - turned_s[0]
        return "" if age_s < STALE_S else f"the loop has not turned for {age_s:.0f} s"

    def watch(ingest: Ingest) -> None:
        turned_s[0] = clock.monotonic_s()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    serve_http(settings.http, metrics, ready)
    began_s = clock.monotonic_s()
    totals = run_ingest(settings, drain=drain, stop=stop, metrics=metrics, clock=clock, watch=watch)
    report(totals, clock.monotonic_s() - began_s, as_json)


def report(totals: Totals, seconds: float, as_json: bool) -> None:
    """One line for a person, one JSON object for a pipe."""
    if as_json or not sys.stdout.isatty():
        click.echo(json.dumps({**asdict(totals), "seconds": round(seconds, 3)}))
        return
    rows = totals.spans + totals.logs
    click.echo(
        f"{totals.records:,} records: {totals.spans:,} spans, {totals.logs:,} logs, {totals.rejects:,} rejects, {totals.dropped:,} empty"
        f" in {seconds:.1f} s ({rows / seconds:,.0f} rows/s), {totals.cycles} commits, {totals.bytes_written / 1e6:.1f} MB"
    )
