"""One seed, from its first process to the last check.

In: a seed. Out: a Result: the faults that fell, and the Violation with its story where there was one. Never: two results for one seed.
"""

import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tests.simulation import check
from tests.simulation.borders import joined
from tests.simulation.broker import Broker, Log, Topic
from tests.simulation.plan import NO_AIM, ONCE, plan_of
from tests.simulation.tables import TABLE_NAMES, Store
from tests.simulation.transform import place_of
from tests.simulation.world import Killed, Plan, Process, Violation, World
from tracebraid.pipeline.flow import run_ingest
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.settings import IngestSettings, Settings, TopicSettings

METRICS = Metrics()
CALM_S_MAX = 1800.0
CALM_TURNS_MAX = 6000
DAY_S = 25 * 3600.0
VERDICTS = (("s", "s"), ("l", "l"), ("s", "l"), ("l", "s"), ("sl", "ls"), ("ssl", "sll"), ("r", "r"), ("r", "r"), ("-", "-"), ("lll", "lll"))
# Decoders far apart: what one takes for spans is logs to the other, and no table has rows of both; or one has rows where the other has fewer, or none.
DRIFTS = ((("s", "l"), ("s", "l"), ("-", "-")), (("s", "l"), ("-", "s"), ("sl", "s"), ("-", "r")))


@dataclass(frozen=True, slots=True)
class Result:
    """`violation` '' where all held. `exits`: how processes ended."""

    seed: int
    violation: str
    story: tuple[str, ...]
    faults: Counter[tuple[str, str]]
    exits: Counter[str]
    points: int
    records: int


class Run:
    """One seed's run."""

    def __init__(self, seed: int, plan: Plan, *, telling: bool) -> None:
        self.world = World(seed, plan, telling=telling)
        self.chance = self.world.chance
        self.broker = Broker(self.chance, self.world.tell)
        self.world.rebalance = self.broker.shake
        self.store = Store(self.world)
        self.start = self.chance.choice(("earliest", "earliest", "latest"))
        self.upgrades = self.chance.random() < 0.4
        self.verdicts = self.chance.choice(DRIFTS) if self.upgrades and self.chance.random() < 0.4 else VERDICTS
        names = ("orders", "payments")[: self.chance.choice((1, 1, 2))]
        for name in names:
            self.broker.create(name, self.chance.randint(1, 3))
        ingest = IngestSettings(start=self.start, flush_records=self.chance.choice((0, 5, 20)), flush_age_s=self.chance.choice((1.0, 4.0, 15.0)))
        self.settings = Settings(lake="virtual://lake", topics=tuple(TopicSettings(name=name) for name in names), ingest=ingest)
        self.wanted = self.chance.choice((1, 2, 2, 3))
        self.expired: set[str] = set()  # places whose group offsets were lost: there the rejects' topic may have one twice, or not at all
        self.happened: set[str] = set()
        self.bug = ""

    # Processes.

    def launch(self) -> None:
        decoder = self.chance.choice((1, 2)) if self.upgrades else 1
        process = Process(f"p{len(self.world.processes) + 1}", decoder)
        self.world.start(process, lambda: self._live(process))
        self.world.tell(f"{process.name} is started, with decoder {decoder}")

    def _live(self, process: Process) -> None:
        try:
            run_ingest(self.settings, stop=process.stop, metrics=METRICS, clock=self.world.clock(process))
            process.ended = process.ended or "exit 0"
        except Killed:
            pass
        except TracebraidError as error:
            process.ended = process.ended or f"exit {error.exit_code}"
            self.world.tell(f"exits {error.exit_code}: {error}")
        except Exception:
            if not process.dead:  # what a killed process meets while it unwinds is of no account
                self.bug = self.bug or traceback.format_exc()
        if not process.dead:
            self.world.tell(process.ended)
            process.dead, process.silent_since_s = True, self.world.now_s

    # What happens around them.

    def turn(self) -> None:
        if len(self.world.alive()) < self.wanted and (self.world.calm or self.chance.random() < 0.2):
            self.launch()
        self.world.turn()
        self.broker.watch_sessions(self.world.now_s)
        self.broker.watch_transactions(self.world.now_s)
        self.broker.rebalance()
        if self.bug:
            raise Violation(f"a stack trace instead of an error:\n{self.bug}")

    def events(self) -> None:
        for event, rate in self.world.plan.events.items():
            if self.chance.random() < rate and not (event in ONCE and event in self.happened):
                fell = getattr(self, "_" + event.lower().replace(" ", "_"))()
                if fell and event != "produce":
                    self.happened.add(event)
                    self.world.faults["event", event] += 1

    # Each says whether it happened: there may be nothing that it could befall.

    def _produce(self) -> bool:
        for topic in self.broker.topics.values():
            number = self.chance.randrange(len(topic.logs))
            log = topic.logs[number]
            if log.truncated:
                continue
            for _ in range(self.chance.randint(1, 6)):
                self.broker.produce(log, self.chance.choice(self.verdicts), self.chance.choice((0, 0, 0, 1, 3)))
            self.world.tell(f"{place_of(topic.id, number)} ({topic.name}) now ends at {log.end}")
        return True

    def _rebalance(self) -> bool:
        self.broker.rebalance_wanted = True
        return bool(self.broker.members)

    def _sigterm(self) -> bool:
        some = [process for process in self._some() if not process.stop.is_set()]
        for process in some:
            self.world.tell(f"SIGTERM to {process.name}")
            process.stop.set()
        return bool(some)

    def _sigkill(self) -> bool:
        some = self._some()
        for process in some:
            self.world.tell(f"SIGKILL to {process.name}")
            self.world.kill(process)
        return bool(some)

    def _some(self) -> list[Process]:
        alive = self.world.alive()
        return [self.chance.choice(alive)] if alive else []

    def _kill_all(self) -> None:
        for process in self.world.alive():
            self.world.kill(process)

    def _retention(self) -> bool:
        topic = self._a_topic()
        if not topic:
            return False
        number = self.chance.randrange(len(topic.logs))
        log = topic.logs[number]
        before = log.start
        log.expire(self.chance.randint(log.start, log.end))
        self.world.tell(f"retention: {place_of(topic.id, number)} begins at {log.start}")
        return log.start > before

    def _a_topic(self) -> Topic | None:
        topics = list(self.broker.topics.values())
        return self.chance.choice(topics) if topics else None

    def _partition_added(self) -> bool:
        topic = self._a_topic()
        if not topic or len(topic.logs) >= 5:
            return False
        topic.logs.append(Log(later=place_of(topic.id, 0) in self._started()))
        self.broker.rebalance_wanted = True
        self.world.tell(f"{topic.name} has {len(topic.logs)} partitions")
        return True

    def _started(self) -> set[str]:
        log = self.store.logs.get("intervals")
        return {key.partition("/")[2] for key in log.ledgers()} if log else set()

    def _topic_made_again(self) -> bool:
        topic = self._a_topic()
        if not topic:
            return False
        self.broker.delete(topic.name)
        new = self.broker.create(topic.name, self.chance.choice((len(topic.logs), len(topic.logs) + 1)))
        self.broker.rebalance_wanted |= self.chance.random() < 0.5
        self.world.tell(f"{topic.name} is made again: {new.id}")
        return True

    def _topic_deleted(self) -> bool:
        topic = self._a_topic()
        if not topic:
            return False
        self.broker.delete(topic.name)
        self.broker.rebalance_wanted = True
        self.world.tell(f"{topic.name} is deleted")
        return True

    def _truncation(self) -> bool:
        topic = self._a_topic()
        if not topic:
            return False
        number = self.chance.randrange(len(topic.logs))
        log = topic.logs[number]
        before = log.end
        log.truncate(self.chance.randint(log.start, log.end))
        self.world.tell(f"{place_of(topic.id, number)} is truncated to {log.end}")
        return log.end < before

    def _damage(self) -> bool:
        topic = self._a_topic()
        if not topic:
            return False
        number = self.chance.randrange(len(topic.logs))
        log = topic.logs[number]
        first = self.chance.randint(log.start, log.end)
        log.damaged = range(first, min(log.end, first + self.chance.randint(1, 9)))
        self.world.tell(f"{place_of(topic.id, number)} is damaged at {log.damaged}")
        return bool(log.damaged)

    def _offsets_expired(self) -> bool:
        """As Kafka lets them: of a group that was empty for a week."""
        self._kill_all()
        self.world.now_s += 8 * DAY_S
        self.broker.watch_sessions(self.world.now_s)
        self.broker.watch_transactions(self.world.now_s)
        self.broker.committed.clear()
        self.expired.update(place for place, _ in check.places(self.broker))
        self.world.tell("a week without a member: the group's offsets expire")
        return True

    def _offsets_reset(self) -> bool:
        """Somebody lets the group read yesterday again, or leave something out; Kafka's own tool does so while the group is empty."""
        self._kill_all()
        self.world.now_s += 60
        self.broker.watch_sessions(self.world.now_s)
        self.broker.watch_transactions(self.world.now_s)
        for topic in self.broker.topics.values():
            for number, log in enumerate(topic.logs):
                self.broker.committed[topic.name, number] = (self.chance.randint(log.start, log.end), "")
                self.expired.add(place_of(topic.id, number))
        self.world.tell("the group's offsets are set to others")
        return True

    def _lake_removed(self) -> bool:
        """With all its tables, while nobody writes there; the group's offsets stay."""
        self._kill_all()
        self.store.remove()
        for _, log in check.places(self.broker):
            log.later = False
        self.world.tell("the lake is removed")
        return True

    def _broker_down(self) -> bool:
        self.broker.down_until_s = self.world.now_s + self.chance.choice((0.5, 5, 60))
        self.world.tell(f"the brokers are down until {self.broker.down_until_s:.3f}")
        return True

    def _power_cut(self) -> bool:
        self.world.tell("power cut")
        self._kill_all()
        self.store.power_cut()
        return True

    def _table_altered(self) -> bool:
        if self.store.logs:
            self.store.alter(self.chance.choice(list(self.store.logs)))
        return bool(self.store.logs)

    def _table_compacted(self) -> bool:
        return bool(self.store.logs) and self.store.compact(self.chance.choice(list(self.store.logs)))

    def _clock_jump(self) -> bool:
        self.world.wall_ahead_s += self.chance.choice((-3600.0, -60.0, 60.0, 3600.0, 7 * 3600.0))
        self.world.tell(f"the wall clocks jump: {self.world.wall_ahead_s:+g} s")
        return True

    def _clock_apart(self) -> bool:
        some = self._some()
        for process in some:
            process.skew_s = self.chance.choice((-5 * 3600.0, -60.0, 60.0, 5 * 3600.0))
            self.world.tell(f"the wall clock of {process.name} is {process.skew_s:+g} s ahead of the storage's")
        return bool(some)

    def _a_day_passes(self) -> bool:
        if any(process.about_to.startswith("commit") for process in self.world.alive()):
            return False  # the one moment at which the protocol trusts that three quarters of a day do not pass: between the look at the files and the commit
        self.world.now_s += DAY_S
        for member in self.broker.members:
            member.polled_s = self.world.now_s
        self.world.tell("a day passes")
        self.broker.watch_sessions(self.world.now_s)
        self.store.sweep(24 * 3600)
        return True

    # The run.

    def whole(self) -> None:
        for _ in range(self.world.plan.turns):
            self.events()
            self.turn()
            if self.chance.random() < 0.02:
                self._look()
        self.world.tell("no more faults from here on")
        self.world.calm, self.broker.down_until_s = True, 0.0
        for name, partitions in {topic.name: len(topic.logs) for topic in self.broker.history}.items():
            if name not in self.broker.topics:
                self.broker.create(name, partitions)
        self.broker.refresh_metadata()
        for process in self.world.alive():
            process.stopped_until_s = min(process.stopped_until_s, self.world.now_s + 60)
        began_s = self.world.now_s
        for _ in range(CALM_TURNS_MAX):
            behind = check.behind(self.store, self.broker)
            if not behind and all(member.polled_s > began_s for member in self.broker.members):  # what was begun among faults may still fail of them
                break
            self.turn()
            if self.world.now_s > began_s + CALM_S_MAX:
                break
        if behind:
            raise Violation(f"stuck: {'; '.join(behind)}")
        self._stop()
        self._look()
        check.check_end(self.store, self.broker, self.expired)

    def _look(self) -> None:
        if len(self.store.logs) == len(TABLE_NAMES):
            check.check_lake(self.store, self.broker, self.start)
            check.check_rejects(self.broker, self.expired)

    def _stop(self) -> None:
        """SIGTERM to all: each ends in good order."""
        self.wanted = 0
        last = [member.process for member in self.broker.members if not member.process.dead and not member.process.stop.is_set()]
        for process in self.world.alive():
            process.stop.set()
        for _ in range(CALM_TURNS_MAX):
            if not self.world.alive():
                break
            self.turn()
        if wrong := [f"{process.name} {process.ended or 'runs on'}" for process in last if process.ended != "exit 0"]:
            raise Violation(f"after SIGTERM: {'; '.join(wrong)}")


def simulate(seed: int, *, telling: bool = False, aim: Mapping[str, str] = NO_AIM) -> Result:
    """Run one seed. Where it fails and was not told, it is run again to be told. `aim`: see plan_of."""
    run = Run(seed, plan_of(seed, aim), telling=telling)
    violation = ""
    with joined(run.world, run.broker, run.store):
        try:
            run.whole()
        except Violation as found:
            violation = str(found)
        finally:
            for process in run.world.alive():
                run.world.kill(process)
    if violation and not telling:
        return simulate(seed, telling=True, aim=aim)
    exits = Counter(process.ended for process in run.world.processes)
    records = sum(len(log.ever) for _, log in check.places(run.broker))
    return Result(seed, violation, tuple(run.world.story), run.world.faults, exits, run.world.points, records)


def many(seeds: range) -> list[Result]:
    """One process's share of a run."""
    return [simulate(seed) for seed in seeds]
