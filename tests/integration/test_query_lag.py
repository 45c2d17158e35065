"""Lag as status tells it: where partitions end on a real broker, beside what the lake holds."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.brokers.kafka import Broker
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.source.ends import partition_ends

pytestmark = pytest.mark.broker


def produce(broker: Broker, topic: str, values: int) -> None:
    producer = Producer(broker.client)
    for number in range(values):
        producer.produce(topic, json.dumps({"time": "2026-01-01T00:00:00Z", "msg": f"line {number}"}), partition=0)
    assert producer.flush(30) == 0


def run(*arguments: str, environment: dict[str, str]) -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-m", "tracebraid", *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_lag_grows_with_the_topic(broker: Broker, tmp_path: Path) -> None:
    topic = broker.unique("lag")
    broker.create_topic(topic, partitions=1)
    environment = {"TRACEBRAID_BOOTSTRAP_SERVERS": broker.address, "TRACEBRAID_LAKE": str(tmp_path / "lake"), "TRACEBRAID_STREAM__ENABLED": "false"}
    produce(broker, topic, 5)
    run("ingest", "--topic", topic, "--encoding", "json", "--drain", "--json", environment=environment)
    produce(broker, topic, 3)
    whole, partition = run("status", environment=environment)
    assert (whole["complete"], whole["rows"]) == (True, {"spans": 0, "logs": 5, "rejects": 0})
    assert (partition["topic"], partition["next_offset"], partition["lag"]) == (topic, 5, 3)
    known = Partition(str(partition["cluster"]), topic, str(partition["topic_id"]), 0)
    others = [replace(known, topic_id="another"), replace(known, cluster="another"), replace(known, topic="no-such-topic")]
    assert partition_ends(broker.client, [known, *others], Clock()) == {known: 8}


def test_without_a_broker_lag_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "broker_wait_s", 1.0)
    with pytest.raises(TracebraidError, match="no broker answers"):
        partition_ends({"bootstrap.servers": "127.0.0.1:1"}, [Partition("c", "t", "i", 0)], Clock())
