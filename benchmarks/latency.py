"""`python -m benchmarks.latency`: from a window's end and its lateness to the alert in a subscriber's hands, under steady traffic.

In: a broker, ../shared/peers, a rate of spans. Out: one JSON object: seconds of delay of each alert, and processor seconds of both jobs. Ingest and
detect run as they ship, with the starter rules and one more, which tells of each new pod; pods are renewed all the time. Never: an alert of a
window that ended before the traffic was steady; a rate that was not reached (it is said beside).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Consumer

from benchmarks.loads import PEERS
from benchmarks.traffic import PARTITIONS, PER_RECORD, Rates, Traffic, flowing
from tests.brokers.kafka import Broker, running_broker, unavailable

WINDOW_S, LATENESS_S = 5, 10
STEADY_S = 30.0  # before this nothing counts
RULE = f"""
- name: new-pod
  on: spans
  by: [k8s_pod_name]
  window: {WINDOW_S}s
  lateness: {LATENESS_S}s
  when: avg(duration) > 0ms
  missing_for: {WINDOW_S}s
  on_missing: resolve
"""


@contextmanager
def jobs(broker: Broker, directory: Path, topic: str, ingests: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many of ingest, and a detect behind them; none is left behind."""
    rules, config = directory / "rules.yaml", directory / "tracebraid.toml"
    rules.write_text(RULE)
    lines = [f'bootstrap_servers = "{broker.address}"', f'lake = "{directory / "lake"}"', "[rules]", f'files = ["{rules}"]']
    lines += ["[http]", "port = 0", "[log]", 'level = "warning"', "[[topics]]", f'name = "{topic}"', 'encoding = "otlp_proto"']
    config.write_text("\n".join(lines) + "\n")
    started = []
    try:
        for job in ["ingest"] * ingests + ["detect"]:
            with (directory / f"{job}-{len(started)}.log").open("wb") as log:
                command = [sys.executable, "-m", "tracebraid", job, "--config", str(config)]
                started.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
        yield started
    finally:
        for each in started:
            each.terminate()
        for each in started:
            try:
                each.wait(30)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """User and system seconds so far. Raises RuntimeError where it has ended."""
    if process.poll() is not None:
        raise RuntimeError(f"{process.args} ended with {process.returncode}")
    times = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


class Subscriber:
    """Reads committed alerts as they come: (window's end in seconds, delay in seconds) of each that began to fire by the rule above."""

    def __init__(self, broker: Broker, topic: str) -> None:
        settings = {**broker.client, "group.id": "latency", "auto.offset.reset": "earliest", "isolation.level": "read_committed", "fetch.wait.max.ms": 50}
        self.consumer, self.found = Consumer(settings), list[tuple[float, float]]()
        self.consumer.subscribe([topic])
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.stop.is_set():
            for message in self.consumer.consume(500, 0.05):
                at_s = time.time()
                if message.error() is None:
                    self._take(json.loads(message.value()), at_s)
        self.consumer.close()

    def _take(self, told: dict[str, Any], at_s: float) -> None:
        if told["kind"] == "transition" and told["rule"] == "new-pod" and told["transition"] == "firing":
            end_s = told["window"]["end_us"] / 1e6
            self.found.append((end_s, at_s - end_s - LATENESS_S))

    def end(self) -> list[tuple[float, float]]:
        self.stop.set()
        self.thread.join(30)
        return self.found


def figures(found: Sequence[tuple[float, float]], from_s: float) -> dict[str, Any]:
    steady = [each for each in found if each[0] >= from_s]
    if not steady:
        raise RuntimeError("no alert came: is the machine too slow for this rate?")
    delays = np.array([delay for _, delay in steady])
    by_window = [max(delay for end, delay in steady if end == one) for one in sorted({end for end, _ in steady})]
    quantiles = {f"p{q}_s": round(float(np.percentile(delays, q)), 3) for q in (50, 90, 99)}
    return {
        "alerts": len(delays),
        "windows": len(by_window),
        **quantiles,
        "max_s": round(float(delays.max()), 3),
        "windows_over_1_s": sum(each > 1 for each in by_window),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=50_000, help="spans a second")
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--ingests", type=int, default=1, help="processes of ingest")
    arguments = parser.parse_args()
    if why := unavailable() or ("" if PEERS.is_dir() else f"the spans are made by {PEERS}, which is absent"):
        raise SystemExit(f"skipped: {why}")
    with running_broker(heap_mib=1024) as broker, tempfile.TemporaryDirectory(prefix="tracebraid-latency-") as directory:
        topic = broker.create_topic("spans", PARTITIONS, {"retention.ms": "300000", "segment.bytes": str(64 << 20)})
        unread = broker.create_topic("logs", PARTITIONS)
        sent = Traffic(broker, topic, unread, Rates(arguments.spans, 0), pods_renewed_s=WINDOW_S)
        with jobs(broker, Path(directory), topic, arguments.ingests) as started:
            time.sleep(10)
            subscriber = Subscriber(broker, "tracebraid.alerts")
            with flowing(sent):
                time.sleep(STEADY_S)
                from_s, taken, before = time.time(), sent.taken, [cpu_s(each) for each in started]
                time.sleep(arguments.seconds)
                seconds, rate = time.time() - from_s, (sent.taken - taken) * PER_RECORD / (time.time() - from_s)
                used = [(cpu_s(each) - start) / seconds for each, start in zip(started, before, strict=True)]
            found = figures(subscriber.end(), from_s)
    cores = {"ingest_cores": round(sum(used[:-1]), 2), "detect_cores": round(used[-1], 3)}
    print(json.dumps({"spans_per_s": round(rate), "ingests": arguments.ingests, "seconds": round(seconds), **cores, **found}))


if __name__ == "__main__":
    main()
