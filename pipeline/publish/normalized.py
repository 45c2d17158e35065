"""Kept rows on their way to the topic of the normalized stream: one JSON object a row, keyed by trace id.

In: Normalized, as it goes to the lake. Out: messages, made one by one while they are sent. Never: a message larger than every broker takes by default:
a larger row is cut, and says where; a row left out.

A message has the columns' names, `table` (spans, logs) and `version` (the table's), and `cut` where it was: schemas/row.schema.json. Null columns are
left out. The key is null where a row has no trace id: such rows go to all partitions.
"""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.records import Normalized, Partition
from tracebraid.pipeline.publish.producer import Message
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.redactable import REDACTABLE
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import STRING, Table

ROWS_AT_ONCE = 1_000  # as Python objects
# Characters of a text, in turn, until the row fits; a list or a map then holds a sixteenth as many. The last fits whatever the row is.
CUTS = (64 * limits.KIB, 4 * limits.KIB, 256, 16)
# Ids, times and positions stay whole. A tenant comes from a header of any size.
CUTTABLE = REDACTABLE | {"tenant"}
Row = dict[str, Any]


class OpenNormalized:
    """Rows since the last transaction. The arrays are those of the lake's open cycle: nothing is copied before it is sent."""

    def __init__(self, topic: str) -> None:
        self.topic = topic  # '' for no stream of rows
        self._batches: list[tuple[Partition, Table, pa.RecordBatch]] = []

    def add(self, partition: Partition, normalized: Normalized) -> None:
        if self.topic:
            self._batches += [(partition, table, batch) for table, batch in ((SPANS, normalized.spans), (LOGS, normalized.logs)) if batch.num_rows]

    def forget(self, partition: Partition) -> None:
        self._batches = [each for each in self._batches if each[0] != partition]

    def settle(self) -> None:
        self._batches = []

    def messages(self) -> Iterator[Message]:
        """In the order of the records of each partition and table."""
        for _, table, batch in self._batches:
            for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                for row in rows(table, batch.slice(start, ROWS_AT_ONCE)):
                    trace_id = row.get("trace_id")
                    yield Message(self.topic, to_json(row), trace_id.encode() if trace_id else None)


def rows(table: Table, batch: pa.RecordBatch) -> Iterator[Row]:
    """Rows of `batch` as JSON would have them, without columns that are null."""
    names = batch.schema.names
    for values in zip(*(_plain(column) for column in batch.columns), strict=True):
        yield {"table": table.name, "version": table.version, **{name: value for name, value in zip(names, values, strict=True) if value is not None}}


def to_json(row: Row) -> bytes:
    """`row` in JSON, cut to limits.normalized_bytes_max; `cut` names the columns of which something is missing."""
    value = orjson.dumps(row)
    for chars in CUTS:
        if len(value) <= limits.normalized_bytes_max:
            break
        shorter = {name: _cut(content, chars) if name in CUTTABLE else content for name, content in row.items()}
        value = orjson.dumps({**shorter, "cut": [name for name in row if shorter[name] != row[name]]})
    return value


def _cut(value: Any, chars: int) -> Any:
    items = max(1, chars // 16)
    if isinstance(value, str):
        return value[:chars]
    if isinstance(value, list):
        return [_cut(item, chars) for item in value[:items]]
    if isinstance(value, dict):
        return {key[:chars]: _cut(item, chars) for key, item in list(value.items())[:items]}
    return value


def _plain(array: pa.Array) -> list[Any]:
    """Values of one column: times and dates as ISO 8601 texts, maps as objects, structures as objects without what is null."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        array = pc.strftime(array.cast(pa.timestamp("us")), "%Y-%m-%dT%H:%M:%SZ")  # UTC as it is; without a zone no table of zones is needed
    elif pa.types.is_date(kind):
        array = array.cast(STRING)
    values: list[Any] = array.to_pylist()
    if shape := _shape(kind):
        return [None if value is None else shape(value) for value in values]
    return values


def _shape(kind: pa.DataType) -> Callable[[Any], Any] | None:
    if pa.types.is_map(kind):
        return dict
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        shapes = {field.name: _shape(field.type) for field in kind.value_type}
        return lambda items: [_object(item, shapes) for item in items]
    return None


def _object(item: Row, shapes: dict[str, Callable[[Any], Any] | None]) -> Row:
    found = ((name, value, shapes[name]) for name, value in item.items() if value is not None)
    return {name: shape(value) if shape else value for name, value, shape in found}
