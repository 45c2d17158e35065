"""Table `intervals`: which offsets of which partition the lake accounts for, and how."""

from tracebraid.schemas.table import INT32, INT64, PARTITION_COLUMN, PROVENANCE, STRING, TIMESTAMP, Column, Table

_PROVENANCE = {column.name: column for column in PROVENANCE}
INTERVALS = Table(
    name="intervals",
    version=1,
    comment="One row a partition and cycle: a closed interval of offsets and what became of its records. rows_in = spans + logs + rejected + dropped.",
    sort_by=("kafka_topic", "kafka_partition", "first_offset"),
    columns=(
        PARTITION_COLUMN,
        Column("kind", STRING, "stored; start (the first start, pinned: last_offset = first_offset - 1); lost (taken by retention).", True),
        Column("reason", STRING, "Why, for lost and start."),
        _PROVENANCE["kafka_cluster"],
        _PROVENANCE["kafka_topic"],
        _PROVENANCE["kafka_topic_id"],
        _PROVENANCE["kafka_partition"],
        Column("first_offset", INT64, "First offset of the interval.", True),
        Column("last_offset", INT64, "Last offset of the interval, inclusive; gaps within it held no records (transactions, compaction).", True),
        Column("records_in", INT64, "Kafka records read.", True),
        Column("rows_in", INT64, "Rows decoded from them, with one for each record that gave none.", True),
        Column("rows_spans", INT64, "Rows kept in spans.", True),
        Column("rows_logs", INT64, "Rows kept in logs.", True),
        Column("rows_rejected", INT64, "Rows kept in rejects.", True),
        Column("rows_dropped", INT64, "Rows dropped on purpose: records that hold nothing.", True),
        Column("clock_skewed", INT64, "Rows whose event time is implausible beside the Kafka timestamp.", True),
        Column("event_time_min", TIMESTAMP, "Earliest event time among the rows whose time is plausible."),
        Column("event_time_max", TIMESTAMP, "Latest event time among the rows whose time is plausible."),
        Column("kafka_time_min", TIMESTAMP, "Earliest Kafka timestamp."),
        Column("kafka_time_max", TIMESTAMP, "Latest Kafka timestamp."),
        Column("decoder_version", INT32, "Version of the decoders.", True),
        Column("group_name", STRING, "Consumer group that wrote it.", True),
        Column("ingested_at", TIMESTAMP, "When the cycle was committed.", True),
    ),
)
