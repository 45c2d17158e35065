"""What a running ingest says of itself: readiness, lag, and the bar of a drain at a terminal."""

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_ingest import produce, settings_for, with_rejects_topic
from tracebraid.jobs.ingest import STALE_S, Watch
from tracebraid.pipeline.flow import run_ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import Metrics

pytestmark = pytest.mark.broker


def test_ready_once_the_group_has_let_us_in_the_loop_turns_and_the_lake_takes_cycles(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("ready"), 2)
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 10, partitions=2)
    metrics, ahead_s = Metrics(), [0.0]
    clock = Clock(monotonic_s=lambda: Clock().monotonic_s() + ahead_s[0])
    watch = Watch(metrics, clock, bar=False)
    assert watch.why_not_ready() == "starting: no partitions are assigned yet"
    run_ingest(settings, drain=True, metrics=metrics, watch=watch.turned)
    assert watch.why_not_ready() == ""
    watch.looked_s = 0.0
    assert watch.ingest is not None
    watch.ingest.blocked = "the disk does not answer"
    assert watch.why_not_ready() == "the disk does not answer"
    ahead_s[0] = STALE_S + 1
    assert watch.why_not_ready() == "the loop has not turned for 61 s"


def test_the_lag_is_of_the_partitions_that_are_ours(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("lag"), 2)
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 10, partitions=2)
    metrics = Metrics()
    watch = Watch(metrics, Clock(), bar=False)
    watch.shown = {(topic, "7")}
    metrics.lag.labels(topic, "7").set(5)

    def look(ingest: Any) -> None:
        watch.looked_s = 0.0 if ingest.source.partitions() else Clock().monotonic_s()
        watch.turned(ingest)

    run_ingest(settings, drain=True, metrics=metrics, watch=look)
    found = {sample.labels["partition"]: sample.value for family in metrics.lag.collect() for sample in family.samples}
    assert found == {"0": 0.0, "1": 0.0}


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
