"""What a running ingest says of itself: readiness, lag, stalls, and the bar of a drain at a terminal."""

import itertools
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition

from tests.brokers.kafka import running_broker
from tests.integration.test_ingest import produce, settings_for, with_rejects_topic
from tracebraid.pipeline.flow import Flow, Ingest, run_ingest
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.source.ends import partition_ends
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.watch import DEAD_S, SLOW_S, Watch

pytestmark = pytest.mark.broker


def gauge(metrics: Metrics, name: str) -> dict[str, float]:
    """Values of a gauge by partition; one without labels is under ''."""
    (family,) = [family for family in metrics.registry.collect() if family.name == name]
    return {sample.labels.get("partition", ""): sample.value for sample in family.samples}


def test_ready_once_the_group_has_let_us_in_the_loop_turns_and_the_lake_takes_cycles(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("ready"), 2)
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 10, partitions=2)
    metrics, ahead_s = Metrics(), [0.0]
    clock = Clock(monotonic_s=lambda: Clock().monotonic_s() + ahead_s[0])
    watch = Watch(metrics, clock)
    assert watch.why_not_ready() == "starting: no partitions are assigned yet"
    run_ingest(settings, drain=True, metrics=metrics, watch=watch.turned)
    assert (watch.why_not_ready(), watch.uncommitted_s()) == ("", 0.0)
    assert watch.ingest is not None
    assert watch.ingest.flow.stream is not None
    watch.ingest.flow.stream.windows.overflowed = 7
    watch._show()
    assert (gauge(metrics, "tracebraid_measure_overflowed_rows"), gauge(metrics, "tracebraid_measure_unobserved_rows")) == ({"": 7.0}, {"": 0.0})
    watch.ingest._lake.why = "the disk does not answer"
    assert watch.why_not_ready() == "the disk does not answer"
    ahead_s[0] = SLOW_S + 1
    assert (watch.why_not_ready(), watch.why_not_alive()) == ("the loop has not turned for 61 s", "")
    ahead_s[0] = DEAD_S + 1
    assert watch.why_not_alive() == "the loop has not turned for 301 s"
    assert gauge(metrics, "tracebraid_loop_age_seconds")[""] > DEAD_S


def test_not_ready_while_records_wait_for_a_commit_that_does_not_come(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("waiting"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic, flush_age_s=10))
    produce(broker, topic, 0, 10)
    metrics, ahead_s = Metrics(), [0.0]
    watch = Watch(metrics, Clock(monotonic_s=lambda: Clock().monotonic_s() + ahead_s[0]))
    flow = Flow(settings, Lake.open(settings.lake, {}, Clock()), broker.unique("group"), metrics=metrics, clock=Clock(), stream=False)
    ingest = Ingest(flow, None)
    while not flow.cycle.records:
        ingest.step()
        watch.turned(ingest)
    ahead_s[0] = 29.0
    assert watch.why_not_ready() == ""
    ahead_s[0] = 31.0
    assert watch.why_not_ready().startswith("records have waited 3")
    assert gauge(metrics, "tracebraid_uncommitted_seconds")[""] >= 30
    ingest.finish()
    watch.turned(ingest)
    assert watch.why_not_ready() == ""
    ingest.close()


def test_the_lag_is_of_the_partitions_that_are_ours(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("lag"), 2)
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 10, partitions=2)
    metrics = Metrics()
    watch, shown = Watch(metrics, Clock()), []

    def look(ingest: Ingest) -> None:
        watch._looked_s = 0.0
        watch.turned(ingest)
        shown.append(gauge(metrics, "tracebraid_lag_offsets"))

    run_ingest(settings, drain=True, metrics=metrics, watch=look)
    assert shown[-1] == {"0": 0.0, "1": 0.0}
    assert gauge(metrics, "tracebraid_lag_seconds") == gauge(metrics, "tracebraid_stalled") == {"0": 0.0, "1": 0.0}
    assert watch.ingest is not None  # it has left its group: other consumers tell of the partitions now
    look(watch.ingest)
    assert shown[-1] == gauge(metrics, "tracebraid_lag_seconds") == gauge(metrics, "tracebraid_stalled") == {}


def test_a_partition_whose_fetching_stops_quietly_is_told_and_one_that_is_idle_is_not(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "stall_s", 3.0)
    topic = broker.create_topic(broker.unique("stall"), 2)
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 10, partitions=2)
    metrics = Metrics()
    watch = Watch(metrics, Clock())
    flow = Flow(settings, Lake.open(settings.lake, {}, Clock()), broker.unique("group"), metrics=metrics, clock=Clock(), stream=False)
    ingest = Ingest(flow, None)

    def turn(until: Callable[[], bool], at_most_s: float = 30) -> None:
        deadline = Clock().monotonic_s() + at_most_s
        while not until() and Clock().monotonic_s() < deadline:
            ingest.step()
            watch.turned(ingest)

    turn(ingest.source.drained)
    ingest.source.consumer.pause([TopicPartition(topic, 0)])  # behind the source's back
    turn(lambda: False, 6)
    assert watch.stalled == set()
    produce(broker, topic, 10, 30, partitions=2)
    turn(lambda: bool(watch.stalled))
    assert watch.why_not_ready() == f"no record comes although some wait: {topic}[0]"
    assert gauge(metrics, "tracebraid_stalled") == {"0": 1.0, "1": 0.0}
    assert gauge(metrics, "tracebraid_lag_offsets") == {"0": 10.0, "1": 0.0}
    assert gauge(metrics, "tracebraid_lag_seconds")["0"] > 3
    ingest.source.consumer.resume([TopicPartition(topic, 0)])
    turn(lambda: flow.records_read == 30 and not watch.stalled)
    assert (watch.why_not_ready(), flow.records_read) == ("", 30)
    assert gauge(metrics, "tracebraid_stalled") == {"0": 0.0, "1": 0.0}
    ingest.close()


def test_looking_never_waits_and_brokers_that_are_gone_are_told(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracebraid.pipeline.watch.SLOW_S", 2.0)
    monkeypatch.setattr("tracebraid.pipeline.watch.LOOK_S", 0.1)
    metrics = Metrics()
    watch = Watch(metrics, Clock())
    with running_broker() as own:
        topic = own.create_topic(own.unique("gone"))
        settings = settings_for(own, tmp_path, topic)
        flow = Flow(settings, Lake.open(settings.lake, {}, Clock()), "group", metrics=metrics, clock=Clock(), stream=False)
        ingest = Ingest(flow, None)
        while not ingest.source.joined:
            ingest.step()
            watch.turned(ingest)
        own.kill()
        slowest_s, deadline = 0.0, Clock().monotonic_s() + 30
        while not watch.why_not_ready() and Clock().monotonic_s() < deadline:
            began_s = Clock().monotonic_s()
            watch.turned(ingest)
            slowest_s = max(slowest_s, Clock().monotonic_s() - began_s)
        assert watch.why_not_ready() == "no broker has answered for 2 s"
        assert gauge(metrics, "tracebraid_broker_answer_age_seconds")[""] >= 2
        assert slowest_s < 1
        own.start()
        deadline = Clock().monotonic_s() + 60
        while watch.why_not_ready() and Clock().monotonic_s() < deadline:
            watch.turned(ingest)
        assert watch.why_not_ready() == ""
        ingest.close()


def test_a_topic_of_transactions_is_no_stall_at_its_end(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last offset is a marker that no consumer sees; aborted records lie there too."""
    monkeypatch.setattr(limits, "stall_s", 2.0)
    topic = broker.create_topic(broker.unique("markers"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    producer = Producer({**broker.client, "transactional.id": broker.unique("id")})
    producer.init_transactions(20)
    metrics = Metrics()
    watch = Watch(metrics, Clock())
    flow = Flow(settings, Lake.open(settings.lake, {}, Clock()), broker.unique("group"), metrics=metrics, clock=Clock(), stream=False)
    ingest, started_s = Ingest(flow, None), Clock().monotonic_s()
    told: set[str] = set()
    finish = itertools.cycle((producer.commit_transaction, producer.abort_transaction))
    for turn in range(1000):
        ingest.step()
        watch.turned(ingest)
        told.update(map(str, watch.stalled))
        if turn % 10 == 0 and Clock().monotonic_s() - started_s < 4:
            producer.begin_transaction()
            producer.produce(topic, b'{"msg": "x"}')
            producer.flush(10)
            next(finish)()
        if Clock().monotonic_s() - started_s > 9:
            break
    assert flow.records_read > 1
    assert told == set()
    assert gauge(metrics, "tracebraid_lag_offsets") == {"0": 0.0}
    ingest.close()


def test_a_transaction_that_hangs_is_seen(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what lies behind it nothing may be read, and the consumer is told an end there: it looked idle, with no lag."""
    monkeypatch.setattr(limits, "stall_s", 2.0)
    topic = broker.create_topic(broker.unique("hung"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 5)
    producer = Producer({**broker.client, "transactional.id": broker.unique("id")})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, b'{"msg": "held"}')
    producer.flush(10)
    produce(broker, topic, 5, 15)
    metrics = Metrics()
    watch = Watch(metrics, Clock())
    lake = Lake.open(settings.lake, {}, Clock())
    flow = Flow(settings, lake, broker.unique("group"), metrics=metrics, clock=Clock(), stream=False)
    ingest = Ingest(flow, None)
    deadline = Clock().monotonic_s() + 30
    while not watch.held and Clock().monotonic_s() < deadline:
        ingest.step()
        watch.turned(ingest)
    assert (flow.records_read, watch.stalled) == (5, set())
    assert watch.why_not_ready() == f"held by an open transaction: {topic}[0]"
    assert gauge(metrics, "tracebraid_held_offsets") == gauge(metrics, "tracebraid_lag_offsets") == {"0": 11.0}
    (partition,) = ingest.source.partitions()
    assert partition_ends(broker.client, [partition], Clock()) == {partition: 16}
    producer.commit_transaction()
    deadline = Clock().monotonic_s() + 30
    while (watch.held or flow.records_read < 16) and Clock().monotonic_s() < deadline:
        ingest.step()
        watch.turned(ingest)
    assert (flow.records_read, watch.why_not_ready()) == (16, "")
    assert gauge(metrics, "tracebraid_held_offsets") == {"0": 0.0}
    ingest.close()


def test_a_drain_at_a_terminal_shows_how_far_it_has_come(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("bar"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 1000)
    ours, theirs = pty.openpty()
    environment = {
        **{"TRACEBRAID_BOOTSTRAP_SERVERS": broker.address, "TRACEBRAID_LAKE": settings.lake},
        **{"TRACEBRAID_STREAM__REJECTS_TOPIC": settings.stream.rejects_topic, "TERM": "xterm", "COLUMNS": "120"},
    }
    command = [sys.executable, "-m", "tracebraid", "ingest", "--topic", topic, "--drain"]
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        shown += piece
        if not piece:
            break
    os.close(ours)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, shown
    assert b'"logs": 1000' in out
    assert b"draining" in shown
    assert b"offsets" in shown
