"""What a lake says it did with one partition: its intervals, in order.

In: batches of table intervals. Out: an Account per partition; findings where intervals do not follow one another or do not add up.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.verify.report import Finding, Key, Longs

KINDS = ("stored", "start", "lost")
STORED, START, LOST, DAMAGED = range(4)  # damaged: lost too, since the broker has records that nobody can read
DAMAGE = "damaged"  # how the reason of such an interval begins
# Table → the interval's count of its rows.
COUNTS = {"spans": "rows_spans", "logs": "rows_logs", "rejects": "rows_rejected"}
_NUMBERS = ("first_offset", "last_offset", "records_in", "rows_in", "rows_dropped", *COUNTS.values())
COLUMNS = ("kind", "reason", "kafka_cluster", "kafka_topic", "kafka_topic_id", "kafka_partition", *_NUMBERS)


@dataclass(frozen=True, slots=True)
class Account:
    """The intervals of one partition by first offset. numbers: interval columns by name. ledger: of table intervals; None: none.

    expired: rejects at offsets below it may have left their table, which its retention then declared.
    """

    key: Key
    topic: str
    kinds: Longs
    numbers: dict[str, Longs]
    ledger: int | None
    expired: int = 0

    @property
    def first(self) -> Longs:
        return self.numbers["first_offset"]

    @property
    def last(self) -> Longs:
        return self.numbers["last_offset"]

    @property
    def end(self) -> int:
        """The offset behind the last interval; 0 without one."""
        return int(self.last.max()) + 1 if len(self.last) else 0

    @property
    def claimed(self) -> int:
        """What intervals say that the lake has come to: by its rows or by its ledger, whichever is more."""
        return max(self.end, self.ledger or 0)

    @property
    def damaged(self) -> list[tuple[int, int]]:
        """What the broker has and cannot be read: from and up to, in order."""
        places = np.flatnonzero(self.kinds == DAMAGED)
        return [(int(self.first[place]), int(self.last[place]) + 1) for place in places]

    def finding(self, kind: str, first: int, last: int, count: int, detail: str = "", *, index: int | None = None, table: str = "", file: str = "") -> Finding:
        return Finding(kind, self.topic, self.key.topic_id, self.key.number, first, last, index, count, table, file, detail)

    def overlapped(self) -> npt.NDArray[np.bool_]:
        """Which intervals share offsets with another: what their rows are cannot be told."""
        filled = np.flatnonzero(self.last >= self.first)
        shared = np.zeros(len(self.first), dtype=bool)
        if len(filled) > 1:
            reach = np.maximum.accumulate(self.last[filled])
            meets = self.first[filled][1:] <= reach[:-1]
            shared[filled[1:][meets]] = True
            # The earlier ones of each overlap: those whose end lies behind the next one's beginning.
            shared[filled[:-1][self.last[filled][:-1] >= self.first[filled][1:]]] = True
        return shared

    def owner_of(self, offsets: Longs) -> Longs:
        """The interval of each offset, as its place; -1 for none. Of several the last one."""
        filled = np.flatnonzero(self.last >= self.first)
        if not len(filled):
            return np.full(len(offsets), -1, dtype=np.int64)
        places = np.searchsorted(self.first[filled], offsets, side="right") - 1
        owners = filled[np.maximum(places, 0)]
        return np.where((places >= 0) & (offsets <= self.last[owners]), owners, -1)


@dataclass(slots=True)
class Intervals:
    """The rows of table intervals as they are read."""

    topics: dict[Key, str] = field(default_factory=dict)
    rows: int = 0
    _numbers: defaultdict[Key, list[npt.NDArray[np.int64]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, batch: pa.RecordBatch) -> None:
        """`batch`: of COLUMNS. A kind that is none is taken as stored: then its counts do not add up."""
        self.rows += batch.num_rows
        columns = {name: batch.column(name).to_pylist() for name in COLUMNS}
        kinds = [_kind(kind, reason or "") for kind, reason in zip(columns["kind"], columns["reason"], strict=True)]
        numbers = np.array([kinds, *([value or 0 for value in columns[name]] for name in _NUMBERS)], dtype=np.int64).T
        owners: defaultdict[Key, list[int]] = defaultdict(list)
        for row, owner in enumerate(zip(columns["kafka_cluster"], columns["kafka_topic_id"], columns["kafka_partition"], strict=True)):
            owners[Key(*owner)].append(row)
            self.topics[Key(*owner)] = columns["kafka_topic"][row]
        for key, rows in owners.items():
            self._numbers[key].append(numbers[rows])

    def account(self, key: Key, ledger: int | None, expired: int = 0) -> Account:
        parts = self._numbers.pop(key, [])
        numbers = np.concatenate(parts) if parts else np.zeros((0, 1 + len(_NUMBERS)), dtype=np.int64)
        numbers = numbers[np.lexsort((numbers[:, 2], numbers[:, 1]))]
        columns = {name: numbers[:, 1 + place] for place, name in enumerate(_NUMBERS)}
        return Account(key, self.topics.get(key, ""), numbers[:, 0], columns, ledger, expired)


def _kind(kind: str, reason: str) -> int:
    if kind == KINDS[LOST] and reason.startswith(DAMAGE):
        return DAMAGED
    return KINDS.index(kind) if kind in KINDS else STORED


def check_account(account: Account) -> Iterator[Finding]:
    """What intervals alone tell: one begins where the one before it ended, from a start to the ledger, and counts add up."""
    first, last = account.first, account.last
    if not len(first):
        if account.ledger is not None:
            yield account.finding("interval_ledger", account.ledger or 0, account.ledger or 0, 1, f"the ledger is {account.ledger}, and there is no interval")
        return
    if account.kinds[0] != START:
        yield account.finding("interval_gap", int(first[0]), int(first[0]), 0, "no start is pinned before the first interval")
    reach = np.maximum.accumulate(last + 1)
    for place in np.flatnonzero(first[1:] > reach[:-1]):
        yield account.finding("interval_gap", int(reach[place]), int(first[place + 1]) - 1, int(first[place + 1] - reach[place]))
    for place in np.flatnonzero((first[1:] < reach[:-1]) & (last[1:] >= first[1:])):
        until = min(int(reach[place]), int(last[place + 1]) + 1)
        yield account.finding("interval_overlap", int(first[place + 1]), until - 1, until - int(first[place + 1]))
    kept = sum((account.numbers[name] for name in COUNTS.values()), account.numbers["rows_dropped"])
    for place in np.flatnonzero(kept != account.numbers["rows_in"]):
        detail = f"rows_in is {account.numbers['rows_in'][place]}, spans, logs, rejected and dropped make {kept[place]}"
        yield account.finding("interval_sum", int(first[place]), int(last[place]), 1, detail)
    for place in np.flatnonzero((account.kinds != STORED) & ((account.numbers["records_in"] != 0) | (account.numbers["rows_dropped"] != 0))):
        yield account.finding("interval_sum", int(first[place]), int(last[place]), 1, "it is not of kind stored, and counts records")
    if account.ledger != account.end:
        yield account.finding("interval_ledger", account.end, account.end, 1, f"the ledger is {account.ledger}, the last interval ends before {account.end}")
