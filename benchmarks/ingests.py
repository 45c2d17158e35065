"""Processes of `tracebraid ingest`, started, asked for their metrics, ended.

In: a broker, a topic, a lake. Out: sums over their metrics. Never: a process left behind.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client.parser import text_string_to_metric_families

from tests.brokers.kafka import Broker, free_ports

READY_S_MAX = 90.0
STOP_S_MAX = 60.0
Sums = Counter[tuple[str, tuple[tuple[str, str], ...]]]


class Ingests:
    """Processes of `tracebraid ingest` on one topic and one lake, each with its metrics on a port of its own."""

    def __init__(self, broker: Broker, topic: str, lake: str, environment: Mapping[str, str], flush_age_s: float) -> None:
        self.environment = {
            **os.environ,
            **environment,
            "TRACEBRAID_BOOTSTRAP_SERVERS": broker.address,
            "TRACEBRAID_LAKE": lake,
            "TRACEBRAID_INGEST__FLUSH_AGE_S": str(flush_age_s),
            "TRACEBRAID_STREAM__REJECTS_TOPIC": f"{topic}.rejects",
            "TRACEBRAID_LOG__LEVEL": "warning",
            "TRACEBRAID_HTTP__HOST": "127.0.0.1",
        }
        self.topic = topic
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, count: int) -> list[int]:
        """`count` more, each ready; their ports."""
        ports = free_ports(count)
        for port in ports:
            command = [sys.executable, "-m", "tracebraid", "ingest", "--topic", self.topic, "--encoding", "json"]
            environment = {**self.environment, "TRACEBRAID_HTTP__PORT": str(port)}
            self.running[port] = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + READY_S_MAX
        while not all(_answers(port) for port in ports):
            if time.monotonic() > deadline or any(process.poll() is not None for process in self.running.values()):
                raise RuntimeError("ingest is not ready")
            time.sleep(0.1)
        return ports

    def sums(self) -> Sums:
        """Every metric, summed over the processes."""
        found: Sums = Counter()
        for port in self.running:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                for family in text_string_to_metric_families(answer.read().decode()):
                    for sample in family.samples:
                        found[sample.name, tuple(sorted(sample.labels.items()))] += sample.value
        return found

    def stop(self) -> None:
        """Orderly. Raises RuntimeError where one does not end well."""
        codes = [self.end(port, signal.SIGTERM) for port in list(self.running)]
        if any(codes):
            raise RuntimeError(f"ingest ended with {codes}")

    def end(self, port: int, how: signal.Signals) -> int:
        process = self.running.pop(port)
        process.send_signal(how)
        try:
            return process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@contextmanager
def ingests(broker: Broker, topic: str, lake: str, environment: Mapping[str, str], flush_age_s: float) -> Iterator[Ingests]:
    """None of them is left behind."""
    found = Ingests(broker, topic, lake, environment, flush_age_s)
    try:
        yield found
    finally:
        for port in list(found.running):
            found.end(port, signal.SIGKILL)


def total(sums: Sums, name: str, **labels: str) -> float:
    return sum(value for (sample, having), value in sums.items() if sample == name and labels.items() <= dict(having).items())


def quantile_ms(sums: Sums, share: float) -> float:
    """As Prometheus's histogram_quantile has it."""
    buckets = sorted((float(dict(having)["le"]), value) for (sample, having), value in sums.items() if sample == "tracebraid_lake_commit_seconds_bucket")
    wanted = share * buckets[-1][1]
    below, counted = 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted:
            return 1000 * (below if bound == float("inf") else below + (bound - below) * (wanted - counted) / max(count - counted, 1))
        below, counted = bound, count
    return 1000 * below
