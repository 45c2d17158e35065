"""A Kafka broker inside this process: librdkafka's own mock cluster. For the demo and for trying things out.

In: names of topics. Out: an address that any Kafka client on this machine can use while the context is open. Never: a guarantee: it emulates
neither isolation nor transactional offset commits, keeps everything in memory, and drops the oldest of a partition beyond 5 MiB.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import KafkaException, Producer

from tracebraid.pipeline.kernel.errors import TracebraidError

metadata_wait_s = 10.0


@contextmanager
def embedded_broker(topics: Sequence[str] = ()) -> Iterator[str]:
    """The bootstrap address of a new one-broker cluster, 127.0.0.1:PORT, with `topics` of four partitions each; it ends with the context.

    Raises TracebraidError where it does not start.
    """
    owner = Producer({"test.mock.num.brokers": 1, "log_level": 2})  # below it, librdkafka tells that the cluster is a mock
    try:
        brokers = owner.list_topics(timeout=metadata_wait_s).brokers.values()
        for topic in topics:
            owner.list_topics(topic, timeout=metadata_wait_s)  # to ask for a topic is to make it
    except KafkaException as error:
        raise TracebraidError(f"the embedded broker did not start: {error.args[0].str()}", "Is the loopback interface up?") from None
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    del owner
