"""The world of one seed: its chance, its time, its processes, its story.

In: a seed, a Plan of which faults there are and how often. Out: processes that run one at a time, in an order that the seed decides;
every call they make into a virtual part passes `point`, where the seed may kill or stop the process, make the call fail, or let others go
first. Never: real time, a thread, anything that differs between two runs of one seed.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from threading import Event

from greenlet import greenlet

from tracebraid.pipeline.kernel.clock import Clock

EPOCH_S = 1_700_000_000.0
CALL_S = 0.004  # what a call takes


class Killed(BaseException):
    """The end of a process. Whatever it does while it unwinds reaches no virtual part: a process that is killed does nothing more."""


class Violation(Exception):
    """Something that must hold does not."""


@dataclass(slots=True)
class Process:
    """One ingest. `stopped_until_s`: SIGSTOP holds it till then. `silent_since_s`: since when it sends no heartbeats."""

    name: str
    decoder: int
    stop: Event = field(default_factory=Event)
    thread: greenlet | None = None
    wake_s: float = 0.0
    stopped_until_s: float = 0.0
    silent_since_s: float | None = None
    dead: bool = False
    ended: str = ""
    about_to: str = ""
    skew_s: float = 0.0  # how far the wall clock of its machine is ahead of the others'


@dataclass(frozen=True, slots=True)
class Plan:
    """What one seed does. `rates`: fault → probability at a point that has it. `focus`: a step where everything fails more often, and how often."""

    rates: Mapping[str, float]
    events: Mapping[str, float]
    focus: str
    focus_rate: float
    switch: float
    turns: int


class World:
    """`story` is written only where `telling`: most seeds are never told."""

    def __init__(self, seed: int, plan: Plan, *, telling: bool = False) -> None:
        self.chance = Random(seed)
        self.plan = plan
        self.now_s = 0.0
        self.wall_ahead_s = 0.0
        self.processes: list[Process] = []
        self.running: Process | None = None
        self.calm = False  # no more faults: what was begun must come to its end
        self.faults: Counter[tuple[str, str]] = Counter()
        self.telling = telling
        self.story: list[str] = []
        self.points = 0
        self.rebalance: Callable[[], bool] = lambda: False  # whether the group could begin a new generation just now
        self._hub = greenlet.getcurrent()
        self._at: dict[str, tuple[tuple[float, str], ...]] = {}

    def tell(self, what: str) -> None:
        if self.telling:
            who = self.running.name if self.running else "world"
            self.story.append(f"{len(self.story) + 1:5} {self.now_s:10.3f} {who:6} {what}")

    # What a virtual part calls.

    def point(self, step: str, *fails: str) -> str:
        """A process is about to do `step`. Which of `fails` befalls it, or ''. Raises Killed."""
        process = self.running
        if process is None:
            return ""
        if process.dead:
            raise Killed
        self.points += 1
        self.now_s += CALL_S
        process.about_to = step
        draw = self.chance.random()
        if self.calm:
            if draw < self.plan.switch:
                self.wait(0)
            return ""
        for below, kind in self._at.get(step) or self._thresholds(step, fails):
            if draw < below:
                return self._befall(process, step, kind)
        return ""

    def _thresholds(self, step: str, fails: tuple[str, ...]) -> tuple[tuple[float, str], ...]:
        kinds = ("kill", "stop", "new generation", *fails)
        focused = self.plan.focus and step.startswith(self.plan.focus)
        below, found = 0.0, []
        for kind in kinds:
            rate = self.plan.rates.get(kind, 0.0)
            below += self.plan.focus_rate / len(kinds) if focused and rate else rate
            found.append((below, kind))
        found.append((below + self.plan.switch, "switch"))
        self._at[step] = tuple(found)
        return self._at[step]

    def _befall(self, process: Process, step: str, kind: str) -> str:
        if kind == "switch":
            self.wait(0)
            return ""
        if kind == "new generation":
            self.faults[kind, step] += self.rebalance()
            return ""
        self.faults[kind, step] += 1
        if kind == "kill":
            self.tell(f"is killed before: {step}")
            self.kill(process)
            raise Killed
        if kind == "stop":
            span_s = self.chance.choice((1.0, 8.0, 12.0, 40.0))
            self.tell(f"is stopped for {span_s:g} s before: {step}")
            process.stopped_until_s = self.now_s + span_s
            process.silent_since_s = self.now_s
            self.wait(0)
            return ""
        self.tell(f"{kind} at: {step}")
        return kind

    def wait(self, span_s: float) -> None:
        """Let others run; come back after `span_s` at the earliest."""
        process = self.running
        assert process is not None
        if process.dead:
            raise Killed
        process.wake_s = self.now_s + span_s
        self._hub.switch()

    def clock(self, process: Process) -> Clock:
        """Time as a process sees it."""

        def sleep(span_s: float) -> None:
            self.wait(span_s * self.chance.uniform(1, 20))

        return Clock(lambda: int((self.wall_s + process.skew_s) * 1e9), lambda: self.now_s, sleep)

    @property
    def wall_s(self) -> float:
        """Seconds since 1970, as the storage has it, and every machine whose clock is not apart."""
        return EPOCH_S + self.now_s + self.wall_ahead_s

    # What the run calls.

    def start(self, process: Process, life: Callable[[], None]) -> None:
        process.thread = greenlet(life, parent=self._hub)
        process.wake_s = self.now_s
        self.processes.append(process)

    def kill(self, process: Process) -> None:
        """SIGKILL. Its stack unwinds at once, without effect."""
        process.dead = True
        process.silent_since_s = process.silent_since_s if process.silent_since_s is not None else self.now_s
        process.ended = process.ended or "killed"
        if process is not self.running and process.thread:
            running, self.running = self.running, process
            process.thread.throw(Killed)
            self.running = running

    def alive(self) -> list[Process]:
        return [process for process in self.processes if not process.dead]

    def turn(self) -> None:
        """Let one process run to its next switch; time passes where all wait."""
        alive = self.alive()
        for process in alive:
            if process.stopped_until_s and process.stopped_until_s <= self.now_s:
                process.stopped_until_s, process.silent_since_s = 0.0, None
                self.tell(f"{process.name} goes on after SIGCONT")
        ready = [process for process in alive if max(process.wake_s, process.stopped_until_s) <= self.now_s]
        if not ready:
            self.now_s = min((max(process.wake_s, process.stopped_until_s) for process in alive), default=self.now_s + 1)
            return
        process = ready[0] if len(ready) == 1 else self.chance.choice(ready)
        self.running = process
        assert process.thread is not None
        process.thread.switch()
        self.running = None
