"""Spans as the table holds them.

In: schemas.records.DECODED_SPANS, or WALKED_SPANS, whose promoted attributes are columns already. Out: a Part with the columns that are a span's own. Never:
a span refused or changed beyond recognition: what a column cannot hold is null there and stays, as text, among the attributes under a `tracebraid.` key.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.held import plain
from tracebraid.pipeline.normalize.attributes import add, promote
from tracebraid.pipeline.normalize.context import Context, Part, count_by_service
from tracebraid.pipeline.normalize.service import NormalizedResources
from tracebraid.pipeline.normalize.time import exact_nanos, micros, timestamps
from tracebraid.pipeline.normalize.trace_id import canonical_span_ids, canonical_trace_ids
from tracebraid.schemas.records import WALKED_SPANS
from tracebraid.schemas.semconv import SPAN, SPAN_KINDS, STATUS_CODES
from tracebraid.schemas.spans import LINK
from tracebraid.schemas.table import FALSE, INT32, STRING

Canonical = Callable[[pa.StringArray], tuple[pa.StringArray, pa.BooleanArray]]


def normalize_spans(context: Context, spans: pa.RecordBatch, resources: NormalizedResources) -> Part:
    """Columns, event times (a span's end, else its start) and what is odd: invalid ids by service."""
    services = resources.service_name(spans.column("resource"))
    noticed: Counter[tuple[str, str]] = Counter()
    columns: dict[str, pa.Array] = {}
    odd: list[tuple[str, pa.StringArray]] = []
    for name, canonical in (("trace_id", canonical_trace_ids), ("span_id", canonical_span_ids), ("parent_span_id", _parent_span_ids)):
        columns[name], invalid = canonical(spans.column(name))
        noticed += count_by_service(f"invalid_{name}", invalid, services)
        if invalid.true_count:
            odd.append((f"tracebraid.invalid_{name}", _where(invalid, spans.column(name))))
    for name, words in (("kind", SPAN_KINDS), ("status_code", STATUS_CODES)):
        columns[name], unknown = _words(spans.column(name), words)
        odd.append((f"tracebraid.{name}", unknown))
    for name in ("start", "end"):
        nanos, beyond = exact_nanos(spans.column(f"{name}_unix_nano"))
        columns[f"{name}_unix_nano"] = nanos
        if beyond.true_count:
            odd.append((f"tracebraid.{name}_unix_nano", _where(beyond, spans.column(f"{name}_unix_nano").cast(STRING))))
    start_us, end_us = micros(columns["start_unix_nano"]), micros(columns["end_unix_nano"])
    columns["start_time"], columns["end_time"] = timestamps(start_us), timestamps(end_us)
    both = pc.and_(start_us.is_valid(), end_us.is_valid())
    columns["duration_ns"] = _where(both, pc.subtract(columns["end_unix_nano"], columns["start_unix_nano"]))
    rest = spans.column("attributes")
    if spans.schema != WALKED_SPANS:
        promoted, rest = promote(rest, SPAN)
        columns |= dict(zip((attribute.column for attribute in SPAN), promoted, strict=True))
    columns["attributes"] = add(plain(rest), odd) if any(values.null_count < len(values) for _, values in odd) else rest
    columns["links"] = _links(spans.column("links"))
    return Part(columns, pc.coalesce(end_us, start_us), noticed)


def _parent_span_ids(ids: pa.StringArray) -> tuple[pa.StringArray, pa.BooleanArray]:
    """As canonical_span_ids; all zeros are how some senders say that there is no parent."""
    parents, invalid = canonical_span_ids(ids)
    if not invalid.true_count:
        return parents, invalid
    return parents, pc.and_(invalid, pc.invert(pc.fill_null(pc.match_substring_regex(ids, "^0+$"), FALSE)))


def _words(numbers: pa.Int32Array, words: Sequence[str]) -> tuple[pa.DictionaryArray, pa.StringArray]:
    """The words of an enum, the first for an unknown or absent number; and the text of the unknown numbers."""
    first, behind = (pa.scalar(number, INT32) for number in (0, len(words)))
    known = pc.fill_null(pc.and_(pc.greater_equal(numbers, first), pc.less(numbers, behind)), FALSE)
    if pc.all(known).as_py():
        return pa.DictionaryArray.from_arrays(numbers, pa.array(words, STRING)), pa.nulls(len(numbers), STRING)
    coded = pa.DictionaryArray.from_arrays(pc.if_else(known, numbers, first), pa.array(words, STRING))
    return coded, _where(pc.invert(known), numbers.cast(STRING))


def _where(chosen: pa.BooleanArray, values: pa.Array) -> pa.Array:
    return pc.if_else(chosen, values, pa.scalar(None, values.type))


def _links(links: pa.ListArray) -> pa.ListArray:
    """Links with canonical ids; an id that is none is null, its text among the link's attributes."""
    items = links.flatten()
    if not len(items):
        return links
    fields = dict(zip((field.name for field in LINK), items.flatten(), strict=True))
    odd = []
    canonical: Canonical
    for name, canonical in (("trace_id", canonical_trace_ids), ("span_id", canonical_span_ids)):
        ids = fields[name]
        fields[name], invalid = canonical(ids)
        odd.append((f"tracebraid.invalid_{name}", _where(invalid, ids)))
    fields["attributes"] = add(fields["attributes"], odd)
    offsets = pc.subtract(links.offsets, links.offsets[0])
    return pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(list(fields.values()), fields=list(LINK)), type=links.type)
