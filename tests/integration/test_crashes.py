"""What torture found: each as the smallest case that showed it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.broker
ROOT = Path(__file__).resolve().parent.parent.parent
# An owner that asks from within its callback, and lines of the client's log that come right behind it.
ASKING = """
import sys
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.settings import TopicSettings
from tracebraid.pipeline.source.kafka import KafkaSource
from tracebraid.pipeline.source.partitions import Owner

def assigned(partitions):
    siblings = source.siblings(partitions[0])
    assert len(siblings) == 2
    return {partition: source.watermarks(partition)[0] for partition in partitions}

client = {"bootstrap.servers": sys.argv[1], "debug": "cgrp"}
source = KafkaSource(client, [TopicSettings(name=sys.argv[2])], sys.argv[2], Owner(assigned, lambda gone: None, lambda gone: None), Clock())
while not source.joined:
    source.poll(1)
source.poll(1)
source.close()
"""


def test_a_callback_behind_one_that_asks_does_not_end_the_process(broker: Any) -> None:
    """confluent-kafka forgets, after a question on the handle that calls back, that it is within a call: at its next callback, another rebalance,
    an error or a line of its log, it aborted the process."""
    topic = broker.create_topic(broker.unique("asking"), 2)
    command = [sys.executable, "-c", ASKING, broker.address, topic]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-500:]
