"""What is measured of each row for the rules: a group, its labels, and what is counted and summed in it.

In: batches of schemas.spans or schemas.logs. Out: one array a condition, column and label. Never: state, a clock.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.rules.fields import ROUTES
from tracebraid.pipeline.rules.parse import parse
from tracebraid.pipeline.rules.rows import label, number, true_rows
from tracebraid.pipeline.rules.syntax import names


@dataclass(frozen=True)
class Measure:
    """One measure: rows of `signal` that fulfil `where`, by labels, in panes of `pane_us`.

    It is made by one rule alone, and equal ones of several rules are one: so a rule that comes or goes changes no other measure, and no state
    that hangs on its id. Measures of equal `group` have the same rows and labels: select and group them once, and take each one's arrays from it.
    Texts are canonical. conditions: of count(…) and rate(…). columns: numeric expressions, of quantiles, sums and the like.
    observe: the condition of a rule over rows, '' for others. max_series: bound of its series, no part of its id.
    """

    signal: Literal["spans", "logs"]
    by: tuple[str, ...]
    pane_us: int
    where: str = ""
    conditions: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    observe: str = ""
    max_series: int = field(default=10_000, compare=False)

    @cached_property
    def id(self) -> int:
        """64 bits, unsigned, stable over processes and versions."""
        parts = [self.signal, self.by, self.pane_us, self.where, self.conditions, self.columns, self.observe]
        return int.from_bytes(hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).digest(), "little")

    @property
    def group(self) -> tuple[str, tuple[str, ...], str, int]:
        """(signal, by, where, pane_us)."""
        return self.signal, self.by, self.where, self.pane_us

    @cached_property
    def routed(self) -> bool:
        """Whether it needs the columns that pipeline.measure puts into a batch of spans: `route`, and `operation`, which is the same."""
        texts = [*self.by, self.where, *self.conditions, *self.columns, self.observe]
        return self.signal == "spans" and any(name in ROUTES for text in texts if text for name in names(parse(text)))

    def select(self, batch: pa.RecordBatch) -> pa.BooleanArray | None:
        """Which rows fulfil `where`, without nulls; None where there is none, and all do."""
        return true_rows(self.signal, self.where, batch) if self.where else None

    def label_arrays(self, batch: pa.RecordBatch) -> list[pa.StringArray]:
        """The values of `by` in its order, '' for null. `route` and `operation` must be columns of the batch: measure puts them there."""
        return [label(self.signal, name, batch) for name in self.by]

    def condition_arrays(self, batch: pa.RecordBatch) -> list[pa.BooleanArray]:
        """Which rows fulfil each of `conditions`, without nulls."""
        return [true_rows(self.signal, text, batch) for text in self.conditions]

    def column_arrays(self, batch: pa.RecordBatch) -> list[pa.DoubleArray]:
        """Float64 values of each of `columns`, in base units (ns, bytes); null where there is no number."""
        return [number(self.signal, text, batch) for text in self.columns]

    def observations(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Which rows fulfil `observe`, without nulls: unknown is false and ends a run."""
        return true_rows(self.signal, self.observe, batch)

    def errors(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Rows that are errors, without nulls: spans of status ERROR, logs of severity 17 (ERROR) and above."""
        return true_rows(self.signal, "status_code = 'ERROR'" if self.signal == "spans" else "severity_number >= 17", batch)

    def missing(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Rows without a trace id."""
        return pc.is_null(batch.column("trace_id"))


def merge_measures(measures: Iterable[Measure]) -> list[Measure]:
    """Each distinct measure once, in order of first appearance, with the largest bound of its series."""
    merged: dict[Measure, Measure] = {}
    for measure in measures:
        held = merged.get(measure)
        merged[measure] = measure if held is None or held.max_series < measure.max_series else held
    return list(merged.values())
