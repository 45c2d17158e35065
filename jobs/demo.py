"""`tracebraid demo`: a simulated shop on an embedded broker, through the same stages as ingest, ending in a summary.

In: nothing but options. Out: a lake in a temporary directory, and what was found in it. Never: a container, a JVM or a connection off this machine.
"""

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from tracebraid.jobs.common import json_option, set_up_logging
from tracebraid.jobs.shop import Plan, simulate
from tracebraid.jobs.summary import Ran, show, summarize
from tracebraid.pipeline.flow import Ingest, run_ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.kernel.settings import LogSettings, Settings, StreamSettings, TopicSettings
from tracebraid.pipeline.publish.embedded import embedded_broker
from tracebraid.pipeline.publish.producer import Message, Publisher

TOPICS = (
    TopicSettings(name="otlp_spans", encoding="otlp_proto"),
    TopicSettings(name="otlp_logs", encoding="otlp_proto"),
    TopicSettings(name="app-logs", encoding="json"),
    TopicSettings(name="container-logs"),
)
ahead_records_max = 80_000  # the shop waits when the broker holds so many that nobody has read: its memory is small
stalled_s_max = 30.0


@click.command()
@json_option
@click.option("--minutes", type=click.IntRange(2, 600), default=60, show_default=True, help="How much of the shop's history to make, ending now.")
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed makes the same shop.")
@click.option("--lake", "lake", type=click.Path(file_okay=False, path_type=Path), default=None, help="Put the lake into this directory, and keep it.")
@click.option("--keep", is_flag=True, help="Keep the lake, and say how to query it.")
def command(as_json: bool, minutes: int, seed: int, lake: Path | None, keep: bool) -> None:
    """Run a simulated shop of twelve services on an embedded broker, ingest what it sends, and find the failing service in SQL.

    Example: tracebraid demo --keep
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the temporary lake goes away
    with _place(lake, keep) as place:
        clock = Clock()
        plan = Plan(clock.unix_nano() // 1_000_000_000 * 1_000_000_000 - (minutes * 60 + 30) * 1_000_000_000, seed, minutes)
        console = Console(stderr=True, quiet=not sys.stderr.isatty())
        with console.status("Opening the shop and a broker …") as status:
            ran = run_shop(plan, place, clock, lambda read, sent: status.update(f"{read:,} of {sent:,} records are read …"))
        summary = summarize(ran, minutes, 1 - plan.fault_at)
        show(summary, as_json=as_json, kept=keep or lake is not None)


@contextmanager
def _place(lake: Path | None, keep: bool) -> Iterator[Path]:
    """An empty directory for the lake; a temporary one goes away unless it is to be kept."""
    if lake is not None:
        if lake.exists() and any(lake.iterdir()):
            raise UsageError(f"{lake} is not empty", "Give --lake a new directory: the demo begins a lake of its own")
        yield lake
        return
    temporary = Path(tempfile.mkdtemp(prefix="tracebraid-demo-"))
    try:
        yield temporary
    finally:
        if not keep:
            shutil.rmtree(temporary, ignore_errors=True)


@dataclass(slots=True)
class _Shop:
    """The shop's thread: it sends the plan's records, and waits when the reader is far behind."""

    plan: Plan
    publisher: Publisher
    stop: threading.Event
    sent: int = 0
    sent_bytes: int = 0  # of the records' values
    read: int = 0  # records that ingest has taken
    complete: bool = False
    failure: BaseException | None = None

    def run(self) -> None:
        try:
            self.send()
        except BaseException as error:
            self.failure = error
            self.stop.set()

    def send(self) -> None:
        for record in simulate(self.plan):
            while self.sent - self.read > ahead_records_max and not self.stop.is_set():
                self.stop.wait(0.02)
            if self.stop.is_set():
                return
            self.publisher.send(Message(record.topic, record.value, record.key, record.headers, record.timestamp_ms))
            self.sent += 1
            self.sent_bytes += len(record.value)
        self.publisher.flush()
        self.complete = True


def run_shop(plan: Plan, place: Path, clock: Clock, tell: Callable[[int, int], None]) -> Ran:
    """Make the plan's history and ingest it into the lake at `place`, both at once; `tell(records read, records sent)` now and then.

    Raises TracebraidError when no record moves for 30 s.
    """
    stop = threading.Event()
    with embedded_broker([topic.name for topic in TOPICS]) as address:
        settings = _settings(address, place)
        # Without keys librdkafka would fill one partition for as long as it lingers; the demo wants them all in use.
        publisher = Publisher.plain({**settings.client_config(), "sticky.partitioning.linger.ms": "0"}, clock)
        shop = _Shop(plan, publisher, stop)
        moved = [0, clock.monotonic_s()]
        began_s, began_cpu_s = clock.monotonic_s(), _cpu_s()
        first_s = [0.0]

        def watch(ingest: Ingest) -> None:
            shop.read = ingest.flow.totals.records
            tell(shop.read, shop.sent)
            if shop.read > moved[0]:
                moved[:] = shop.read, clock.monotonic_s()
                first_s[0] = first_s[0] or clock.monotonic_s()
            if shop.complete and shop.read >= shop.sent:
                stop.set()
            elif clock.monotonic_s() - moved[1] > stalled_s_max:
                raise TracebraidError(f"the demo stands still at {shop.read:,} of {shop.sent:,} records", "Please report it")

        thread = threading.Thread(target=shop.run, name="shop", daemon=True)
        thread.start()
        try:
            totals = run_ingest(settings, stop=stop, clock=clock, watch=watch)
        finally:
            stop.set()
            thread.join()
            publisher.close()
        if shop.failure:
            raise shop.failure
        return Ran(
            lake=str(place),
            totals=totals,
            value_bytes=shop.sent_bytes,
            seconds=clock.monotonic_s() - began_s,
            waited_s=(first_s[0] or began_s) - began_s,
            cpu_s=_cpu_s() - began_cpu_s,
        )


def _settings(address: str, place: Path) -> Settings:
    """The demo's own: the environment and the settings file, which speak of a real cluster, are not asked."""
    settings = Settings(bootstrap_servers=address, lake=str(place), topics=TOPICS, stream=StreamSettings(enabled=False), log=LogSettings(level="error"))
    set_up_logging(settings.log)
    return settings


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system
