"""A Kafka broker inside this process: librdkafka's own mock cluster. For the demo and for trying things out.

In: records. Out: an address that any Kafka client on this machine can use while the context is open. Never: a guarantee: it emulates neither
isolation nor transactional offset commits, keeps everything in memory, and drops the oldest of a partition beyond 5 MiB.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import KafkaException, Producer

from tracebraid.pipeline.kernel.errors import TracebraidError

QUIET = {"log_level": 2}  # librdkafka would tell every disconnect when the cluster goes away
metadata_wait_s = 10.0
flush_wait_s = 30.0
poll_every_records = 500


@dataclass(slots=True)
class Sent:
    """What went to the broker so far. `value_bytes`: of the records' values, as they were before compression."""

    records: int = 0
    value_bytes: int = 0


@contextmanager
def embedded_broker() -> Iterator[str]:
    """The bootstrap address of a new one-broker cluster, 127.0.0.1:PORT; the cluster ends with the context."""
    owner = Producer({"test.mock.num.brokers": 1, **QUIET})
    try:
        brokers = owner.list_topics(timeout=metadata_wait_s).brokers.values()
    except KafkaException as error:
        raise TracebraidError(f"the embedded broker did not start: {error.args[0].str()}", "Is the loopback interface up?") from None
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    del owner


class HistoryProducer:
    """Sends records with the timestamps they have. Topics are made before anything is sent, so that consumers may subscribe at once."""

    def __init__(self, address: str, topics: Sequence[str]) -> None:
        # Without keys, librdkafka would fill one partition for as long as it lingers; a demo wants them all in use.
        spread = {"linger.ms": 20, "sticky.partitioning.linger.ms": 0}
        self._producer = Producer({"bootstrap.servers": address, "compression.type": "lz4", **spread, **QUIET})
        self.sent = Sent()
        for topic in topics:
            self._producer.list_topics(topic, timeout=metadata_wait_s)

    def send(self, messages: Iterable[tuple[str, bytes | None, bytes, tuple[tuple[str, bytes], ...], int]]) -> None:
        """messages: (topic, key, value, headers, timestamp in milliseconds since 1970). Returns when the broker has them all."""
        failed: list[str] = []

        def delivered(error: object, _: object) -> None:
            if error is not None:
                failed.append(str(error))

        for topic, key, value, headers, timestamp_ms in messages:
            while True:
                try:
                    self._producer.produce(topic, value, key, timestamp=timestamp_ms, headers=list(headers), on_delivery=delivered)
                    break
                except BufferError:
                    self._producer.poll(0.05)
            self.sent.records += 1
            self.sent.value_bytes += len(value)
            if self.sent.records % poll_every_records == 0:
                self._producer.poll(0)
        left = self._producer.flush(flush_wait_s)
        if left or failed:
            raise TracebraidError(f"the broker took {left + len(failed)} records too few: {failed[0] if failed else 'no answer'}")
