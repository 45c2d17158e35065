"""One file of a snapshot, read whole: its rows in batches, and whether the log says the truth of it.

In: a place, a table, a file as the log names it. Out: batches of the columns asked for; findings. Never: trust in a footer's statistics.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tracebraid.pipeline.verify.delta_log import Add
from tracebraid.pipeline.verify.place import FAILURES, Place
from tracebraid.pipeline.verify.report import Finding

BATCH_ROWS = 128 * 1024
_SHOWN_CHARS = 60


@dataclass(slots=True)
class _Seen:
    """The least and the greatest value of a column as the log would spell them in order; None where there was none."""

    low: Any = None
    high: Any = None
    nulls: int = 0


@dataclass(frozen=True, slots=True)
class _Claims:
    """What the log says of a file."""

    rows: int | None
    low: dict[str, Any]
    high: dict[str, Any]
    nulls: dict[str, int]


def read_batches(place: Place, table: str, add: Add, columns: Sequence[str], findings: list[Finding]) -> Iterator[pa.RecordBatch]:
    """The file's rows. `columns`: must be there. Appends to `findings` what is wrong with the file; what was read before stays read.

    Columns of names and ids come as they are or as dictionaries.
    """

    def found(kind: str, detail: str) -> None:
        findings.append(Finding(kind, table=table, file=add.path, detail=detail))

    try:
        claims = _claims(add)
    except (ValueError, TypeError, AttributeError) as error:
        found("statistic", f"the statistics cannot be read: {error}")
        claims = _Claims(None, {}, {}, {})
    seen: dict[str, _Seen] = {}
    rows = 0
    try:
        with place.open(f"{table}/{add.path}") as source:
            parquet = pq.ParquetFile(source, read_dictionary=["kafka_cluster", "kafka_topic_id"], page_checksum_verification=True)
            names = parquet.schema_arrow.names
            if lacking := [name for name in columns if name not in names]:
                found("file_unreadable", f"it has no column {', '.join(lacking)}")
                return
            seen = {name: _Seen() for name in names if name in claims.low | claims.high | claims.nulls}
            for read in parquet.iter_batches(BATCH_ROWS, columns=[name for name in names if name in columns or name in seen]):
                batch = _without_views(read)
                rows += batch.num_rows
                for name, bounds in seen.items():
                    _widen(bounds, batch.column(name))
                yield batch.select(columns)
    except FileNotFoundError:
        found("file_missing", "the log names it, and it is not there")
        return
    except FAILURES as error:
        found("file_unreadable", str(error).strip().split("\n", 1)[0][:300])
        return
    if claims.rows is not None and claims.rows != rows:
        found("row_count", f"it has {rows} rows, the log says {claims.rows}")
    for name, bounds in seen.items():
        for detail in _lies(name, bounds, claims):
            found("statistic", detail)


def _claims(add: Add) -> _Claims:
    said = orjson.loads(add.statistics) if add.statistics else {}
    rows = said.get("numRecords")
    return _Claims(None if rows is None else int(rows), *(dict(said.get(part) or {}) for part in ("minValues", "maxValues", "nullCount")))


def _without_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """delta-rs's own rewrites (DELETE) leave texts as views, for which Arrow lacks most functions."""
    for place, field in enumerate(batch.schema):
        if pa.types.is_string_view(field.type):
            batch = batch.set_column(place, field.name, batch.column(place).cast(pa.string()))
    return batch


def _widen(seen: _Seen, column: pa.Array) -> None:
    seen.nulls += column.null_count
    if column.null_count == len(column):
        return
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
        return
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
    bounds = pc.min_max(column).as_py()
    seen.low = bounds["min"] if seen.low is None else min(seen.low, bounds["min"])
    seen.high = bounds["max"] if seen.high is None else max(seen.high, bounds["max"])


def _lies(name: str, seen: _Seen, claims: _Claims) -> Iterator[str]:
    for word, said, value in (("least", claims.low.get(name), seen.low), ("greatest", claims.high.get(name), seen.high)):
        if said is None or value is None:
            continue
        try:
            bound = _comparable(said, value)
            if bound > value if word == "least" else bound < value:
                yield f"{name}: its {word} value is {_shown(value)}, the log says {_shown(bound)}"
        except (ValueError, TypeError):
            yield f"{name}: the log's {word} value {_shown(said)} is none"
    nulls = claims.nulls.get(name)
    if nulls is not None and nulls != seen.nulls:
        yield f"{name}: {seen.nulls} nulls, the log says {nulls}"


def _comparable(said: Any, value: Any) -> Any:
    """A bound of the log as a value of the column: times are ISO 8601 there, microseconds here."""
    if isinstance(said, str) and isinstance(value, int):
        moment = datetime.fromisoformat(said)
        if moment.tzinfo is None:
            raise ValueError("a time without a zone")
        return round((moment - datetime.fromisoformat("1970-01-01T00:00:00Z")).total_seconds() * 1000) * 1000
    if isinstance(said, str) and isinstance(value, date):
        return date.fromisoformat(said)
    return said


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"
