"""Rows of several batches as if they were one, of which only those columns are put together that somebody asks for.

In: batches of one signal, of several source partitions. Out: columns as a record batch gives them, arrays that hang on all rows alone. Never: a column twice;
a column of all that nobody asked for, of which spans have sixty, and a measure needs six.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.kernel.held import one_column, take
from tracebraid.pipeline.kernel.route import routes

Ints = npt.NDArray[np.int64]
Array = TypeVar("Array", bound=npt.NDArray[Any])
ROUTES = ("route", "operation")  # by which rules may group spans: made here


class Names(NamedTuple):
    """What a batch's schema is asked for."""

    names: list[str]


class Columns:
    """A record batch to measures: `column`, `num_rows` and `schema.names`."""

    def __init__(self, names: list[str], num_rows: int, read: "Read", whole: "tuple[Columns, Ints] | None" = None) -> None:
        """read: gives one of the columns. whole: of which rows these are some, and their places there."""
        self.schema, self.num_rows, self._read, self._whole = Names(names), num_rows, read, whole
        self._columns: dict[str, pa.Array] = {}
        self._known: dict[str, Any] = {}

    def column(self, name: str) -> pa.Array:
        if name not in self._columns:
            self._columns[name] = self._read(self, name)
        return self._columns[name]

    def taken(self, rows: Ints) -> "Columns":
        """The rows at these places."""
        return Columns(self.schema.names, len(rows), lambda _, name: take(self.column(name), rows), (self, rows))

    def once(self, name: str, compute: "Callable[[Columns], Array]") -> Array:
        """What is the same whichever rows are looked at beside a row: computed of all rows once, and then taken."""
        if name not in self._known:
            self._known[name] = self._whole[0].once(name, compute)[self._whole[1]] if self._whole else compute(self)
        found: Array = self._known[name]
        return found

    def source(self) -> Ints:
        """The number of each row's source."""
        return self.once("source", _told)


def _told(_: Columns) -> Ints:
    raise AssertionError("as_one() has said which sources")


Read = Callable[[Columns, str], pa.Array]
Given = tuple[int, pa.RecordBatch]


def as_one(signal: str, given: Sequence[Given]) -> Columns:
    """One batch at least, each with the number of its source. Spans get the columns `route` and `operation`."""
    batches = [batch for _, batch in given]
    derived = ROUTES if signal == "spans" else ()

    def read(found: Columns, name: str) -> pa.Array:
        if name in derived:
            return routes(found) if name == ROUTES[0] else found.column(ROUTES[0])
        return one_column(batches, batches[0].schema.field(name))

    found = Columns([*batches[0].schema.names, *derived], sum(batch.num_rows for batch in batches), read)
    sources: Ints = np.repeat(np.array([number for number, _ in given], np.int64), [batch.num_rows for batch in batches])
    found.once("source", lambda _: sources)
    return found


def halves(given: Sequence[Given]) -> tuple[list[Given], list[Given]]:
    """Half of the rows, and the others."""
    left, found = sum(batch.num_rows for _, batch in given) // 2, (list[Given](), list[Given]())
    for number, batch in given:
        for half, part in zip(found, (batch.slice(0, left), batch.slice(left)), strict=True):
            if part.num_rows:
                half.append((number, part))
        left = max(0, left - batch.num_rows)
    return found
