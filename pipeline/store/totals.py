"""What a run has committed, for its last line and for the metrics.

In: committed cycles. Out: counts. Never: a row that is not in the lake; what is read twice is counted once.
"""

from dataclasses import dataclass, field

from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.store.ledger import Committed, Cycle


@dataclass(slots=True)
class Totals:
    """Records and rows by what became of them, cycles, bytes of Parquet."""

    records: int = 0
    spans: int = 0
    logs: int = 0
    rejects: int = 0
    dropped: int = 0
    cycles: int = 0
    bytes_written: int = 0
    rejects_by_reason: dict[str, int] = field(default_factory=dict)

    def count(self, cycle: Cycle, committed: Committed, metrics: Metrics) -> None:
        """Add a cycle that was committed, here and to `metrics`."""
        for each in cycle.intervals:
            self.records += each.records_in
            self.spans += each.rows_spans
            self.logs += each.rows_logs
            self.rejects += each.rows_rejected
            self.dropped += each.rows_dropped
            counts = (("spans", each.rows_spans), ("logs", each.rows_logs), ("rejected", each.rows_rejected), ("dropped", each.rows_dropped))
            for verdict, count in counts:
                metrics.rows.labels(each.partition.topic, verdict).inc(count)
        for batch in cycle.rejects:
            for counted in batch.column("reason").value_counts().to_pylist():
                self.rejects_by_reason[counted["values"]] = self.rejects_by_reason.get(counted["values"], 0) + counted["counts"]
        self.cycles += 1
        metrics.conflicts.labels("stepped_over").inc(committed.others)
        metrics.conflicts.labels("retried").inc(committed.conflicts)
        for table, files in committed.files.items():
            self.bytes_written += committed.bytes[table]
            metrics.files.labels(table).inc(files)
            metrics.bytes_written.labels(table).inc(committed.bytes[table])
