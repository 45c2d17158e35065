"""explain against a real broker and a lake that ingest fills: evidence of every alert once, with the service at fault, whatever ends the process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer

from tests.detecting_flow import MINUTE_US, T0_US, Job, settings_for
from tracebraid.jobs.alerts import command as alerts_command
from tracebraid.jobs.shop import encode
from tracebraid.pipeline.explaining import Explaining, run_explain
from tracebraid.pipeline.flow import run_ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.metrics import ExplainMetrics
from tracebraid.pipeline.kernel.settings import ExplainSettings, IngestSettings, Settings
from tracebraid.pipeline.publish.producer import Publisher
from tracebraid.pipeline.query.connection import connect
from tracebraid.pipeline.rulebook import RuleBook
from tracebraid.pipeline.source.compacted import CompactedTopic
from tracebraid.schemas.alert import Comparison, Evidence, Exemplar, Transition, Window

pytestmark = pytest.mark.broker
RULES = "- {name: slow, on: spans, by: [service_name], when: p99(duration) > 500ms}\n"
CHECKOUT, DB = 1, 2


def trace_id(minute: int, second: int) -> str:
    return f"{minute * 60 + second + 1:032x}"


def produce_traces(broker: Any, topic: str, minutes: range, sick: range) -> None:
    """A trace a second: checkout calls db; in `sick` minutes every tenth call takes the db 900 ms more, and it logs so."""
    producer = Producer(broker.client)
    for minute in minutes:
        for second in range(60):
            end_ns = (T0_US + minute * MINUTE_US + second * 1_000_000) * 1000
            bad = minute in sick and second % 10 == 0
            ms, trace = 940 if bad else 40, bytes.fromhex(trace_id(minute, second))
            for service, number, parent, inset_ms in (("checkout", CHECKOUT, 0, 0), ("db", DB, CHECKOUT, 10)):
                ids = (trace, trace[-8:-1] + bytes([number]), trace[-8:-1] + bytes([parent]) if parent else b"")
                shape = encode.span_shape(f"{service} work", 2, [], False)
                times = (end_ns - (ms - inset_ms) * 1_000_000, end_ns - inset_ms * 1_000_000)
                span = encode.span(ids, times, shape, b"")
                request = encode.export_request([(encode.resource([("service.name", service)]), [(encode.scope("test", "1"), [span])])])
                producer.produce(topic, request, partition=second % 3, timestamp=end_ns // 1_000_000)
            if bad:
                said = {"time_unix_nano": str(end_ns), "level": "ERROR", "service": "db", "trace_id": trace_id(minute, second), "message": "lock wait"}
                producer.produce(topic, json.dumps(said), partition=second % 3, timestamp=end_ns // 1_000_000)
    producer.flush(30)


def firing(number: int, minute: int, exemplars: list[str]) -> Transition:
    start_us = T0_US + minute * MINUTE_US
    return Transition(
        id=f"{number:032x}",
        rule="slow",
        rule_version="0",
        severity="critical",
        labels={},
        series={"service_name": "checkout"},
        signal="spans",
        transition="firing",
        reason="condition",
        started_us=start_us + MINUTE_US,
        window=Window(start="2026-01-01T00:00:00Z", end="2026-01-01T00:01:00Z", start_us=start_us, end_us=start_us + MINUTE_US),
        value=9.4e8,
        unit="ns",
        threshold=5e8,
        comparisons=[Comparison(text="p99(duration) > 500ms", unit="ns", value=9.4e8, threshold=5e8, holds=True)],
        completeness=1,
        width_us=MINUTE_US,
        exemplars=[Exemplar(trace_id=each, value=9.4e8) for each in exemplars],
    )


def tell(broker: Any, settings: Settings, alerts: list[Transition]) -> None:
    producer = Producer(broker.client)
    for alert in alerts:
        producer.produce(settings.stream.alerts_topic, alert.model_dump_json(), key=alert.id)
        producer.produce(settings.stream.alerts_state_topic, alert.model_dump_json(), key=alert.id)
    producer.flush(30)


def evidence_of(settings: Settings) -> list[Evidence]:
    topic = CompactedTopic(settings.client_config(), settings.stream.alerts_topic, Clock())
    try:
        values = [json.loads(change.value or b"{}") for change in topic.read()]
    finally:
        topic.close()
    return [Evidence.model_validate(value) for value in values if value["kind"] == "evidence"]


def until(settings: Settings, count: int, wait_s: float = 60) -> list[Evidence]:
    deadline = time.monotonic() + wait_s
    while len(found := evidence_of(settings)) < count and time.monotonic() < deadline:
        time.sleep(0.3)
    return found


def wait_for_lake(settings: Settings, records: int, wait_s: float = 60) -> None:
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        with contextlib.suppress(TracebraidError):
            ((found,),) = connect(settings.lake).execute("SELECT sum(records_in) FROM intervals").fetchall()
            if found == records:
                return
        time.sleep(0.3)


def ingest(settings: Settings) -> Job:
    return Job(lambda stop: run_ingest(settings, stop=stop, rules=lambda: RuleBook(settings, Clock(), "ingest")))


def test_the_database_is_named_once_with_its_traces_and_lines(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = broker.create_topic(broker.unique("spans"), 3)
    settings = settings_for(broker, tmp_path, RULES, source=topic).model_copy(update={"ingest": IngestSettings(flush_age_s=4)})
    produce_traces(broker, topic, range(12), range(9, 11))
    bad = [trace_id(9, 0), trace_id(9, 10)]
    jobs = [ingest(settings), Job(lambda stop: run_explain(settings, stop=stop, metrics=ExplainMetrics(), clock=Clock(), watch=lambda _: None))]
    try:
        wait_for_lake(settings, 12 * 60 * 2 + 12)
        tell(broker, settings, [firing(1, 9, bad)])
        until(settings, 1)
        time.sleep(1)
        (found,) = evidence_of(settings)
    finally:
        for job in jobs:
            job.end()
    assert (found.id, found.service, found.complete) == (f"{1:032x}", "db", True)
    assert [(each.trace_id, each.path) for each in found.traces] == [(each, ["checkout: checkout work", "db: db work"]) for each in bad]
    assert {(each.service, each.severity, each.body) for each in found.logs} == {("db", "ERROR", "lock wait")}
    assert found.suspects[0].own_ns_before == pytest.approx(20e6, rel=0.01)
    rows = connect(settings.lake).execute(found.sql).fetchall()
    assert [row[0] for row in rows[:6]] == [row[0] for row in sorted(rows, key=lambda row: -row[4])[:6]]
    assert {row[0] for row in rows[:6]} == {trace_id(9, second) for second in range(0, 60, 10)}
    # What the command line tells of it.
    for name, value in {"BOOTSTRAP_SERVERS": broker.address, "LAKE": settings.lake, **{f"STREAM__{k.upper()}": v for k, v in topics(settings).items()}}.items():
        monkeypatch.setenv(f"TRACEBRAID_{name}", value)
    shown = CliRunner().invoke(alerts_command, ["show", f"{1:032x}"[:32]], catch_exceptions=False)
    assert [json.loads(line)["kind"] for line in shown.stdout.splitlines()] == ["transition", "evidence"]
    listed = CliRunner().invoke(alerts_command, ["list"], catch_exceptions=False)
    assert [json.loads(line)["id"] for line in listed.stdout.splitlines()] == [f"{1:032x}"]


def topics(settings: Settings) -> dict[str, str]:
    return {name: value for name, value in settings.stream.model_dump().items() if name.endswith("_topic")}


def test_an_alert_that_the_lake_never_holds_is_explained_all_the_same(broker: Any, tmp_path: Path) -> None:
    settings = settings_for(broker, tmp_path, RULES, source="none").model_copy(update={"explain": ExplainSettings(wait_s=2)})
    tell(broker, settings, [firing(1, 9, [trace_id(9, 0)])])
    job = Job(lambda stop: run_explain(settings, stop=stop, metrics=ExplainMetrics(), clock=Clock(), watch=lambda _: None))
    try:
        (found,) = until(settings, 1)
    finally:
        job.end()
    assert (found.service, found.complete, found.traces, found.tables) == ("checkout", False, [], {})
    assert 2 <= found.waited_s < 10


def test_a_storm_of_alerts_waits_on_the_topic(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracebraid.pipeline.explaining.WAITING_MAX", 10)
    settings = settings_for(broker, tmp_path, RULES, source="none").model_copy(update={"explain": ExplainSettings(wait_s=6)})
    publisher = Publisher.transactional(settings.client_config(), "explain", Clock())
    explaining = Explaining(settings, publisher, ExplainMetrics(), Clock())
    held = []
    try:
        for numbers in (range(10), range(10, 40)):
            tell(broker, settings, [firing(number, 9, []) for number in numbers])
            until_s = time.monotonic() + 60
            while time.monotonic() < until_s and sum(len(lane.waiting) for lane in explaining.lanes.values()) < 10:
                explaining.step()
        for _ in range(15):
            explaining.step()
            held.append(sum(len(lane.waiting) for lane in explaining.lanes.values()))
        until_s = time.monotonic() + 60
        while time.monotonic() < until_s and len(evidence_of(settings)) < 40:
            for _ in range(20):
                explaining.step()
    finally:
        explaining.close()
    assert held == [10] * 15
    assert sorted(each.id for each in evidence_of(settings)) == [f"{number:032x}" for number in range(40)]


def test_killed_again_and_again_it_explains_every_alert_once(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("spans"), 3)
    settings = settings_for(broker, tmp_path, RULES, source=topic).model_copy(update={"ingest": IngestSettings(flush_age_s=1)})
    produce_traces(broker, topic, range(4), range(2, 3))
    environment = {
        **os.environ,
        "TRACEBRAID_BOOTSTRAP_SERVERS": broker.address,
        "TRACEBRAID_LAKE": settings.lake,
        "TRACEBRAID_CLIENT__SESSION_TIMEOUT_MS": "1000",
        "TRACEBRAID_CLIENT__HEARTBEAT_INTERVAL_MS": "300",
        **{f"TRACEBRAID_STREAM__{name.upper()}": value for name, value in topics(settings).items()},
    }
    running = ingest(settings)
    try:
        wait_for_lake(settings, 4 * 60 * 2 + 6)
        for turn in range(4):
            process = subprocess.Popen([sys.executable, "-m", "tracebraid", "explain"], env=environment)
            for part in range(5):
                tell(broker, settings, [firing(turn * 15 + part * 3 + n, 2, [trace_id(2, 10 * n)]) for n in range(3)])
                time.sleep(0.8 + turn * 0.07)
            process.send_signal(signal.SIGKILL)
            process.wait()
        process = subprocess.Popen([sys.executable, "-m", "tracebraid", "explain"], env=environment)
        try:
            until(settings, 60)
            time.sleep(2)
            found = evidence_of(settings)
        finally:
            process.terminate()
            assert process.wait(30) == 0
    finally:
        running.end()
    assert Counter(each.id for each in found) == Counter(f"{number:032x}" for number in range(60))
    assert {each.service for each in found} == {"db"}
