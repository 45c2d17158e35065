"""One table's log: the newest snapshot with its transactions, and one append to it.

In: a DeltaTable and its files. Out: snapshots whose entries are durable; commits. Never: a decision whether one may commit.
"""

from collections.abc import Iterable, Sequence

from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.transaction import AddAction, RemoveAction

from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.limits import unsynced_age_s_max
from tracebraid.pipeline.store.errors import STORAGE_ERRORS, explain
from tracebraid.pipeline.store.files import File, Files
from tracebraid.pipeline.store.parquet import DAY
from tracebraid.pipeline.store.tables import check_columns
from tracebraid.pipeline.store.transactions import Transactions
from tracebraid.schemas.table import Table

SYNCED_AGAIN = 200  # entries before the newest one that a process which opens the table makes durable: others may have died before they did
DELTA_RETRIES = 100  # appends of other partitions that delta-rs itself steps over within one commit


class TableLog:
    """`place`: the table's. Not for several threads."""

    def __init__(self, place: str, table: Table, delta: DeltaTable, files: Files) -> None:
        self.place, self.table, self.delta, self.files = place, table, delta, files
        self.transactions = Transactions(files)
        self._schema: Schema | None = None  # what our files were last seen to fit
        self._synced = delta.version() - SYNCED_AGAIN  # entries up to this version are durable, with all that a checkpoint covers

    def refresh(self) -> DeltaTable:
        """The table's newest snapshot, all its log entries durable; its transactions, as of that snapshot. Raises TracebraidError."""
        try:
            version = self.delta.version()
            if version != self._synced or not self.files.ends_log(version):
                self.delta.update_incremental()  # 1 ms of processor time, and more with each entry since the checkpoint
                version = self.delta.version()
            if version > self._synced:
                self.files.sync_log(range(max(0, self._synced + 1), version + 1))
                self._synced = version
            self.transactions.catch_up(version)
        except STORAGE_ERRORS as error:
            raise explain(error, f"read {self.place}") from error
        return self.delta

    def append(self, snapshot: DeltaTable, files: Sequence[File], moves: Sequence[Transaction], now_ms: int) -> None:
        """One entry with the files and the transactions, from the snapshot on. Raises what the storage raises; TracebraidError for strange columns."""
        schema = snapshot.schema()
        if schema != self._schema:  # a column may have been added meanwhile, or made something that our files are not
            check_columns(schema, self.table, self.place)
            self._schema = schema
        adds: list[AddAction | RemoveAction] = [AddAction(file.path, file.bytes, {DAY: file.day}, now_ms, True, file.statistics) for file in files]
        snapshot.create_write_transaction(
            adds,
            mode="append",
            schema=schema,
            partition_by=[DAY],
            commit_properties=CommitProperties(app_transactions=list(moves), max_commit_retries=DELTA_RETRIES),
        )

    def are_fresh(self, files: Iterable[File], clock: Clock) -> bool:
        """Whether the files are there, and will not be taken for orphans soon."""
        oldest_s = clock.unix_nano() / 1e9 - unsynced_age_s_max
        written_s = [self.files.written_at_s(file.path) for file in files]
        return all(at_s is not None and at_s > oldest_s for at_s in written_s)


def names_any(snapshot: DeltaTable, paths: Iterable[str]) -> bool:
    """Whether the snapshot has one of these files: then the attempt to commit it, whose answer we did not understand, succeeded after all."""
    wanted = list(paths)
    return bool(wanted) and any(path in uri for uri in snapshot.file_uris() for path in wanted)
