"""The lake: tables spans, logs, rejects and intervals, each with a ledger that moves in the same commit as its rows.

In: cycles (rows and the intervals of offsets they come from). Out: committed versions; ledgers. Never: a row twice, a row lost, a wait.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Self

from deltalake import DeltaTable, Transaction

from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import OwnershipLost, TracebraidError
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.store.conditional import check_conditional_put
from tracebraid.pipeline.store.errors import STORAGE_ERRORS, explain, is_conflict
from tracebraid.pipeline.store.files import File, Files
from tracebraid.pipeline.store.ledger import (
    Committed,
    Cycle,
    Held,
    Position,
    Progress,
    interval_rows,
    ledger,
    mark,
    mark_key,
    new_mark,
    next_offsets,
    positions_from,
)
from tracebraid.pipeline.store.parquet import write_rows
from tracebraid.pipeline.store.table_log import TableLog, names_any
from tracebraid.pipeline.store.tables import GROUP, TABLES, check_options, lake_url, open_table, table_files
from tracebraid.pipeline.store.transactions import Transactions
from tracebraid.schemas.intervals import INTERVALS
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.spans import SPANS

CONFLICTS_MAX = 20  # commits of others that may come between, before we say that something is wrong


def _nothing(step: str) -> None:
    """What happens after a step when nobody looks."""


class Lake:
    """One process's hold on the lake. Not for several threads at once. `after_step`: called with each step's name; tests inject faults there."""

    def __init__(self, url: str, tables: Mapping[str, DeltaTable], files: Mapping[str, Files], clock: Clock) -> None:
        self.url = url
        self.after_step: Callable[[str], None] = _nothing
        self._tables = tables
        self._files = files
        self._clock = clock
        # The ledger that we last wrote or read, by table and partition: what a snapshot must say for us to be the owner.
        self._known: dict[str, dict[Partition, int | None]] = {name: {} for name in tables}
        # Partitions of a cycle that some tables hold and others do not yet: only that cycle may go on, or read_ledger.
        self._torn: dict[Partition, Progress] = {}
        # Likewise the mark of the last commit that left a ledger where it was: with it, no commit leaves a partition in a table as it found it.
        self._marks: dict[str, dict[Partition, int]] = {name: {} for name in tables}
        # Partitions whose ledgers were read, and of which no cycle was committed since: the writer before us may still be about.
        self._unfenced: set[Partition] = set()
        self._logs = {table.name: TableLog(f"{url}/{table.name}", table, tables[table.name], files[table.name]) for table in TABLES}
        self._transactions = {name: log.transactions for name, log in self._logs.items()}

    @classmethod
    def open(cls, url: str, options: Mapping[str, str], clock: Clock, *, create: bool = True) -> Self:
        """`url`: a directory or an object store's URL; `options`: delta-rs's storage options; `create`: to write, if need be into a new lake.

        Raises TracebraidError, UsageError: also where the store would let two writers take one version."""
        check_options(options)
        place = lake_url(url)
        if create:
            check_conditional_put(place, options)
        tables = {table.name: open_table(place, table, options, create=create) for table in TABLES}
        return cls(place, tables, {table.name: table_files(place, table.name, options) for table in TABLES}, clock)

    @property
    def lake_id(self) -> str:
        """Eight hex characters, fixed when the lake was made."""
        return str(self._tables[INTERVALS.name].metadata().id)[:8]

    def claim(self, group: str) -> None:
        """Record `group` as the one consumer group that fills this lake. Raises TracebraidError where another one does."""
        name = INTERVALS.name
        for _ in range(CONFLICTS_MAX):
            owner = self._refresh(name).metadata().configuration.get(GROUP)
            if owner == group:
                return
            if owner is not None:
                raise TracebraidError(
                    f"the lake {self.url} is filled by the consumer group {owner}, not by {group}",
                    f"Set ingest.group to {owner}, or give {group} a lake of its own",
                )
            try:
                self._tables[name].alter.set_table_properties({GROUP: group}, raise_if_not_exists=False)
            except STORAGE_ERRORS as error:
                if not is_conflict(error):
                    raise explain(error, f"claim the lake {self.url}") from error
        raise TracebraidError(f"cannot claim the lake {self.url}: it changes all the time", "Try again", transient=True)

    def read_ledger(self, partition: Partition) -> Held:
        """read_ledgers of one partition."""
        return self.read_ledgers([partition])[partition]

    def read_ledgers(self, partitions: Collection[Partition]) -> dict[Partition, Held]:
        """How far the lake has come in each partition, and what a torn cycle left ahead of that: one look at each table for all of them.

        Raises TracebraidError where storage fails."""
        for table in TABLES:
            self._refresh(table.name)
            found = self._transactions[table.name]
            self._known[table.name].update({each: ledger(found, each) for each in partitions})
            self._marks[table.name].update({each: mark(found, each) for each in partitions})
        self._unfenced.update(partitions)
        starts = {each: self._known[INTERVALS.name][each] for each in partitions}
        until = {each: start or 0 for each, start in starts.items()}
        ahead: dict[Partition, dict[Position, str]] = {each: {} for each in partitions}
        for name in [table.name for table in TABLES if table is not INTERVALS]:
            beyond = {each: known for each, start in starts.items() if (known := self._known[name][each]) is not None and known > (start or 0)}
            try:
                positions = positions_from(self._tables[name], {each: starts[each] or 0 for each in beyond})
            except STORAGE_ERRORS as error:
                raise explain(error, f"read back {self.url}/{name}") from error
            for each, known in beyond.items():
                until[each] = max(until[each], known)
                ahead[each].update(dict.fromkeys(positions[each], name))
        for each in partitions:
            self._torn.pop(each, None)
        return {each: Held(start, ahead[each], until[each]) for each, start in starts.items()}

    def started(self, partitions: Iterable[Partition]) -> set[Partition]:
        """Those of the partitions that have a ledger, by the newest snapshot. Nothing is remembered."""
        self._refresh(INTERVALS.name)
        return {each for each in partitions if ledger(self._transactions[INTERVALS.name], each) is not None}

    def commit(self, cycle: Cycle) -> Committed:
        """Make a cycle visible. Every partition in it must have been read by read_ledger, or committed, by this object before.

        1. The ledgers of intervals are what we last wrote or read; else another owns a partition. Skipped, a zombie would write files for
           nothing; it is no fence, since an owner may come after it.
        2. Files are written under fresh names, and synced with their directories. After 3, the log would name files that a crash, or a
           full disk, never lets be; readers of the snapshot would fail.
        3. Where it is the first cycle of a partition after its ledgers were read: fence all tables but the first that has rows, by a commit
           without rows. Skipped, a zombie with another decoder, which has rows for tables where we have none or have not come to yet, would
           find them as it left them, and add its rows to ours.
        4. For logs, spans, rejects, intervals, in this order, tables without rows left out (intervals before the others would let the next
           owner start behind rows that a crash keeps from being written: lost):
           a. take the newest snapshot, and check our ledgers in it once more: the commit must be made from the snapshot that was checked,
              or an owner that came between goes unseen, and rows are doubled;
           b. the files are there and younger than the sweep allows: the log takes names of files that do not exist;
           c. commit rows and ledgers in one entry; apart, a crash between them loses or doubles the rows;
           d. sync the log entry before the next table is begun: after a power cut, intervals could say more than the tables hold.
        5. Remember the ledgers.

        Raises OwnershipLost (the cycle must be dropped; its files that no commit may name are removed), TracebraidError (storage: the same
        cycle can be given again, and what is committed already is left out), ValueError (the intervals do not fit).
        """
        targets = next_offsets(cycle)
        try:
            self._check_ownership(cycle, targets)  # 1
            self.after_step("checked")
            self._write_files(cycle)  # 2
            self.after_step("written")
            if not self._unfenced.isdisjoint(targets):
                self._fence(cycle, targets)  # 3
            for table in TABLES:  # 4
                if cycle.progress.files[table.name] and table.name not in cycle.progress.versions:
                    self._commit_table(table.name, cycle, targets)
                    self.after_step(f"committed {table.name}")
        except OwnershipLost:
            self._remove_files(cycle)
            raise
        for partition in targets:
            self._torn.pop(partition, None)
        self._unfenced.difference_update(targets)
        return _summary(cycle)

    def _check_ownership(self, cycle: Cycle, targets: Mapping[Partition, int]) -> None:
        for partition in targets:
            if self._torn.get(partition, cycle.progress) is not cycle.progress:
                raise OwnershipLost(f"an earlier cycle of {partition} is half committed: its ledgers must be read again")
        if INTERVALS.name not in cycle.progress.attempts:
            self._refresh(INTERVALS.name)
            self._check_ledgers(INTERVALS.name, cycle, targets)

    def _check_ledgers(self, name: str, cycle: Cycle, targets: Mapping[Partition, int]) -> None:
        """By the newest snapshot, as _refresh left it."""
        found = self._transactions[name]
        for partition in targets:
            stored = ledger(found, partition)
            known = cycle.expected[partition] if name == INTERVALS.name else self._known[name].get(partition)
            if stored != known or mark(found, partition) != self._marks[name].get(partition, 0):
                raise OwnershipLost(f"another writer has {partition}: table {name} is at offset {stored}, we left it at {known}, or there since")

    def _write_files(self, cycle: Cycle) -> None:
        batches = {
            SPANS.name: cycle.spans,
            LOGS.name: cycle.logs,
            REJECTS.name: cycle.rejects,
            INTERVALS.name: [interval_rows(cycle.intervals, cycle.group, self._clock.unix_micro())],
        }
        for table in TABLES:
            name = table.name
            if name in cycle.progress.versions:
                continue  # the cycle is given again after an error
            try:
                if name in cycle.progress.files and self._are_fresh(name, cycle):
                    continue
                cycle.progress.files[name] = write_rows(table, batches[name], self._files[name], cycle.encoded_ahead(name))
            except STORAGE_ERRORS as error:
                self._remove_files(cycle)
                raise explain(error, f"write to {self.url}/{name}") from error

    def _are_fresh(self, name: str, cycle: Cycle) -> bool:
        """Whether the cycle's files of this table are there, and will not be taken for orphans soon."""
        return self._logs[name].are_fresh(cycle.progress.files[name], self._clock)

    def _remove_files(self, cycle: Cycle) -> None:
        """Remove what no commit can have named; they are written anew if the cycle is given again."""
        for name in [name for name in cycle.progress.files if name not in cycle.progress.attempts]:
            for file in cycle.progress.files.pop(name):
                self._files[name].remove_file(file.path)

    def _fence(self, cycle: Cycle, targets: Mapping[Partition, int]) -> None:
        with_rows = [table.name for table in TABLES if cycle.progress.files[table.name]]  # intervals always
        for table in TABLES:
            if table.name != with_rows[0] and table.name not in cycle.progress.fenced.union(cycle.progress.attempts):
                self._commit_table(table.name, cycle, targets, fence=True)
                cycle.progress.fenced.add(table.name)
        self.after_step("fenced")

    def _commit_table(self, name: str, cycle: Cycle, targets: Mapping[Partition, int], *, fence: bool = False) -> None:
        """`fence`: without rows. Where a ledger stays as it is, the commit leaves its mark instead."""
        progress, own = cycle.progress, new_mark(cycle, fence=fence)
        ledgers: Mapping[Partition, int | None] = self._ledgers_after(name, targets)
        if fence and progress.files[name]:
            ledgers = {each: self._known[name].get(each) for each in targets}  # they move with the rows
        marks = {each: own for each, offset in ledgers.items() if fence or offset == self._known[name].get(each)}
        moves = [Transaction(each.ledger_key, offset) for each, offset in ledgers.items() if offset is not None]
        moves += [Transaction(mark_key(each), own) for each in marks]
        for _ in range(CONFLICTS_MAX):
            try:
                snapshot = self._refresh(name)  # 4a
                if self._took_place(name, snapshot, cycle) or (fence and _is_marked(self._transactions[name], targets, own)):
                    break
                self._check_ledgers(name, cycle, targets)
                if not fence and not self._are_fresh(name, cycle):  # 4b
                    raise TracebraidError(f"files of {self.url}/{name} are gone, or too old to commit", "The cycle is written again", transient=True)
                if not fence:
                    self._torn.update(dict.fromkeys(targets, progress))
                    progress.attempts.setdefault(name, []).append(progress.files[name][0].path)
                checked = snapshot.version()
                self._append(name, snapshot, [] if fence else progress.files[name], moves)  # 4c
                progress.others += self._refresh(name).version() - checked - 1  # 4d
                break
            except STORAGE_ERRORS as error:
                # A conflict, or an answer that leaves open whether the commit took place: the next snapshot tells.
                progress.conflicts += is_conflict(error)
                if not is_conflict(error) and not (
                    self._took_place(name, self._refresh(name), cycle) or (fence and _is_marked(self._transactions[name], targets, own))
                ):
                    raise explain(error, f"commit to {self.url}/{name}") from error
        else:
            raise TracebraidError(
                f"cannot commit to {self.url}/{name}: it changes all the time", "Look for other writers; the cycle is tried again", transient=True
            )
        if not fence:
            progress.versions[name] = self._tables[name].version()
            cycle.ahead.pop(name, None)
        self._known[name].update(ledgers)  # 5
        self._marks[name].update(marks)

    def _append(self, name: str, snapshot: DeltaTable, files: Sequence[File], moves: Sequence[Transaction]) -> None:
        self._logs[name].append(snapshot, files, moves, self._clock.unix_nano() // 1_000_000)

    def _ledgers_after(self, name: str, targets: Mapping[Partition, int]) -> dict[Partition, int]:
        """A table that a torn cycle left ahead stays there until intervals has come as far: a ledger never goes back."""
        return {partition: max(offset, self._known[name].get(partition) or 0) for partition, offset in targets.items()}

    def _took_place(self, name: str, snapshot: DeltaTable, cycle: Cycle) -> bool:
        """Whether an earlier attempt to commit this cycle's files, whose answer we did not understand, succeeded after all."""
        return names_any(snapshot, cycle.progress.attempts.get(name, ()))

    def _refresh(self, name: str) -> DeltaTable:
        """The table's newest snapshot, all its log entries durable; its transactions, as of that snapshot."""
        return self._logs[name].refresh()


def _is_marked(found: Transactions, targets: Iterable[Partition], own: int) -> bool:
    return any(mark(found, each) == own for each in targets)


def _summary(cycle: Cycle) -> Committed:
    files = {name: written for name in cycle.progress.versions if (written := cycle.progress.files[name])}
    return Committed(
        versions={name: cycle.progress.versions[name] for name in files},
        files={name: len(written) for name, written in files.items()},
        bytes={name: sum(file.bytes for file in written) for name, written in files.items()},
        rows={name: sum(file.rows for file in written) for name, written in files.items()},
        others=cycle.progress.others,
        conflicts=cycle.progress.conflicts,
    )
