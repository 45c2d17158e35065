"""archive against a real broker: every partial window and every alert is in its table once, whatever ends the process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.detecting_flow import MINUTE_US, T0_US, Job, produce_minutes, settings_for
from tracebraid.pipeline.archiving import run_archive
from tracebraid.pipeline.flow import run_ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import ArchiveMetrics
from tracebraid.pipeline.kernel.settings import ArchiveSettings, Settings
from tracebraid.pipeline.query.connection import connect
from tracebraid.pipeline.rulebook import RuleBook

pytestmark = pytest.mark.broker
RULES = "- {name: slow, on: spans, by: [service_name], when: p99(duration) > 500ms}\n"
TOTALS = "SELECT sum(rows_in), sum(errors), sum(duration_sum_ns), sum(list_sum(bucket_n)) FROM windows WHERE signal = 'spans' AND labels_text LIKE '%route%'"
ALERTS = "SELECT kafka_partition, kafka_offset, alert_id, transition, measured, series['service_name'], window_end FROM alerts ORDER BY 1, 2"


def alert(number: int) -> dict[str, Any]:
    end_us = T0_US + number * MINUTE_US
    window = {"start": "", "end": "", "start_us": end_us - MINUTE_US, "end_us": end_us}
    told = {"version": 1, "kind": "transition", "id": f"{number:032x}", "rule": "slow", "rule_version": "1", "severity": "warning", "labels": {}}
    return {**told, "series": {"service_name": f"s{number % 7}"}, "transition": "firing", "reason": "condition", "window": window, "value": number / 2}


def send(broker: Any, topic: str, numbers: range) -> None:
    producer = Producer(broker.client)
    for number in numbers:
        producer.produce(topic, json.dumps(alert(number)), key=f"{number:032x}")
    producer.flush(30)


def rows(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    return connect(settings.lake).execute(sql).fetchall()


def until(settings: Settings, sql: str, enough: Any, wait_s: float = 60) -> list[tuple[Any, ...]]:
    deadline = time.monotonic() + wait_s
    while not (Path(settings.lake) / "alerts" / "_delta_log").is_dir() and time.monotonic() < deadline:
        time.sleep(0.2)
    while not enough(found := rows(settings, sql)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def archive(settings: Settings) -> Job:
    return Job(lambda stop: run_archive(settings, stop=stop, metrics=ArchiveMetrics(), clock=Clock(), watch=lambda _: None))


def test_windows_and_alerts_become_tables(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("spans"), 3)
    settings = settings_for(broker, tmp_path, RULES, source=topic).model_copy(update={"archive": ArchiveSettings(flush_age_s=1)})
    produce_minutes(broker, topic, 3, range(10), range(4, 6))
    send(broker, settings.stream.alerts_topic, range(20))
    stranger = Producer(broker.client)
    stranger.produce(settings.stream.alerts_topic, b"not an alert")
    stranger.flush(10)
    jobs = [Job(lambda stop: run_ingest(settings, stop=stop, rules=lambda: RuleBook(settings, Clock(), "ingest"))), archive(settings)]
    try:
        ((count, errors, total_ns, in_buckets),) = until(settings, TOTALS, lambda found: found[0][0] == 600)
        told = until(settings, ALERTS, lambda found: len(found) >= 20)
    finally:
        for job in jobs:
            job.end()
    assert (count, errors, total_ns, in_buckets) == (600, 12, 588 * 40e6 + 12 * 900e6, 600)
    assert sorted((row[2], row[3], row[4], row[5]) for row in told) == [(f"{n:032x}", "firing", n / 2, f"s{n % 7}") for n in range(20)]
    named = rows(settings, "SELECT DISTINCT signal, condition, map_keys(labels), window_us FROM windows ORDER BY ALL")
    assert ("spans", "", ["service_name", "route", "kind"], MINUTE_US) in named
    assert ("spans", "", ["service_name"], MINUTE_US) in named


def test_killed_again_and_again_it_keeps_everything_once(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("spans"), 3)
    settings = settings_for(broker, tmp_path, RULES, source=topic)
    stream = {name: value for name, value in settings.stream.model_dump().items() if name.endswith("_topic")}
    environment = {
        **os.environ,
        "TRACEBRAID_BOOTSTRAP_SERVERS": broker.address,
        "TRACEBRAID_LAKE": settings.lake,
        "TRACEBRAID_ARCHIVE__FLUSH_AGE_S": "0.2",
        "TRACEBRAID_CLIENT__SESSION_TIMEOUT_MS": "1000",
        "TRACEBRAID_CLIENT__HEARTBEAT_INTERVAL_MS": "300",
        **{f"TRACEBRAID_STREAM__{name.upper()}": value for name, value in stream.items()},
    }
    command = [sys.executable, "-m", "tracebraid", "archive"]
    ingest = Job(lambda stop: run_ingest(settings, stop=stop, rules=lambda: RuleBook(settings, Clock(), "ingest")))
    try:
        for turn in range(4):
            process = subprocess.Popen(command, env=environment)
            produce_minutes(broker, topic, 3, range(turn * 10, turn * 10 + 10), range(turn * 10, turn * 10 + 2))
            send(broker, settings.stream.alerts_topic, range(turn * 10, turn * 10 + 10))
            time.sleep(2.5 + turn * 0.37)
            process.send_signal(signal.SIGKILL)
            process.wait()
        process = subprocess.Popen(command, env=environment)
        try:
            time.sleep(4)
            produce_minutes(broker, topic, 3, range(40, 50), range(40, 42))
            send(broker, settings.stream.alerts_topic, range(40, 50))
            found = until(settings, TOTALS, lambda found: found[0][0] is not None and found[0][0] >= 3000)
            told = until(settings, ALERTS, lambda found: len(found) >= 50)
            time.sleep(1)
            assert rows(settings, TOTALS) == found
        finally:
            process.terminate()
            assert process.wait(30) == 0
    finally:
        ingest.end()
    assert found == [(3000, 60, 2940 * 40e6 + 60 * 900e6, 3000)]
    assert sorted(row[2] for row in told) == [f"{n:032x}" for n in range(50)]
