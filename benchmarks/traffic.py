"""Traffic at a steady rate: OTLP spans and JSON logs, one record in a hundred damaged, no id or time sent twice.

In: a broker, two topics, rates. Out: records on their partitions in turn, and how many the broker took. A pool of records is made once; each time one
is sent, its ids, pods and times are written anew in place, which costs little beside the process that is measured.
Never: a record that waits for the reader; a rate that depends on it.
"""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from confluent_kafka import KafkaError, Message, Producer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.loads import generator
from tests.brokers.kafka import Broker

PARTITIONS = 6
PER_RECORD = 20
POOL = 1_000  # records; sent anew with other ids and times each time round
POISON_EVERY = 100
TICK_S = 0.05
PODS_RENEWED_S = 300.0  # deployments: what is kept for each pod would grow
RETENTION_MS = 300_000
HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


@dataclass(frozen=True, slots=True)
class Rates:
    """A second: spans in records of PER_RECORD, and logs in records of their own."""

    spans: int
    logs: int


class Template:
    """A record of spans whose ids, pods and times can be written anew. Indexes are places of bytes."""

    def __init__(self, value: bytes) -> None:
        self.value = np.frombuffer(value, np.uint8)
        ids: set[bytes] = set()
        times: set[bytes] = set()
        digits: set[bytes] = set()
        for resource in ExportTraceServiceRequest.FromString(value).resource_spans:
            attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
            digits.add(attributes["k8s.pod.name"].encode())
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                ids.update((span.trace_id, span.span_id))
                times.update(nano.to_bytes(8, "little") for nano in (span.start_time_unix_nano, span.end_time_unix_nano))
                digits.update(each.value.string_value.encode() for each in span.attributes if each.key == "app.order.id")
        self.ids = places(value, ids)
        self.times = places(value, times).reshape(-1, 8)
        hexadecimal = places(value, digits)
        self.digits = hexadecimal[np.isin(self.value[hexadecimal], HEX)]
        self.made_ns = max((int.from_bytes(each, "little") for each in times), default=0)

    def renewed(self, key: int, pods: int) -> bytes:
        """The record with its ids changed by `key` and its pods' digits by `pods`, as if it had just ended; traces stay whole within a key."""
        value = self.value.copy()
        value[self.ids] ^= np.resize(np.frombuffer(key.to_bytes(8, "little"), np.uint8), self.ids.size)
        moved = value[self.times].view(np.uint64) + np.uint64(time.time_ns() - self.made_ns)
        value[self.times] = moved.view(np.uint8)
        value[self.digits] = HEX[(np.searchsorted(HEX, value[self.digits]) + pods) % 16]
        return value.tobytes()


def places(value: bytes, sought: set[bytes]) -> np.ndarray:
    """Where in `value` any of `sought` lies, byte for byte, each occurrence in order."""
    found = [at for each in sought if each for at in occurrences(value, each)]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def occurrences(value: bytes, sought: bytes) -> Iterator[np.ndarray]:
    at = value.find(sought)
    while at >= 0:
        yield np.arange(at, at + len(sought))
        at = value.find(sought, at + len(sought))


class Traffic:
    """What is sent, and what the broker took of it."""

    def __init__(self, broker: Broker, spans_topic: str, logs_topic: str, rates: Rates, pods_renewed_s: float = PODS_RENEWED_S) -> None:
        self.spans_topic, self.logs_topic, self.rates = spans_topic, logs_topic, rates
        self.templates = [Template(value) for value in generator().make(POOL * PER_RECORD, PER_RECORD)]
        self.producer = Producer({**broker.client, "compression.type": "lz4", "linger.ms": 50, "queue.buffering.max.kbytes": 1 << 16})
        self.random = random.Random(7)
        self.pods_renewed_s = pods_renewed_s
        self.taken = 0  # records that the broker has
        self.failed = 0
        self.sent = {spans_topic: 0, logs_topic: 0}

    def spans(self, number: int) -> bytes:
        if number % POISON_EVERY == POISON_EVERY - 1:
            return self.random.randbytes(400)
        round_, place = divmod(number, len(self.templates))
        return self.templates[place].renewed((round_ + 1) * 0x9E3779B97F4A7C15 % 2**64, int(time.monotonic() / self.pods_renewed_s))

    def log(self, number: int) -> bytes:
        if number % POISON_EVERY == POISON_EVERY - 1:
            return b"\xff" + self.random.randbytes(200)
        at = time.time()
        entry = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1e6):06d}Z",
            "level": ("info", "info", "info", "warn", "error")[number % 5],
            "service": f"svc-{number % 40:02d}",
            "message": f"order {self.random.getrandbits(48):012x} was taken in {self.random.randrange(2000)} ms",
            "trace_id": f"{self.random.getrandbits(128):032x}",
            "user": {"id": self.random.randrange(10**6), "plan": ("free", "team", "business")[number % 3]},
            "client_ip": f"10.{self.random.randrange(256)}.{self.random.randrange(256)}.{self.random.randrange(256)}",
        }
        return json.dumps(entry).encode()

    def send(self, topic: str, due: int) -> None:
        """Bring what was sent onto the topic up to `due` records."""
        make = self.spans if topic == self.spans_topic else self.log
        for number in range(self.sent[topic], due):
            self.producer.produce(topic, make(number), partition=number % PARTITIONS, on_delivery=self._told)
            self.sent[topic] = number + 1

    def _told(self, error: KafkaError | None, _: Message) -> None:
        self.failed += error is not None
        self.taken += error is None

    def run(self, stop: threading.Event) -> None:
        """Send until told to stop; at the end all of it is with the broker."""
        began_s = time.monotonic()
        while not stop.wait(TICK_S):
            seconds = time.monotonic() - began_s
            self.send(self.spans_topic, int(seconds * self.rates.spans / PER_RECORD))
            self.send(self.logs_topic, int(seconds * self.rates.logs))
            self.producer.poll(0)
        self.producer.flush(60)


@contextmanager
def flowing(traffic: Traffic) -> Iterator[None]:
    """Traffic while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=traffic.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(90)
