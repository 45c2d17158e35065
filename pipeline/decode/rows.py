"""Where decoders put rows: lists of column values that become Arrow batches once a batch of records is done.

In: values, a row at a time (the reference decoders are allowed to be slow). Out: a Decoded. Never: judgement of a value;
`mark` and `rollback` undo a record that turned out to be broken halfway.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from tracebraid.pipeline.kernel.records import Decoded
from tracebraid.schemas.records import DECODED_LOGS, DECODED_REJECTS, DECODED_SPANS, RESOURCES

Attributes = dict[str, str | None]
DEFAULTS: dict[str, Any] = {"scope_attributes": (), "attributes": (), "events": (), "links": ()}


class DecodeError(Exception):
    """This record, or this part of it, is not what its encoding says. `reason`: a code of schemas.rejects.REASONS."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Columns:
    """Column lists for one schema; `append` takes values by column name, absent ones are null (empty for maps and lists)."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.lists: dict[str, list[Any]] = {name: [] for name in schema.names}
        self.rows = 0

    def append(self, values: Mapping[str, Any]) -> None:
        for name, column in self.lists.items():
            column.append(values.get(name, DEFAULTS.get(name)))
        self.rows += 1

    def rollback(self, rows: int) -> None:
        for column in self.lists.values():
            del column[rows:]
        self.rows = rows

    def finish(self) -> pa.RecordBatch:
        arrays = [pa.array([_items(v) for v in self.lists[f.name]] if pa.types.is_map(f.type) else self.lists[f.name], f.type) for f in self.schema]
        return pa.record_batch(arrays, schema=self.schema)


def _items(value: Any) -> Any:
    return list(value.items()) if isinstance(value, dict) else value


@dataclass(slots=True)
class Rows:
    """The rows of one batch of records. A decoder is called as decoder(value: bytes, record: int, rows: Rows) and raises DecodeError."""

    spans: Columns = field(default_factory=lambda: Columns(DECODED_SPANS))
    logs: Columns = field(default_factory=lambda: Columns(DECODED_LOGS))
    rejects: Columns = field(default_factory=lambda: Columns(DECODED_REJECTS))
    resources: Columns = field(default_factory=lambda: Columns(RESOURCES))
    dropped: Counter[str] = field(default_factory=Counter)

    def resource(self, attributes: Attributes, schema_url: str | None = None) -> int:
        """Add a resource; its number, for the rows' `resource`."""
        self.resources.append({"attributes": attributes, "schema_url": schema_url})
        return self.resources.rows - 1

    def mark(self) -> tuple[int, int, int, int]:
        return self.spans.rows, self.logs.rows, self.rejects.rows, self.resources.rows

    def rollback(self, mark: tuple[int, int, int, int]) -> None:
        for columns, rows in zip((self.spans, self.logs, self.rejects, self.resources), mark, strict=True):
            columns.rollback(rows)

    def finish(self) -> Decoded:
        return Decoded(self.spans.finish(), self.logs.finish(), self.resources.finish(), self.rejects.finish(), self.dropped)
