"""`tracebraid ingest`: read topics, normalize, keep in the lake.

In: topics of a Kafka cluster. Out: Delta tables, rejects. SIGTERM and SIGINT finish the open cycle and exit 0.
"""

import gc
import json
import signal
import sys
import threading
from dataclasses import asdict
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tracebraid.jobs.common import config_option, json_option, start
from tracebraid.jobs.http import serve_http
from tracebraid.pipeline.flow import Ingest, run_ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.settings import ENCODINGS, Encoding
from tracebraid.pipeline.store.totals import Totals

GC_THRESHOLD = 50_000  # new objects before the collector looks at the youngest; 700 by default
LOOK_S = 1.0  # how often the lag is looked at
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
        named = ({"pattern": name.removeprefix("^")} if name.startswith("^") else {"name": name} for name in topics)
        overrides["topics"] = [{**name, "encoding": encoding or "auto"} for name in named]
    elif encoding:
        raise UsageError("--encoding without --topic", "Give --topic, or set the encoding of each topic in the settings file")
    if start_at is not None:
        overrides["ingest"] = {"start": start_at}
    settings = start(config, **overrides)
    if not settings.topics:
        raise UsageError("no topic to read", "Give --topic NAME, or [[topics]] in the settings file")
    metrics, clock, stop = Metrics(), Clock(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    gc.freeze()  # decoding makes objects by the million, none in cycles: what is imported is not looked at again each time
    gc.set_threshold(GC_THRESHOLD)
    began_s = clock.monotonic_s()
    with Watch(metrics, clock, bar=drain and sys.stderr.isatty()) as watch:
        serve_http(settings.http, metrics, watch.why_not_ready)
        totals = run_ingest(settings, drain=drain, stop=stop, metrics=metrics, clock=clock, watch=watch.turned)
    report(totals, clock.monotonic_s() - began_s, as_json)


class Watch:
    """Looks at an Ingest each time its loop has turned: for readiness, the lag, and the bar of a drain at a terminal."""

    def __init__(self, metrics: Metrics, clock: Clock, *, bar: bool) -> None:
        self.metrics, self.clock = metrics, clock
        columns = (TextColumn("draining"), BarColumn(), MofNCompleteColumn(), TextColumn("offsets"), TimeRemainingColumn())
        self.bar = Progress(*columns, console=Console(stderr=True), disable=not bar, transient=True)
        self.task = self.bar.add_task("draining", total=None)
        self.ingest: Ingest | None = None
        self.turned_s = self.looked_s = 0.0
        self.shown: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def turned(self, ingest: Ingest) -> None:
        self.ingest, self.turned_s = ingest, self.clock.monotonic_s()
        if self.turned_s - self.looked_s < LOOK_S:
            return
        self.looked_s = self.turned_s
        lag = ingest.source.lag()
        shown = {(each.topic, str(each.number)): offsets for each, offsets in lag.items()}
        for labels in self.shown - shown.keys():
            self.metrics.lag.remove(*labels)  # another consumer tells of it now
        for labels, offsets in shown.items():
            self.metrics.lag.labels(*labels).set(offsets)
        self.shown = set(shown)
        read = ingest.flow.records_read
        self.bar.update(self.task, completed=read, total=read + sum(lag.values()) if lag else None)

    def why_not_ready(self) -> str:
        """'' when ready: the group has let us in, the loop turns, and the lake takes what is read."""
        if self.ingest is None or not self.ingest.source.joined:
            return "starting: no partitions are assigned yet"
        age_s = self.clock.monotonic_s() - self.turned_s
        if age_s >= STALE_S:
            return f"the loop has not turned for {age_s:.0f} s"
        return self.ingest.blocked


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
