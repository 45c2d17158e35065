"""Where decoders put rows: lists of column values that become Arrow batches once a batch of records is done.

In: values, a row at a time (the reference decoders are allowed to be slow). Out: a Decoded. Never: judgement of a value;
`mark` and `rollback` undo a record that turned out to be broken halfway.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, repeat
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.records import Decoded
from tracebraid.schemas.records import DECODED_LOGS, DECODED_REJECTS, DECODED_SPANS, RESOURCES
from tracebraid.schemas.table import ATTRIBUTES, STRING

Attributes = dict[str, str | None]
DEFAULTS: dict[str, Any] = {"scope_attributes": (), "attributes": (), "events": (), "links": ()}


class DecodeError(Exception):
    """This record, or this part of it, is not what its encoding says. `reason`: a code of schemas.rejects.REASONS."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


_EMPTY: dict[int, pa.RecordBatch] = {}  # by the identity of their schemas, which the batches hold


def rows_max(size: int) -> int:
    """How many rows a record of `size` bytes may have: a row that takes two bytes there takes a kilobyte here."""
    return min(limits.record_rows_max, max(limits.record_rows_any, size * limits.repetition_ratio_max // limits.row_bytes))


def check_rows(count: int, most: int) -> None:
    """Raises DecodeError too_large. `most`: by rows_max()."""
    if count > most:
        raise DecodeError("too_large", f"{count} rows or more in one record, which by its size may have {most}")


class Columns:
    """The rows of one schema; `append` takes values by column name, absent ones are null (empty for maps and lists).

    A map is a dict or a sequence of pairs at the top of a row, a sequence of pairs inside a list or struct.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self._absent: dict[str, Any] = {name: DEFAULTS.get(name) for name in schema.names}
        self._pick = itemgetter(*schema.names)
        self._rows: list[tuple[Any, ...]] = []

    @property
    def rows(self) -> int:
        return len(self._rows)

    def append(self, values: Mapping[str, Any]) -> None:
        self._rows.append(self._pick({**self._absent, **values}))

    def extend(self, count: int, columns: Mapping[str, Iterable[Any]]) -> None:
        """`count` rows at once: columns of that length, absent ones as in `append`. Raises ValueError where a length differs."""
        self._rows.extend(zip(*(columns.get(name, repeat(value, count)) for name, value in self._absent.items()), strict=True))

    def since(self, rows: int, name: str) -> Iterator[Any]:
        """The values of one column from row `rows` on."""
        return map(itemgetter(self.schema.get_field_index(name)), islice(self._rows, rows, None))

    def rollback(self, rows: int) -> None:
        del self._rows[rows:]

    def finish(self) -> pa.RecordBatch:
        if not self._rows and id(self.schema) in _EMPTY:  # compiled walkers read most batches whole
            return _EMPTY[id(self.schema)]
        columns = list(zip(*self._rows, strict=True)) if self._rows else [()] * len(self.schema)
        arrays = [maps_of(column) if field.type == ATTRIBUTES else pa.array(column, field.type) for field, column in zip(self.schema, columns, strict=True)]
        found = pa.record_batch(arrays, schema=self.schema)
        if not self._rows:
            _EMPTY[id(self.schema)] = found
        return found


def maps_of(column: Sequence[Attributes | Sequence[tuple[str, str | None]]]) -> pa.MapArray:
    """Maps from one flat list of keys and one of values: a quarter of the time that pa.array takes for lists of pairs."""
    rows = [row if isinstance(row, dict) else dict(row) for row in column]
    offsets = np.zeros(len(rows) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, rows), np.int32, len(rows)), out=offsets[1:])
    keys = pa.array(list(chain.from_iterable(rows)), STRING)
    values = pa.array(list(chain.from_iterable(row.values() for row in rows)), STRING)
    return pa.MapArray.from_arrays(pa.array(offsets), keys, values).cast(ATTRIBUTES)


def _size(attributes: Attributes | Sequence[tuple[str, str | None]]) -> int:
    pairs = attributes.items() if isinstance(attributes, dict) else attributes
    return sum(len(key) + len(value or "") for key, value in pairs)


@dataclass(slots=True)
class Rows:
    """The rows of one batch of records. A decoder is called as decoder(value: bytes, record: int, rows: Rows) and raises DecodeError.

    most: how many rows the record at hand may have, and how many events and links; a decoder asks before it makes them. parts: events and links so far.
    """

    spans: Columns = field(default_factory=lambda: Columns(DECODED_SPANS))
    logs: Columns = field(default_factory=lambda: Columns(DECODED_LOGS))
    rejects: Columns = field(default_factory=lambda: Columns(DECODED_REJECTS))
    resources: Columns = field(default_factory=lambda: Columns(RESOURCES))
    dropped: Counter[str] = field(default_factory=Counter)
    interned: dict[Hashable, int] = field(default_factory=dict)
    most: int = field(default_factory=lambda: limits.record_rows_max)
    parts: int = 0

    def begin(self, size: int) -> None:
        """A record of `size` bytes comes next."""
        self.most, self.parts = rows_max(size), 0

    def check_parts(self, count: int) -> None:
        """So many events and links more: a few hundred bytes each, which take two in the record. Raises DecodeError too_large."""
        self.parts += count
        if self.parts > self.most:
            raise DecodeError("too_large", f"{self.parts} events and links or more in one record, which by its size may have {self.most}")

    def resource(self, attributes: Attributes, schema_url: str | None = None) -> int:
        """Add a resource; its number, for the rows' `resource`."""
        self.resources.append({"attributes": attributes, "schema_url": schema_url})
        return self.resources.rows - 1

    def intern(self, key: Hashable, make: Callable[[], Attributes], schema_url: str | None = None) -> int:
        """The number of the resource that was interned under `key` in this batch; a new one, of what `make` gives, if there is none."""
        number = self.interned.get(key)
        if number is None:
            number = self.interned[key] = self.resource(make(), schema_url)
        return number

    def repeated_bytes(self, mark: tuple[int, int, int, int], times: int) -> int:
        """How many bytes the rows since `mark` will repeat of the resources and scopes that more than `times` of them share."""
        total = 0
        for columns, rows in ((self.spans, mark[0]), (self.logs, mark[1])):
            resources = [(number, count) for number, count in Counter(columns.since(rows, "resource")).items() if count > times]
            shared = {key: count for key, count in Counter(map(id, columns.since(rows, "scope_attributes"))).items() if count > times}
            scopes = {id(scope): scope for scope in columns.since(rows, "scope_attributes")} if shared else {}
            known = list(self.resources.since(0, "attributes")) if resources else []
            total += sum(_size(known[number]) * count for number, count in resources)
            total += sum(_size(scopes[key]) * count for key, count in shared.items())
        return total

    def mark(self) -> tuple[int, int, int, int]:
        return self.spans.rows, self.logs.rows, self.rejects.rows, self.resources.rows

    def rollback(self, mark: tuple[int, int, int, int]) -> None:
        for columns, rows in zip((self.spans, self.logs, self.rejects, self.resources), mark, strict=True):
            columns.rollback(rows)
        while self.interned and next(reversed(self.interned.values())) >= mark[3]:  # numbers rise in the order of the keys
            self.interned.popitem()

    def finish(self) -> Decoded:
        return Decoded(self.spans.finish(), self.logs.finish(), self.resources.finish(), self.rejects.finish(), self.dropped)
