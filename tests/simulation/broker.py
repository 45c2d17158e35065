"""A virtual Kafka cluster: topics with ids, logs with gaps, one group, transactions. State alone: who calls it, and what fails, is elsewhere.

In: appends, joins, commits. Out: records, assignments, offsets. Never: chance of its own (it is handed what was drawn), a fault.

As Kafka 4 and librdkafka 2.16 do it: a member that was thrown out learns it from its next heartbeat, in the background, and from then on
its group metadata has its generation but no member; a transaction's offsets are refused for an unknown member or an older generation, but
taken where the metadata has neither; offsets of an open transaction make the group's offsets unstable; a transaction left open is aborted in time.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.simulation.world import Process
from tracebraid.pipeline.kernel import limits

SESSION_S = 6.0
POLL_INTERVAL_S = 300.0
Place = tuple[str, int]
Metadata = tuple[str, int]  # member id, generation
NO_MEMBER: Metadata = ("", -1)


@dataclass(slots=True)
class Log:
    """One partition. `values`: what every offset holds that a consumer may see. `seen_end`: the highest end there was, before a truncation."""

    values: dict[int, str] = field(default_factory=dict)
    offsets: list[int] = field(default_factory=list)
    start: int = 0
    end: int = 0
    truncated: bool = False
    ever: dict[int, str] = field(default_factory=dict)
    damaged: range = range(0)  # offsets that no fetch gives
    later: bool = False  # added to a topic that was read already

    def append(self, value: str, marker: int) -> None:
        """`marker`: offsets behind the record that no consumer sees."""
        self.values[self.end] = self.ever[self.end] = value
        self.offsets.append(self.end)
        self.end += 1 + marker

    def read(self, offset: int, count: int) -> list[int]:
        """Up to damage, if there is any."""
        at = bisect_left(self.offsets, offset)
        found = self.offsets[at : at + count]
        return found[: next((index for index, each in enumerate(found) if each in self.damaged), count)] if self.damaged else found

    def is_damaged(self, offset: int) -> bool:
        """Whether a fetch from there on meets damage before a record."""
        at = bisect_left(self.offsets, offset)
        return at < len(self.offsets) and self.offsets[at] in self.damaged

    def expire(self, start: int) -> None:
        self.start = start
        self.offsets = self.offsets[bisect_left(self.offsets, start) :]

    def truncate(self, end: int) -> None:
        self.end, self.truncated = end, True
        self.offsets = self.offsets[: bisect_left(self.offsets, end)]
        self.values = {offset: value for offset, value in self.values.items() if offset < end}


@dataclass(slots=True)
class Topic:
    name: str
    id: str
    logs: list[Log]


@dataclass(slots=True)
class Member:
    """One consumer of the group as the broker sees it. `news`: what its next poll is to be told, in order."""

    id: str
    process: Process
    polled_s: float
    generation: int  # of its consumer, until it has one here
    owned: list[Place] = field(default_factory=list)
    news: list[tuple[str, list[Place]]] = field(default_factory=list)
    gone: bool = False  # thrown out: the broker knows it no more
    told: bool = False  # and it has learned so

    joined: bool = False
    serving: bool = False  # a callback is under way: it joins again once that is over

    @property
    def metadata(self) -> Metadata:
        return ("" if self.told or not self.joined else self.id, self.generation)


@dataclass(slots=True)
class Transaction:
    """`state`: open, committed or aborted. `began_s`: when its first message or offsets reached the broker."""

    epoch: int
    began_s: float
    values: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    watermarks: list[str] = field(default_factory=list)
    offsets: dict[Place, tuple[int, str]] = field(default_factory=dict)
    state: str = "open"


class Broker:
    """`tell`: writes the story."""

    def __init__(self, chance: Random, tell: Callable[[str], None]) -> None:
        self.chance, self.tell = chance, tell
        self.topics: dict[str, Topic] = {}
        self.history: list[Topic] = []
        self.down_until_s = 0.0
        self.members: list[Member] = []
        self.generation = 0
        self.rebalance_wanted = False
        self.committed: dict[Place, tuple[int, str]] = {}
        self.transactions: dict[str, list[Transaction]] = {}
        self.epochs: dict[str, int] = {}
        self.published: list[tuple[str, dict[str, str]]] = []  # value and headers of what read_committed sees of the rejects' topic
        self.told: list[tuple[str, dict[Place, tuple[int, str]]]] = []  # likewise of the windows' topic, with the offsets of the same transaction
        self._serial = 0

    # Topics.

    def create(self, name: str, partitions: int) -> Topic:
        topic = Topic(name, f"id-{len(self.history)}", [Log() for _ in range(partitions)])
        self.topics[name] = topic
        self.history.append(topic)
        return topic

    def delete(self, name: str) -> None:
        del self.topics[name]
        after = self.chance.random() < 0.3  # the group forgets it, unless a member's commit comes after
        self.committed = {place: offset for place, offset in self.committed.items() if place[0] != name or (after and offset[1])}

    def log(self, place: Place) -> Log | None:
        topic = self.topics.get(place[0])
        return topic.logs[place[1]] if topic and place[1] < len(topic.logs) else None

    def produce(self, log: Log, verdicts: Sequence[str], marker: int) -> None:
        self._serial += 1
        log.append(f"{self._serial} {' '.join(verdicts)}", marker)

    # The group.

    def join(self, process: Process, now_s: float, generation: int) -> Member:
        self._serial += 1
        member = Member(f"member-{self._serial}", process, now_s, generation)
        self.members.append(member)
        self.rebalance_wanted = True
        return member

    def leave(self, member: Member) -> None:
        if member in self.members:
            self.members.remove(member)
            self.rebalance_wanted = True
        member.gone = member.told = True
        member.owned = []

    def expel(self, member: Member, why: str) -> None:
        """Its partitions go to others; it is told so when it sends its next heartbeat, and its application at its next poll."""
        self.tell(f"the group throws {member.process.name} out: {why}")
        self.members.remove(member)
        member.gone = True
        member.news = [("lost", list(member.owned))]
        member.owned = []
        self.rebalance_wanted = True

    def watch_sessions(self, now_s: float) -> None:
        for member in list(self.members):
            silent_s = member.process.silent_since_s
            if silent_s is not None and now_s - silent_s > SESSION_S:
                self.expel(member, "no heartbeat")
            elif now_s - member.polled_s > POLL_INTERVAL_S and silent_s is None:
                self.expel(member, "no poll")
                member.told = True

    def refresh_metadata(self) -> None:
        """Members notice partitions that nobody has; until they do, a topic that was made again is read as if nothing had happened."""
        owned = {place for member in self.members for place in member.owned}
        self.rebalance_wanted |= any((name, number) not in owned for name, topic in self.topics.items() for number in range(len(topic.logs)))

    def rebalance(self) -> None:
        """Once every member can answer: a new generation. What goes from one to another is revoked now, and assigned in a later one."""
        if not self.rebalance_wanted or any(each.news or each.serving or each.process.silent_since_s is not None for each in self.members):
            return
        self.rebalance_wanted = False
        self.generation += 1
        places = [(name, number) for name in sorted(self.topics) for number in range(len(self.topics[name].logs))]
        owner = {place: member for member in self.members for place in member.owned}
        wanted = self._spread(places, owner)
        for member in self.members:
            member.generation, member.joined = self.generation, True
            revoked = [place for place in member.owned if wanted.get(place) is not member]
            assigned = [place for place in places if wanted.get(place) is member and place not in owner]
            if revoked:
                member.news.append(("revoke", revoked))
            if assigned or not member.owned:
                member.owned += assigned
                member.news.append(("assign", assigned))
        said = "; ".join(f"{each.process.name} {_spell(each.owned)}" for each in self.members)
        self.tell(f"generation {self.generation}: {said}")

    def shake(self) -> bool:
        """Rebalance now, if every member can answer; whether there was a new generation."""
        before, self.rebalance_wanted = self.generation, True
        self.rebalance()
        return self.generation > before

    def _spread(self, places: Sequence[Place], owner: dict[Place, Member]) -> dict[Place, Member]:
        """As many for each; sticky, mostly."""
        if not self.members:
            return {}
        share = -(-len(places) // len(self.members))
        wanted: dict[Place, Member] = {}
        left = {id(member): share for member in self.members}
        sticky = self.chance.random() < 0.7
        for place in places:
            member = owner.get(place)
            if member is None or not sticky or not left[id(member)]:
                member = self.chance.choice([each for each in self.members if left[id(each)]])
            left[id(member)] -= 1
            wanted[place] = member
        return wanted

    def released(self, member: Member, places: Sequence[Place]) -> None:
        """A member has given partitions up, and joins again."""
        member.owned = [place for place in member.owned if place not in places]
        self.rebalance_wanted = True

    def fences(self, metadata: Metadata) -> str:
        """The error that a transaction's offsets meet, or ''."""
        if metadata == NO_MEMBER:
            return ""
        member = next((each for each in self.members if each.id == metadata[0]), None)
        if member is None:
            return "UNKNOWN_MEMBER_ID"
        return "" if metadata[1] == self.generation else "ILLEGAL_GENERATION"

    # Transactions.

    def unstable(self, place: Place) -> bool:
        return any(each.state == "open" and place in each.offsets for chain in self.transactions.values() for each in chain[-1:])

    def begin_life(self, name: str) -> int:
        """Fence whoever had the id, abort what it left open."""
        self.epochs[name] = self.epochs.get(name, -1) + 1
        self.finish(name, "aborted")
        return self.epochs[name]

    def open(self, name: str, epoch: int, now_s: float) -> Transaction | None:
        """The transaction that is open under the id, or a new one; None for a producer that is fenced."""
        if self.epochs.get(name) != epoch:
            return None
        chain = self.transactions.setdefault(name, [])
        if not chain or chain[-1].state != "open":
            chain.append(Transaction(epoch, now_s))
        return chain[-1]

    def finish(self, name: str, state: str) -> None:
        chain = self.transactions.get(name)
        if not chain or chain[-1].state != "open":
            return
        last = chain[-1]
        last.state = state
        if state == "committed":
            self.published += last.values
            self.told += [(value, last.offsets) for value in last.watermarks]
            self.committed.update(last.offsets)
            self.tell(f"transaction {state}: {len(last.values)} rejects, offsets {_spell_offsets(last.offsets)}")

    def watch_transactions(self, now_s: float) -> None:
        for name, chain in self.transactions.items():
            if chain and chain[-1].state == "open" and now_s - chain[-1].began_s > limits.transaction_timeout_ms / 1000:
                self.tell(f"the broker aborts a transaction that was open too long: {name}")
                self.epochs[name] += 1
                self.finish(name, "aborted")


def _spell(places: Sequence[Place]) -> str:
    return "[" + " ".join(f"{topic}/{number}" for topic, number in places) + "]"


def _spell_offsets(offsets: dict[Place, tuple[int, str]]) -> str:
    return " ".join(f"{topic}/{number}={offset}" for (topic, number), (offset, _) in offsets.items())
