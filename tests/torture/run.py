"""One run: consumers live and die while records come in; then all is drained, and looked at.

In: a world, a schedule. Out: an Outcome. Never: a process or a mount left behind; a fault that is not written down.
"""

import json
import math
import random
import shutil
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.check import await_transactions, check_content, check_group, check_rejects, read_rejects, stored
from tests.torture.consumers import TERM_S_MAX, Consumers, Life, end
from tests.torture.schedule import EACH, Chance, Fate, Script, hits
from tests.torture.steps import STEPS
from tests.torture.world import World
from tracebraid.pipeline.verify.reader import Options, examine
from tracebraid.pipeline.verify.report import Finding

LOOP_S = 0.05
DRAIN_S_MAX = 240.0
DISK_FULL_S = 4.0
FULL_RUN_KILLS = 200  # a run of so many goes on until some have fallen at each step
BACKLOG_SHARE = 0.25  # of all records, produced before the first consumer starts
# What a script waits for comes in its own time, on a busy machine too.
SCRIPT_TERM_S_MAX = 90.0
TRICKLE_PER_S = 50  # records: a step that needs some always comes by
SLEEP_S_MAX = 120.0  # a zombie sleeps so long at most until others have overtaken it
ROUND_S_MAX = 60.0  # and has so long to come back to reading
LOSE_S_MAX = 15.0  # or to a kill that it has to expect: one whose partitions are going as it is stopped does not always lose them
BACK_S = 2.0  # it reads for so long again
START_S = 5.0  # what a life with something to expect has at least, from its first step on


@dataclass(frozen=True)
class Plan:
    """kills: SIGKILLs wanted; the run ends after `seconds` at the latest. broken: see worker.Orders."""

    kills: int
    seconds: float
    records: int
    consumers: int = 3
    session_ms: int = 6000
    seed: int = 0
    broken: str = ""


@dataclass
class Outcome:
    """What fell, and what was found. fallen: (action, step) → how often. problems: none, if all is well."""

    fallen: Counter[tuple[str, str]] = field(default_factory=Counter)
    world: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)
    terms_s: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    records: int = 0
    rows: int = 0
    rejects: int = 0
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        return sum(count for (action, _), count in self.fallen.items() if action in ("kill", "killed"))


class Torture:
    """Consumers in `plan.consumers` slots; a slot whose consumer has ended, or was put beside (stopped, or to be joined), gets another."""

    def __init__(self, world: World, schedule: Chance | Script, plan: Plan) -> None:
        self.world, self.schedule, self.plan = world, schedule, plan
        environment = {
            "TRACEBRAID_BOOTSTRAP_SERVERS": world.broker.address,
            "TRACEBRAID_LAKE": world.lake,
            "TRACEBRAID_STREAM__REJECTS_TOPIC": world.rejects_topic,
            "TRACEBRAID_STREAM__WINDOWS_TOPIC": f"{world.rejects_topic}-windows",
            "TRACEBRAID_STREAM__FLUSH_MS": "300",
            "TRACEBRAID_INGEST__FLUSH_RECORDS": "500",
            "TRACEBRAID_INGEST__FLUSH_AGE_S": "2",
            "TRACEBRAID_CLIENT__SESSION_TIMEOUT_MS": str(plan.session_ms),
            "TRACEBRAID_CLIENT__HEARTBEAT_INTERVAL_MS": str(plan.session_ms // 6),
        }
        self.consumers = Consumers(world.folder, environment, [topic.name for topic in world.topics])
        self.random = random.Random(plan.seed)
        self.slots: dict[str, Life | None] = {str(number): None for number in range(plan.consumers)}
        self.beside: list[Life] = []
        self.outcome = Outcome()
        self.faults = Path(world.folder / "faults")
        self.faults_read = 0
        self.disk_full_until_s = self.looked_s = 0.0
        self.scripted = isinstance(schedule, Script)
        self.began_s = time.monotonic()

    def run(self) -> Outcome:
        try:
            self.world.produce(int(self.plan.records * BACKLOG_SHARE))
            while self.progress() < 1:
                self.turn()
                time.sleep(LOOP_S)
            self.outcome.seconds = time.monotonic() - self.began_s
            self.stop_all()
            self.drain()
            self.judge()
        finally:
            for life in self.living():
                end(life)
        return self.outcome

    def living(self) -> list[Life]:
        return [*filter(None, self.slots.values()), *self.beside]

    def progress(self) -> float:
        """0 to 1."""
        passed_s = time.monotonic() - self.began_s
        if isinstance(self.schedule, Chance):
            scarce = any(hits(self.outcome.fallen, step) < EACH for step in STEPS)
            return max(min(self.outcome.kills / self.plan.kills, 0.99 if scarce and self.plan.kills >= FULL_RUN_KILLS else 1.0), passed_s / self.plan.seconds)
        waiting = bool(self.beside or self.schedule.world)
        return max(min(self.schedule.share(self.outcome.fallen), 0.99 if waiting else 1.0), passed_s / self.plan.seconds)

    def turn(self) -> None:
        progress = self.progress()
        self.world.produce(self.wanted(progress))
        self.read_faults()
        for slot, life in self.slots.items():
            if life is None:
                self.slots[slot] = self.begin(slot)
            elif life.process.poll() is not None:
                self.ended(life)
                self.slots[slot] = None
            else:
                self.hit(life)
                if life.joined and life.assigned():
                    self.put_beside(life)
                    life.ends_s = time.monotonic() + ROUND_S_MAX
        for life in list(self.beside):
            self.tend(life)
        if self.disk_full_until_s and time.monotonic() >= self.disk_full_until_s:
            self.world.disk.empty()
            self.disk_full_until_s = 0.0
        if not self.disk_full_until_s and (kind := self.schedule.world_due(progress)):
            self.befall(kind)

    def wanted(self, progress: float) -> int:
        """Records to produce now."""
        trickle = TRICKLE_PER_S * (time.monotonic() - self.began_s) if self.scripted else 0
        behind = self.plan.records * (BACKLOG_SHARE + (1 - BACKLOG_SHARE) * progress) + trickle - self.world.workload.next_number
        return min(500, int(behind)) if behind >= 20 else 0

    # Lives.

    def next_fate(self) -> Fate:
        under_way = {(life.orders.action, life.orders.step) for life in self.living()}
        return self.schedule.next_fate(self.outcome.fallen, under_way)

    def begin(self, slot: str) -> Life:
        fate = self.next_fate()
        orders = self.consumers.orders(
            slot,
            action=fate.action,
            step=fate.step,
            nth=fate.nth,
            also=fate.also,
            doubtful=fate.doubtful,
            seed=self.random.randrange(2**32),
            broken=self.plan.broken,
        )
        life = self.consumers.start(orders, instance=f"torture-{slot}" if fate.static else "")
        life.ends_s, life.how, life.joined = time.monotonic() + fate.after_s * self.random.uniform(0.5, 1.5), fate.how, fate.joined
        return life

    def hit(self, life: Life) -> None:
        """End it from outside, once its time has come."""
        now_s = time.monotonic()
        if (self.scripted or life.orders.action) and not life.last_step():
            life.ends_s = max(life.ends_s, now_s + START_S)  # its time begins when it does
        elif self.scripted and life.ends_s == math.inf and self.next_fate().action:
            life.ends_s = now_s  # it had nothing to expect, and is in the place of one that has
        elif self.may_go(life):
            life.woken_s, life.ends_s, life.how = 0.0, now_s + BACK_S, "term"
        elif life.term_s:
            limit_s = SCRIPT_TERM_S_MAX if self.scripted else TERM_S_MAX
            if now_s > life.term_s + limit_s:
                self.outcome.problems.append(f"{life.log.name} did not end within {limit_s:g} s of SIGTERM; last step: {life.last_step()}")
                self.kill(life)
        elif now_s >= life.ends_s:
            if life.how == "term" and not self.disk_full_until_s:
                life.term_s = now_s
                life.signal(signal.SIGTERM)
            elif life.how == "stop":
                self.fell("stopped", life.last_step())
                life.signal(signal.SIGSTOP)
                self.stopped(life)
            else:
                self.kill(life)

    def kill(self, life: Life) -> None:
        if life.process.poll() is None:
            self.fell("killed", life.last_step())
            life.signal(signal.SIGKILL)
            life.process.wait()

    def stopped(self, life: Life) -> None:
        """Its slot goes to another; it comes back when its session is over and, in a script, the other holds what it might write."""
        life.stopped_s = time.monotonic()
        life.sent = {(each.topic_id, each.partition): each.offset + 1 for each in sorted(self.world.steady.sent, key=lambda each: each.offset) if each.topic_id}
        self.put_beside(life)

    def put_beside(self, life: Life) -> None:
        """Its slot goes to another."""
        life.joined = False
        self.beside.append(life)
        self.slots[life.orders.slot] = None

    def tend(self, life: Life) -> None:
        if life.process.poll() is not None:
            self.ended(life)
            self.beside.remove(life)
        elif not life.stopped_s:
            self.hit(life)
        elif self.may_wake(life):
            life.stopped_s, life.woken_s, life.how = 0.0, time.monotonic(), "kill"
            round_s = LOSE_S_MAX if life.orders.also else ROUND_S_MAX
            life.ends_s = life.woken_s + (round_s if self.scripted else self.random.uniform(2, 6))
            life.signal(signal.SIGCONT)

    def may_wake(self, zombie: Life) -> bool:
        """When its session is over and, in a script, others have stored all that it may have read."""
        asleep_s = time.monotonic() - zombie.stopped_s
        return asleep_s >= self.plan.session_ms / 1000 + 1.5 and (not self.scripted or asleep_s > SLEEP_S_MAX or self.overtaken(zombie))

    def overtaken(self, zombie: Life) -> bool:
        if time.monotonic() < self.looked_s + 0.5:
            return False
        ends, self.looked_s = stored(self.world.lake), time.monotonic()
        return all(ends.get(place, 0) >= end for place, end in zombie.sent.items())

    def may_go(self, zombie: Life) -> bool:
        """Whether a script's zombie has come back to reading, and has no kill to expect: it is asked to stop, so that no transaction of its stays open."""
        return self.scripted and zombie.woken_s > 0 and not zombie.orders.also and zombie.last_step() == "polled"

    def ended(self, life: Life) -> None:
        """By itself, or by its orders."""
        code, said = life.process.returncode, life.said()
        if code == -signal.SIGKILL or (code == -signal.SIGTERM and not life.last_step()):  # asked to stop before Python had loaded the program
            life.log.unlink()
            return
        if life.term_s:
            self.outcome.terms_s.append(time.monotonic() - life.term_s)
        self.outcome.exits[f"{code}: {said.partition(': ')[2][:100] if code else 'asked to stop' if life.term_s else 'unasked'}"] += 1
        if "Traceback" in life.log.read_text(errors="replace") or code not in (0, 1) or (code == 0 and not life.term_s):
            self.outcome.problems.append(f"{life.log.name} ended with {code}: {said}")
        elif life.term_s and code != 0:
            self.outcome.problems.append(f"{life.log.name} was asked to stop, and ended with {code}: {said}")

    # Faults.

    def fell(self, action: str, step: str) -> None:
        self.outcome.fallen[action, step] += 1

    def read_faults(self) -> None:
        """What workers have written down since the last look."""
        if not self.faults.exists():
            return
        text = self.faults.read_bytes()[self.faults_read :].decode()
        for line in text.splitlines():
            action, step, slot, pid = line.split("\t")
            self.fell(action, step)
            life = self.slots.get(slot)
            if action == "stop" and life is not None and life.process.pid == int(pid):
                self.stopped(life)
        self.faults_read += len(text)

    def befall(self, kind: str) -> None:
        world = self.world
        if kind == "broker killed and restarted":
            world.restart_broker()
        elif kind == "partition added":
            world.add_partition(self.random.choice(world.topics) if world.steady.partitions < 9 else world.side)
        elif kind == "topic made again":
            world.remake_side()
        elif kind == "retention overtook":
            self.overtake()
        else:
            world.disk.fill()
            self.disk_full_until_s = time.monotonic() + DISK_FULL_S
        self.outcome.world[kind] += 1

    def overtake(self) -> None:
        """Retention takes what nobody has read yet, while all consumers are dead, or held for a moment."""
        lives = [life for life in self.slots.values() if life and life.process.poll() is None]
        dead = self.scripted or self.random.random() < 0.5  # one that is held may have fetched them already
        for life in lives:
            if dead:
                self.kill(life)
            else:
                life.signal(signal.SIGSTOP)
        self.world.overtake()
        for life in lives:
            if not dead:
                life.signal(signal.SIGCONT)

    # The end.

    def stop_all(self) -> None:
        if self.disk_full_until_s:
            self.world.disk.empty()
        for life in self.beside:
            life.signal(signal.SIGCONT)
        lives = self.living()
        for life in lives:
            life.signal(signal.SIGTERM)
        deadline_s = time.monotonic() + TERM_S_MAX
        for life in lives:
            with suppress(Exception):
                life.process.wait(max(0.1, deadline_s - time.monotonic()))
            end(life)
        self.read_faults()
        self.slots, self.beside = {}, []

    def drain(self) -> None:
        """Two consumers without faults, then one for what neither had when it ended, read all that is left; the next finds nothing to do."""
        self.world.produce(max(0, self.plan.records - self.world.workload.next_number))
        self.world.settle()
        if self.plan.consumers > 1:
            self.finish("drain-a", "drain-b")
        self.finish("drain-rest")
        for again in self.finish("drain-again"):
            if again["records"] or again["rejects"]:
                self.outcome.problems.append(f"a consumer that starts after all was drained reads again: {again}")

    def finish(self, *slots: str) -> list[dict[str, int]]:
        lives = [self.consumers.start(self.consumers.orders(slot, broken=self.plan.broken), arguments=("--drain",)) for slot in slots]
        try:
            for life in lives:
                if life.process.wait(DRAIN_S_MAX):
                    self.outcome.problems.append(f"{life.log.name} cannot drain: {life.said()}")
        finally:
            for life in lives:
                end(life)
        return [json.loads(life.out.read_bytes()) for life in lives if life.process.returncode == 0]

    def judge(self) -> None:
        world, outcome = self.world, self.outcome
        outcome.problems += check_content(world.lake, world.topics)
        ends = {(topic.name, number): each for topic in world.topics for number, each in world.watermarks(topic).items()}
        low = {place: first for place, (first, _) in ends.items()}
        outcome.problems += check_group(world.lake, world.broker.client, ends)
        await_transactions(world.broker.client, world.rejects_topic)
        published = read_rejects(world.broker.client, world.rejects_topic)
        outcome.problems += check_rejects(published, world.topics, low)
        report = examine(world.lake, world.broker.client, options=Options(rejects_topic=world.rejects_topic))
        excused = [each for each in report.findings if self.excuse(each, low)]
        outcome.notes += [f"{self.excuse(finding, low)}: {finding}" for finding in excused]
        outcome.problems += [f"verify: {finding}" for finding in report.findings if finding not in excused]
        outcome.notes += report.notes
        if outcome.problems:
            shutil.copytree(world.lake, world.folder / "lake-kept")  # the disk of its own goes with the run
        outcome.records, outcome.rows, outcome.rejects = world.workload.produced, report.rows, published.total()

    def excuse(self, finding: Finding, low: dict[tuple[str, int], int]) -> str:
        """Why it could not have been otherwise; '' if it could. low: where each partition of each topic begins."""
        if finding.kind == "ahead" and finding.topic_id not in {topic.id for topic in self.world.topics}:
            return "torn for ever: its topic was deleted, nobody can read the rest of the cycle"
        if finding.kind == "reject_missing" and (finding.last_offset or 0) < low.get((finding.topic, finding.partition or 0), 0):
            return "the lake had the reject before the stream, and retention took its record before the stream came to it"
        return ""
