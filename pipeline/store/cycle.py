"""The open cycle: rows held for the lake's next commit, with the account of each partition's interval.

In: normalized batches, in the order of their offsets. Out: a Cycle for `Lake.commit`. Never: a file, a clock.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from tracebraid.pipeline.kernel.event_time import kafka_micros
from tracebraid.pipeline.kernel.held import held_bytes, take_rows
from tracebraid.pipeline.kernel.limits import MIB
from tracebraid.pipeline.kernel.records import Normalized, Partition, Records
from tracebraid.pipeline.kernel.settings import IngestSettings
from tracebraid.pipeline.store.ledger import Cycle, Held, Interval


@dataclass(slots=True)
class Progress:
    """Where one partition stands: what each sink's ledger holds, and where the open interval begins."""

    held: Held
    lake_next: int
    stream_next: int


@dataclass(slots=True)
class _Open:
    """One partition's open interval. `next_offset` is where the next one starts."""

    held: Held
    first_offset: int
    next_offset: int
    records_in: int = 0
    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("spans", "logs", "rejects", "dropped"), 0))
    clock_skewed: int = 0
    event_time_us: tuple[int, int] | None = None
    kafka_time_us: tuple[int, int] | None = None
    batches: dict[str, list[pa.RecordBatch]] = field(default_factory=lambda: {"spans": [], "logs": [], "rejects": []})


class OpenCycle:
    """Collects until it is committed or dropped. `bytes` is the size of the rows it holds."""

    def __init__(self) -> None:
        self._open: dict[Partition, _Open] = {}
        self.bytes = 0
        self.records = 0

    def is_full(self, bounds: IngestSettings) -> bool:
        return self.bytes >= bounds.flush_mib * MIB or 0 < bounds.flush_records <= self.records

    def add(self, records: Records, dropped: Counter[str], normalized: Normalized, held: Held, next_offset: int) -> None:
        """Take the rows of one batch. `dropped`: by reason, what is no row. `held`: the partition's ledger; `next_offset`: where its open interval would begin.

        Rows that a table ahead of `intervals` holds already keep the verdict they got first and are not taken again. Where it raises, it has taken nothing:
        what may fail comes before the first change.
        """
        part = self._open.get(records.partition) or _Open(held, next_offset, next_offset)
        since, behind = part.next_offset, records.next_offset
        rests = {table: _not_held(batch, held) for table, batch in (("spans", normalized.spans), ("logs", normalized.logs), ("rejects", normalized.rejects))}
        size = sum(held_bytes(rest) for rest in rests.values() if rest.num_rows)
        # From the interval's start: their record may be gone from the topic.
        counts = Counter({table: rest.num_rows for table, rest in rests.items()} | {"dropped": dropped.total()})
        counts.update(table for (offset, _), table in held.ahead.items() if since <= offset < behind)
        clock_skewed = sum(count for (what, _), count in normalized.counted.items() if what == "clock_skew")
        times = kafka_micros(records.batch.column("kafka_time_ms").to_numpy())
        event_time_us, kafka_time_us = _widen(part.event_time_us, normalized.event_time_us), _widen(part.kafka_time_us, (int(times.min()), int(times.max())))

        self._open[records.partition] = part
        self.records += records.batch.num_rows
        self.bytes += size
        part.records_in += records.batch.num_rows
        part.next_offset, part.event_time_us, part.kafka_time_us = behind, event_time_us, kafka_time_us
        part.clock_skewed += clock_skewed
        for table, count in counts.items():
            part.rows[table] += count
        for table, rest in rests.items():
            if rest.num_rows:
                part.batches[table].append(rest)

    def forget(self, partition: Partition) -> None:
        """Drop what one partition holds: its owner is another consumer now, and replays it."""
        part = self._open.pop(partition, None)
        if part:
            self.bytes -= sum(held_bytes(batch) for batches in part.batches.values() for batch in batches)
            self.records -= part.records_in

    def close(self, group: str, decoder_version: int) -> Cycle:
        """The cycle to commit: every partition's interval is closed at the last offset that was read."""
        cycle = Cycle(spans=[], logs=[], rejects=[], intervals=[], expected={}, group=group)
        for partition, part in self._open.items():
            cycle.spans += part.batches["spans"]
            cycle.logs += part.batches["logs"]
            cycle.rejects += part.batches["rejects"]
            cycle.expected[partition] = part.first_offset
            cycle.intervals.append(
                Interval(
                    partition=partition,
                    kind="stored",
                    reason="",
                    first_offset=part.first_offset,
                    last_offset=part.next_offset - 1,
                    records_in=part.records_in,
                    rows_in=sum(part.rows.values()),
                    rows_spans=part.rows["spans"],
                    rows_logs=part.rows["logs"],
                    rows_rejected=part.rows["rejects"],
                    rows_dropped=part.rows["dropped"],
                    clock_skewed=part.clock_skewed,
                    event_time_us=part.event_time_us,
                    kafka_time_us=part.kafka_time_us,
                    decoder_version=decoder_version,
                )
            )
        return cycle

    def next_offsets(self) -> dict[Partition, int]:
        """Where each partition's next interval begins once this cycle is committed."""
        return {partition: part.next_offset for partition, part in self._open.items()}


def _widen(range_us: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    if range_us is None or other is None:
        return range_us or other
    return min(range_us[0], other[0]), max(range_us[1], other[1])


def _not_held(batch: pa.RecordBatch, held: Held) -> pa.RecordBatch:
    if not held.ahead or not batch.num_rows:
        return batch
    offsets, indexes = batch.column("kafka_offset").to_pylist(), batch.column("record_index").to_pylist()
    fresh = [row for row, position in enumerate(zip(offsets, indexes, strict=True)) if position not in held.ahead]
    return take_rows(batch, np.array(fresh, np.int64))
