"""The statistics of one file, as the Delta log carries them: by these alone, readers decide which files they open.

In: the rows of a file. Out: JSON text (numRecords, minValues, maxValues, nullCount). Never: a bound that is not one; where none
can be said, none is. Source of the format: Delta transaction log protocol, "Per-file Statistics".
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.limits import statistics_string_chars_max

# Each costs 60 to 100 bytes of log a file, so only columns that a question prunes by, and whose values lie apart between files, have them:
# ids by which files are sorted; times and exact times; positions (crash recovery, completeness); who sent it; what is searched as rare
# (errors, slow spans, severe logs). Not span_id: sorted by trace id, every file spans its whole range. Not name, route or the resource's
# other columns: a file of one cycle holds them all.
PRUNED = frozenset(
    {
        *("trace_id", "service_name", "tenant", "status_code", "duration_ns", "severity_number", "reason", "kind"),
        *("start_time", "end_time", "start_unix_nano", "end_unix_nano", "time", "time_unix_nano", "ingested_at"),
        *("kafka_topic", "kafka_topic_id", "kafka_partition", "kafka_offset", "kafka_time"),
        *("measure", "window_start", "window_end", "alert_id", "rule_name"),
        *("first_offset", "last_offset", "event_time_min", "event_time_max", "kafka_time_min", "kafka_time_max"),
    }
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CODE_POINT_MAX = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


def pruned_columns(schema: pa.Schema) -> list[str]:
    """The columns of a table that have statistics, in its order."""
    return [name for name in schema.names if name in PRUNED]


def file_statistics(rows: pa.Table) -> str:
    """`rows`: the rows of one file. Columns of type string, int32, int64 and timestamp[us, UTC] are known; PRUNED names no others.

    An all-null column has its nullCount alone. Where one bound cannot be spelled (a time outside the years 1 to 9999), the file has
    numRecords alone: deltalake 1.6 gives PyArrow a missing bound as `column <= null`, and PyArrow then drops the file from the answer.
    """
    lowest: dict[str, Any] = {}
    highest: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for name in pruned_columns(rows.schema):
        column = rows.column(name)
        nulls[name] = column.null_count
        if column.null_count < len(column):
            lowest[name], highest[name] = _bounds(column)
    statistics: dict[str, Any] = {"numRecords": rows.num_rows}
    if None not in lowest.values() and None not in highest.values():
        statistics |= {"minValues": lowest, "maxValues": highest, "nullCount": nulls}
    # Characters as they are, not as \u escapes: arrow-json, in every reader tried, reads the surrogate pairs of U+20000 and above as another one.
    return orjson.dumps(statistics).decode()


def _bounds(column: pa.ChunkedArray) -> tuple[str | int | None, str | int | None]:
    """A value that none is below and one that none is above, as JSON has them; None where there is no such value."""
    if pa.types.is_dictionary(column.type):
        whole = column.combine_chunks()
        column = pa.chunked_array([whole.dictionary.take(pc.unique(whole.indices.drop_null()))])
    kind = column.type
    extremes = pc.min_max(column.cast(pa.int64()) if pa.types.is_timestamp(kind) else column).as_py()
    least, most = extremes["min"], extremes["max"]
    if pa.types.is_string(kind):
        return least[:statistics_string_chars_max], cut_above(most, statistics_string_chars_max)
    if pa.types.is_timestamp(kind):
        return _whole_ms(least, _floor), _whole_ms(most, _ceiling)
    if pa.types.is_integer(kind):
        return least, most
    raise TypeError(f"no statistics are known for a column of type {kind}")


def cut_above(value: str, chars_max: int) -> str | None:
    """The value itself if it has at most `chars_max` characters, else a text of at most that length that no text beginning like it is above.

    Order is that of code points, which is that of UTF-8 bytes. None where no such text exists (nothing but U+10FFFF).
    """
    if len(value) <= chars_max:
        return value
    for end in range(chars_max, 0, -1):
        following = ord(value[end - 1]) + 1
        if following in _SURROGATES:
            following = _SURROGATES.stop  # U+D7FF is followed by U+E000: UTF-8 has no surrogates
        if following <= _CODE_POINT_MAX:
            return value[: end - 1] + chr(following)
    return None


def _floor(micros: int) -> int:
    return micros // 1000


def _ceiling(micros: int) -> int:
    return -(-micros // 1000)


def _whole_ms(micros: int, rounded: Callable[[int], int]) -> str | None:
    """ISO 8601 with milliseconds, rounded away from the values: Delta's spelling has no more digits, and some readers cut them off."""
    try:
        time = _EPOCH + timedelta(milliseconds=rounded(micros))
    except OverflowError:
        return None
    return f"{time.year:04}-{time:%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"
