"""The rules topic as a command sees it: what stands there, writing to it, and who has taken it over.

In: settings, rules. Out: rules by name, acknowledgements. Never: a rule that nobody was told of as taken over.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.publish.producer import Message, Publisher
from tracebraid.pipeline.rules.errors import RuleError
from tracebraid.pipeline.rules.wire import RuleMessage, boundary_us, decode, encode
from tracebraid.pipeline.source.compacted import Change, CompactedTopic, latest
from tracebraid.pipeline.source.groups import members
from tracebraid.pipeline.store.lake import Lake
from tracebraid.schemas.rule import Rule

ACKNOWLEDGED_S = 5.0
JOBS = ("ingest", "detect")


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands on the topic. refused: name → why its message cannot be used."""

    rules: dict[str, RuleMessage] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Answers:
    """What came of an application. taken: who → rules it has taken over; refused: (who, rule, why). expected: job → members of its group, None unknown."""

    expected: dict[str, int | None]
    names: frozenset[str]
    taken: dict[str, set[str]] = field(default_factory=dict)
    refused: list[tuple[str, str, str]] = field(default_factory=list)

    def missing(self, job: str) -> int:
        """Members of the job's group that have not answered for every rule."""
        answered = dict.fromkeys((*self.taken, *(who for who, _, _ in self.refused)))
        whole = [who for who in answered if who.startswith(f"{job}/") and self.taken.get(who, set()) | self._refused(who) >= self.names]
        return max(0, (self.expected.get(job) or 0) - len(whole))

    def _refused(self, who: str) -> set[str]:
        return {name for other, name, _ in self.refused if other == who}

    def whole(self) -> bool:
        """Whether everybody known has answered."""
        return all(count is not None and not self.missing(job) for job, count in self.expected.items())


def standing(changes: Iterable[Change]) -> Standing:
    found = Standing()
    for (_, key), change in latest(list(changes)).items():
        name = key.decode(errors="replace")
        try:
            found.rules[name] = decode(change.key, change.value)
        except RuleError as error:
            found.refused[name] = str(error)
    return found


def on_the_topic(settings: Settings, clock: Clock) -> Standing:
    """Raises TracebraidError where no broker answers or the topic is not there."""
    topic = CompactedTopic(settings.client_config(), settings.stream.rules_topic, clock)
    try:
        return standing(topic.read())
    finally:
        topic.close()


def expected(settings: Settings, clock: Clock) -> tuple[dict[str, int | None], list[str]]:
    """(job → members of its group, None where nobody can say; why nobody can)."""
    found: dict[str, int | None] = {}
    reasons = []
    client, stream = settings.client_config(), settings.stream
    for job in JOBS:
        try:
            group = settings.detect.group or f"tracebraid-detect-{stream.windows_topic}"
            if job == "ingest":
                group = settings.ingest.group or f"tracebraid-{Lake.open(settings.lake, settings.storage_config(), clock, create=False).lake_id}"
            found[job] = members(client, group, clock)
        except TracebraidError as error:
            found[job] = None
            reasons.append(f"how many {job} there are is not known: {error.what}")
    return found, reasons


class Application:
    """One change of the topic: read what stands, send, wait. Not for several threads."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings, self.clock = settings, clock
        self._rules = CompactedTopic(settings.client_config(), settings.stream.rules_topic, clock)
        try:
            self._acks = CompactedTopic(settings.client_config(), settings.stream.rules_acks_topic, clock)
            try:
                self.standing = standing(self._rules.read())
            except BaseException:
                self._acks.close()
                raise
        except BaseException:
            self._rules.close()
            raise

    def send(self, rules: Iterable[Rule], removed: Iterable[str]) -> dict[str, int]:
        """Write them, and tombstones for those removed. Returns name → the window boundary from which it holds, microseconds of event time."""
        self._acks.read()
        now_us, topic = self.clock.unix_micro(), self.settings.stream.rules_topic
        since = {rule.name: boundary_us(now_us, rule.every_us) for rule in rules}
        messages = [Message(topic, value, key) for rule in rules for key, value in [encode(rule, since[rule.name])]]
        messages += [Message(topic, None, name.encode()) for name in removed]
        publisher = Publisher.plain(self.settings.client_config(), self.clock)
        try:
            for message in messages:
                publisher.send(message)
            publisher.flush(topic)
        finally:
            publisher.close()
        return since

    def wait(self, answers: Answers) -> Answers:
        """Until everybody has answered, for ACKNOWLEDGED_S at most; where nobody can say who there is, all of that."""
        places: dict[str, tuple[int, int]] = {}
        told: list[Mapping[str, object]] = []
        deadline = self.clock.monotonic_s() + ACKNOWLEDGED_S
        while not answers.whole() and self.clock.monotonic_s() < deadline:
            for change in self._rules.poll():
                places[change.key.decode(errors="replace")] = change.partition, change.offset
            told += [value for change in self._acks.poll(0.1) for value in _read(change)]
            left: list[Mapping[str, object]] = []
            for each in told:
                name, who = str(each.get("rule")), str(each.get("who"))
                if name not in places:
                    left.append(each)
                elif name in answers.names and (each.get("partition"), each.get("offset")) == places[name]:
                    if error := each.get("error"):
                        answers.refused.append((who, name, str(error)))
                    else:
                        answers.taken.setdefault(who, set()).add(name)
            told = left
        return answers

    def close(self) -> None:
        self._rules.close()
        self._acks.close()


def _read(change: Change) -> list[Mapping[str, object]]:
    """The acknowledgement; none where it cannot be read."""
    try:
        value = orjson.loads(change.value or b"")
    except orjson.JSONDecodeError:
        return []
    return [value] if isinstance(value, dict) else []
