"""One partition, offset by offset: what the tables hold beside what intervals say and what the topic has.

In: an Account, packed positions, chunks of the topic. Out: findings. Memory: one window of rows, and the offsets without a row.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.verify.accounts import COUNTS, STORED, Account
from tracebraid.pipeline.verify.positions import Block, Rows, Windows
from tracebraid.pipeline.verify.report import Finding, Longs, runs
from tracebraid.pipeline.verify.topics import Chunk

Flags = npt.NDArray[np.bool_]
Positions = list[tuple[Longs, Longs]]  # offsets and indexes, in ascending order
_LISTED = 10  # offsets that a finding names one by one


@dataclass(frozen=True, slots=True)
class Files:
    """(table, path) of every file by the number that positions carry; and the place of its table in COUNTS."""

    names: Sequence[tuple[str, str]]
    tables: Longs


class PartitionCheck:
    """One partition's check. `run()` gives its findings; `ahead` and `rejects` are complete after it.

    ledgers: of the partition, by table. compacted: records may lack in the midst of the topic.
    """

    def __init__(self, account: Account, blocks: Sequence[Block], files: Files, ledgers: dict[str, int], *, compacted: bool) -> None:
        self.account, self.files, self.ledgers, self.compacted = account, files, ledgers, compacted
        self._ledgers = np.array([ledgers.get(table, 0) for table in COUNTS], dtype=np.int64)
        self.windows = Windows(blocks)
        self.ahead: defaultdict[str, list[Longs]] = defaultdict(list)  # offsets beyond the last interval, by table
        self.rejects: Positions = []
        self.records = 0
        size = len(account.first)
        self._rows = np.zeros((len(COUNTS), size), dtype=np.int64)  # in each interval, by table
        self._expected = np.stack([account.numbers[name] for name in COUNTS.values()])
        self._rowless = account.numbers["rows_dropped"].copy()  # records that should have no row
        self._doubled, self._held, self._present, self._empty, self._bare = np.zeros((5, size), dtype=np.int64)
        self._lost: list[Rows] = []  # rows in intervals that say lost: some are what a torn cycle left
        self._bare_offsets: list[Longs] = []  # on the topic, with a value, without a row
        self._covered: list[tuple[int, int]] = []  # what the topic was asked for, from and up to

    def run(self, topic: Iterable[Chunk] | None) -> Iterator[Finding]:
        """`topic`: None where it cannot be asked."""
        position = None
        for chunk in topic or ():
            if position is None or chunk.first > position:
                yield from self._uncovered(chunk.first)
            position = chunk.until
            rest = chunk
            while (bound := self.windows.bound()) is not None and rest.first < bound < rest.until:
                part, rest = rest.cut(bound)
                yield from self._window(self.windows.take(part.until), part)
            yield from self._window(self.windows.take(rest.until), rest)
        yield from self._uncovered(None)
        yield from self._intervals()

    def _uncovered(self, until: int | None) -> Iterator[Finding]:
        """Rows below `until` that the topic says nothing of."""
        while (bound := self.windows.bound()) is not None and (until is None or bound < until):
            yield from self._window(self.windows.take(bound), None)
        yield from self._window(self.windows.take(until), None)

    def _window(self, rows: Rows, chunk: Chunk | None) -> Iterator[Finding]:
        again = np.zeros(len(rows), dtype=bool)
        again[1:] = (np.diff(rows.offsets) == 0) & (np.diff(rows.indexes) == 0)
        if again.any():
            yield from self._doubles(rows, again)
        self._sum_up(rows, again)
        once = rows.pick(np.flatnonzero(~again))
        starts = np.flatnonzero(np.diff(once.offsets, prepend=-1))
        yield from self._indexes(once, starts)
        yield from self._outside(rows)
        if chunk is None:
            yield from self._times(once, starts, once.times_us[starts])
            self._count(once.offsets[starts], self._held)
        else:
            yield from self._beside_topic(once, starts, chunk)

    # What the lake alone tells.

    def _doubles(self, rows: Rows, again: Flags) -> Iterator[Finding]:
        """A position in two files is named by the file that comes later in the log of its table."""
        chosen = np.flatnonzero(again)
        pairs = np.stack([rows.files[chosen], rows.files[chosen - 1]])
        for second, first in np.unique(pairs, axis=1).T:
            of_pair = chosen[(pairs[0] == second) & (pairs[1] == first)]
            table, path = self.files.names[second]
            other, other_path = self.files.names[first]
            where = "twice in one file" if second == first else f"also in {other}/{other_path}"
            yield from self._grouped("doubled", rows.offsets[of_pair], rows.indexes[of_pair], where, (table if table == other else f"{other},{table}", path))

    def _grouped(self, kind: str, offsets: Longs, indexes: Longs, detail: str, file: tuple[str, str]) -> Iterator[Finding]:
        """`file`: table, path. A finding for each run of offsets; its index where they have one in common."""
        done = 0
        for first, last, count in runs(offsets):
            same = indexes[done : done + count]
            index = int(same[0]) if (same == same[0]).all() else None
            yield self.account.finding(kind, first, last, count, detail, index=index, table=file[0], file=file[1])
            done += count

    def _sum_up(self, rows: Rows, again: Flags) -> None:
        owners = self.account.owner_of(rows.offsets)
        tables = self.files.tables[rows.files]
        inside = owners >= 0
        np.add.at(self._rows, (tables[inside], owners[inside]), 1)
        np.add.at(self._doubled, owners[inside & again], 1)
        rejected = ~again & (tables == list(COUNTS).index("rejects"))
        self.rejects.append((rows.offsets[rejected], rows.indexes[rejected]))

    def _indexes(self, rows: Rows, starts: Longs) -> Iterator[Finding]:
        if not len(starts):
            return
        ends = np.append(starts[1:], len(rows))
        wrong = (rows.indexes[starts] != 0) | (rows.indexes[ends - 1] != ends - starts - 1)
        wrong &= (rows.offsets[starts] >= self.account.expired) | (rows.indexes[starts] < 0)  # else a reject between them may have expired
        for start, end in zip(starts[wrong], ends[wrong], strict=True):
            has = rows.indexes[start:end]
            offset, most = int(rows.offsets[start]), int(has[-1])
            lacking = np.setdiff1d(np.arange(most + 1), has) if 0 <= most < 10_000_000 else np.zeros(0, dtype=np.int64)
            if len(lacking):
                detail = f"{end - start} rows, the greatest index is {most}; not there: {_listed(lacking)}"
                yield self.account.finding("index_gap", offset, offset, len(lacking), detail, index=int(lacking[0]))
            else:
                yield self.account.finding("index_gap", offset, offset, 1, f"{end - start} rows with indexes from {has[0]} to {most}", index=int(has[0]))

    def _times(self, rows: Rows, starts: Longs, times_us: Longs, detail: str = "other rows of its record have another Kafka timestamp") -> Iterator[Finding]:
        """`times_us`: the right one for the record at each of `starts`; -1 where it is not known."""
        right = np.repeat(times_us, np.diff(np.append(starts, len(rows))))
        wrong = np.flatnonzero((rows.times_us != right) & (right >= 0))
        for number in np.unique(rows.files[wrong]):
            of_file = wrong[rows.files[wrong] == number]
            yield from self._grouped("misplaced", rows.offsets[of_file], rows.indexes[of_file], detail, self.files.names[number])

    def _outside(self, rows: Rows) -> Iterator[Finding]:
        account = self.account
        owners = account.owner_of(rows.offsets)
        if (lost := self._is_lost(owners)).any():
            self._lost.append(rows.pick(np.flatnonzero(lost)))
        past = rows.offsets >= self._ledgers[self.files.tables[rows.files]]
        ahead = (owners < 0) & (rows.offsets >= account.claimed) & ~past
        stray = (owners < 0) & (rows.offsets < account.claimed)
        for kind, chosen in (("outside", stray), ("beyond_ledger", past)):
            for number in np.unique(rows.files[chosen]):
                of_file = chosen & (rows.files == number)
                table = self.files.names[number][0]
                detail = f"the ledger of {table} is {self.ledgers.get(table)}" if kind == "beyond_ledger" else ""
                yield from self._grouped(kind, rows.offsets[of_file], rows.indexes[of_file], detail, self.files.names[number])
        for place, table in enumerate(COUNTS):
            if len(offsets := rows.offsets[ahead & (self.files.tables[rows.files] == place)]):
                self.ahead[table].append(offsets)

    def _is_lost(self, owners: Longs) -> Flags:
        inside = owners >= 0
        lost: Flags = inside & (self.account.kinds[np.where(inside, owners, 0)] != STORED) if len(self.account.kinds) else inside
        return lost

    def _count(self, offsets: Longs, into: Longs) -> None:
        owners = self.account.owner_of(offsets)
        np.add.at(into, owners[owners >= 0], 1)

    # What the topic tells.

    def _beside_topic(self, rows: Rows, starts: Longs, chunk: Chunk) -> Iterator[Finding]:
        self.records += len(chunk.offsets)
        self._cover(chunk.first, chunk.until)
        held = rows.offsets[starts]
        self._count(held, self._held)
        self._count(chunk.offsets, self._present)
        places = np.searchsorted(chunk.offsets, held)
        found = np.zeros(len(held), dtype=bool)
        inside = places < len(chunk.offsets)
        found[inside] = chunk.offsets[places[inside]] == held[inside]
        if not self.compacted and not found.all():
            counts = np.diff(np.append(starts, len(rows)))
            of_record = np.repeat(~found, counts)
            for number in np.unique(rows.files[of_record]):
                chosen = of_record & (rows.files == number)
                yield from self._grouped("not_on_topic", rows.offsets[chosen], rows.indexes[chosen], "", self.files.names[number])
        right = np.full(len(held), -1, dtype=np.int64)
        right[found] = np.where(chunk.times_ms[places[found]] >= 0, chunk.times_ms[places[found]] * 1000, -1)
        yield from self._times(rows, starts, right, "its record on the topic has another Kafka timestamp")
        yield from self._counts(rows, starts, found, chunk, places)
        bare = np.ones(len(chunk.offsets), dtype=bool)
        bare[places[found]] = False
        self._count(chunk.offsets[bare & (chunk.empty == 1)], self._empty)
        without = chunk.offsets[bare & (chunk.empty == 0)]
        self._count(without, self._bare)
        self._bare_offsets.append(without)

    def _counts(self, rows: Rows, starts: Longs, found: Flags, chunk: Chunk, places: Longs) -> Iterator[Finding]:
        """Rows by the caller's count, where there is one: it sees what lacks at the end of a record, and what is too much."""
        counts = np.diff(np.append(starts, len(rows)))
        expected = np.full(len(starts), -1, dtype=np.int64)
        expected[found] = chunk.expected[places[found]]
        for place in np.flatnonzero((expected >= 0) & (expected != counts) & ((rows.offsets[starts] >= self.account.expired) | (expected < counts))):
            offset, has, wants = int(rows.offsets[starts[place]]), int(counts[place]), int(expected[place])
            kind = "missing" if wants > has else "not_on_topic"
            yield self.account.finding(kind, offset, offset, abs(wants - has), f"its record should have {wants} rows, it has {has}", index=min(wants, has))

    def _cover(self, first: int, until: int) -> None:
        if self._covered and self._covered[-1][1] == first:
            self._covered[-1] = (self._covered[-1][0], until)
        else:
            self._covered.append((first, until))

    # What an interval should be.

    def _intervals(self) -> Iterator[Finding]:
        account, numbers = self.account, self.account.numbers
        bare = merged(self._bare_offsets)
        owners = account.owner_of(bare)
        yield from self._missing(bare[owners < 0], "no interval accounts for it")
        yield from self._missing(bare[self._is_lost(owners)], "its interval says that it was lost, and the topic has it")
        overlapped = account.overlapped()
        self._let_expire()
        wrong = np.any(self._rows != self._expected, axis=0)
        wrong |= numbers["records_in"] != self._held + self._rowless
        whole = self._whole()
        wrong |= (self._empty + self._bare > self._rowless) | (whole & (self._present != numbers["records_in"]))
        wrong |= whole & (self._empty + self._bare != self._rowless)
        for place in np.flatnonzero(wrong & ~overlapped & (account.kinds != STORED)).tolist():
            yield from self._lost_rows(place)
        for place in np.flatnonzero(wrong & ~overlapped & (account.kinds == STORED)).tolist():
            yield from self._sums(place)
            yield from self._records(place, bare[owners == place], bool(whole[place]))

    def _let_expire(self) -> None:
        """Where rejects may have expired, fewer of them are expected, and as many records more may be without a row."""
        numbers, rejects = self.account.numbers, list(COUNTS).index("rejects")
        gone = np.where(self.account.first < self.account.expired, np.maximum(self._expected[rejects] - self._rows[rejects], 0), 0)
        self._expected[rejects] -= gone
        self._rowless += np.clip(numbers["records_in"] - self._held - self._rowless, 0, gone)

    def _lost_rows(self, place: int) -> Iterator[Finding]:
        """Rows in an interval that says lost. What a torn cycle left before its records were gone, such an interval counts."""
        expected = self._expected[:, place]
        if (self._rows[:, place] < expected).any():
            yield from self._sums(place)
            return
        more = self._rows[:, place] > expected
        for rows in self._lost:
            inside = (self.account.owner_of(rows.offsets) == place) & more[self.files.tables[rows.files]]
            for number in np.unique(rows.files[inside]):
                chosen = inside & (rows.files == number)
                yield from self._grouped("in_lost", rows.offsets[chosen], rows.indexes[chosen], "", self.files.names[number])

    def _whole(self) -> Flags:
        """The intervals of which the topic has every record still."""
        whole = np.zeros(len(self.account.first), dtype=bool)
        for first, until in () if self.compacted else self._covered:
            whole |= (self.account.first >= first) & (self.account.last < until)
        return whole

    @property
    def unread(self) -> list[tuple[int, int]]:
        """First and last offset of each range between the first start and the end that the topic did not tell of."""
        edges = [int(self.account.first[0]) if len(self.account.first) else 0, *(offset for pair in self._covered for offset in pair), self.account.end]
        return [(first, until - 1) for first, until in zip(edges[::2], edges[1::2], strict=True) if until > first]

    def _sums(self, place: int) -> Iterator[Finding]:
        expected = self._expected[:, place].tolist()
        has = self._rows[:, place].tolist()
        if self._doubled[place] and sum(has) - int(self._doubled[place]) == sum(expected):
            return  # the doubled rows are findings of their own
        for table, rows, said in zip(COUNTS, has, expected, strict=True):
            if rows != said:
                yield self._of(place, "interval_sum", 1, f"{rows} rows of {table}, the interval says {said}", table)

    def _records(self, place: int, bare: Longs, whole: bool) -> Iterator[Finding]:
        """`bare`: offsets of the interval that are on the topic, hold a value and have no row. `whole`: the topic told of all of it."""
        records, dropped = int(self.account.numbers["records_in"][place]), int(self._rowless[place])
        present, empty, held = (int(each[place]) for each in (self._present, self._empty, self._held))
        excess = empty + len(bare) - dropped
        if whole and present != records:
            yield self._of(place, "interval_records", 1, f"the topic has {present} records there, the interval counts {records}")
        if excess > 0 and len(bare) == excess:
            yield from self._missing(bare, "")
        elif excess > 0 and len(bare):
            detail = f"{min(excess, len(bare))} of the records without a row; they are {_listed(bare)}"
            yield self.account.finding("missing", int(bare[0]), int(bare[-1]), min(excess, len(bare)), detail)
        elif whole and excess:
            yield self._of(place, "interval_dropped", 1, f"{empty + len(bare)} records have no row, the interval says {dropped}")
        elif not whole and held + dropped < records:
            yield self._of(place, "missing", records - held - dropped, "so many of its records have no row; without the topic nobody knows which")

    def _missing(self, offsets: Longs, detail: str) -> Iterator[Finding]:
        for first, last, count in runs(offsets):
            yield self.account.finding("missing", first, last, count, detail)

    def _of(self, place: int, kind: str, count: int, detail: str, table: str = "") -> Finding:
        return self.account.finding(kind, int(self.account.first[place]), int(self.account.last[place]), count, detail, table=table)


def merged(parts: Sequence[Longs]) -> Longs:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def _listed(values: Longs) -> str:
    shown = ", ".join(str(value) for value in values[:_LISTED])
    return shown + (f", and {len(values) - _LISTED} more" if len(values) > _LISTED else "")
