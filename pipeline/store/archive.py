"""One table that is kept from one topic, outside of ingest's cycles: rows and ledger in one commit.

In: portions (rows, and the offsets that they come up to). Out: committed versions; ledgers. Never: a row twice, a row lost, a wait.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import pyarrow as pa
from deltalake import Transaction

from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import OwnershipLost, TracebraidError
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.store.conditional import check_conditional_put
from tracebraid.pipeline.store.errors import STORAGE_ERRORS, explain, is_conflict
from tracebraid.pipeline.store.files import File
from tracebraid.pipeline.store.ledger import ledger
from tracebraid.pipeline.store.parquet import write_rows
from tracebraid.pipeline.store.table_log import TableLog, names_any
from tracebraid.pipeline.store.tables import check_options, lake_url, open_table, table_files
from tracebraid.schemas.table import Table

CONFLICTS_MAX = 20  # commits of others that may come between, before we say that something is wrong


@dataclass(slots=True)
class Portion:
    """Rows that become visible together, of the table's Arrow schema, and the next offset of each partition that they come from.

    files, attempts: how far its commit has come, so that the same portion can be given again after an error.
    """

    rows: Sequence[pa.RecordBatch]
    next_offsets: Mapping[Partition, int]
    files: list[File] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)


class Archive:
    """One process's hold on one table. Not for several threads."""

    def __init__(self, log: TableLog, clock: Clock) -> None:
        self._log, self._clock = log, clock
        # The ledger that we last wrote or read: what a snapshot must say for us to be the owner.
        self._known: dict[Partition, int | None] = {}

    @classmethod
    def open(cls, url: str, table: Table, options: Mapping[str, str], clock: Clock) -> Self:
        """The table in the lake at `url`; made where there is none. Raises TracebraidError, UsageError as Lake.open does."""
        check_options(options)
        place = lake_url(url)
        check_conditional_put(place, options)
        delta = open_table(place, table, options, create=True)
        return cls(TableLog(f"{place}/{table.name}", table, delta, table_files(place, table.name, options)), clock)

    def read_ledgers(self, partitions: Collection[Partition]) -> dict[Partition, int | None]:
        """The next offset of each partition; None where nothing of it was kept. Raises TracebraidError where storage fails."""
        self._log.refresh()
        found = {each: ledger(self._log.transactions, each) for each in partitions}
        self._known.update(found)
        return found

    def commit(self, portion: Portion) -> int:
        """Make a portion visible. Returns its count of rows. Every partition in it must have been read by read_ledgers, or committed, by this object before.

        1. Files are written under fresh names, and synced; after 3 the log would name files that a crash never lets be.
        2. The newest snapshot must have the ledgers as we left them: the commit is made from the snapshot that was checked, or an owner that
           came between goes unseen, and rows are doubled. No other fence is needed: every commit of a partition moves its one ledger.
        3. Rows and ledgers in one entry; apart, a crash between them loses or doubles the rows.

        Raises OwnershipLost (the portion must be dropped), TracebraidError (storage: the same portion can be given again).
        """
        try:
            self._write(portion)  # 1
            for _ in range(CONFLICTS_MAX):
                if self._append(portion):  # 2, 3
                    self._known.update(portion.next_offsets)
                    return sum(file.rows for file in portion.files)
        except OwnershipLost:
            self._remove(portion)
            raise
        raise TracebraidError(f"cannot commit to {self._log.place}: it changes all the time", "Look for other writers; it is tried again", transient=True)

    def _write(self, portion: Portion) -> None:
        if portion.files and (portion.attempts or self._log.are_fresh(portion.files, self._clock)):
            return
        try:
            portion.files = write_rows(self._log.table, portion.rows, self._log.files)
        except STORAGE_ERRORS as error:
            raise explain(error, f"write to {self._log.place}") from error

    def _append(self, portion: Portion) -> bool:
        """Whether the portion is in the table; not, where another commit came between. Raises TracebraidError."""
        moves = [Transaction(each.ledger_key, offset) for each, offset in portion.next_offsets.items()]
        snapshot = self._log.refresh()
        if names_any(snapshot, portion.attempts):
            return True
        for each in portion.next_offsets:
            if (stored := ledger(self._log.transactions, each)) != (known := self._known.get(each)):
                raise OwnershipLost(f"another writer has {each}: table {self._log.table.name} is at offset {stored}, we left it at {known}")
        if not self._log.are_fresh(portion.files, self._clock):
            portion.files, portion.attempts = [], []
            raise TracebraidError(f"files of {self._log.place} are gone, or too old to commit", "They are written again", transient=True)
        portion.attempts += [file.path for file in portion.files[:1]]
        try:
            self._log.append(snapshot, portion.files, moves, self._clock.unix_nano() // 1_000_000)
            self._log.refresh()  # the entry is durable
            return True
        except STORAGE_ERRORS as error:
            if not is_conflict(error) and not names_any(self._log.refresh(), portion.attempts):
                raise explain(error, f"commit to {self._log.place}") from error
            return False  # a conflict, or an answer that leaves open whether the commit took place: the next snapshot tells

    def _remove(self, portion: Portion) -> None:
        """What no commit can have named."""
        if not portion.attempts:
            for file in portion.files:
                self._log.files.remove_file(file.path)
            portion.files = []
