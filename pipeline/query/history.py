"""Rows of a span of time, in the order in which they happened or arrived.

In: the settings' file, a range. Out: record batches of schemas.spans or schemas.logs. Never: a row twice.
"""

from collections.abc import Iterator

import duckdb
import pyarrow as pa

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.query.connection import connect
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.spans import SPANS

CHUNK_US, DAY_US = 3600 * 1_000_000, 86_400 * 1_000_000
# A span counts at its end, a log at its time, as where the stream measures them.
EVENT_TIME = {"spans": "coalesce(end_time, start_time, kafka_time)", "logs": "coalesce(time, kafka_time)"}


def hours(config: str | None, start_us: int, end_us: int, *, arrived: bool) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """(spans, logs) of each hour with rows from `start_us` up to and without `end_us`, by event time, or by Kafka's where `arrived`; each in that order."""
    connection = connect(config=config)
    for begin_us in range(start_us, end_us, CHUNK_US):
        found = tuple(_rows(connection, signal, (begin_us, min(begin_us + CHUNK_US, end_us)), arrived) for signal in ("spans", "logs"))
        if any(batch.num_rows for batch in found):
            yield found[0], found[1]


def _rows(connection: duckdb.DuckDBPyConnection, signal: str, within_us: tuple[int, int], arrived: bool) -> pa.RecordBatch:
    schema = (SPANS if signal == "spans" else LOGS).arrow
    time = "kafka_time" if arrived else EVENT_TIME[signal]
    columns = ", ".join(f'"{name}"' for name in schema.names)
    order = f"{time}, kafka_topic, kafka_partition, kafka_offset, record_index"
    # The day is of the event time: files of other days are not opened. A span may begin the day before it ends.
    behind_us = limits.plausible_behind_s * 1_000_000 if arrived else 0
    first, last = (f"make_timestamptz({each}::BIGINT)::DATE" for each in (within_us[0] - DAY_US - behind_us, within_us[1] + DAY_US))
    days = f"day BETWEEN {first} AND {last}"
    sql = f"SELECT {columns} FROM {signal} WHERE {days} AND {time} >= make_timestamptz($1::BIGINT) AND {time} < make_timestamptz($2::BIGINT) ORDER BY {order}"
    found = connection.sql(sql, params=list(within_us)).to_arrow_table().cast(schema).combine_chunks().to_batches()
    return found[0] if found else pa.RecordBatch.from_pylist([], schema=schema)
