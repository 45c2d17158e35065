"""Step 3 of the flow: what one batch of records becomes, and the net beneath it.

In: Records. Out: pieces of them in their order, each with what it decoded to and its rows as the tables hold them. Never: a record without an outcome, or one
that takes its neighbors with it; a row that is not redacted.

Hostile bytes stop in decode. What is behind it is ours alone, and should never raise. Where it does, over one record of a batch or over some, the batch is
halved until those are alone: they become rejects of reason `internal_error` with their bytes, all others keep their rows, and the partition moves on. Each
piece is transformed by itself, so its account holds as any batch's. What is not of a record (no memory, no files, settings) ends the process as ever.
A batch whose records are too many rows to be made one by one at once is cut, too.

What a batch costs however small it is, some ten milliseconds, many partitions and short polls would pay again and again. So what a poll brought of one topic is
decoded and normalized at once, where it is spans, or walkers read it: both look at one record at a time, so no partition's line can become part of another's.
"""

import errno
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from traceback import extract_tb
from typing import TYPE_CHECKING

import structlog

from tracebraid.pipeline.decode.registry import Crowded, Scratch, decode, pieces, refuse
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.records import Decoded, Normalized, Partition, Records
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.normalize.batch import normalize, normalize_together
from tracebraid.pipeline.redact.rows import redact

if TYPE_CHECKING:
    from tracebraid.pipeline.store.cycle import Progress

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Transformed:
    """Records, and what became of them: rows_in = rows + dropped. dropped, fault: as in Decoded."""

    records: Records
    rows: Normalized
    rows_in: int
    dropped: Counter[str]
    fault: str = ""


class Transform:
    """decode, normalize and redact with these settings. Not shared between threads."""

    def __init__(self, settings: Settings, *, kernels: bool = True) -> None:
        self.settings, self.kernels = settings, kernels and settings.ingest.kernels
        self._scratch, self._told = Scratch(), set[tuple[str, str]]()
        self._groups: dict[Partition, list[Records]] = {}
        self._made: dict[Partition, Transformed] = {}
        self._apart: dict[str, int] = {}

    def together(self, found: Sequence[Records], progress: "Mapping[Partition, Progress] | None" = None) -> Sequence[Records]:
        """`found`, of one poll. What it brought of several partitions of a topic is made at once, when pieces() is asked for the first of them, and handed out
        for Records that are as they were here. What cannot be had so is made by itself, and what is of its topic for a while.

        `progress`: where partitions stand. What a sink holds already is left to pieces(), too: it is cut, or would keep all in memory for a slice of it."""
        self._made.clear()
        self._groups.clear()
        topics = dict[tuple[str, str, str], list[Records]]()
        for records in found if self.kernels else ():
            at = None if progress is None else progress.get(records.partition)
            if progress is None or (at and records.first_offset >= max(at.lake_next, at.stream_next)):
                topics.setdefault((records.partition.topic_id, records.encoding, records.tenant), []).append(records)
        for parts in topics.values():
            topic = parts[0].partition.topic_id
            self._apart[topic] = max(0, self._apart.get(topic, 0) - 1)
            for group in [] if self._apart[topic] else _groups(parts):
                self._groups |= dict.fromkeys((part.partition for part in group), group)
        return found

    def _together(self, parts: list[Records], records: Records, now_us: int) -> "list[Transformed]":
        """Nothing where a log is left to the reference decoders, which look at several records; where a record is no row or has something odd, which is counted
        by partition; or where ours fails."""
        try:
            decoded = decode(records, scratch=self._scratch, together=limits.batch_rows_max)
            if decoded.fault or decoded.logs.num_rows or decoded.rejects.num_rows or decoded.dropped:
                return []
            rows = normalize_together(records, decoded, now_us=now_us, tenant_header=self.settings.ingest.tenant_header, formats=self.settings.formats)
            return [
                Transformed(part, redact(each, self.settings), each.spans.num_rows + each.logs.num_rows, Counter())
                for part, each in zip(parts, rows or [], strict=bool(rows))
            ]
        except Exception as error:
            if not (isinstance(error, Crowded) or _is_of_a_record(error)):
                raise
            return []

    def pieces(self, records: Records, now_us: int, into: "Callable[[Transformed], None]" = lambda _: None) -> Iterator[Transformed]:
        """One piece, `records` itself, unless something of ours fails. `now_us`: see normalize. `into`: takes each piece, or raises and has taken nothing;
        where it fails over a record, that one is a reject as if its rows had failed."""
        left, halves = [records], 0
        while left:
            piece = left.pop()
            try:
                made = self._of_together(piece, now_us) or self._made_of(piece, now_us)
                into(made)
            except Crowded as crowded:
                left += _cut(piece, crowded.record)
                continue
            except Exception as error:
                if not _is_of_a_record(error):
                    raise
                rows = piece.batch.num_rows
                if rows > 1 and halves < limits.halves_max:
                    halves += 1
                    left += _cut(piece, rows // 2)
                    continue
                self._tell(piece, error)
                made = self._with_rows(piece, refuse(piece, f"{type(error).__name__}: {error}"), now_us)
                into(made)
            yield made

    def _of_together(self, records: Records, now_us: int) -> Transformed | None:
        """What is made of these very records with others; once, for where a sink refuses it they are made anew, in halves."""
        group = self._groups.get(records.partition)
        if group:
            self._groups = {partition: other for partition, other in self._groups.items() if other is not group}
            joined = Records.together(group)
            made_now = self._together(group, joined, now_us) if len(pieces(joined, kernels=True)) == 1 else []
            self._made |= {each.records.partition: each for each in made_now}
            if not made_now and joined.batch.nbytes >= limits.kernel_bytes_min:
                topic = records.partition.topic_id
                self._apart[topic] = limits.apart_polls
                self._groups = {partition: other for partition, other in self._groups.items() if partition.topic_id != topic}
        made = self._made.pop(records.partition, None)
        return made if made and made.records.batch is records.batch and made.records.schemas == records.schemas else None

    def _made_of(self, records: Records, now_us: int) -> Transformed:
        return self._with_rows(records, decode(records, kernels=self.kernels, scratch=self._scratch, together=limits.batch_rows_max), now_us)

    def _with_rows(self, records: Records, decoded: Decoded, now_us: int) -> Transformed:
        settings = self.settings
        rows = normalize(records, decoded, now_us=now_us, tenant_header=settings.ingest.tenant_header, formats=settings.formats)
        return Transformed(records, redact(rows, settings), decoded.rows_in, decoded.dropped, decoded.fault)

    def _tell(self, records: Records, error: Exception) -> None:
        """Once for each kind of fault and place of it, with the way there; what the exception says may repeat the record, and stays with the reject."""
        way = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)]
        kind = type(error).__name__, way[-1]
        if kind not in self._told:
            self._told.add(kind)
            place = f"{records.partition} at {records.first_offset}"
            log.error("a record became a reject by a fault of tracebraid's; please report it", why=kind[0], first=place, traceback=way)


def _groups(parts: list[Records]) -> list[list[Records]]:
    """Neighbors, two at least, of so many bytes that what they cost together is little beside what they cost each: their rows are in memory at once."""
    found, size = [[parts[0]]], parts[0].batch.nbytes
    for part in parts[1:]:
        if size + part.batch.nbytes > limits.together_bytes_max:
            found.append([])
            size = 0
        found[-1].append(part)
        size += part.batch.nbytes
    return [group for group in found if len(group) > 1]


def _cut(records: Records, at: int) -> list[Records]:
    """What is from record `at` on, and what is before it."""
    return [replace(records, batch=records.batch.slice(at)), replace(records, batch=records.batch.slice(0, at))]


def _is_of_a_record(error: Exception) -> bool:
    """Whether other records would fare better. Times beyond what the system's clock counts raise an OSError, too."""
    if isinstance(error, (MemoryError, ImportError, UsageError)):
        return False
    return not isinstance(error, OSError) or error.errno == errno.EOVERFLOW
