"""The flow against a real broker: what is on the topic is in the lake once, whatever ends the consumer."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import NewPartitions

from tests.brokers.kafka import free_ports
from tracebraid import connect
from tracebraid.pipeline.flow import Flow, Ingest, run_ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.settings import IngestSettings, Settings, StreamSettings, TopicSettings
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.totals import Totals

pytestmark = pytest.mark.broker


def settings_for(broker: Any, tmp_path: Path, *topics: str, **ingest: Any) -> Settings:
    return Settings(
        bootstrap_servers=broker.address,
        lake=str(tmp_path / "lake"),
        topics=tuple(TopicSettings(name=name) for name in topics),
        ingest=IngestSettings(**ingest),
        stream=StreamSettings(rejects_topic=broker.unique("rejects")),
    )


def with_rejects_topic(broker: Any, settings: Settings) -> Settings:
    broker.create_topic(settings.stream.rejects_topic, 2)
    return settings


def produce(broker: Any, topic: str, first: int, last: int, *, partitions: int = 1, poison_every: int = 0) -> None:
    producer = Producer(broker.client)
    for number in range(first, last):
        value = json.dumps({"time": "2026-01-01T00:00:00Z", "level": "info", "msg": f"message {number}", "number": number}).encode()
        if poison_every and number % poison_every == 0:
            value = b"\xff\xfe\xfd" + str(number).encode()
        producer.produce(topic, value, partition=number % partitions)
    producer.flush(30)


def numbers(settings: Settings) -> list[int]:
    rows = connect(settings.lake).execute("select attributes['number']::int n from logs order by n").fetchall()
    return [number for (number,) in rows]


def intervals_are_whole(settings: Settings) -> None:
    """Closed intervals, one after the other, whose rows add up to those of the tables."""
    database = connect(settings.lake)
    gaps = """select * from (select first_offset, lag(last_offset) over (partition by kafka_topic_id, kafka_partition order by first_offset, last_offset) before
              from intervals) where before is not null and first_offset <> before + 1"""
    assert database.execute(gaps).fetchall() == []
    totals = "select sum(rows_logs), sum(rows_spans), sum(rows_rejected), sum(rows_in) - sum(rows_dropped) from intervals"
    held = "select (select count(*) from logs), (select count(*) from spans), (select count(*) from rejects)"
    logs, spans, rejects, kept = database.execute(totals).fetchone() or ()
    assert (logs, spans, rejects) == database.execute(held).fetchone()
    assert kept == logs + spans + rejects


def test_poison_goes_to_rejects_and_the_partition_moves_on(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("poison"), 2)
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic, flush_records=200))
    produce(broker, topic, 0, 1000, partitions=2, poison_every=50)
    totals = run_ingest(settings, drain=True)
    assert (totals.records, totals.logs, totals.rejects) == (1000, 980, 20)
    assert numbers(settings) == [n for n in range(1000) if n % 50]
    kept = connect(settings.lake).execute("select record_value, reason from rejects order by record_value").fetchall()
    assert sorted(value for value, _ in kept) == sorted(b"\xff\xfe\xfd" + str(n).encode() for n in range(0, 1000, 50))
    intervals_are_whole(settings)
    published = read_all(broker, settings.stream.rejects_topic, 20)
    assert sorted(message.value() for message in published) == sorted(value for value, _ in kept)
    again = run_ingest(settings, drain=True)
    assert (again.records, again.rejects) == (0, 0)
    assert len(read_to_end(broker, settings.stream.rejects_topic)) == 20


def read_all(broker: Any, topic: str, count: int, timeout_s: float = 20) -> list[Any]:
    consumer = Consumer({**broker.client, "group.id": broker.unique("reader"), "auto.offset.reset": "earliest", "isolation.level": "read_committed"})
    consumer.subscribe([topic])
    found: list[Any] = []
    deadline = time.monotonic() + timeout_s
    while len(found) < count and time.monotonic() < deadline:
        found += [message for message in consumer.consume(100, 0.2) if message.error() is None]
    consumer.close()
    return found


def read_to_end(broker: Any, topic: str) -> list[Any]:
    """What is there, committed, by now."""
    consumer = Consumer({**broker.client, "group.id": "reader", "enable.auto.commit": False, "enable.partition.eof": True, "isolation.level": "read_committed"})
    places = [TopicPartition(topic, number, OFFSET_BEGINNING) for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions]
    consumer.assign(places)
    found: list[Any] = []
    ends = 0
    while ends < len(places):
        for message in consumer.consume(500, 1):
            if message.error() is None:
                found.append(message)
            else:
                assert message.error().code() == KafkaError._PARTITION_EOF
                ends += 1
    consumer.close()
    return found


class Crash(BaseException):
    """Not an Exception: nothing of ours may catch it and go on."""


@pytest.mark.parametrize("step", ["checked", "written", "committed logs", "committed rejects", "committed intervals"])
def test_a_crash_between_any_two_tables_neither_loses_nor_doubles(broker: Any, tmp_path: Path, step: str) -> None:
    topic = broker.create_topic(broker.unique("torn"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 300, poison_every=30)
    clock, metrics = Clock(), Metrics()
    lake = Lake.open(settings.lake, {}, clock)

    def crash(at: str) -> None:
        if at == step:
            raise Crash

    ingest = Ingest(Flow(settings, lake, "torn-group", metrics=metrics, clock=clock, stream=False), None)
    while ingest.flow.records_read < 200:
        ingest.step()
    lake.after_step = crash
    with pytest.raises(Crash):
        ingest.flow.flush_lake()
    ingest.close()
    run_ingest(settings.model_copy(update={"ingest": IngestSettings(flush_records=100)}), drain=True)
    assert numbers(settings) == [n for n in range(300) if n % 30]
    rejected = connect(settings.lake).execute("select kafka_offset from rejects order by 1").fetchall()
    assert rejected == [(n,) for n in range(0, 300, 30)]
    intervals_are_whole(settings)


def test_sigterm_finishes_the_open_cycle(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("sigterm"), 3)
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 30_000, partitions=3)
    environment = {
        **os.environ,
        "TRACEBRAID_BOOTSTRAP_SERVERS": broker.address,
        "TRACEBRAID_LAKE": settings.lake,
        "TRACEBRAID_STREAM__REJECTS_TOPIC": settings.stream.rejects_topic,
        "TRACEBRAID_INGEST__FLUSH_AGE_S": "3",
    }
    command = [sys.executable, "-m", "tracebraid", "ingest", "--topic", topic, "--json"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "lake").glob("logs/day=*/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    first = json.loads(out)["logs"]
    rest = run_ingest(settings, drain=True).logs
    assert first + rest == 30_000
    assert numbers(settings) == list(range(30_000))
    intervals_are_whole(settings)


PLAIN = "from tracebraid.jobs.main import main; main()"
HANGING = f"""
import sys, time
from tracebraid.pipeline.store import lake
write_rows = lake.write_rows

def hanging(table, rows, files, ahead=None):
    if table.name == "logs" and rows:
        print("it hangs", file=sys.stderr, flush=True)
        time.sleep(60)
    return write_rows(table, rows, files, ahead)

lake.write_rows = hanging
{PLAIN}
"""


def holds_records(port: int) -> bool:
    """Whether a cycle is open: a broker that dies earlier, while partitions are started, finds nothing that would be lost."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return any(float(line.split()[1]) > 0 for line in answer.read().decode().splitlines() if line.startswith("tracebraid_buffered_bytes "))
    except OSError:
        return False


@pytest.mark.parametrize("hangs", ["broker", "storage"])
def test_sigterm_ends_it_within_20_s_whatever_hangs(broker: Any, tmp_path: Path, hangs: str) -> None:
    """With records in an open cycle, which the next start reads again."""
    topic = broker.create_topic(broker.unique("hangs"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 500)
    environment = {
        **os.environ,
        "TRACEBRAID_BOOTSTRAP_SERVERS": broker.address,
        "TRACEBRAID_LAKE": settings.lake,
        "TRACEBRAID_STREAM__REJECTS_TOPIC": settings.stream.rejects_topic,
        "TRACEBRAID_INGEST__FLUSH_AGE_S": "1" if hangs == "storage" else "600",
        "TRACEBRAID_CLIENT__SESSION_TIMEOUT_MS": "6000",  # the next start is let in once the group has given this one up
        "TRACEBRAID_HTTP__PORT": str(port := free_ports(1)[0]),
    }
    command = [sys.executable, "-c", HANGING if hangs == "storage" else PLAIN, "ingest", "--topic", topic]
    said, deadline = tmp_path / "stderr", time.monotonic() + 60
    with said.open("w") as stderr:
        process = subprocess.Popen(command, env=environment, stderr=stderr)
    while not ("it hangs" in said.read_text() if hangs == "storage" else holds_records(port)) and time.monotonic() < deadline:
        time.sleep(0.1)
    if hangs == "broker":
        broker.kill()
        time.sleep(1)
    began_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(40)
    err = said.read_text()
    took_s = time.monotonic() - began_s
    if hangs == "broker":
        broker.start()
    assert took_s < 20, err
    assert process.returncode == (1 if hangs == "broker" else -signal.SIGALRM), err
    assert "Traceback" not in err
    run_ingest(settings, drain=True)
    assert numbers(settings) == list(range(500))
    intervals_are_whole(settings)


def test_a_topic_made_again_is_read_from_its_beginning(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("again"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 100)
    run_ingest(settings, drain=True)
    broker.delete_topic(topic)
    broker.create_topic(topic)
    produce(broker, topic, 100, 250)
    run_ingest(settings, drain=True)
    assert numbers(settings) == list(range(250))
    intervals_are_whole(settings)


def test_two_consumers_share_the_partitions(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("shared"), 4)
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic, flush_age_s=0.5))
    stop = threading.Event()
    results: list[Totals] = []
    threads = [threading.Thread(target=lambda: results.append(run_ingest(settings, stop=stop))) for _ in range(2)]
    produce(broker, topic, 0, 2000, partitions=4)
    threads[0].start()
    time.sleep(3)
    threads[1].start()  # a rebalance under way
    produce(broker, topic, 2000, 8000, partitions=4)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not list((tmp_path / "lake").glob("logs/_delta_log/*.json")) or len(numbers(settings)) < 8000):
        time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert numbers(settings) == list(range(8000))
    intervals_are_whole(settings)
    assert sum(each.logs for each in results) >= 8000


def test_without_the_stream_read_rights_suffice(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("plain"))
    settings = settings_for(broker, tmp_path, topic).model_copy(update={"stream": StreamSettings(enabled=False, rejects_topic="not-there")})
    produce(broker, topic, 0, 50, poison_every=10)
    assert run_ingest(settings, drain=True).rejects == 5
    assert run_ingest(settings, drain=True).records == 0


def test_a_start_at_latest_is_pinned_before_anything_is_read(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("latest"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic, start="latest"))
    produce(broker, topic, 0, 10)
    assert run_ingest(settings, drain=True).records == 0
    produce(broker, topic, 10, 20)
    assert run_ingest(settings, drain=True).records == 10
    assert numbers(settings) == list(range(10, 20))


def test_a_second_group_is_refused_by_name(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("groups"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic, group="first"))
    run_ingest(settings, drain=True)
    with pytest.raises(Exception, match="first"):
        run_ingest(settings.model_copy(update={"ingest": IngestSettings(group="second")}), drain=True)


def test_a_partition_added_later_is_read_from_its_beginning(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("grows"), 2)
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic, start="latest"))
    produce(broker, topic, 0, 10, partitions=2)
    assert run_ingest(settings, drain=True).records == 0
    admin = broker.admin()
    admin.create_partitions([NewPartitions(topic, 4)])[topic].result(30)
    time.sleep(1)
    produce(broker, topic, 10, 50, partitions=4)
    assert run_ingest(settings, drain=True).records == 40
    assert numbers(settings) == list(range(10, 50))
    pinned = connect(settings.lake).execute("select kafka_partition, reason from intervals where kind = 'start' order by 1").fetchall()
    assert pinned == [(0, "start: latest"), (1, "start: latest"), (2, "start: earliest"), (3, "start: earliest")]
    intervals_are_whole(settings)


def test_the_stream_tells_how_far_each_partition_has_come(broker: Any, tmp_path: Path) -> None:
    """One watermark message to every partition of the windows topic, in the transaction that moves the group's offsets."""
    topic = broker.create_topic(broker.unique("told"), 2)
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    windows = broker.create_topic(broker.unique("windows"), 3)
    settings = settings.model_copy(update={"stream": settings.stream.model_copy(update={"windows_topic": windows})})
    produce(broker, topic, 0, 10, partitions=2)
    stop = threading.Event()
    thread = threading.Thread(target=run_ingest, args=(settings,), kwargs={"stop": stop})
    thread.start()
    wanted = [[(topic, 0, 5, True), (topic, 1, 5, True)]] * 3
    deadline = time.monotonic() + 30
    while (sources := last_told(broker, windows)) != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    stop.set()
    thread.join(30)
    assert sources == wanted


def last_told(broker: Any, topic: str) -> list[list[tuple[Any, ...]]]:
    """The newest watermarks on each partition of the topic, under read_committed."""
    last = {message.partition(): json.loads(message.value()) for message in read_to_end(broker, topic)}
    names = ("topic", "partition", "next_offset", "caught_up")
    return [[tuple(each[name] for name in names) for each in last[number]["sources"]] for number in sorted(last)]
