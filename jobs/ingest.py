"""`tracebraid ingest`: read topics, normalize, keep in the lake.

In: topics of a Kafka cluster. Out: Delta tables, rejects. SIGTERM and SIGINT finish the open cycle and exit 0, within 20 s whatever
hangs: then not with 0, and what was open is read again at the next start.
"""

import gc
import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import click
import structlog

from tracebraid.jobs.common import config_option, json_option, start
from tracebraid.jobs.http import serve_http
from tracebraid.jobs.keeping import kept
from tracebraid.pipeline.flow import Ingest, run_ingest
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.compiled import is_kept
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.settings import ENCODINGS, Encoding, Settings
from tracebraid.pipeline.store.totals import Totals
from tracebraid.pipeline.watch import Watch

if TYPE_CHECKING:
    from rich.progress import Progress

    from tracebraid.pipeline.rulebook import RuleBook

log = structlog.get_logger()
GC_THRESHOLD = 50_000  # new objects before the collector looks at the youngest; 700 by default


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
    heed_signals(stop)
    gc.freeze()  # decoding makes objects by the million, none in cycles: what is imported is not looked at again each time
    gc.set_threshold(GC_THRESHOLD)
    if settings.ingest.kernels and not is_kept():
        log.info("kernels are compiled at the first records of each kind: once on this machine, half a minute to a minute in all")
    began_s = clock.monotonic_s()
    watch = Watch(metrics, clock)
    serve_http(settings.http, metrics, ready=watch.why_not_ready, alive=watch.why_not_alive)
    with kept(settings, clock), Bar(watch, shown=drain and sys.stderr.isatty()) as bar:
        totals = run_ingest(settings, drain=drain, stop=stop, metrics=metrics, clock=clock, watch=bar.turned, rules=lambda: _rules(settings, clock))
    report(totals, clock.monotonic_s() - began_s, as_json)


def heed_signals(stop: threading.Event) -> None:
    """Set `stop` on SIGTERM or SIGINT, at once: Python's own handlers wait until the main thread is back from its call, which may be one of 5 s.

    Whatever hangs then, in a call of the storage, say: the system ends the process after limits.stop_s_max.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)

    def wait() -> None:
        os.read(reading, 1)
        stop.set()
        signal.alarm(limits.stop_s_max)

    threading.Thread(target=wait, name="signals", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())


def _rules(settings: Settings, clock: Clock) -> "RuleBook":
    from tracebraid.pipeline.rulebook import RuleBook  # 0.04 s of a start, and a lake alone has no rules

    return RuleBook(settings, clock, "ingest")


class Bar:
    """The bar of a drain at a terminal."""

    def __init__(self, watch: Watch, *, shown: bool) -> None:
        self.watch = watch
        self.progress: Progress | None = _progress() if shown else None

    def __enter__(self) -> Self:
        if self.progress:
            self.progress.start()
            self.progress.add_task("draining", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self.progress:
            self.progress.stop()

    def turned(self, ingest: Ingest) -> None:
        """The loop has turned."""
        if self.watch.turned(ingest) and self.progress:
            read, lag = ingest.flow.records_read, self.watch.lag
            self.progress.update(self.progress.task_ids[0], completed=read, total=read + sum(lag.values()) if lag else None)


def _progress() -> "Progress":
    from rich.console import Console  # 0.01 s of a start that nobody looks at
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("draining"), BarColumn(), MofNCompleteColumn(), TextColumn("offsets"), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


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
