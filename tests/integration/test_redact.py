"""With redaction on, no secret that was sent is in the lake or on any topic; without it, each is."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, Producer
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status, TracesData

from tracebraid import connect
from tracebraid.pipeline.flow import run_ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.settings import NormalizedSettings, Settings, StreamSettings, TopicSettings
from tracebraid.pipeline.publish.topics import own_names
from tracebraid.pipeline.redrive import NOT_KEPT, Redrive, redrive
from tracebraid.pipeline.rulebook import RuleBook

pytestmark = pytest.mark.broker
NANOS = 1_767_225_600_000_000_000
RULE = """
- name: by-customer
  on: spans
  by: [service_name, user.id, customer]
  when: count() > 1000000
- name: by-log
  on: logs
  by: [service_name, user.id, customer]
  when: count() > 1000000
"""
REDACT = {
    "drop": ["*cookie", "*session.*"],  # whatever stands before: the labels of a container do
    "hash": ["*user.id", "service.instance.id"],
    "key": "a key of sixteen and more",
    "mask": ["email", "card", "token", "url_password"],
    "patterns": [{"name": "ssn", "pattern": r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b"}],
}


def luhn(head: str) -> str:
    """`head` with its check digit."""
    total = sum(int(digit) if place % 2 else sum(map(int, str(2 * int(digit)))) for place, digit in enumerate(reversed(head)))
    return f"{head}{-total % 10}"


def secrets_of(number: int) -> dict[str, str]:
    card = luhn(f"4000 {number:04d} 7788 123".replace(" ", ""))
    return {
        "email": f"person{number}@secret-mail.example",
        "card": f"{card[:4]} {card[4:8]} {card[8:12]} {card[12:]}" if number % 2 else card,
        "token": f"tok{number}S3cr3tValue",
        "password": f"pw{number}hunter2",
        "ssn": f"123-45-{6000 + number}",
        "user": f"raw-user-{number}",
        "cookie": f"raw-cookie-{number}",
    }


def text_of(own: dict[str, str]) -> str:
    return (
        f"mail {own['email']} card {own['card']}, Authorization: Bearer {own['token']} via postgres://app:{own['password']}@db:5432/x\n"
        f"caused by {own['ssn']} of {own['email']}"
    )


def attributes_of(own: dict[str, str]) -> dict[str, str]:
    text = text_of(own)
    named = {"user.id": own["user"], "http.cookie": own["cookie"], "session.key": own["cookie"], "customer": own["email"], "url.path": f"/u/{own['email']}"}
    more = {"http.request.header.authorization": own["token"], f"count.{own['email']}": "1", "exception.message": text, "exception.stacktrace": text}
    return {**named, **more, "note": text, "json": json.dumps({"deep": text})}


def otlp(given: dict[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in given.items()]


def corpus(numbers: range) -> list[bytes]:
    """Records of every encoding, each with all kinds of secrets in every place that holds a text."""
    values = []
    for number in numbers:
        own = secrets_of(number)
        text, given = text_of(own), attributes_of(own)
        resource = Resource(attributes=otlp({"service.name": f"svc {own['email']}", "service.instance.id": own["user"], "host.name": text, **given}))
        scope = {"name": text, "version": text, "attributes": otlp(given)}
        event, link = Span.Event(name=text, attributes=otlp(given)), Span.Link(trace_id=bytes(range(16)), trace_state=text, attributes=otlp(given))
        span = Span(trace_id=bytes(range(1, 17)), span_id=bytes(range(1, 9)), name=text, kind=2, trace_state=text, events=[event], links=[link])
        span.MergeFrom(Span(start_time_unix_nano=NANOS, end_time_unix_nano=NANOS + 5, status=Status(code=2, message=text), attributes=otlp(given)))
        record = LogRecord(time_unix_nano=NANOS, severity_text=text, event_name=text, body=AnyValue(string_value=text), attributes=otlp(given))
        values.append(TracesData(resource_spans=[ResourceSpans(resource=resource, scope_spans=[ScopeSpans(scope=scope, spans=[span])])]).SerializeToString())
        values.append(LogsData(resource_logs=[ResourceLogs(resource=resource, scope_logs=[ScopeLogs(scope=scope, log_records=[record])])]).SerializeToString())
        listed = [{"key": key, "value": {"stringValue": value}} for key, value in given.items()]
        of_json = {"timeUnixNano": str(NANOS), "body": {"stringValue": text}, "attributes": listed}
        values.append(json.dumps({"resourceLogs": [{"resource": {"attributes": listed}, "scopeLogs": [{"logRecords": [of_json]}]}]}).encode())
        names = {"service": f"svc {own['email']}", "logger": text, "thread": text, "exception": {"message": text, "stacktrace": text}}
        values.append(json.dumps({**given, **names, "level": "error", "msg": text, "time": "2026-01-01T00:00:00Z"}).encode())
        values.append(json.dumps({"log": text, "stream": "stdout", "time": "2026-01-01T00:00:00Z", "kubernetes": {"labels": given}}).encode())
        values.append(f"2026-01-01T00:00:00Z ERROR {text}".encode())
        values.append(b"\xff\xfe" + text.encode() + b"".join(value.encode() for value in own.values()))  # a reject
    return values


def run(broker: Any, tmp_path: Path, values: list[bytes], **chosen: Any) -> tuple[Settings, list[bytes]]:
    """Everything through ingest; what lies in the lake and on the topics, as bytes to search."""
    topic = broker.create_topic(broker.unique("secrets"), 2)
    (tmp_path / "rules.yaml").write_text(RULE, encoding="utf-8")
    stream = StreamSettings(**{name: broker.unique(name) for name in StreamSettings.model_fields if name.endswith("_topic")})
    settings = Settings(
        bootstrap_servers=broker.address,
        lake=str(tmp_path / "lake"),
        topics=(TopicSettings(name=topic),),
        stream=stream,
        normalized=NormalizedSettings(enabled=True, topic=broker.unique("normalized")),
        **{"rules": {"starter": True, "files": [str(tmp_path / "rules.yaml")]}, **chosen},
    )
    producer = Producer(broker.client)
    for number, value in enumerate(values):
        producer.produce(topic, value, key=value[-80:], headers={"origin": value[-80:]}, partition=number % 2)
    producer.flush(30)
    totals = run_ingest(settings, drain=True, rules=lambda: RuleBook(settings, Clock(), "ingest"))
    assert (totals.records, totals.rejects, totals.spans) == (len(values), len(values) // 7, len(values) // 7)
    return settings, [*lake_bytes(settings), *topic_bytes(broker, settings)]


def lake_bytes(settings: Settings) -> list[bytes]:
    """Each file's own bytes (footers, statistics, the tables' logs), and its values read back."""
    found = []
    for path in sorted(Path(settings.lake).rglob("*")):
        if path.is_file():
            found.append(path.read_bytes())
        if path.suffix == ".parquet":
            found += [str(row).encode() for row in pq.read_table(path, partitioning=None).to_pylist()]
    return found


def topic_bytes(broker: Any, settings: Settings) -> list[bytes]:
    existing = Consumer({**broker.client, "group.id": broker.unique("names")})
    topics = sorted(set(own_names(settings)) & existing.list_topics(timeout=10).topics.keys())
    existing.close()
    reader = Consumer({**broker.client, "group.id": broker.unique("reader"), "auto.offset.reset": "earliest", "isolation.level": "read_committed"})
    reader.subscribe(topics)
    found, quiet = [], 0
    while quiet < 12:
        batch = [message for message in reader.consume(500, 0.5) if message.error() is None]
        quiet = 0 if batch else quiet + 1
        found += [repr((message.key(), message.headers())).encode() + b"\n" + (message.value() or b"") for message in batch]
    reader.close()
    assert found
    return found


def survivors(secrets: dict[str, str], held: list[bytes]) -> set[str]:
    return {kind for kind, secret in secrets.items() if any(secret.encode() in each for each in held)}


def test_no_secret_survives_anywhere(broker: Any, tmp_path: Path) -> None:
    values = corpus(range(12))
    settings, held = run(broker, tmp_path, values, redact=REDACT, rejects={"keep": "hash"})
    assert [survivors(secrets_of(number), held) for number in range(12)] == [set()] * 12
    with connect(settings.lake) as database:
        joined = "select count(distinct s.attributes['user.id']) from spans s join logs l on s.attributes['user.id'] = l.attributes['user.id']"
        assert database.execute(joined).fetchone() == (12,)
        whole = "select count(*) from logs where body like 'mail [redacted:email] card [redacted:card], Authorization: Bearer [redacted:token] via %'"
        assert (database.execute(whole).fetchone() or (0,))[0] >= 48
    lines: list[str] = []
    found = redrive(settings, Redrive(hopeless=True, apply=True), lines.append)
    assert (found.sent, {verdict for _, _, verdict in found.rejects}) == (0, {NOT_KEPT})
    assert lines[0].endswith(":0 cannot be sent: its bytes were not kept, as rejects.keep was hash when it came in") or len(lines) == 12


def test_without_redaction_every_secret_is_there(broker: Any, tmp_path: Path) -> None:
    settings, held = run(broker, tmp_path, corpus(range(2)))
    for number in range(2):
        assert survivors(secrets_of(number), held) == secrets_of(number).keys()
    on_topics = topic_bytes(broker, settings)
    assert survivors(secrets_of(0), [each for each in on_topics if b'"table":' in each]) == secrets_of(0).keys()
    assert {"email", "user"} <= survivors(secrets_of(0), [each for each in on_topics if b"partials" in each])  # labels of series
