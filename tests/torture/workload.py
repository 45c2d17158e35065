"""What is produced: records that each carry a number of their own, so that a loss or a repetition shows in their content too.

In: a broker and topics. Out: records on them, and a list of which number lies where. Never: a number twice.
"""

import json
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from confluent_kafka import KafkaException, Producer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

POISON = b"\xff\xfe\xfd"  # no encoding begins so
POISON_EVERY = 100
EPOCH_NS = 1_767_225_600_000_000_000


def kind_of(number: int) -> str:
    """The table that holds it."""
    if number % POISON_EVERY == 37:
        return "rejects"
    return "spans" if number % 2 else "logs"


def rows_of(number: int) -> int:
    return 1 + number % 3 if kind_of(number) == "spans" else 1


def value_of(number: int) -> bytes:
    kind = kind_of(number)
    if kind == "rejects":
        return POISON + str(number).encode()
    if kind == "logs":
        return json.dumps({"time": "2026-01-01T00:00:00Z", "level": "info", "msg": f"message {number}", "number": number}).encode()
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "torture"
    scope = resource.scope_spans.add()
    for index in range(rows_of(number)):
        span = scope.spans.add(name=f"span {number}", trace_id=(number + 1).to_bytes(16, "big"), span_id=(8 * number + index + 1).to_bytes(8, "big"))
        span.start_time_unix_nano, span.end_time_unix_nano = EPOCH_NS, EPOCH_NS + number
        span.attributes.add(key="number").value.int_value = number
    return request.SerializeToString()


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a record went. Without a topic id: nobody can say whether it is there, or in which life of its topic."""

    number: int
    topic: str
    topic_id: str
    partition: int
    offset: int


@dataclass
class Topic:
    """A topic that records go to. `id` changes when it is made again; `partitions` when some are added."""

    name: str
    id: str
    partitions: int
    producer: Producer
    sent: list[Sent] = field(default_factory=list)
    next_partition: int = 0


class Workload:
    """Numbers from 0 on, spread over topics."""

    def __init__(self) -> None:
        self.next_number = 0

    def produce(self, topic: Topic, count: int) -> int:
        """Queue so many records; how many the queue took."""
        for done in range(count):
            number = self.next_number
            topic.next_partition = (topic.next_partition + 1) % topic.partitions
            note = partial(self._delivered, topic, number, topic.id)
            try:
                topic.producer.produce(topic.name, value_of(number), partition=topic.next_partition, on_delivery=note)
            except BufferError:
                topic.producer.poll(0)
                return done
            except KafkaException:
                pass  # the topic, or its partition, is not there: the number is left out
            self.next_number += 1
        topic.producer.poll(0)
        return count

    @staticmethod
    def _delivered(topic: Topic, number: int, topic_id: str, error: Any, message: Any) -> None:
        known = error is None and topic_id == topic.id and message.offset() >= 0
        topic.sent.append(Sent(number, topic.name, topic_id if known else "", message.partition(), message.offset() if known else -1))


def steady(client: dict[str, str]) -> Producer:
    """Every record is kept, once, whatever becomes of the broker."""
    return Producer({**client, "enable.idempotence": True, "linger.ms": 20, "message.timeout.ms": 120_000, "log_level": 0})


def careless(client: dict[str, str]) -> Producer:
    """For a topic that is made again: what fails is not sent twice."""
    return Producer({**client, "acks": "all", "retries": 0, "linger.ms": 20, "message.timeout.ms": 5_000, "log_level": 0})
