"""What a measure takes of rows: which of them, of which series, in which pane, and their values.

In: rows of schemas.spans or schemas.logs, a compiled measure. Out: Taken, numpy arrays with an entry a row. Never: a row that the
measure's condition leaves out; a Python call a row, only one a distinct tuple of labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.event_time import measured
from tracebraid.pipeline.kernel.grouping import numbered
from tracebraid.pipeline.measure.columns import Columns
from tracebraid.schemas.table import FALSE, INT64

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Batch = Any  # a record batch, or Columns
_MIXED_MAX = 1 << 62


class Compiled(Protocol):
    """What this stage asks of a measure of pipeline.rules, and of a stand-in in tests. Arrays have an entry a row of the batch, which is a record batch or
    what looks like one: Columns. errors, missing: the same for all measures of a signal."""

    @property
    def id(self) -> int: ...
    @property
    def signal(self) -> str: ...
    @property
    def by(self) -> tuple[str, ...]: ...
    @property
    def pane_us(self) -> int: ...
    @property
    def max_series(self) -> int: ...
    @property
    def observe(self) -> str: ...
    @property
    def group(self) -> tuple[str, tuple[str, ...], str, int]: ...
    def select(self, batch: Batch) -> pa.BooleanArray | None: ...
    def label_arrays(self, batch: Batch) -> list[pa.StringArray]: ...
    def condition_arrays(self, batch: Batch) -> list[pa.BooleanArray]: ...
    def column_arrays(self, batch: Batch) -> list[pa.DoubleArray]: ...
    def observations(self, batch: Batch) -> pa.BooleanArray: ...
    def errors(self, batch: Batch) -> pa.BooleanArray: ...
    def missing(self, batch: Batch) -> pa.BooleanArray: ...


@dataclass(frozen=True, slots=True)
class Places:
    """Rows that measures of one group share: where each is from, when it counts, and of which series. source, series: numbers from 0."""

    source: Ints
    series: Ints
    time_us: Ints
    offset: Ints
    index: Ints
    trace_ids: pa.StringArray

    def without(self, number: int) -> "Places | None":
        """None where no row is left; itself where none goes."""
        kept = np.flatnonzero(self.source != number)
        if len(kept) == len(self.source):
            return self
        if not len(kept):
            return None
        source, series, time_us, offset, index = (each[kept] for each in (self.source, self.series, self.time_us, self.offset, self.index))
        return Places(source, series, time_us, offset, index, self.trace_ids.take(pa.array(kept)))


@dataclass(frozen=True, slots=True)
class Taken:
    """What a measure took of rows. flags: errors, missing, and whether each condition holds. values: of each column, NaN for none. observed: None for a
    measure that keeps no observations."""

    flags: tuple[Bools, ...]
    values: tuple[Floats, ...]
    observed: Bools | None

    def at(self, rows: Ints | Bools) -> "Taken":
        """The rows at these places."""
        return Taken(
            tuple(each[rows] for each in self.flags), tuple(each[rows] for each in self.values), None if self.observed is None else self.observed[rows]
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that measures of one group share, with their labels: each row's place among the distinct tuples, and those."""

    rows: Columns
    labels: tuple[Ints, list[tuple[str, ...]]]
    places: Places  # their series: numbers of labels


def select(measure: Compiled, rows: Columns) -> Selection | None:
    """None where no row is the measure's."""
    chosen = measure.select(rows)
    if chosen is not None:
        rows = rows.taken(np.flatnonzero(_bools(chosen)))
    if not rows.num_rows:
        return None
    labels = _distinct(measure.label_arrays(rows), rows.num_rows)
    return Selection(rows, labels, _places(rows, labels[0]))


def take(measure: Compiled, rows: Columns) -> Taken:
    """`rows`: selected for this measure, or for another one of its group."""
    return Taken(
        flags=(
            rows.once("errors", lambda whole: _bools(measure.errors(whole))),
            rows.once("missing", lambda whole: _bools(measure.missing(whole))),
            *map(_bools, measure.condition_arrays(rows)),
        ),
        values=tuple(map(_floats, measure.column_arrays(rows))),
        observed=_bools(measure.observations(rows)) if measure.observe else None,
    )


def _places(rows: Columns, series: Ints) -> Places:
    return Places(
        source=rows.source(),
        series=series,
        time_us=rows.once("time_us", event_times),
        offset=rows.once("offset", lambda whole: whole.column("kafka_offset").to_numpy()),
        index=rows.once("index", lambda whole: whole.column("record_index").to_numpy().astype(np.int64)),
        trace_ids=rows.column("trace_id"),
    )


def event_times(batch: Batch) -> Ints:
    """Microseconds since 1970: a span's end, else its start; a log's time; the Kafka timestamp, or when it was normalized, where those are not plausible."""
    kafka = batch.column("kafka_time").cast(INT64)
    names = ("end_time", "start_time") if "end_time" in batch.schema.names else ("time",)
    own = pc.coalesce(*(batch.column(name).cast(INT64) for name in names), kafka)
    now = pc.fill_null(batch.column("ingested_at").cast(INT64), pa.scalar(0, INT64))
    return measured(own.to_numpy(), kafka.to_numpy(), now.to_numpy())[0]


def _bools(array: pa.BooleanArray) -> Bools:
    found: Bools = pc.fill_null(array, FALSE).to_numpy(zero_copy_only=False)
    return found


def _floats(array: pa.DoubleArray) -> Floats:
    """NaN for null and for what is not finite: it has no place in a sum or a bucket."""
    values: Floats = array.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, np.nan)


def _distinct(labels: Sequence[pa.Array], rows: int) -> tuple[Ints, list[tuple[str, ...]]]:
    """(row → number of its label tuple, the tuples, each once)."""
    if not labels:
        return np.zeros(rows, np.int64), [()]
    coded = [_coded(each) for each in labels]
    combined, seen = coded[0][0], max(1, len(coded[0][1]))
    for codes, texts in coded[1:]:
        if seen * len(texts) > _MIXED_MAX:  # the mixed number would not fit: number what has been seen so far anew
            combined, unique = numbered(combined)
            seen = len(unique)
        combined, seen = combined * len(texts) + codes, seen * max(1, len(texts))
    numbers, first = numbered(combined)
    return numbers, list(zip(*(texts.take(pa.array(codes[first])).to_pylist() for codes, texts in coded), strict=True))


def _coded(labels: pa.Array) -> tuple[Ints, pa.StringArray]:
    """(row → number of its text, the texts, cut, each once)."""
    encoded = labels if pa.types.is_dictionary(labels.type) else pc.dictionary_encode(labels)
    texts = pc.dictionary_encode(pc.utf8_slice_codeunits(encoded.dictionary, 0, limits.label_chars_max))
    codes: Ints = encoded.indices.to_numpy().astype(np.int64)
    if len(texts.dictionary) < len(texts):
        codes = texts.indices.to_numpy().astype(np.int64)[codes]
    return codes, texts.dictionary
