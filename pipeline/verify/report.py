"""What the independent reader found: findings, notes, and what was looked at.

In: findings of one or many positions. Out: the same in order, neighbors as one. Never: a judgment; where nothing is wrong, nothing is found.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]
# Kind → what it means. A closed list: scripts group by it.
KINDS = {
    "missing": "A record that is on the topic, or that its interval counts, has no row, and is not accounted for as dropped; or rows of it lack.",
    "doubled": "A position is in the tables more than once.",
    "misplaced": "A row has another Kafka timestamp than the record at its position, or than other rows of it.",
    "index_gap": "The indexes of a record's rows are not 0 to n-1.",
    "not_on_topic": "A row of a record that the topic does not have.",
    "outside": "A row outside of every interval of its partition.",
    "in_lost": "A row in an interval that says that its records were lost, and does not count it.",
    "ahead": "A table holds rows, or a ledger, beyond the last interval: a cycle was cut short and no ingest has finished it yet.",
    "beyond_ledger": "A row at or above the ledger of its own table.",
    "interval_gap": "Offsets between two intervals that no interval accounts for; or a partition without a start.",
    "interval_overlap": "Offsets that two intervals account for.",
    "interval_sum": "An interval's counts differ from the rows in the tables, or do not add up.",
    "interval_dropped": "An interval counts more dropped rows than records without a row.",
    "interval_records": "An interval counts other records than the topic has.",
    "interval_ledger": "The ledger of table intervals is not the end of the last interval.",
    "file_missing": "A file of the snapshot is not there.",
    "file_unreadable": "A file of the snapshot cannot be read.",
    "row_count": "A file has another number of rows than the log says.",
    "statistic": "A value lies outside of the bounds that the log gives for its file: readers skip the file and do not see it.",
    "log": "The table's log is damaged.",
    "reject_missing": "A reject of the table is not on the rejects topic, though the stream has come past it.",
    "reject_doubled": "A reject is on the rejects topic more than once.",
}


class Key(NamedTuple):
    """One partition of one topic of one cluster, as ledgers name it."""

    cluster: str
    topic_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong. What does not apply is None, or ''.

    offset, last_offset: first and last offset concerned, inclusive. index: of the row in its record. count: positions concerned, where they
    are counted. table: several with commas between them. file: path in its table. detail: the rest, for a person.
    """

    kind: str
    topic: str = ""
    topic_id: str = ""
    partition: int | None = None
    offset: int | None = None
    last_offset: int | None = None
    index: int | None = None
    count: int = 1
    table: str = ""
    file: str = ""
    detail: str = ""

    def __post_init__(self) -> None:
        assert self.kind in KINDS, self.kind


@dataclass(slots=True)
class Report:
    """All that was found, and what was looked at. notes: what could not be checked, and why; a line each."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: int = 0
    rows: int = 0
    intervals: int = 0
    partitions: int = 0
    records: int = 0
    rejects: int = 0

    @property
    def summary(self) -> dict[str, int]:
        """Counts: files, rows, intervals and partitions of the lake; records of topics; messages of the rejects topic."""
        names = ("partitions", "intervals", "files", "rows", "records", "rejects")
        return {**{name: getattr(self, name) for name in names}, "findings": len(self.findings)}


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """By topic, partition, offset and kind; what concerns a file alone comes first."""
    return sorted(
        findings,
        key=lambda each: (
            each.topic,
            each.topic_id,
            -1 if each.partition is None else each.partition,
            -1 if each.offset is None else each.offset,
            -1 if each.index is None else each.index,
            each.kind,
            each.table,
            each.file,
            each.detail,
        ),
    )


def runs(offsets: Longs) -> list[tuple[int, int, int]]:
    """Sorted offsets, repetitions allowed, as (first, last, how many) of each run without a gap."""
    if not len(offsets):
        return []
    edges = np.flatnonzero(np.diff(offsets) > 1) + 1
    starts, ends = np.concatenate(([0], edges)), np.concatenate((edges, [len(offsets)]))
    return [(int(offsets[start]), int(offsets[end - 1]), int(end - start)) for start, end in zip(starts, ends, strict=True)]
