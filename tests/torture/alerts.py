"""`python -m tests.torture.alerts`: ingest and detect killed at random; the alerts must be those of a run that nobody disturbed.

In: how many kills, a seed. Out: what fell, and the alerts that differ; exit code 1 where any does. Never: a process or a broker left behind.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from tests.brokers import kafka
from tests.detecting_flow import MINUTE_US, T0_US, alerts_of, settings_for, span_request
from tests.torture.consumers import ROOT
from tracebraid.pipeline.kernel.settings import Settings

PARTITIONS = 4
START_S_MAX = 180.0
SERVICES = ("checkout", "cart", "payment", "search")
# Telemetry comes in bursts of minutes of event time, and a partition whose end was met holds nobody up: what the next fetch brings of it would be late by that.
RULES = """
- name: slow-and-failing
  on: spans
  lateness: 10m
  by: [service_name]
  when: p99(duration) > 500ms and error_rate > 5%
  for: 2m
  keep_firing_for: 1m
- name: failing
  on: spans
  lateness: 10m
  by: [service_name, route]
  when: errors > 3
- name: out-of-character
  on: spans
  lateness: 10m
  by: [service_name, kind]
  when: p99(duration) > baseline(p99(duration), floor: 50ms, min_count: 10)
  for: 1m
- name: in-a-row
  on: spans
  lateness: 10m
  by: [service_name]
  when: duration > 800ms
  consecutive: 2
"""


def produce(producer: Producer, topic: str, minute: int, chance: random.Random) -> None:
    """One minute of every service: one in four minutes out of twenty is sick. What a message holds depends on the seed alone."""
    for number, service in enumerate(SERVICES):
        sick = (minute + 5 * number) % 20 in (7, 8, 9, 10, 11)
        for second in range(0, 60, 3):
            end_us = T0_US + minute * MINUTE_US + second * 1_000_000 + number
            bad = sick and chance.random() < 0.5
            value = span_request(service, [(end_us, 900 if bad else 30 + second, bad)], (minute * 60 + second) * 10 + number)
            producer.produce(topic, value, partition=(second + number) % PARTITIONS, timestamp=end_us // 1000)


class Jobs:
    """`tracebraid ingest` and `tracebraid detect` as processes of these settings."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        stream, names = settings.stream, ("rejects", "windows", "alerts", "alerts_state", "state", "rules", "rules_acks")
        path = folder / "tracebraid.toml"
        topics = "".join(f'{name}_topic = "{getattr(stream, f"{name}_topic")}"\n' for name in names)
        path.write_text(
            f'bootstrap_servers = "{settings.bootstrap_servers}"\nlake = "{settings.lake}"\n[client]\n"session.timeout.ms" = "6000"\n'
            f'[[topics]]\nname = "{settings.topics[0].name}"\n[ingest]\nflush_age_s = 2\n[stream]\nflush_ms = 200\n{topics}'
            f'[rules]\nstarter = false\nfiles = ["{settings.rules.files[0]}"]\n[detect]\nsnapshot_s = 5\n[log]\nlevel = "warning"\n',
            encoding="utf-8",
        )
        self.environment = {**{key: value for key, value in os.environ.items() if not key.startswith("TRACEBRAID_")}, "TRACEBRAID_CONFIG": str(path)}
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("ingest", "detect"):
            self.start(name)

    def start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-m", "tracebraid", name]
            self.running[name] = subprocess.Popen(command, env=self.environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running[name].wait()
        self.start(name)

    def revive(self) -> None:
        """Whoever ended by itself is started again, as a supervisor would."""
        for name, process in self.running.items():
            if process.poll() is not None:
                self.start(name)

    def end(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait(60)


def settled(broker: Any, topic: str, jobs: Jobs, quiet_s: float) -> list[dict[str, Any]]:
    """The alerts, once there are some and none has come for `quiet_s`."""
    found, since = alerts_of(broker, topic), time.monotonic()
    while time.monotonic() - since < (quiet_s if found else START_S_MAX):
        time.sleep(1)
        jobs.revive()
        now = alerts_of(broker, topic)
        if len(now) != len(found):
            found, since = now, time.monotonic()
    return found


def shown(alert: dict[str, Any]) -> str:
    """What two runs must agree on."""
    names = ("id", "rule", "series", "transition", "reason", "started_us", "window", "value", "threshold")
    return json.dumps({name: alert[name] for name in names}, sort_keys=True)


def run(broker: Any, folder: Path, kills: int, minutes: int, seed: int) -> tuple[Counter[str], list[str], int]:
    """(kills by job, what differs, alerts of the undisturbed run)."""
    chance, fallen = random.Random(f"kills {seed}"), Counter[str]()
    topic = broker.create_topic(broker.unique("spans"), PARTITIONS)
    places = [folder / "killed", folder / "undisturbed"]
    for place in places:
        place.mkdir()
    killed, undisturbed = (settings_for(broker, place, RULES, source=topic) for place in places)
    producer, content, minute = Producer(broker.client), random.Random(f"content {seed}"), 0
    jobs = Jobs(killed, places[0])
    try:
        while fallen.total() < kills or minute < minutes:
            for _ in range(max(1, minutes // max(1, kills))):
                if minute < minutes:
                    produce(producer, topic, minute, content)
                    minute += 1
            producer.flush(30)
            time.sleep(chance.uniform(0.2, 6))
            if fallen.total() < kills:
                name = chance.choice(("ingest", "detect"))
                jobs.kill(name)
                fallen[name] += 1
            jobs.revive()
        found = settled(broker, killed.stream.alerts_topic, jobs, 40)
    finally:
        jobs.end()
    jobs = Jobs(undisturbed, places[1])
    try:
        expected = settled(broker, undisturbed.stream.alerts_topic, jobs, 30)
    finally:
        jobs.end()
    first, second = Counter(map(shown, expected)), Counter(map(shown, found))
    problems = [f"missing: {text}" for text in (first - second).elements()] + [f"too many: {text}" for text in (second - first).elements()]
    return fallen, problems, len(expected)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.alerts", description="Kill ingest and detect, then compare the alerts.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--minutes", type=int, default=200, help="of telemetry (default 200)")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if why := kafka.unavailable():
        print(why, file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="tracebraid-alerts-"))
    with kafka.running_broker() as broker:
        fallen, problems, alerts = run(broker, folder, given.kills, given.minutes, given.seed)
    print(f"{fallen.total()} SIGKILLs ({dict(fallen)}); {alerts} alerts of the undisturbed run; {len(problems)} differ")
    for problem in problems[:10]:
        print(problem)
    print(f"logs are in {folder}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
