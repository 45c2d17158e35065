"""Topic `tracebraid.windows`: what ingest tells detect, in the order in which it happened; and the table that is kept of it.

Each message has the header `tracebraid.kind`:

- `watermarks`, JSON, to every partition of the topic in each of ingest's transactions that moved something: how far each source has come.
- `partials`, an Arrow batch of PARTIALS without its schema: partial windows of the series that share a partition of the topic. The header
  `tracebraid.source` says, as JSON, which offsets of which one source partition they cover: cluster, topic, topic_id, partition, first_offset,
  next_offset, and `part`, from 0, where one flush gave several messages of the same.
- `release`, JSON, from detect to its own partition: the sources that are waited for no longer. It is read back in its place among the others,
  so that what is evaluated depends on the topic alone.
"""

from dataclasses import dataclass

import pyarrow as pa

from tracebraid.schemas.table import BOOL, INT32, INT64, PARTITION_COLUMN, STRING, TIMESTAMP, Column, Table

VERSION = 1
KIND_HEADER, SOURCE_HEADER, VERSION_HEADER = "tracebraid.kind", "tracebraid.source", "tracebraid.version"
FLOAT64 = pa.float64()


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far one source partition has come in the stream.

    next_offset: all below it is accounted for by this transaction or earlier ones. event_time_us: the latest plausible event time among
    the records that this owner has read, microseconds since 1970; None before the first. caught_up: its owner has met the end of the
    partition and read nothing since; only then is a silent partition an idle one. Where event time leaps, that end must have been met after the leap.
    """

    cluster: str
    topic: str
    topic_id: str
    partition: int
    next_offset: int
    event_time_us: int | None
    caught_up: bool


# What one numeric column gave in a pane. bucket: pipeline.kernel.histogram's, ascending; bucket_n: how many values lie in each.
COLUMN = pa.struct(
    [
        pa.field("n", INT64),
        pa.field("sum", FLOAT64),
        pa.field("min", FLOAT64),
        pa.field("max", FLOAT64),
        pa.field("last", FLOAT64),
        pa.field("last_us", INT64),
        pa.field("bucket", pa.list_(INT32)),
        pa.field("bucket_n", pa.list_(INT64)),
    ]
)
EXEMPLAR = pa.struct([pa.field("trace_id", STRING), pa.field("value", FLOAT64), pa.field("failing", BOOL)])
# One row of a rule over rows: whether its condition held. (time_us, partition of the message's source, offset, index) orders a series' rows.
OBSERVATION = pa.struct([pa.field("time_us", INT64), pa.field("offset", INT64), pa.field("index", INT32), pa.field("true", BOOL)])
COUNTS = ("rows", "errors", "missing")  # the first of `counts`; the measure's conditions follow
# One row a (measure, series, pane): partial, to be merged with others of the same three.
PARTIALS = pa.schema(
    [
        pa.field("measure", pa.uint64(), nullable=False),
        pa.field("series", pa.uint64(), nullable=False),  # pipeline.kernel.series.series_hash of the labels
        pa.field("labels", pa.list_(STRING), nullable=False),
        pa.field("pane_us", INT64, nullable=False),
        pa.field("counts", pa.list_(INT64), nullable=False),
        pa.field("columns", pa.list_(COLUMN), nullable=False),
        pa.field("exemplars", pa.list_(EXEMPLAR), nullable=False),
        pa.field("observations", pa.list_(OBSERVATION), nullable=False),
    ]
)

WINDOWS = Table(
    name="windows",
    version=1,
    comment="One row a measure, series and window, as far as one commit knew it: rows of the same three add up.",
    sort_by=("measure", "labels_text", "window_start"),
    columns=(
        PARTITION_COLUMN,
        Column("measure", STRING, "Id of what is measured: 16 hex characters.", True),
        Column("signal", STRING, "spans or logs.", True),
        Column("condition", STRING, "Which rows are measured: the condition of the rule; '' for all.", True),
        Column("labels", pa.map_(STRING, STRING), "The series: label names and values.", True),
        Column("labels_text", STRING, "The same as JSON text, to sort and to group by.", True),
        Column("window_start", TIMESTAMP, "Start of the window.", True),
        Column("window_us", INT64, "Length of the window in microseconds.", True),
        Column("rows_in", INT64, "Rows measured.", True),
        Column("errors", INT64, "Rows that are errors: status ERROR of a span, severity ERROR and above of a log.", True),
        Column("missing", INT64, "Rows without a trace id.", True),
        Column("duration_sum_ns", FLOAT64, "Sum of the durations."),
        Column("duration_min_ns", FLOAT64, "Least duration."),
        Column("duration_max_ns", FLOAT64, "Greatest duration."),
        Column("duration_p50_ns", FLOAT64, "Median duration, within 1 %; of these rows."),
        Column("duration_p95_ns", FLOAT64, "95th percentile, within 1 %; of these rows."),
        Column("duration_p99_ns", FLOAT64, "99th percentile, within 1 %; of these rows."),
        Column("bucket", pa.list_(INT32), "Buckets of the durations: bucket b holds 1.02^(b-1) < ns <= 1.02^b."),
        Column("bucket_n", pa.list_(INT64), "How many durations lie in each bucket; adds up over rows."),
        Column("kafka_partition", INT32, "Partition of tracebraid.windows that it came by.", True),
        Column("ingested_at", TIMESTAMP, "When it was committed.", True),
    ),
)
