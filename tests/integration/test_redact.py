"""With redaction on, no secret that was sent is in the lake or on any topic; without it, each is."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from tests.registry import registry
from tests.secret_records import AVRO_ID, AVRO_SCHEMA, SPANS, Secret, corpus, raw
from tracebraid import connect
from tracebraid.pipeline.flow import run_ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.schema_registry import SchemaRegistrySettings
from tracebraid.pipeline.kernel.settings import NormalizedSettings, Settings, StreamSettings, TopicSettings
from tracebraid.pipeline.publish.topics import own_names
from tracebraid.pipeline.redrive import NOT_KEPT, Redrive, redrive
from tracebraid.pipeline.rulebook import RuleBook

pytestmark = pytest.mark.broker
ROUNDS = 12
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


@pytest.fixture
def schemas() -> Iterator[SchemaRegistrySettings]:
    """A registry that knows the schema of records in Avro."""
    pytest.importorskip("fastavro", reason="needs fastavro: pip install 'tracebraid[avro]'")
    with registry() as known:
        known.schemas[AVRO_ID] = {"schema": json.dumps(AVRO_SCHEMA)}
        yield SchemaRegistrySettings(url=known.url)


def run(broker: Any, tmp_path: Path, rounds: int, **chosen: Any) -> tuple[Settings, list[Secret], list[bytes]]:
    """Everything through ingest; what lies in the lake and on the topics, as bytes to search."""
    mixed, bodies = broker.create_topic(broker.unique("secrets"), 2), broker.create_topic(broker.unique("bodies"), 2)
    (tmp_path / "rules.yaml").write_text(RULE, encoding="utf-8")
    stream = StreamSettings(**{name: broker.unique(name) for name in StreamSettings.model_fields if name.endswith("_topic")})
    settings = Settings(
        bootstrap_servers=broker.address,
        lake=str(tmp_path / "lake"),
        topics=(TopicSettings(name=mixed), TopicSettings(name=bodies, encoding="raw")),
        stream=stream,
        normalized=NormalizedSettings(enabled=True, topic=broker.unique("normalized")),
        **{"rules": {"starter": True, "files": [str(tmp_path / "rules.yaml")]}, **chosen},
    )
    producer, sent = Producer(broker.client), [*corpus(rounds), *raw(rounds)]
    for number, each in enumerate(sent):
        topic, end = bodies if each.encoding == "raw" else mixed, each.value[-80:]
        producer.produce(topic, each.value, key=end, headers={"origin": end}, partition=number % 2)
    producer.flush(30)
    totals = run_ingest(settings, drain=True, rules=lambda: RuleBook(settings, Clock(), "ingest"))
    assert (totals.records, totals.rejects, totals.spans) == (len(sent), rounds, rounds * len(SPANS))
    return settings, sent, [*lake_bytes(settings), *topic_bytes(broker, settings)]


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
    """Everything on our own topics, to the end of each partition."""
    reader = Consumer({**broker.client, "group.id": broker.unique("reader"), "enable.partition.eof": True, "isolation.level": "read_committed"})
    known = reader.list_topics(timeout=10).topics
    places = [TopicPartition(topic, number, OFFSET_BEGINNING) for topic in set(own_names(settings)) & known.keys() for number in known[topic].partitions]
    reader.assign(places)
    found, ends = [], 0
    while ends < len(places):
        for message in reader.consume(500, 0.5):
            if message.error() is None:
                found.append(repr((message.key(), message.headers())).encode() + b"\n" + (message.value() or b""))
            else:
                assert message.error().code() == KafkaError._PARTITION_EOF
                ends += 1
    reader.close()
    assert found
    return found


def survivors(secrets: Mapping[str, str], held: Sequence[bytes]) -> set[str]:
    return {kind for kind, secret in secrets.items() if any(secret.encode() in each for each in held)}


def test_no_secret_survives_anywhere(broker: Any, tmp_path: Path, schemas: SchemaRegistrySettings) -> None:
    settings, sent, held = run(broker, tmp_path, ROUNDS, redact=REDACT, rejects={"keep": "hash"}, schema_registry=schemas)
    everything = b"\0".join(held)
    assert {(each.encoding, kind) for each in sent for kind in survivors(each.secrets, [everything])} == set()
    with connect(settings.lake) as database:
        joined = "select count(distinct s.attributes['user.id']) from spans s join logs l on s.attributes['user.id'] = l.attributes['user.id']"
        assert database.execute(joined).fetchone() == (ROUNDS,)
        whole = "select count(*) from logs where body like 'mail [redacted:email] card [redacted:card], Authorization: Bearer [redacted:token] via %'"
        assert (database.execute(whole).fetchone() or (0,))[0] >= 9 * ROUNDS
    lines: list[str] = []
    found = redrive(settings, Redrive(hopeless=True, apply=True), lines.append)
    assert (found.sent, {verdict for _, _, verdict in found.rejects}) == (0, {NOT_KEPT})
    assert lines[0].endswith(":0 cannot be sent: its bytes were not kept, as rejects.keep was hash when it came in") or len(lines) == ROUNDS


def test_without_redaction_every_secret_is_there(broker: Any, tmp_path: Path, schemas: SchemaRegistrySettings) -> None:
    """Of each encoding by itself: so what the other test does not find was there to be found."""
    settings, sent, held = run(broker, tmp_path, 2, schema_registry=schemas)
    assert [(each.encoding, survivors(each.secrets, held)) for each in sent] == [(each.encoding, set(each.secrets)) for each in sent]
    on_topics = topic_bytes(broker, settings)
    rows = [each for each in on_topics if b'"table":' in each]
    kept = [each for each in sent if each.encoding]
    assert [(each.encoding, survivors(each.secrets, rows)) for each in kept] == [(each.encoding, set(each.secrets)) for each in kept]
    labels = [each for each in on_topics if b"partials" in each]
    assert {"email", "shared"} <= survivors(sent[0].secrets, labels)  # labels of series
