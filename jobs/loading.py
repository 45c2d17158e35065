"""Files onto a topic: the file source and the producer in a row.

In: files, a topic, a rate. Out: counts. Never: a record changed, other than its timestamp.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.records import Records
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.publish.producer import Message, Publisher
from tracebraid.pipeline.publish.topics import create, retention_ms
from tracebraid.pipeline.source.files import FileSource
from tracebraid.schemas.topics import Topic

log = structlog.get_logger()
PACE_RECORDS = 100  # the rate is held over so many records, so that a fast one needs no sleep a record


@dataclass(frozen=True, slots=True)
class Loading:
    """`partitions`: where the topic is to be made. `rate`: records a second, None for as fast as it goes. `shift`: the newest record is stamped now."""

    topic: str
    partitions: int = 6
    rate: float | None = None
    shift: bool = False


def load_onto_topic(
    settings: Settings, paths: Sequence[Path], loading: Loading, progress: Callable[[int, int], None], clock: Clock | None = None
) -> dict[str, int]:
    """Every record of the files onto the topic, in turn over its partitions, stamped with its own event time.

    The topic is made where it lacks, and then keeps records for ever: a broker counts retention from the timestamps, and would take an old
    capture away at once. Returns records, bytes and too_large (records the topic does not take). Raises TracebraidError of one line.
    """
    clock = clock or Clock()
    sources = [FileSource(path, clock=clock) for path in paths]
    client = settings.client_config()
    publisher = Publisher.plain(client, clock)
    count = publisher.partitions(loading.topic)
    if not count:
        create(client, Topic(loading.topic, loading.partitions, -1, False, ""), settings.stream.replication_factor)
        log.info("topic made", topic=loading.topic, partitions=loading.partitions, retention="for ever")
    times = _time_range(sources) if loading.shift else (0, 0)
    now_ms = clock.unix_nano() // 1_000_000
    sender = _Sender(publisher, loading, count or loading.partitions, clock, now_ms - times[1] if loading.shift else 0)
    for source in [FileSource(path, clock=clock) for path in paths] if loading.shift else sources:
        for records in source:
            if count and not sender.records:
                _warn_of_retention(client, loading.topic, now_ms - sender.shift_ms - records.batch.column("kafka_time_ms")[0].as_py())
            sender.send(records, lambda source=source: progress(source.bytes_read, source.bytes_total))  # type: ignore[misc]
    publisher.flush(loading.topic)
    too_large = publisher.failures["MSG_SIZE_TOO_LARGE"]
    return {"records": sender.records - too_large, "bytes": sender.bytes, "too_large": too_large}


def _time_range(sources: Sequence[FileSource]) -> tuple[int, int]:
    times = [time for source in sources for records in source for time in records.batch.column("kafka_time_ms").to_pylist()]
    return (min(times), max(times)) if times else (0, 0)


def _warn_of_retention(client: dict[str, str], topic: str, age_ms: int) -> None:
    kept_ms = retention_ms(client, topic)
    if kept_ms is not None and 0 <= kept_ms < age_ms:
        log.warning(
            "the topic keeps records for less time than these are old: the broker will delete them soon",
            topic=topic,
            retention_hours=kept_ms // 3_600_000,
            age_hours=age_ms // 3_600_000,
            hint="set its retention.ms to -1, or load with --stamp now",
        )


class _Sender:
    """Sends at a rate, from the first record on."""

    def __init__(self, publisher: Publisher, loading: Loading, partitions: int, clock: Clock, shift_ms: int) -> None:
        self.publisher, self.loading, self.partitions, self.clock, self.shift_ms = publisher, loading, partitions, clock, shift_ms
        self.records = self.bytes = 0
        self.began_s = clock.monotonic_s()

    def send(self, records: Records, progress: Callable[[], None]) -> None:
        topic = self.loading.topic
        for value, time_ms in zip(records.batch.column("value").to_pylist(), records.batch.column("kafka_time_ms").to_pylist(), strict=True):
            self.publisher.send(Message(topic, value, timestamp_ms=time_ms + self.shift_ms), self.records % self.partitions)
            self.records += 1
            self.bytes += len(value)
            if self.loading.rate and self.records % min(PACE_RECORDS, max(1, int(self.loading.rate / 10))) == 0:
                self._pace(self.loading.rate)
                progress()
        progress()

    def _pace(self, rate: float) -> None:
        ahead_s = self.records / rate - (self.clock.monotonic_s() - self.began_s)
        if ahead_s > 0:
            self.clock.sleep(ahead_s)
