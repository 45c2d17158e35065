"""What is produced: records that each carry a number of their own, so that a loss or a repetition shows in their content too.

In: a broker and topics. Out: records on them, and a list of which number lies where. Never: a number twice.
"""

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from confluent_kafka import KafkaException, Producer
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData

EPOCH_NS = 1_767_225_600_000_000_000
POISON_EVERY = 50
PLAIN_FROM = 1_000_000_000  # numbers of records that are OTLP spans and nothing else: a poll of several partitions of them is decoded at once
# What no encoding takes, each with its number behind it: no text, broken protobuf, gzip that is none, OTLP in JSON that is cut off, a frame of a schema that
# nobody knows.
POISONS = (b"\xff\xfe\xfd", b"\x0a\xff\xff\xff", b"\x1f\x8b\x08", b'{"resourceSpans":[{', b"\0\0\0\0\x07\x09")


def kind_of(number: int) -> str:
    """The table that holds it."""
    if number >= PLAIN_FROM:
        return "spans"
    if number % POISON_EVERY == 37:
        return "rejects"
    return "spans" if number % 2 else "logs"


def rows_of(number: int) -> int:
    kind = kind_of(number)
    if kind == "rejects":
        return 1
    return 1 + number % 3 if _maker_of(number) in _SEVERAL else 1


def value_of(number: int) -> bytes:
    """A record in one of all encodings and envelopes, in turn."""
    kind = kind_of(number)
    if kind == "rejects":
        return POISONS[number // POISON_EVERY % len(POISONS)] + str(number).encode()
    return _maker_of(number)(number)


def _maker_of(number: int) -> Callable[[int], bytes]:
    if number >= PLAIN_FROM:
        return _otlp_proto
    makers = _SPANS if kind_of(number) == "spans" else _LOGS
    return makers[number // 2 % len(makers)]


def _ids(number: int, index: int = 0) -> tuple[bytes, bytes]:
    return (number + 1).to_bytes(16, "big"), (8 * number + index + 1).to_bytes(8, "big")


def _otlp(number: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "torture"
    scope = resource.scope_spans.add()
    for index in range(rows_of(number)):
        trace_id, span_id = _ids(number, index)
        span = scope.spans.add(name=f"span {number}", trace_id=trace_id, span_id=span_id)
        span.start_time_unix_nano, span.end_time_unix_nano = EPOCH_NS, EPOCH_NS + number
        span.attributes.add(key="number").value.int_value = number
    return request


def _otlp_proto(number: int) -> bytes:
    return _otlp(number).SerializeToString()


def _otlp_json(number: int) -> bytes:
    document = MessageToDict(_otlp(number))
    for span in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in ("traceId", "spanId"):  # in hex, where protobuf's own mapping has base64
            span[name] = base64.b64decode(span[name]).hex()
    return json.dumps(document).encode()


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


def _jaeger_proto(number: int) -> bytes:
    trace_id, span_id = _ids(number)
    tag = _field(1, b"number") + _field(3, b"%d" % number)
    return _field(1, trace_id) + _field(2, span_id) + _field(3, b"torn") + _field(8, tag) + _field(10, _field(1, b"torture"))


def _jaeger_json(number: int) -> bytes:
    ids = dict(zip(("traceId", "spanId"), (base64.b64encode(each).decode() for each in _ids(number)), strict=True))
    tags = [{"key": "number", "vStr": str(number)}]
    return json.dumps({**ids, "operationName": "torn", "tags": tags, "process": {"serviceName": "torture"}}).encode()


def _zipkin_proto(number: int) -> bytes:
    tag = _field(1, b"number") + _field(2, b"%d" % number)
    ids = (_ids(number, index) for index in range(rows_of(number)))
    return b"".join(
        _field(1, _field(1, one) + _field(3, other) + _field(5, b"torn") + _field(8, _field(1, b"torture")) + _field(11, tag)) for one, other in ids
    )


def _zipkin_json(number: int) -> bytes:
    ids = (_ids(number, index) for index in range(rows_of(number)))
    common = {"name": "torn", "localEndpoint": {"serviceName": "torture"}, "tags": {"number": str(number)}}
    return json.dumps([{"traceId": one.hex(), "id": other.hex(), **common} for one, other in ids]).encode()


def _log(number: int) -> str:
    return json.dumps({"time": "2026-01-01T00:00:00Z", "level": "info", "msg": f"message {number}", "number": number})


def _object(number: int) -> bytes:
    return _log(number).encode()


def _lines(number: int) -> bytes:
    return "\n".join(_log(number) for _ in range(rows_of(number))).encode()


def _list(number: int) -> bytes:
    return f"[{','.join(_log(number) for _ in range(rows_of(number)))}]".encode()


def _logs_proto(number: int) -> bytes:
    request = LogsData()
    scope = request.resource_logs.add().scope_logs.add()
    for _ in range(rows_of(number)):
        log = scope.log_records.add(time_unix_nano=EPOCH_NS, severity_number=9)  # type: ignore[arg-type]  # protobuf takes an enum's number
        log.body.string_value = f"message {number}"
        log.attributes.add(key="number").value.int_value = number
    return request.SerializeToString()


def _logs_json(number: int) -> bytes:
    return json.dumps(MessageToDict(LogsData.FromString(_logs_proto(number)))).encode()


def _docker(number: int) -> bytes:
    return json.dumps({"log": f"{_log(number)}\n", "stream": "stdout", "time": "2026-01-01T00:00:00Z"}).encode()


def _filebeat(number: int) -> bytes:
    return json.dumps({"@timestamp": "2026-01-01T00:00:00Z", "agent": {"type": "filebeat"}, "message": _log(number)}).encode()


def _cri(number: int) -> bytes:
    return f"2026-01-01T00:00:00Z stdout F {_log(number)}".encode()


def _logfmt(number: int) -> bytes:
    return f'time=2026-01-01T00:00:00Z level=info msg="message {number}" number={number}'.encode()


def _framed(number: int) -> bytes:
    return b"\0\0\0\0\x01" + _log(number).encode()


def _packed(number: int) -> bytes:
    return gzip.compress(_log(number).encode(), mtime=0)


def _quoted(number: int) -> bytes:
    return json.dumps(_log(number)).encode()


_SPANS = (_otlp_proto, _otlp_json, _jaeger_proto, _jaeger_json, _zipkin_proto, _zipkin_json)
_LOGS = (_object, _logs_proto, _logs_json, _lines, _list, _docker, _filebeat, _cri, _logfmt, _framed, _packed, _quoted)
_SEVERAL = frozenset({_otlp_proto, _otlp_json, _zipkin_proto, _zipkin_json, _logs_proto, _logs_json, _lines, _list})  # rows in one record


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
    plain: bool = False
    sent: list[Sent] = field(default_factory=list)
    next_partition: int = 0


class Workload:
    """Numbers from 0 on, and from PLAIN_FROM on, spread over topics."""

    def __init__(self) -> None:
        self._next = {False: 0, True: PLAIN_FROM}

    @property
    def next_number(self) -> int:
        return self._next[False]

    @property
    def produced(self) -> int:
        return self.next_number + self._next[True] - PLAIN_FROM

    def produce(self, topic: Topic, count: int) -> int:
        """Queue so many records; how many the queue took."""
        for done in range(count):
            number = self._next[topic.plain]
            topic.next_partition = (topic.next_partition + 1) % topic.partitions
            note = partial(self._delivered, topic, number, topic.id)
            try:
                topic.producer.produce(topic.name, value_of(number), partition=topic.next_partition, on_delivery=note)
            except BufferError:
                topic.producer.poll(0)
                return done
            except KafkaException:
                pass  # the topic, or its partition, is not there: the number is left out
            self._next[topic.plain] += 1
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
