"""The normalized stream: every row of the lake once, as its schema says, whatever ends the consumer."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer

from tests.integration.test_ingest import Crash, read_to_end
from tests.secret_records import SPANS, corpus
from tracebraid.pipeline.flow import Flow, Ingest, run_ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.settings import NormalizedSettings, Settings, StreamSettings, TopicSettings
from tracebraid.pipeline.publish.producer import Publisher
from tracebraid.pipeline.publish.topics import apply, own_topics
from tracebraid.pipeline.store.lake import Lake

pytestmark = pytest.mark.broker
ROUNDS = 6
VALUES = [each.value for each in corpus(ROUNDS) if each.encoding != "avro"]


def settings_for(broker: Any, tmp_path: Path, values: list[bytes]) -> Settings:
    topic = broker.create_topic(broker.unique("rows"), 2)
    producer = Producer(broker.client)
    for number, value in enumerate(values):
        producer.produce(topic, value, partition=number % 2)
    producer.flush(30)
    stream = StreamSettings(**{name: broker.unique(name) for name in StreamSettings.model_fields if name.endswith("_topic")})
    normalized = NormalizedSettings(enabled=True, topic=broker.unique("normalized"))
    return Settings(bootstrap_servers=broker.address, lake=str(tmp_path / "lake"), topics=(TopicSettings(name=topic),), stream=stream, normalized=normalized)


def published(broker: Any, root: Path, settings: Settings) -> list[dict[str, Any]]:
    """Every message, validated; each has its row's trace id as key."""
    validator = jsonschema.Draft202012Validator(json.loads((root / "schemas" / "row.schema.json").read_text(encoding="utf-8")))
    found = []
    for message in read_to_end(broker, settings.normalized.topic):
        row = json.loads(message.value())
        validator.validate(row)
        assert (message.key() or b"").decode() == row.get("trace_id", "")
        found.append(row)
    return found


def stored(settings: Settings) -> list[dict[str, Any]]:
    found = []
    for table in ("spans", "logs"):
        for path in (Path(settings.lake) / table).rglob("*.parquet"):
            if "_delta_log" not in path.parts:
                day = next(part.removeprefix("day=") for part in path.parts if part.startswith("day="))
                found += [{"table": table, "version": 1, "day": day, **_json(row)} for row in pq.read_table(path, partitioning=None).to_pylist()]
    return found


def _json(value: Any) -> Any:
    """A row as another program would write it: without nulls, maps as objects, times to the microsecond."""
    if isinstance(value, dict):
        return {name: _json(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return dict(value) if value and isinstance(value[0], tuple) else [_json(item) for item in value]
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value


def bare(value: Any) -> Any:
    """An empty map, an empty list and none look alike when they are read back from Parquet."""
    if isinstance(value, dict):
        return {name: kept for name, item in value.items() if (kept := bare(item)) not in (None, {}, [])}
    return [bare(item) for item in value] if isinstance(value, list) else value


def by_place(rows: list[dict[str, Any]], *without: str) -> list[Any]:
    kept = [bare({name: value for name, value in row.items() if name not in without}) for row in rows]
    return sorted(kept, key=lambda row: (row.get("kafka_partition", 0), row.get("kafka_offset", 0), row.get("record_index", 0)))


def test_every_row_of_the_lake_is_on_the_topic_once(broker: Any, root: Path, tmp_path: Path) -> None:
    settings = settings_for(broker, tmp_path, VALUES)
    totals = run_ingest(settings, drain=True)
    assert (totals.spans, totals.logs, totals.rejects) == (ROUNDS * len(SPANS), ROUNDS * 9, ROUNDS)
    assert by_place(published(broker, root, settings)) == by_place(stored(settings))


def run(ingest: Ingest) -> None:
    while True:
        ingest.step(drain=True)


@pytest.mark.parametrize("step", ["produced", "sent offsets", "committed"])
def test_a_crash_within_the_transaction_neither_loses_nor_doubles(broker: Any, root: Path, tmp_path: Path, step: str) -> None:
    settings = settings_for(broker, tmp_path, VALUES)
    apply(settings.client_config(), own_topics(settings))
    clock = Clock()
    lake = Lake.open(settings.lake, {}, clock, create=True)
    group = f"tracebraid-{lake.lake_id}"
    client = {**settings.client_config(), "group.instance.id": "one"}
    publisher = Publisher.transactional(client, group, clock)

    def crash(at: str) -> None:
        if at == step:
            raise Crash

    publisher.after_step = crash
    ingest = Ingest(Flow(settings, lake, group, metrics=Metrics(), clock=clock, stream=True), publisher)
    with pytest.raises(Crash):
        run(ingest)
    ingest.flow.drop()
    ingest.source.close()
    Publisher.transactional(client, group, clock).close()  # what the crash left open is aborted now, not when it times out
    run_ingest(settings, drain=True)
    # Rows that the stream had to read again were normalized again.
    assert by_place(published(broker, root, settings), "ingested_at") == by_place(stored(settings), "ingested_at")
