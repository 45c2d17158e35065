"""The run of `tracebraid demo`: the shop sends to an embedded broker while ingest reads it into a lake, and detect watches.

In: a plan, an empty directory. Out: what the run took. Never: the settings of a real cluster.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tracebraid.jobs.common import set_up_logging
from tracebraid.jobs.demo_alerts import Alerts
from tracebraid.jobs.shop import Plan, simulate
from tracebraid.jobs.summary import Ran
from tracebraid.pipeline.flow import Ingest, run_ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.settings import IngestSettings, LogSettings, Settings, StreamSettings, TopicSettings
from tracebraid.pipeline.publish.embedded import embedded_broker
from tracebraid.pipeline.publish.producer import Message, Publisher
from tracebraid.pipeline.rulebook import RuleBook

TOPICS = (
    TopicSettings(name="otlp_spans", encoding="otlp_proto"),
    TopicSettings(name="otlp_logs", encoding="otlp_proto"),
    TopicSettings(name="app-logs", encoding="json"),
    TopicSettings(name="container-logs"),
)
ahead_records_max = 80_000  # the shop waits when the broker holds so many that nobody has read: its memory is small
stalled_s_max = 30.0


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
            shop.read = ingest.flow.records_read
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
        alerts = Alerts(settings, clock)
        try:
            totals = run_ingest(settings, stop=stop, clock=clock, watch=watch, rules=lambda: RuleBook(settings, clock, "ingest"))
            told = alerts.told()
        finally:
            alerts.end()
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
            alerts=told,
        )


def _settings(address: str, place: Path) -> Settings:
    """The demo's own: the environment and the settings file, which speak of a real cluster, are not asked."""
    settings = Settings(
        bootstrap_servers=address,
        lake=str(place),
        topics=TOPICS,
        ingest=IngestSettings(kernels=False),  # to compile them would take longer than all of the demo
        stream=StreamSettings(flush_ms=200),
        log=LogSettings(level="error"),
    )
    set_up_logging(settings.log)
    return settings


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system
