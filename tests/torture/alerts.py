"""`python -m tests.torture.alerts`: ingest, detect and explain killed at random; alerts and evidence must be those of a run that nobody disturbed.

In: how many kills, a seed. Out: what fell, and what differs; exit code 1 where anything does. Never: a process or a broker left behind; a comparison
before each job has met the end of what it reads and no transaction is open.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from tests.brokers import kafka
from tests.detecting_flow import MINUTE_US, T0_US, alerts_of, is_read, settings_for, span_request
from tests.torture.check import await_transactions
from tests.torture.consumers import ROOT
from tracebraid.pipeline.detection import AUDIT_S
from tracebraid.pipeline.kernel.settings import Settings

PARTITIONS = 4
JOBS = ("ingest", "detect", "explain")
SETTLED_S_MAX = 900.0  # a busy machine; whoever hangs is found out
GIVEN = {"ingest": "flush_age_s = 2\n", "detect": "snapshot_s = 5\n", "explain": ""}
SERVICES = ("checkout", "cart", "payment", "search")
# Telemetry comes in bursts of minutes of event time while ingest may be down, and a partition whose end was met holds nobody up for longer than a flush: what
# comes of it later would be late by that.
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
    """The jobs as processes of these settings. Whom the group waits for when one is killed, it waits for 3 s."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        stream, names = settings.stream, ("rejects", "windows", "alerts", "alerts_state", "state", "rules", "rules_acks")
        path = folder / "tracebraid.toml"
        topics = "".join(f'{name}_topic = "{getattr(stream, f"{name}_topic")}"\n' for name in names)
        groups = "".join(f'[{name}]\ngroup = "{group}"\n{GIVEN[name]}' for name, group in groups_of(settings).items())
        path.write_text(
            f'bootstrap_servers = "{settings.bootstrap_servers}"\nlake = "{settings.lake}"\n'
            f'[client]\n"session.timeout.ms" = "3000"\n"heartbeat.interval.ms" = "500"\n[[topics]]\nname = "{settings.topics[0].name}"\n'
            f'[stream]\nflush_ms = 200\n{topics}[rules]\nstarter = false\nfiles = ["{settings.rules.files[0]}"]\n{groups}[log]\nlevel = "warning"\n',
            encoding="utf-8",
        )
        self.environment = {**{key: value for key, value in os.environ.items() if not key.startswith("TRACEBRAID_")}, "TRACEBRAID_CONFIG": str(path)}
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        for name in JOBS:
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


def groups_of(settings: Settings) -> dict[str, str]:
    return {name: f"{name}-{settings.stream.windows_topic}" for name in JOBS}


def settle(broker: Any, settings: Settings, jobs: Jobs) -> None:
    """Until each job has read all that the one before it wrote, no killed one's transaction hides anything, and detect's audit has brought nothing more.

    Raises TimeoutError.
    """
    deadline_s, stream, before = time.monotonic() + SETTLED_S_MAX, settings.stream, -1
    reads = dict(zip(JOBS, (settings.topics[0].name, stream.windows_topic, stream.alerts_topic), strict=True))
    while True:
        jobs.revive()
        for topic in (stream.windows_topic, stream.alerts_topic):
            await_transactions(broker.client, topic)
        is_quiet = all(is_read(broker, group, reads[name]) for name, group in groups_of(settings).items())
        messages = len(alerts_of(broker, stream.alerts_topic)) if is_quiet else -1
        if is_quiet and messages == before:
            return
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not all is read after {SETTLED_S_MAX:g} s; logs are in {jobs.folder}")
        before = messages
        time.sleep(AUDIT_S + 5 if is_quiet else 0.5)


@dataclass(frozen=True)
class Told:
    """What a run told. firing, evidence: how often, by alert and window. faults: services. reasons: where the lake held the whole window."""

    alerts: Counter[str]
    firing: Counter[str]
    evidence: Counter[str]
    faults: dict[str, str]
    reasons: dict[str, str]


def told(broker: Any, settings: Settings) -> Told:
    found = alerts_of(broker, settings.stream.alerts_topic)
    transitions, evidence = ([each for each in found if (each["kind"] == "evidence") is kind] for kind in (False, True))
    return Told(
        Counter(map(shown, transitions)),
        Counter(about(each) for each in transitions if each["transition"] == "firing"),
        Counter(map(about, evidence)),
        {about(each): each["service"] for each in evidence},
        {about(each): each["reason"] for each in evidence if each["complete"]},
    )


def shown(alert: dict[str, Any]) -> str:
    """What two runs must agree on."""
    names = ("id", "rule", "series", "transition", "reason", "started_us", "window", "value", "threshold")
    return json.dumps({name: alert[name] for name in names}, sort_keys=True)


def about(message: dict[str, Any]) -> str:
    """Which message that fires an evidence is of, and which evidence it has: what both bear."""
    return json.dumps({name: message[name] for name in ("id", "rule", "series", "window")}, sort_keys=True)


def differences(expected: Told, found: Told) -> list[str]:
    """Of a disturbed run and of one that nobody disturbed.

    Alerts: those in shown(), each as often. Evidence: explain answers every message that fires, with what there is where the lake does not hold the window in
    time, so in both runs each has one, none is missing and none comes twice; and both runs name the same service. Versions of tables and how long it waited
    are matters of when it looked; exemplars are some of many that are equally slow, and which of them are kept depends on how the rows were cut into partial
    windows. Whose lake did not hold the whole window in time has counted fewer rows, and says so (`complete`): its numbers may be others. Where both lakes
    held it, the numbers in `reason` are of the same rows, and are equal.
    """
    names = {"missing": expected.alerts - found.alerts, "too many": found.alerts - expected.alerts}
    for run, each in (("undisturbed", expected), ("killed", found)):
        names |= {f"without evidence ({run})": each.firing - each.evidence, f"evidence too often ({run})": each.evidence - each.firing}
    problems = [f"{name}: {text}" for name, those in names.items() for text in those.elements()]
    for name, first, second in (("service", expected.faults, found.faults), ("reason", expected.reasons, found.reasons)):
        problems += [f"{name} {first[key]!r}, {second[key]!r}: {key}" for key in sorted(first.keys() & second.keys()) if first[key] != second[key]]
    return problems


@dataclass
class Outcome:
    """at_last_kill: alerts that had been told by then."""

    fallen: Counter[str]
    at_last_kill: int
    expected: Told
    found: Told


def run(broker: Any, folder: Path, kills: int, minutes: int, seed: int) -> Outcome:
    topic = broker.create_topic(broker.unique("spans"), PARTITIONS)
    places = [folder / "killed", folder / "undisturbed"]
    for place in places:
        place.mkdir()
    killed, undisturbed = (settings_for(broker, place, RULES, source=topic) for place in places)
    jobs = Jobs(killed, places[0])
    try:
        fallen = torment(broker, topic, jobs, kills=kills, minutes=minutes, seed=seed)
        at_last_kill = told(broker, killed).alerts.total()
        settle(broker, killed, jobs)
    finally:
        jobs.end()
    jobs = Jobs(undisturbed, places[1])
    try:
        settle(broker, undisturbed, jobs)
    finally:
        jobs.end()
    return Outcome(fallen, at_last_kill, told(broker, undisturbed), told(broker, killed))


def torment(broker: Any, topic: str, jobs: Jobs, *, kills: int, minutes: int, seed: int) -> Counter[str]:
    """Telemetry goes on while jobs fall: how often each fell."""
    chance, content, fallen = random.Random(f"kills {seed}"), random.Random(f"content {seed}"), Counter[str]()
    producer, minute = Producer(broker.client), 0
    while fallen.total() < kills or minute < minutes:
        for _ in range(max(1, minutes // max(1, kills))):
            if minute < minutes:
                produce(producer, topic, minute, content)
                minute += 1
        producer.flush(30)
        time.sleep(chance.uniform(0.2, 8))
        if fallen.total() < kills:
            name = chance.choice(JOBS)
            jobs.kill(name)
            fallen[name] += 1
        jobs.revive()
    return fallen


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.alerts", description="Kill ingest, detect and explain, then compare alerts and evidence.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--minutes", type=int, default=200, help="of telemetry (default 200)")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if why := kafka.unavailable():
        print(why, file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="tracebraid-alerts-"))
    with kafka.running_broker() as broker:
        outcome = run(broker, folder, given.kills, given.minutes, given.seed)
    problems, expected, found = differences(outcome.expected, outcome.found), outcome.expected, outcome.found
    alerts, lakes = (expected.alerts.total(), found.alerts.total()), (len(expected.reasons), len(found.reasons))
    print(f"{outcome.fallen.total()} SIGKILLs ({dict(outcome.fallen)}); alerts, undisturbed and killed: {alerts}, {outcome.at_last_kill} before the last kill")
    print(f"{found.firing.total()} fire, {found.evidence.total()} have evidence, of a lake with the whole window: {lakes}; {len(problems)} differ")
    for problem in problems[:10]:
        print(problem)
    print(f"logs are in {folder}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
