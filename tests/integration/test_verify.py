"""The independent reader against a real broker: nothing is found where nothing is wrong, and what is wrong is named."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from tests.integration.test_damage import filled as filled_topic
from tests.integration.test_damage import spoil
from tests.unit.verify.damage import Damage, setting
from tracebraid import connect
from tracebraid.pipeline.flow import run_ingest
from tracebraid.pipeline.kernel.settings import IngestSettings, Settings, StreamSettings, TopicSettings
from tracebraid.pipeline.verify.reader import Options, examine, verify
from tracebraid.pipeline.verify.report import Finding, Report

pytestmark = pytest.mark.broker


def settings_for(broker: Any, tmp_path: Path, *topics: str, **ingest: Any) -> Settings:
    return Settings(
        bootstrap_servers=broker.address,
        lake=str(tmp_path / "lake"),
        topics=tuple(TopicSettings(name=name) for name in topics),
        ingest=IngestSettings(**ingest),
        stream=StreamSettings(rejects_topic=broker.unique("rejects")),
    )


def otlp(number: int, spans: int) -> bytes:
    """An OTLP/JSON record of so many spans."""
    some = [{"traceId": f"{number:032x}", "spanId": f"{index + 1:016x}", "name": "s", "startTimeUnixNano": "1767225600000000000"} for index in range(spans)]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": some}]}]}).encode()


def value(number: int) -> bytes:
    """Of 20 records one is poison, one empty, one OTLP without spans, five OTLP of three spans, the others a log."""
    match number % 20:
        case 0:
            return b"\xff\xfe\xfd" + str(number).encode()
        case 1:
            return b""
        case 2:
            return b'{"resourceSpans":[]}'
        case 3 | 4 | 5 | 6 | 7:
            return otlp(number, 3)
        case _:
            return json.dumps({"time": "2026-01-01T00:00:00Z", "level": "info", "msg": f"message {number}"}).encode()


def produce(broker: Any, topic: str, numbers: range, partitions: int = 1) -> None:
    """In transactions, one of ten aborted: the topic has markers, and offsets that nobody is to see."""
    producer = Producer({**broker.client, "transactional.id": broker.unique("producer")})
    producer.init_transactions(30)
    for start in range(numbers.start, numbers.stop, 100):
        aborted = start % 1000 == 500
        producer.begin_transaction()
        for number in range(start, min(start + 100, numbers.stop)):
            producer.produce(topic, value(number), partition=number % partitions)
        producer.flush(30)  # an abort before the broker has seen a message is an error to it
        producer.abort_transaction(30) if aborted else producer.commit_transaction(30)
        if aborted:
            produce_plain(broker, topic, range(start, min(start + 100, numbers.stop)), partitions)


def produce_plain(broker: Any, topic: str, numbers: range, partitions: int = 1) -> None:
    producer = Producer(broker.client)
    for number in numbers:
        producer.produce(topic, value(number), partition=number % partitions)
    producer.flush(30)


def looked_at(settings: Settings, broker: Any) -> Report:
    return examine(settings.lake, broker.client, (), Options(rejects_topic=settings.stream.rejects_topic))


def found(settings: Settings, broker: Any) -> list[Finding]:
    return looked_at(settings, broker).findings


def test_a_clean_run_has_nothing_wrong(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("clean"), 3)
    settings = settings_for(broker, tmp_path, topic, flush_records=250)
    produce(broker, topic, range(3000), 3)
    totals = run_ingest(settings, drain=True)
    report = looked_at(settings, broker)
    assert (report.findings, report.notes) == ([], [])
    assert report.summary == {**report.summary, "partitions": 3, "records": 3000, "rejects": 150, "rows": totals.spans + totals.logs + totals.rejects}
    assert (totals.records, totals.dropped) == (3000, 300)
    # The caller's own count of rows: right, and wrong by one for the records of three spans.
    rows = {len(otlp(n, 3)): 3 for n in range(3000)}
    assert (
        verify(settings.lake, broker.client, [topic], Options(count=lambda data: rows.get(len(data or b""), 1) if data != b'{"resourceSpans":[]}' else 0)) == []
    )
    more = verify(settings.lake, broker.client, [topic], Options(count=lambda data: 4 if data and data.startswith(b'{"resourceSpans": [{') else -1))
    assert {(each.kind, each.index, each.count) for each in more} == {("missing", 3, 1)}
    assert len(more) == 750


def test_it_can_look_while_ingest_writes(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("live"), 2)
    settings = settings_for(broker, tmp_path, topic, flush_records=100)
    stop = threading.Event()
    running = threading.Thread(target=lambda: run_ingest(settings, stop=stop))
    produce_plain(broker, topic, range(200), 2)
    running.start()
    try:
        deadline = time.monotonic() + 60
        looks, produced = 0, 200
        while time.monotonic() < deadline and looks < 5:
            produce_plain(broker, topic, range(produced, produced + 200), 2)
            produced += 200
            if (Path(settings.lake) / "intervals" / "_delta_log" / f"{2:020}.json").exists():
                assert found(settings, broker) == []
                looks += 1
    finally:
        stop.set()
        running.join(60)
    assert looks == 5
    assert looked_at(settings, broker).summary["records"] == produced
    assert found(settings, broker) == []


def of(settings: Settings, kind: str, first: int, last: int, **rest: Any) -> Finding:
    """Of partition 0 of the one topic; without the words for a person."""
    name, topic_id = connect(settings.lake).execute("select any_value(kafka_topic), any_value(kafka_topic_id) from intervals").fetchone() or ("", "")
    return Finding(kind, name, topic_id, 0, first, last, **rest)


def test_the_topic_names_what_lacks(broker: Any, tmp_path: Path) -> None:
    """Rows taken out, though file, log and interval agree with each other; and rows that changed places."""
    topic = broker.create_topic(broker.unique("lacks"))
    settings = settings_for(broker, tmp_path, topic)
    produce_plain(broker, topic, range(8, 20))
    produce_plain(broker, topic, range(8, 20))
    run_ingest(settings, drain=True)
    assert found(settings, broker) == []
    lake = Damage(Path(settings.lake))
    lake.rewrite("logs", 0, lambda rows: rows.filter([offset not in (3, 4, 20) for offset in rows.column("kafka_offset").to_pylist()]))
    lake.rewrite("intervals", 1, setting("rows_logs", lambda rows: [rows[0] - 3]))
    lake.rewrite("intervals", 1, setting("rows_in", lambda rows: [rows[0] - 3]))
    assert told(settings, broker) == [of(settings, "missing", 3, 4, count=2), of(settings, "missing", 20, 20)]
    # Offset 4 is taken for an empty record, of which the interval knows; then 3 and 20 alone lack, and the topic cannot tell which of the three.
    lake.rewrite("intervals", 1, setting("rows_dropped", lambda _: [1]))
    lake.rewrite("intervals", 1, setting("rows_in", lambda rows: [rows[0] + 1]))
    assert told(settings, broker) == [of(settings, "missing", 3, 20, count=2)]


def test_rows_that_changed_places(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("places"))
    settings = settings_for(broker, tmp_path, topic)
    for _ in range(3):
        produce_plain(broker, topic, range(8, 12))
        time.sleep(0.01)
    run_ingest(settings, drain=True)

    def exchanged(offsets: list[int]) -> list[int]:
        return [{1: 9, 9: 1}.get(offset, offset) for offset in offsets]

    path = Damage(Path(settings.lake)).rewrite("logs", 0, setting("kafka_offset", exchanged))
    assert verify(settings.lake, None) == []
    assert told(settings, broker) == [of(settings, "misplaced", offset, offset, index=0, table="logs", file=path) for offset in (1, 9)]


def told(settings: Settings, broker: Any) -> list[Finding]:
    return [replace(each, detail="") for each in found(settings, broker)]


def test_what_retention_took_is_said(broker: Any, tmp_path: Path) -> None:
    """Before it was read it is a loss in intervals; after that the lake alone can be checked."""
    topic = broker.create_topic(broker.unique("retention"))
    settings = settings_for(broker, tmp_path, topic)
    produce_plain(broker, topic, range(100))
    run_ingest(settings, drain=True)
    produce_plain(broker, topic, range(100, 200))
    broker.delete_records(topic, 150)
    run_ingest(settings, drain=True)
    report = looked_at(settings, broker)
    assert report.findings == []
    assert [note.partition(" cannot")[0] for note in report.notes] == [f"{topic}[0]: offsets 0 to 149"]
    assert report.records == 50
    Damage(Path(settings.lake)).delete_file("logs", 0)
    assert {each.kind for each in found(settings, broker)} == {"file_missing", "interval_sum", "missing"}


def test_two_lakes_that_share_a_rejects_topic(broker: Any, tmp_path: Path) -> None:
    """Each looks at its own: what the other published is no second time, and does not stand for what it has not."""
    topic = broker.create_topic(broker.unique("shared"))
    settings = settings_for(broker, tmp_path, topic)
    other = settings.model_copy(update={"lake": str(tmp_path / "other")})
    produce_plain(broker, topic, range(100))
    for each in (settings, other):
        run_ingest(each, drain=True)
    for each in (settings, other):
        report = looked_at(each, broker)
        assert (report.findings, report.rejects) == ([], 5)
    message = read_one(broker, settings.stream.rejects_topic)
    headers = dict(message.headers())
    assert headers["tracebraid.group"].startswith(b"tracebraid-")
    del headers["tracebraid.group"]  # as an earlier version published it: it may be anybody's
    producer, offset = Producer(broker.client), int(headers["tracebraid.offset"])
    producer.produce(settings.stream.rejects_topic, message.value(), headers=list(headers.items()))
    producer.flush(30)
    for each in (settings, other):
        assert told(each, broker) == [of(each, "reject_doubled", offset, offset, index=0)]


def test_the_rejects_topic(broker: Any, tmp_path: Path) -> None:
    """Each reject is there once; what its retention took is not asked for; a topic made anew owes all of them."""
    topic = broker.create_topic(broker.unique("rejected"))
    settings = settings_for(broker, tmp_path, topic)
    rejects = settings.stream.rejects_topic
    produce_plain(broker, topic, range(100))
    run_ingest(settings, drain=True)
    assert looked_at(settings, broker).rejects == 5
    message = read_one(broker, rejects)
    producer = Producer(broker.client)
    producer.produce(rejects, message.value(), headers=message.headers())
    producer.produce(rejects, b"of another kind", headers=[("tracebraid.offset", b"x")])
    producer.flush(30)
    offset = int(dict(message.headers())["tracebraid.offset"])
    assert told(settings, broker) == [of(settings, "reject_doubled", offset, offset, index=0)]
    for number in broker.admin().list_topics(rejects, timeout=10).topics[rejects].partitions:
        broker.delete_records(rejects, -1, number)
    assert told(settings, broker) == []
    broker.delete_topic(rejects)
    broker.create_topic(rejects, 6)
    assert told(settings, broker) == [of(settings, "reject_missing", offset, offset, index=0, table="rejects") for offset in (0, 20, 40, 60, 80)]


def read_one(broker: Any, topic: str) -> Any:
    consumer = Consumer({**broker.client, "group.id": broker.unique("reader"), "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    deadline = time.monotonic() + 30
    found: list[Any] = []
    while not found and time.monotonic() < deadline:
        found = [message for message in consumer.consume(1, 0.5) if message.error() is None]
    consumer.close()
    return found[0]


def test_a_topic_made_again_and_one_that_is_gone(broker: Any, tmp_path: Path) -> None:
    again, gone = broker.create_topic(broker.unique("again")), broker.create_topic(broker.unique("gone"))
    settings = settings_for(broker, tmp_path, again, gone)
    for topic in (again, gone):
        produce_plain(broker, topic, range(20))
    run_ingest(settings, drain=True)
    for topic in (again, gone):
        broker.delete_topic(topic)
    broker.create_topic(again)
    produce_plain(broker, again, range(40))
    run_ingest(settings.model_copy(update={"topics": settings.topics[:1]}), drain=True)
    report = looked_at(settings, broker)
    assert (report.findings, report.records) == ([], 40)
    assert [note.partition(" (id")[0] + note.partition(")")[2] for note in report.notes] == [
        f"{again} was deleted, and made again: the lake alone was checked",
        f"{gone} is not there any more: the lake alone was checked",
    ]


def test_batches_that_the_broker_cannot_read(broker: Any, tmp_path: Path) -> None:
    """Damaged before it was ingested: a declared loss, and what follows is checked. Damaged since: what follows is checked in the lake alone."""
    topic = filled_topic(broker, "spoiled", 10)
    settings = settings_for(broker, tmp_path, topic)
    spoil(broker, topic, b"needle00024")
    run_ingest(settings, drain=True)
    report = looked_at(settings, broker)
    assert (report.findings, report.records) == ([], 63)
    assert [note.partition(" cannot")[0] for note in report.notes] == [f"{topic}[0]: offsets 21 to 27"]
    spoil(broker, topic, b"needle00051")
    report = looked_at(settings, broker)
    assert report.findings == []
    assert [note.partition(" cannot")[0] for note in report.notes] == [f"{topic}[0]: offsets 21 to 27", f"{topic}[0]: offsets 49 to 69"]


def run(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "TRACEBRAID_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "TRACEBRAID_LAKE": settings.lake,
        "TRACEBRAID_STREAM__REJECTS_TOPIC": settings.stream.rejects_topic,
    }
    return subprocess.run([sys.executable, "-m", "tracebraid", "verify", *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_command(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("command"))
    settings = settings_for(broker, tmp_path, topic)
    produce_plain(broker, topic, range(40))
    run_ingest(settings, drain=True)
    clean = run(settings)
    assert (clean.returncode, clean.stderr) == (0, "")
    (summary,) = [json.loads(line) for line in clean.stdout.splitlines()]
    assert summary == {**summary, "kind": "summary", "findings": 0, "records": 40, "rejects": 2, "partitions": 1, "notes": []}
    path = Damage(Path(settings.lake)).copy_file("logs", 0)
    wrong = run(settings, "--no-broker", "--topic", topic, "--json")
    assert (wrong.returncode, wrong.stderr) == (1, "")
    *lines, summary = [json.loads(line) for line in wrong.stdout.splitlines()]
    assert {(line["kind"], line["topic"], line["partition"], line["table"], line["file"]) for line in lines} == {("doubled", topic, 0, "logs", path)}
    assert {"offset", "index"} <= lines[0].keys()
    assert (summary["findings"], summary["records"]) == (len(lines), 0)
    unknown = run(settings, "--topic", "nowhere")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "topic nowhere" in unknown.stderr
