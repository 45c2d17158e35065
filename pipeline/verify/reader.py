"""The independent reader, in order: does the lake have every position once, and does it say so truly?

    logs of the tables → files → positions, intervals → partition by partition, beside the topic → rejects topic

In: the lake's place, client settings. Out: a Report. It shares no code with what writes the lake or queries it, nor a Delta library: so a
mistake there is not made here again. Never: a write, a group joined.

1. Snapshots: intervals first, then the tables. The other way round, rows of a cycle between the two would be counted and not be seen.
2. Every file of them is read whole, beside what the log says of it; positions are packed.
3. For each partition: intervals in order, then rows beside intervals and beside the topic, by ascending offset.
4. What is beyond the last interval belongs to a cycle under way: intervals' log is read again, and what it has reached by then is left out.
5. The rejects topic: the group's offsets first, then the messages; below its offset the stream owes every reject.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.verify import accounts, positions
from tracebraid.pipeline.verify.accounts import COUNTS, Account, Intervals, check_account
from tracebraid.pipeline.verify.delta_log import read_snapshot
from tracebraid.pipeline.verify.files import read_batches
from tracebraid.pipeline.verify.partition import Files, PartitionCheck, Positions, merged
from tracebraid.pipeline.verify.place import Place
from tracebraid.pipeline.verify.positions import Block
from tracebraid.pipeline.verify.rejects import check_rejects
from tracebraid.pipeline.verify.report import Finding, Key, Longs, Report, in_order
from tracebraid.pipeline.verify.topics import Broker, Count

INTERVALS = "intervals"
TABLES = ("rejects", "spans", "logs")
GROUP = "tracebraid.group"  # property of table intervals: the consumer group that fills the lake


@dataclass(frozen=True, slots=True)
class Options:
    """storage: the object store's options. rejects_topic: '' to leave the rejects topic out. count: rows that a record should have, by its value.

    told: is given a line about what is looked at now.
    """

    storage: Mapping[str, str] = field(default_factory=dict)
    rejects_topic: str = ""
    count: Count | None = None
    told: Callable[[str], None] = lambda _: None


def verify(lake: str, client: Mapping[str, str] | None, topics: Sequence[str] = (), options: Options | None = None) -> list[Finding]:
    """All that is wrong with `lake`; see examine()."""
    return examine(lake, client, topics, options).findings


def examine(lake: str, client: Mapping[str, str] | None, topics: Sequence[str] = (), options: Options | None = None) -> Report:
    """Read `lake` and its topics. client: librdkafka's settings; None: the lake alone. topics: names; none: all that intervals name.

    Raises TracebraidError where lake or brokers cannot be read, UsageError for a topic that the lake does not know.
    """
    return _Reading(lake, client, topics, options or Options()).report


class _Reading:
    """One run; its steps as the module's docstring numbers them."""

    def __init__(self, lake: str, client: Mapping[str, str] | None, topics: Sequence[str], options: Options) -> None:
        self.options, self.report = options, Report()
        self.place = Place.of(lake, options.storage)
        self.snapshots = {table: read_snapshot(self.place, table) for table in (INTERVALS, *TABLES)}  # 1
        for snapshot in self.snapshots.values():
            self.report.findings += snapshot.findings
        self.intervals = self._read_intervals()  # 2
        self.blocks, self.files = self._read_positions()
        known = {*self.intervals.topics, *self.blocks, *(key for snapshot in self.snapshots.values() for key in snapshot.ledgers)}
        if unknown := sorted(set(topics) - set(self.intervals.topics.values())):
            raise UsageError(f"no interval of the lake {lake} is of topic {unknown[0]}", "`tracebraid status` lists its topics")
        self.keys = sorted(key for key in known if not topics or self.intervals.topics.get(key) in topics)
        broker = Broker(client, Clock()) if client is not None else None
        try:
            self._check_partitions(broker)
        finally:
            if broker:
                broker.close()
        self.report.findings = in_order(self.report.findings)

    def _read_intervals(self) -> Intervals:
        found = Intervals()
        for add in self.snapshots[INTERVALS].files.values():
            self.report.files += 1
            for batch in read_batches(self.place, INTERVALS, add, accounts.COLUMNS, self.report.findings):
                found.add(batch)
        self.report.intervals = found.rows
        return found

    def _read_positions(self) -> tuple[dict[Key, list[Block]], Files]:
        blocks: defaultdict[Key, list[Block]] = defaultdict(list)
        names = [(table, path) for table in TABLES for path in self.snapshots[table].files]
        for number, (table, path) in enumerate(names):
            self.options.told(f"file {number + 1} of {len(names)}")
            batches = read_batches(self.place, table, self.snapshots[table].files[path], positions.COLUMNS, self.report.findings)
            rows, nulls = positions.pack_batches(batches, number, blocks)
            self.report.rows += rows
            if nulls:
                self.report.findings.append(Finding("file_unreadable", count=nulls, table=table, file=path, detail=f"{nulls} rows without a position"))
        self.report.files += len(names)
        return dict(blocks), Files(names, np.array([list(COUNTS).index(table) for table, _ in names], dtype=np.int64))

    # 3.

    def _check_partitions(self, broker: Broker | None) -> None:
        reachable = self._reachable(broker) if broker else set()
        rejected: dict[Key, Positions] = {}
        ahead: list[tuple[Account, str, Longs, int]] = []
        for key in self.keys:
            account = self.intervals.account(key, self.snapshots[INTERVALS].ledgers.get(key), self.snapshots["rejects"].expired.get(key, 0))
            self.options.told(f"{account.topic or key.topic_id}[{key.number}]")
            self.report.findings += check_account(account)
            ledgers = {table: ledger for table in TABLES if (ledger := self.snapshots[table].ledgers.get(key)) is not None}
            compacted = bool(broker and key in reachable and broker.is_compacted(account.topic))
            check = PartitionCheck(account, self.blocks.pop(key, []), self.files, ledgers, compacted=compacted)
            if broker and key in reachable:
                edges = [int(account.first[0]), *(offset for hole in account.damaged for offset in hole), account.end]
                readable = zip(edges[::2], edges[1::2], strict=True)
                self.report.findings += check.run(
                    chunk for first, end in readable for chunk in broker.chunks(account.topic, key.number, first, end, self.options.count)
                )
                self._note(account, check)
            else:
                self.report.findings += check.run(None)
            self.report.records += check.records
            self.report.partitions += 1
            rejected[key] = check.rejects
            beyond = [table for table in TABLES if table in check.ahead or ledgers.get(table, 0) > account.claimed]
            ahead += [(account, table, merged(check.ahead.get(table, [])), ledgers.get(table, 0)) for table in beyond]
        self._check_ahead(ahead)
        if broker and self.options.rejects_topic:
            self._check_rejects(broker, reachable, rejected)

    def _reachable(self, broker: Broker) -> set[Key]:
        """Partitions whose topic is this cluster's still, and the same; the others are noted."""
        reachable, why = set(), {}
        ids = {topic: broker.topic_id(topic) for topic in sorted({self.intervals.topics[key] for key in self.keys if key in self.intervals.topics})}
        for key in self.keys:
            topic = self.intervals.topics.get(key, "")
            if not topic:
                continue
            if key.cluster != broker.cluster:
                why[topic, key.topic_id] = "is no topic of this cluster"
            elif ids[topic] != key.topic_id:
                why[topic, key.topic_id] = "was deleted, and made again" if ids[topic] else "is not there any more"
            else:
                reachable.add(key)
        self.report.notes += [f"{topic} (id {topic_id}) {reason}: the lake alone was checked" for (topic, topic_id), reason in sorted(why.items())]
        return reachable

    def _note(self, account: Account, check: PartitionCheck) -> None:
        place = f"{account.topic}[{account.key.number}]"
        for first, last in check.unread:
            self.report.notes.append(f"{place}: offsets {first} to {last} cannot be read from the topic, retention took most such: the lake alone was checked")
        if check.compacted:
            self.report.notes.append(f"{place}: the topic is compacted, or its settings may not be seen: rows without a record were not looked for")

    # 4.

    def _check_ahead(self, ahead: Sequence[tuple[Account, str, Longs, int]]) -> None:
        if not ahead:
            return
        reached = read_snapshot(self.place, INTERVALS).ledgers
        for account, table, beyond, ledger in ahead:
            end = max(account.claimed, reached.get(account.key, 0))
            offsets = beyond[beyond >= end]
            if len(offsets) or ledger > end:
                last = max(int(offsets.max()) if len(offsets) else 0, ledger - 1)
                detail = f"intervals end before {end}, the ledger of {table} is {ledger}; an ingest that starts finishes such a cycle"
                self.report.findings.append(account.finding("ahead", end, last, len(offsets), detail, table=table))

    # 5.

    def _check_rejects(self, broker: Broker, reachable: set[Key], rejected: Mapping[Key, Positions]) -> None:
        topic, group = self.options.rejects_topic, self.snapshots[INTERVALS].properties.get(GROUP, "")
        keys = {key: self.intervals.topics[key] for key in self.keys if key in reachable}
        committed = broker.committed(group, keys) if group else {}
        self.options.told(topic)
        published = broker.published(topic, group)
        for key, name in keys.items():
            self.report.rejects += len(published(key).offsets)
            if key not in committed and any(len(offsets) for offsets, _ in rejected[key]):
                self.report.notes.append(f"{name}[{key.number}]: the group has no offset: which rejects should be on {topic} is not known")
            self.report.findings += check_rejects(key, name, rejected[key], published(key), committed.get(key, 0))
