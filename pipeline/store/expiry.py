"""Old rejects leave their table, by commits of nothing but their files' removal.

In: the lake's place, how many days rejects are kept, the clock. Out: what went, by day. Never: a row that came in later than that, whatever time it
carries; a ledger that moves; a file taken off the storage, which is the sweep's once no version within the log's retention names it.

Only whole files go: a file has the rejects of one cycle and one day, so all of its rows came in within moments. With their removal the same commit
declares, for each partition, the offset below which rejects may be gone (an application transaction whose app_id is EXPIRED and the partition's
ledger key): what reads the lake for completeness can tell them from rows that are missing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.transaction import AddAction, RemoveAction

from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.store.conditional import check_conditional_put
from tracebraid.pipeline.store.errors import STORAGE_ERRORS, explain, is_conflict
from tracebraid.pipeline.store.parquet import DAY
from tracebraid.pipeline.store.tables import check_options, lake_url, open_table
from tracebraid.schemas.rejects import REJECTS

EXPIRED = "expired/"
FILES_AT_ONCE = 1000  # in one commit: some 300 KiB of log
CONFLICTS_MAX = 20  # other removals that may come between; appends are stepped over
DELTA_RETRIES = 100
_OWNER = ("kafka_cluster", "kafka_topic", "kafka_topic_id", "kafka_partition")


@dataclass(frozen=True, slots=True)
class ExpiredFile:
    """A file of table rejects whose rows were all taken in before what is kept. `rows`: 0 where the log does not say."""

    path: str
    day: date
    rows: int
    bytes: int


def expire(
    url: str, options: Mapping[str, str], clock: Clock, keep_days: float, *, dry_run: bool = False, stopped: Callable[[], bool] = lambda: False
) -> Iterator[list[ExpiredFile]]:
    """The files of each commit, once it is made; on a dry run those that one would have. `stopped`: asked before each commit; no other is begun then.

    Raises TracebraidError: no lake there; storage fails; others commit all the time.
    """
    check_options(options)
    place = lake_url(url)
    if not dry_run:
        check_conditional_put(place, options)
    before = datetime.fromtimestamp(clock.unix_nano() / 1e9, UTC) - timedelta(days=keep_days)
    snapshot = open_table(place, REJECTS, options, create=False)
    try:
        if dry_run:
            if files := old_files(snapshot, before):
                yield files
            return
        while not stopped() and (files := _remove_some(snapshot, before, clock)):
            yield files
    except STORAGE_ERRORS as error:
        raise explain(error, f"remove expired rejects from {place}/{REJECTS.name}") from error


def old_files(snapshot: DeltaTable, before: datetime) -> list[ExpiredFile]:
    """Files of which every row was taken in before that time, by their statistics; where they do not say, that were committed before it."""
    files = pa.table(snapshot.get_add_actions(flatten=True)).to_pylist()
    taken_in = [file.get("max.ingested_at") or datetime.fromtimestamp(file["modification_time"] / 1000, UTC) for file in files]
    old = [
        ExpiredFile(file["path"], file[f"partition.{DAY}"], file["num_records"] or 0, file["size_bytes"])
        for file, at in zip(files, taken_in, strict=True)
        if at < before
    ]
    return sorted(old, key=lambda file: (file.day, file.path))


def expired_until(snapshot: DeltaTable, partition: Partition) -> int:
    """Rejects of the partition at offsets below this may have expired; 0 where none did."""
    return snapshot.transaction_version(EXPIRED + partition.ledger_key) or 0


def _remove_some(snapshot: DeltaTable, before: datetime, clock: Clock) -> list[ExpiredFile]:
    """One commit. A removal by another process, or a rewrite of the same files, makes delta-rs refuse it: what is left is looked for anew."""
    for _ in range(CONFLICTS_MAX):
        snapshot.update_incremental()
        files = old_files(snapshot, before)[:FILES_AT_ONCE]
        if not files:
            return []
        try:
            _commit(snapshot, files, before, clock)
            return files
        except STORAGE_ERRORS as error:
            if not is_conflict(error):
                raise
    raise TracebraidError(f"cannot commit to {snapshot.table_uri}: it changes all the time", "Look for other writers, then run it again", transient=True)


def _commit(snapshot: DeltaTable, files: Sequence[ExpiredFile], before: datetime, clock: Clock) -> None:
    now_ms = clock.unix_nano() // 1_000_000
    removes: list[AddAction | RemoveAction] = [RemoveAction(file.path, True, now_ms, file.bytes, {DAY: file.day.isoformat()}) for file in files]
    until = {partition: max(offset, expired_until(snapshot, partition)) for partition, offset in _ends(snapshot, files, before).items()}
    declared = [Transaction(EXPIRED + partition.ledger_key, offset) for partition, offset in until.items()]
    snapshot.create_write_transaction(
        removes,
        mode="append",
        schema=snapshot.schema(),
        partition_by=[DAY],
        commit_properties=CommitProperties(app_transactions=declared, max_commit_retries=DELTA_RETRIES),
    )


def _ends(snapshot: DeltaTable, files: Sequence[ExpiredFile], before: datetime) -> dict[Partition, int]:
    """The offset behind the last old reject of each partition, on the days of these files."""
    days = sorted({file.day for file in files})
    of_days = pc.field(DAY).isin(days) & (pc.field("ingested_at") < pa.scalar(before, REJECTS.arrow.field("ingested_at").type))
    rows = snapshot.to_pyarrow_dataset().to_table(columns=[*_OWNER, "kafka_offset"], filter=of_days)
    found = rows.group_by(_OWNER).aggregate([("kafka_offset", "max")])
    return {Partition(*(row[name] for name in _OWNER)): row["kafka_offset_max"] + 1 for row in found.to_pylist()}
