"""Rows → Parquet files: sorted, split by day, with bloom filter, page index and statistics.

In: the batches of one table. Out: durable files, one a day, that nobody sees yet. Never: a commit; the partition column inside a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tracebraid.pipeline.kernel.held import one_column, take
from tracebraid.pipeline.kernel.limits import encoded_bytes_max, row_group_rows_max
from tracebraid.pipeline.kernel.sorting import order_by
from tracebraid.pipeline.store.files import File, Files
from tracebraid.pipeline.store.statistics import file_statistics, pruned_columns
from tracebraid.schemas.table import INT64, PARTITION_COLUMN, STRING, TIMESTAMP, Table

DAY = PARTITION_COLUMN.name
BLOOM_COLUMN = "trace_id"
BLOOM_FALSE_POSITIVES = 0.01
ZSTD_LEVEL = 1  # levels 2 and 3 gave the same size within 1 % and cost more
_VALUES_AT_ONCE = 8192  # 1,024 by default: each round of a column costs, and most columns have little to say. An eighth less, for the same bytes
# Values that hardly repeat within a file: a dictionary costs time and, once it overflows, space.
_DISTINCT = frozenset(
    {
        *("span_id", "parent_span_id", "start_time", "end_time", "start_unix_nano", "end_unix_nano", "duration_ns"),
        *("time", "observed_time", "time_unix_nano", "observed_unix_nano", "kafka_offset", "record_index"),
        *("body", "exception_message", "record_key", "record_value", "value_sha256"),
    }
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """One file to be: its day, its bytes, its rows, and its statistics as the Delta log has them."""

    day: date
    data: pa.Buffer
    rows: int
    statistics: str


def write_rows(table: Table, batches: Sequence[pa.RecordBatch], files: Files, ahead: Sequence[Encoded] | None = None) -> list[File]:
    """Write the rows under fresh names, durably. `ahead`: the same rows, encoded already.

    Raises what the storage raises; then no file of them stays, where that is possible.
    """
    written: list[File] = []
    try:
        for encoded in encode_rows(table, batches) if ahead is None else ahead:
            path = f"{DAY}={encoded.day.isoformat()}/part-{uuid4()}.zstd.parquet"
            files.write_file(path, encoded.data)
            written.append(File(path, encoded.data.size, encoded.rows, encoded.day.isoformat(), encoded.statistics))
    except BaseException:
        for file in written:
            files.remove_file(file.path)
        raise
    return written


def encode_rows(table: Table, batches: Sequence[pa.RecordBatch]) -> list[Encoded]:
    """One file a day, rows in the table's order (nulls last). `batches`: of the table's Arrow schema, in any order. More files where they are very large."""
    return [encoded for portion in _portions([batch for batch in batches if batch.num_rows]) for encoded in _encode_portion(table, portion)]


def _portions(batches: Sequence[pa.RecordBatch]) -> list[list[pa.RecordBatch]]:
    """Batches whose texts fit into one column of each name: its offsets have 32 bits, and Arrow refuses what is beyond, at each try anew.

    A cycle is closed at `flush_mib`, but a record that inflates, or repeats what is around its events, may alone be more. Each batch is a column already.
    """
    portions: list[list[pa.RecordBatch]] = []
    held = 0
    for batch in batches:
        size = batch.nbytes
        if not portions or held + size > encoded_bytes_max:
            portions.append([])
            held = 0
        portions[-1].append(batch)
        held += size
    return portions


def _encode_portion(table: Table, batches: Sequence[pa.RecordBatch]) -> list[Encoded]:
    order = _order(table, batches)
    # A column after the other: of all but the one at hand there is one copy beside the batches.
    rows = pa.Table.from_batches([pa.record_batch([take(one_column(batches, field), order) for field in table.held], schema=table.held)])
    runs = pc.run_end_encode(rows.column(DAY).combine_chunks())
    encoded = []
    start = 0
    for day, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        of_day = rows.slice(start, end - start).drop_columns([DAY])
        encoded.append(Encoded(day, _to_parquet(of_day), of_day.num_rows, file_statistics(of_day)))
        start = end
    return encoded


def _order(table: Table, batches: Sequence[pa.RecordBatch]) -> npt.NDArray[np.int64]:
    """Where the rows of a file come from: by day, and within it as the table sorts."""
    names = (DAY, *table.sort_by)
    columns = [one_column(batches, table.held.field(name)) for name in names]
    days = pc.min_max(columns[0]).as_py()
    kinds = [column.type for column in columns[1:]]
    if days["min"] == days["max"] and kinds in ([STRING, INT64], [STRING, TIMESTAMP]):
        return order_by(columns[1], columns[2])
    order: npt.NDArray[np.int64] = pc.sort_indices(pa.record_batch(columns, names=names), [(name, "ascending") for name in names]).to_numpy().astype(np.int64)
    return order


def _to_parquet(rows: pa.Table) -> pa.Buffer:
    bloom, distinct = {}, set(_DISTINCT)
    if BLOOM_COLUMN in rows.column_names:
        ids = _runs(rows.column(BLOOM_COLUMN))
        bloom = {BLOOM_COLUMN: {"ndv": ids, "fpp": BLOOM_FALSE_POSITIVES}}
        if 2 * ids > rows.num_rows:
            distinct.add(BLOOM_COLUMN)
    sink = pa.BufferOutputStream()
    pq.write_table(
        rows.replace_schema_metadata(None),
        sink,
        row_group_size=row_group_rows_max,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=[name for name in _leaves(rows.schema) if name not in distinct],
        write_statistics=pruned_columns(rows.schema),  # of all columns they cost 0.4 µs a span, of 1.7; nobody would ask for them
        write_page_index=True,
        write_page_checksum=True,
        write_batch_size=_VALUES_AT_ONCE,
        bloom_filter_options=bloom,
        store_schema=False,  # other readers read what Parquet says, so do we
    )
    return sink.getvalue()


def _runs(sorted_texts: pa.ChunkedArray) -> int:
    """How many texts there are, counted where one follows another: a hash of each would cost as much as writing them."""
    texts = sorted_texts.combine_chunks()
    return 1 + (pc.sum(pc.not_equal(texts.slice(1), texts.slice(0, max(len(texts) - 1, 0)))).as_py() or 0)


def _leaves(schema: pa.Schema) -> list[str]:
    """Paths of the leaf columns, as Parquet spells them. Of maps the keys alone: keys repeat, values of the rest are mostly distinct."""
    paths = []
    for field in schema:
        if pa.types.is_map(field.type):
            paths.append(f"{field.name}.key_value.key")
        elif not pa.types.is_nested(field.type):
            paths.append(field.name)
    return paths
