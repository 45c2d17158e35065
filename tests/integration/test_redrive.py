"""Rejects sent again on a real broker: each once, whatever ends the re-drive, and from its topic where the reject holds a part alone."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer

from tests.integration.test_ingest import Crash, intervals_are_whole, numbers, produce, read_to_end, settings_for, with_rejects_topic
from tests.registry import registry
from tracebraid import connect
from tracebraid.jobs.main import tracebraid
from tracebraid.pipeline.flow import run_ingest
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.schema_registry import SchemaRegistrySettings
from tracebraid.pipeline.kernel.settings import Settings, TopicSettings
from tracebraid.pipeline.normalize import log_objects, log_picks
from tracebraid.pipeline.normalize.log_fields import role_of
from tracebraid.pipeline.publish.producer import Message, Publisher
from tracebraid.pipeline.redrive import Found, Redrive, redrive
from tracebraid.pipeline.source.again import Again

pytestmark = pytest.mark.broker


def read_as(settings: Settings, encoding: str) -> Settings:
    topics = tuple(each.model_copy(update={"encoding": encoding}) for each in settings.topics)
    return settings.model_copy(update={"topics": topics})


def refused(broker: Any, tmp_path: Path, count: int = 60) -> tuple[Settings, str]:
    """Settings as they should be, and a topic of JSON logs that was read as OTLP protobuf: all of it is rejects. Every tenth is no JSON either."""
    topic = broker.create_topic(broker.unique("redrive"), 2)
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, count, partitions=2, poison_every=10)
    totals = run_ingest(read_as(settings, "otlp_proto"), drain=True)
    assert (totals.rejects, totals.logs) == (count, 0)
    return read_as(settings, "json"), topic


def apply(settings: Settings, **wanted: Any) -> Found:
    lines: list[str] = []
    found = redrive(settings, Redrive(apply=True, **wanted), lines.append)
    assert lines == []
    return found


def headers_of(settings: Settings) -> list[tuple[Any, ...]]:
    asked = (
        "select kafka_offset, list_transform(record_headers, lambda h: h.key || '=' || decode(h.value)) from rejects where len(record_headers) > 0 order by all"
    )
    return connect(settings.lake).execute(asked).fetchall()


def test_what_was_misread_comes_in_once_and_what_is_poison_stays_a_reject(broker: Any, tmp_path: Path) -> None:
    settings, topic = refused(broker, tmp_path)
    wrong = redrive(read_as(settings, "otlp_proto"), Redrive(), print)
    assert dict(wrong.rejects) == {(topic, "malformed", "rejected: malformed"): 60}
    assert (wrong.sendable, wrong.sent) == (0, 0)
    dry = redrive(settings, Redrive(), print)
    give_rows = (topic, "malformed", "rows")
    assert {key: count for key, count in dry.rejects.items() if key == give_rows} == {give_rows: 54}
    assert (dry.logs[give_rows], dry.rejects.total(), dry.sendable, dry.sent) == (54, 60, 54, 0)
    assert run_ingest(settings, drain=True).records == 0  # looking sends nothing
    assert apply(settings).sent == 54
    totals = run_ingest(settings, drain=True)
    assert (totals.logs, totals.rejects) == (54, 0)
    assert numbers(settings) == [n for n in range(60) if n % 10]
    again = apply(settings)
    assert (again.rejects[topic, "malformed", "sent before"], again.sendable, again.sent) == (54, 0, 0)
    assert run_ingest(settings, drain=True).records == 0
    intervals_are_whole(settings)


def test_a_record_that_fails_again_says_how_often_and_where_it_failed_first(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("redrive"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    producer = Producer(broker.client)
    producer.produce(topic, b"\xff\xfe poison", b"key", headers=[("team", b"shop")], timestamp=1_700_000_000_123)
    producer.flush(20)
    run_ingest(settings, drain=True)
    ((cluster, topic_id),) = connect(settings.lake).execute("select kafka_cluster, kafka_topic_id from rejects").fetchall()
    first = f"tracebraid.redrive_of={cluster}/{topic_id}/0/0/0"
    assert apply(settings).sent == 0
    assert apply(settings, hopeless=True).sent == 1
    assert run_ingest(settings, drain=True).rejects == 1
    assert apply(settings, hopeless=True).sent == 1
    assert run_ingest(settings, drain=True).rejects == 1
    offsets = [offset for offset, _ in headers_of(settings)]
    assert [headers for _, headers in headers_of(settings)] == [
        ["team=shop"],
        ["team=shop", first, "tracebraid.redrive_attempt=1"],
        ["team=shop", first, "tracebraid.redrive_attempt=2"],
    ]
    assert offsets == sorted(set(offsets))
    kept = connect(settings.lake).execute("select distinct record_key, record_value, epoch_ms(kafka_time) from rejects").fetchall()
    assert kept == [(b"key", b"\xff\xfe poison", 1_700_000_000_123)]


@pytest.mark.parametrize("step", ["produced", "committed"])
def test_a_crash_within_or_after_a_transaction_sends_nothing_twice(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    settings, _ = refused(broker, tmp_path)
    monkeypatch.setattr("tracebraid.pipeline.redrive.RECORDS_AT_ONCE", 20)
    reached: list[str] = []

    def crash(at: str) -> None:
        reached.append(at)
        if reached.count(step) == 2:
            raise Crash

    with pytest.raises(Crash):
        redrive(settings, Redrive(apply=True), print, after_step=crash)
    held = 16 if step == "produced" else 34  # of the first 20 rejects 4 are poison, of the next 20 two
    found = apply(settings)
    assert (found.sendable, found.sent) == (54 - held, 54 - held)
    assert run_ingest(settings, drain=True).logs == 54
    assert numbers(settings) == [n for n in range(60) if n % 10]


def test_a_transaction_whose_answer_is_lost_is_looked_up_not_repeated(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another re-drive fences this one between its records and its commit, and sends all itself."""
    settings, topic = refused(broker, tmp_path)
    inner: list[Found] = []

    def fence(at: str) -> None:
        if at == "produced" and not inner:
            inner.append(apply(settings))

    found = redrive(settings, Redrive(apply=True), print, after_step=fence)
    assert inner[0].sent == 54
    assert found.sendable == 54
    assert len(read_to_end(broker, topic)) == 60 + 54
    assert run_ingest(settings, drain=True).logs == 54


def test_a_command_killed_between_its_transactions_is_taken_up_where_it_was(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("killed"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 5000)
    run_ingest(read_as(settings, "otlp_proto"), drain=True)
    settings = read_as(settings, "json")
    environment = {
        **{"TRACEBRAID_BOOTSTRAP_SERVERS": broker.address, "TRACEBRAID_LAKE": settings.lake, "TRACEBRAID_STREAM__REJECTS_TOPIC": settings.stream.rejects_topic},
        "TRACEBRAID_TOPICS": json.dumps([{"name": topic, "encoding": "json"}]),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tracebraid", "rejects", "redrive", "--apply"], env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )
    watcher, deadline = Again(broker.client, Clock()), Clock().monotonic_s() + 60
    while not watcher.compacted(settings.stream.redriven_topic) and Clock().monotonic_s() < deadline:
        pass
    process.kill()
    process.wait(10)
    watcher.close()
    found = apply(settings)
    assert found.sendable + found.rejects[topic, "malformed", "sent before"] == 5000
    assert found.rejects[topic, "malformed", "sent before"] >= 500
    assert run_ingest(settings, drain=True).logs == 5000
    assert numbers(settings) == list(range(5000))


def test_filters_and_another_topic(broker: Any, tmp_path: Path) -> None:
    settings, topic = refused(broker, tmp_path)
    other = broker.create_topic(broker.unique("mended"), 3)
    with pytest.raises(UsageError, match="there is no topic nowhere"):
        apply(settings, to="nowhere")
    assert apply(settings, to=other, where="kafka_partition = 1 and kafka_offset < 10").sent == 10
    settings = settings.model_copy(update={"topics": (*settings.topics, TopicSettings(name=other))})
    assert run_ingest(settings, drain=True).logs == 10
    assert numbers(settings) == list(range(1, 20, 2))
    left = apply(settings)
    assert (left.rejects[topic, "malformed", "sent before"], left.sent) == (10, 44)


def test_an_oversize_record_stalls_nothing_and_comes_in_from_its_topic(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 MB in a fetch of 64 KiB; its reject keeps the first 64 KiB, and the rest is read from the topic again."""
    topic = broker.create_topic(broker.unique("oversize"), config={"max.message.bytes": "30000000"})
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    client = {"fetch.message.max.bytes": "65536"}
    settings = Settings.model_validate({**settings.model_dump(), "client": client})
    producer = Producer({**broker.client, "message.max.bytes": "30000000"})
    large = json.dumps({"level": "info", "msg": "large " + "x" * 20_000_000, "number": 1}).encode()
    for value in (b'{"msg": "before", "number": 0}', large, b'{"msg": "after", "number": 2}'):
        producer.produce(topic, value)
        producer.flush(30)
    monkeypatch.setattr(limits, "record_bytes_max", 10 * limits.MIB)
    assert run_ingest(settings, drain=True).logs == 2
    kept = connect(settings.lake).execute("select reason, octet_length(record_value), value_bytes from rejects").fetchall()
    assert kept == [("too_large", limits.reject_value_bytes_max, len(large))]
    assert numbers(settings) == [0, 2]
    monkeypatch.undo()
    assert apply(settings).sent == 1
    assert run_ingest(settings, drain=True).logs == 1
    assert numbers(settings) == [0, 1, 2]
    ((length,),) = connect(settings.lake).execute("select length(body) from logs where attributes['number'] = '1'").fetchall()
    assert length == 20_000_006


def test_an_oversize_record_that_retention_took_is_one_line(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("gone"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    producer = Producer(broker.client)
    producer.produce(topic, b"\xff" * 100_000)
    producer.produce(topic, b"\xff" * 10)
    producer.flush(20)
    assert run_ingest(settings, drain=True).rejects == 2
    broker.delete_records(topic, 1)
    lines: list[str] = []
    found = redrive(settings, Redrive(hopeless=True, apply=True), lines.append)
    assert lines == [f"{topic}:0:0 is gone: 65536 of its 100000 bytes are kept, and the record is no longer on its topic"]
    assert (found.rejects[topic, "malformed", "gone"], found.sent) == (1, 1)


def test_a_topic_made_again_has_other_records_at_the_same_offsets(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("anew"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    producer = Producer(broker.client)
    producer.produce(topic, b"\xff" * 100_000)
    producer.flush(20)
    run_ingest(settings, drain=True)
    broker.delete_topic(topic)
    broker.create_topic(topic)
    producer.produce(topic, b"\xfe" * 100_000)
    producer.flush(20)
    assert redrive(settings, Redrive(hopeless=True), lambda _: None).rejects == {(topic, "malformed", "gone"): 1}


def test_a_part_of_a_record_is_not_sent_since_its_other_rows_would_double(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("parts"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    span = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "get"}
    mixed = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}], "resourceMetrics": [{"scopeMetrics": []}]}
    producer = Producer(broker.client)
    producer.produce(topic, json.dumps(mixed).encode())
    producer.flush(20)
    totals = run_ingest(settings, drain=True)
    assert (totals.spans, totals.rejects) == (1, 1)
    found = apply(settings, hopeless=True)
    assert (dict(found.rejects), found.sent) == ({(topic, "otlp_metrics", "its other rows are in the lake"): 1}, 0)


def test_the_command_looks_first_and_sends_with_apply(broker: Any, tmp_path: Path) -> None:
    settings, topic = refused(broker, tmp_path, 20)
    path = tmp_path / "tracebraid.toml"
    stream = f'[stream]\nrejects_topic = "{settings.stream.rejects_topic}"\n'
    path.write_text(f'bootstrap_servers = "{broker.address}"\nlake = "{settings.lake}"\n{stream}[[topics]]\nname = "{topic}"\nencoding = "json"\n')

    def run(*arguments: str) -> list[dict[str, Any]]:
        result = CliRunner().invoke(tracebraid, ["rejects", "redrive", "--config", str(path), *arguments], catch_exceptions=False)
        assert result.exit_code == 0
        return [json.loads(line) for line in result.stdout.splitlines()]

    assert run("--until", "2020-01-01T00:00:00Z") == [{"sendable": 0, "sent": 0}]
    common = {"topic": topic, "reason": "malformed", "spans": 0}
    refusals = [{**common, "verdict": f"rejected: {reason}", "rejects": 2, "logs": 0} for reason in ("invalid_utf8",)]
    rows = [*refusals, {**common, "verdict": "rows", "rejects": 18, "logs": 18}]
    assert run("--since", "2020-01-01", "--reason", "malformed", "--topic", topic) == [*rows, {"sendable": 18, "sent": 0}]
    assert run("--where", "kafka_partition = 0 -- half of them", "--apply")[-1] == {"sendable": 8, "sent": 8}
    assert run("--apply")[-1] == {"sendable": 10, "sent": 10}
    assert run("--apply")[-1] == {"sendable": 0, "sent": 0}
    for wrong, says in (
        (("--since", "soon"), "'soon' is no time"),
        (("--apply", "--encoding", "json"), "--encoding with --apply"),
        (("--where", "1 +"), "syntax"),
    ):
        with pytest.raises(UsageError, match=says):
            run(*wrong)


def test_records_of_avro_come_in_once_the_registry_answers(broker: Any, tmp_path: Path) -> None:
    fastavro = pytest.importorskip("fastavro", reason="needs fastavro: pip install 'tracebraid[avro]'")
    topic = broker.create_topic(broker.unique("avro"), 1)
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    schema = {"type": "record", "name": "Log", "fields": [{"name": "level", "type": "string"}, {"name": "message", "type": "string"}]}
    producer = Producer(broker.client)
    for number in range(10):
        content = io.BytesIO()
        fastavro.schemaless_writer(content, fastavro.parse_schema(schema), {"level": "warn", "message": f"message {number}"})
        producer.produce(topic, b"\0\0\0\0\x07" + content.getvalue())
        producer.produce(topic, b'{"level":"info","message":"of JSON"}')
    producer.flush(30)
    with registry(schemas={7: {"schema": json.dumps(schema)}}) as known:
        settings = settings.model_copy(update={"schema_registry": SchemaRegistrySettings(url=known.url)})
        known.failing += [503] * 5
        totals = run_ingest(settings, drain=True)
        assert (totals.logs, totals.rejects) == (10, 10)
        known.failing.clear()
        assert redrive(settings, Redrive(), print).sendable == 10
        assert apply(settings).sent == 10
        totals = run_ingest(settings, drain=True)
        assert (totals.logs, totals.rejects) == (10, 0)
    found = connect(settings.lake).execute("select body, severity_text from logs where body <> 'of JSON' order by body").fetchall()
    assert found == [(f"message {number}", "warn") for number in range(10)]


def test_what_tracebraid_itself_failed_on_comes_in_once_that_is_mended(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ended the process, at each start anew. Now its partition goes on, and both sinks hold it as a reject, with its bytes."""
    topic = broker.create_topic(broker.unique("fault"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic, flush_records=50))
    poisoned = json.dumps({"time": "2026-01-01T00:00:00Z", "msg": "of the poison", "number": 60, "poison": 1}).encode()
    produce(broker, topic, 0, 60)
    producer = Producer(broker.client)
    producer.produce(topic, poisoned)
    producer.flush(20)
    produce(broker, topic, 61, 100)
    with monkeypatch.context() as broken:
        for module in (log_picks, log_objects):
            broken.setattr(module, "role_of", lambda name: role_of({"poison": 7}.get(name, name)))  # a number has no len()
        totals = run_ingest(settings, drain=True)
        assert (totals.records, totals.logs, totals.rejects) == (100, 99, 1)
        intervals_are_whole(settings)
        assert run_ingest(settings, drain=True).records == 0
        assert apply(settings).rejects == {(topic, "internal_error", "rejected: internal_error"): 1}
    assert [message.value() for message in read_to_end(broker, settings.stream.rejects_topic)] == [poisoned]
    assert apply(settings).sent == 1
    totals = run_ingest(settings, drain=True)
    assert (totals.logs, totals.rejects) == (1, 0)
    assert numbers(settings) == list(range(100))
    intervals_are_whole(settings)


def test_markers_outlive_many_and_are_read_to_their_end(broker: Any) -> None:
    topic = broker.create_topic(broker.unique("markers"), config={"cleanup.policy": "compact"})
    publisher = Publisher.sole(broker.client, broker.unique("sole"))
    for batch in range(3):
        publisher.transaction([Message(topic, b"{}", b"%d-%d" % (batch, number)) for number in range(1000)], {})
    publisher.close()
    source = Again(broker.client, Clock())
    assert len(source.compacted(topic)) == 3000
    assert source.compacted("no-such-topic") == {}
    source.close()
