"""The numbers that tracebraid says of itself, as Prometheus metrics in a registry of their own."""

from collections.abc import Mapping

import pyarrow as pa
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from tracebraid.pipeline.kernel.records import Normalized, Records

log = structlog.get_logger()


class Metrics:
    """One process's metrics; every counter counts rows unless its name says otherwise."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        partition = ("topic", "partition")
        self.records_in = Counter("tracebraid_records_in", "Kafka records read.", partition, registry=self.registry)
        self.rows = Counter(
            "tracebraid_rows", "Committed rows by what became of them: spans, logs, rejected, dropped.", ("topic", "verdict"), registry=self.registry
        )
        self.rejected = Counter("tracebraid_rejected", "Rejects by reason.", ("topic", "reason"), registry=self.registry)
        self.dropped = Counter("tracebraid_dropped", "Rows dropped on purpose, by reason.", ("topic", "reason"), registry=self.registry)
        self.noticed = Counter("tracebraid_noticed", "Rows kept although something about them is odd, by what.", ("what", "service"), registry=self.registry)
        self.redacted = Counter("tracebraid_redacted", "Values dropped, hashed or masked, by the rule.", ("topic", "rule"), registry=self.registry)
        self.kernel_faults = Counter("tracebraid_kernel_faults", "Batches that kernels failed on, and the reference decoders read.", registry=self.registry)
        self.lost = Counter("tracebraid_lost_offsets", "Offsets that retention took before they were read.", partition, registry=self.registry)
        self.lag = Gauge(
            "tracebraid_lag_offsets", "Last stable offset minus the next offset to read, and what is held back.", partition, registry=self.registry
        )
        self.lag_seconds = Gauge(
            "tracebraid_lag_seconds", "Now minus the Kafka timestamp of the record read last; 0 where none waits.", partition, registry=self.registry
        )
        self.stalled = Gauge(
            "tracebraid_stalled", "1 where records wait and for two minutes neither one nor an end of partition came.", partition, registry=self.registry
        )
        self.held = Gauge(
            "tracebraid_held_offsets", "Offsets that an open transaction has held back for two minutes; 0 where none does.", partition, registry=self.registry
        )
        self.buffered = Gauge("tracebraid_buffered_bytes", "Bytes of rows held for the next commit.", registry=self.registry)
        self.committed_at = Gauge("tracebraid_lake_commit_timestamp_seconds", "When the lake last took a cycle.", registry=self.registry)
        self.uncommitted = Gauge("tracebraid_uncommitted_seconds", "How long records have waited for the lake's next commit.", registry=self.registry)
        self.storage_retries = Counter("tracebraid_storage_retries", "Cycles that the storage did not take and was given again.", registry=self.registry)
        self.restarts = Counter("tracebraid_ownership_losses", "New starts from the ledgers: another owner, or a doubt.", registry=self.registry)
        self.loop_age = Gauge("tracebraid_loop_age_seconds", "Since the loop last turned.", registry=self.registry)
        self.broker_age = Gauge("tracebraid_broker_answer_age_seconds", "Since a broker last answered.", registry=self.registry)
        self.arrow = Gauge("tracebraid_arrow_bytes", "Memory that Arrow holds.", registry=self.registry)
        self.arrow.set_function(pa.total_allocated_bytes)
        ProcessCollector(registry=self.registry)  # process_resident_memory_bytes, process_open_fds and the like
        self._fault = ""
        self.read_ms: dict[tuple[str, str], int] = {}  # (topic, partition) → Kafka timestamp of the record read last
        self.commit_seconds = Histogram("tracebraid_lake_commit_seconds", "Time to write and commit one cycle.", registry=self.registry)
        self.conflicts = Counter(
            "tracebraid_lake_conflicts",
            "Commits of other processes that came between our snapshot and our commit: stepped_over; our attempts that failed for one: retried.",
            ("how",),
            registry=self.registry,
        )
        self.files = Counter("tracebraid_files_written", "Parquet files written.", ("table",), registry=self.registry)
        self.bytes_written = Counter("tracebraid_bytes_written", "Bytes of Parquet written.", ("table",), registry=self.registry)
        self.stream_waits = Gauge(
            "tracebraid_stream_waits", "1 while the lake goes on alone, after transactions that failed again and again.", registry=self.registry
        )
        self.overflowed = Gauge("tracebraid_measure_overflowed_rows", "Rows since the start whose series was past a measure's bound.", registry=self.registry)
        self.unobserved = Gauge("tracebraid_measure_unobserved_rows", "Rows since the start that a rule over rows did not look at.", registry=self.registry)
        self.unmeasured = Gauge("tracebraid_measure_failed_rows", "Rows since the start that a measure failed on, and left out.", registry=self.registry)
        self.stream_transactions = Counter("tracebraid_stream_transactions", "Kafka transactions by outcome.", ("outcome",), registry=self.registry)

    def count_fault(self, fault: str) -> None:
        """What kernels failed on, if anything; the log has it once while it is the same."""
        if not fault:
            return
        self.kernel_faults.inc()
        if fault != self._fault:
            log.error("kernels failed, a fault of tracebraid's; the reference decoders read on, slower", why=fault)
        self._fault = fault

    def count_measured(self, overflowed: int, unobserved: int, failed: int) -> None:
        self.overflowed.set(overflowed)
        self.unobserved.set(unobserved)
        self.unmeasured.set(failed)

    def count_read(self, records: Records, dropped: Mapping[str, int], normalized: Normalized, fault: str) -> None:
        """What is counted as it is read, and so again where it is read again; `rows` counts what was committed."""
        self.count_fault(fault)
        topic = records.partition.topic
        self.records_in.labels(topic, records.partition.number).inc(records.batch.num_rows)
        self.read_ms[topic, str(records.partition.number)] = records.batch.column("kafka_time_ms")[-1].as_py()
        for reason, count in dropped.items():
            self.dropped.labels(topic, reason).inc(count)
        for counted in normalized.rejects.column("reason").value_counts().to_pylist():
            self.rejected.labels(topic, counted["values"]).inc(counted["counts"])
        for (what, service), count in normalized.counted.items():
            self.noticed.labels(what, service).inc(count)
        for rule, count in normalized.redacted.items():
            self.redacted.labels(topic, rule).inc(count)


class DetectMetrics:
    """The metrics of one detect."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.shards = Gauge("tracebraid_detect_shards", "Partitions of the windows topic that this process has.", registry=self.registry)
        self.series = Gauge("tracebraid_detect_series", "Series that are held.", registry=self.registry)
        self.late = Gauge("tracebraid_detect_late_windows", "Partial windows that came after their window had closed.", registry=self.registry)
        self.repeated = Gauge("tracebraid_detect_repeated", "Messages whose offsets were merged before.", registry=self.registry)
        self.overflowed = Gauge("tracebraid_detect_overflowed_series", "Series past the bound, that are counted together.", registry=self.registry)
        self.transitions = Counter("tracebraid_detect_transitions", "Transitions of alerts.", ("transition",), registry=self.registry)
        self.refused = Counter("tracebraid_detect_refused", "Messages of the windows topic that could not be read.", registry=self.registry)
        self.restarts = Counter("tracebraid_detect_restarts", "New starts from the snapshots after a doubt.", registry=self.registry)
        self.tick_seconds = Histogram("tracebraid_detect_tick_seconds", "Time to evaluate what was due.", registry=self.registry)
        self.transaction_seconds = Histogram("tracebraid_detect_transaction_seconds", "Time of one transaction.", registry=self.registry)
        ProcessCollector(registry=self.registry)

    def count_held(self, shards: int, series: int, late: int, repeated: int, overflowed: int) -> None:
        held = ((self.shards, shards), (self.series, series), (self.late, late), (self.repeated, repeated), (self.overflowed, overflowed))
        for gauge, number in held:
            gauge.set(number)


class ArchiveMetrics:
    """The metrics of one archive."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.rows = Counter("tracebraid_archive_rows", "Rows committed.", ("table",), registry=self.registry)
        self.refused = Counter("tracebraid_archive_refused", "Messages that could not be read.", ("table",), registry=self.registry)
        self.commit_seconds = Histogram("tracebraid_archive_commit_seconds", "Time to write and commit one portion.", ("table",), registry=self.registry)
        ProcessCollector(registry=self.registry)


class ExplainMetrics:
    """The metrics of one explain."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.evidence = Counter(
            "tracebraid_explain_evidence", "Alerts explained, by whether the lake held all of the window.", ("complete",), registry=self.registry
        )
        self.refused = Counter("tracebraid_explain_refused", "Messages that could not be read.", registry=self.registry)
        self.waiting = Gauge("tracebraid_explain_waiting", "Alerts that wait for the lake.", registry=self.registry)
        self.seconds = Histogram("tracebraid_explain_seconds", "Time to look up what is due.", registry=self.registry)
        ProcessCollector(registry=self.registry)


class NotifyMetrics:
    """The metrics of one notify."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        channel = ("channel",)
        self.sent = Counter("tracebraid_notify_sent", "Notices that a channel took, by what they tell.", ("channel", "what"), registry=self.registry)
        self.failed = Counter(
            "tracebraid_notify_failed", "Attempts that failed, by the answer's status or why there was none.", ("channel", "reason"), registry=self.registry
        )
        self.dead = Counter("tracebraid_notify_dead", "Messages that went to the dead-letter topic.", channel, registry=self.registry)
        self.seconds = Histogram("tracebraid_notify_seconds", "Time of one attempt.", channel, registry=self.registry)
        self.waiting = Gauge("tracebraid_notify_waiting", "Messages that were read and not delivered yet.", channel, registry=self.registry)
        self.firing = Gauge("tracebraid_notify_firing", "Alerts that fire.", channel, registry=self.registry)
        ProcessCollector(registry=self.registry)
