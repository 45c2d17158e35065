"""Trace and span ids, whatever their spelling and wherever they hide → canonical ones. The stage of trace-id canonicalization, whole.

In: columns of typed ids; a log's fields with a role, its text, the trace context of its Kafka record. Out: ids in lower-case hex of 32 or 16 characters, null
where there is none; W3C flags; where the trace id was found. Never: a guess, or an id out of a field of another meaning.
pipeline/kernel/trace_context.py knows the forms, log_fields.py the names; docs/trace-ids.md lists both, tests/data/trace_id_vectors.json has vectors.

Precedence in a log: OTLP's typed id; a field that holds a W3C traceparent; the other fields by name, at the top before nested ones; a field that lists
contexts (`spans` of Rust's tracing); the text; last the record's `traceparent` header, since that may be the shipper's own trace. A span id of its own goes
before the one inside a context, a field of flags before those inside one.
A field that says it is a trace id and holds none is `invalid`, if no other place has one; words for "no trace" are not.
"""

from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.held import is_id
from tracebraid.pipeline.kernel.trace_context import ABSENT, HEX, Context, parse_context, parse_span_id, parse_trace_id
from tracebraid.pipeline.normalize.log_picks import Pick, Picks
from tracebraid.pipeline.normalize.log_text import ids_in
from tracebraid.schemas.table import BOOL, STRING

NO_TRACE = ("0", "-")  # what loggers write most in the place of an id of either length where there is none
_TRUE, _FALSE = frozenset({"true", "True", "1", "01"}), frozenset({"false", "False", "0", "00"})


class Ids(NamedTuple):
    """invalid: a field says that it is a trace id, and none was found. by_header: the record's header gave it, whose tracestate is then the log's too."""

    trace_id: str | None = None
    span_id: str | None = None
    flags: int | None = None
    source: str | None = None
    invalid: bool = False
    by_header: bool = False


def find_ids(picks: Picks, text: str | None, header: str | None, use: Callable[[Pick], None]) -> Ids:
    """Ids of one log. `use` is called with every field that is wholly told by what is returned."""
    field, context, invalid = _from_fields(picks)
    by_header = False
    if context and field:
        source = source_of(field.name)
    else:
        context, source = _from_list(picks)
        if context is None:
            context, source = (ids_in(text) if text else None), "text"
        if context is None and header:
            context, source, by_header = parse_context(header), "traceparent", True
    span_id = _span_id(picks, use) or (context.span_id if context else None)
    if context is None or context.trace_id is None:
        return Ids(None, span_id, _flags(picks, use), None, invalid)
    trace_id = _with_high_half(context.trace_id, field, picks, use)
    if field and context.span_id in (None, span_id):
        use(field)
    flags = _flags(picks, use)
    return Ids(trace_id, span_id, context.flags if flags is None else flags, source, False, by_header)


def source_of(name: str) -> str:
    """What a trace id's source is called that the field of this name gave."""
    return "traceparent" if name.lower() == "traceparent" else f"field:{name}"


def _from_fields(picks: Picks) -> tuple[Pick | None, Context | None, bool]:
    invalid = False
    for role in ("traceparent", "trace_id", "trace_maybe"):
        for pick in picks.get(role, ()):
            context = parse_context(pick.value, decimal=pick.scale == "decimal")
            if context:
                return pick, context, False
            invalid = invalid or (role != "trace_maybe" and pick.value.strip().lower() not in ABSENT)
    return None, None, invalid


def _from_list(picks: Picks) -> tuple[Context | None, str]:
    """From a field that lists the contexts that a log lies in, outermost first."""
    for pick in picks.get("contexts", ()):
        context = ids_in(pick.value)
        if context:
            return context, f"field:{pick.name}"
    return None, ""


def _span_id(picks: Picks, use: Callable[[Pick], None]) -> str | None:
    for pick in picks.get("span_id", ()):
        span_id = parse_span_id(pick.value, decimal=pick.scale == "decimal")
        if span_id:
            use(pick)
            return span_id
    return None


def _with_high_half(trace_id: str, field: Pick | None, picks: Picks, use: Callable[[Pick], None]) -> str:
    """Datadog logs the low 64 bits as a decimal and the high ones, if there are any, in a field of their own."""
    if field and field.scale == "decimal" and trace_id.startswith("0" * 16):
        for pick in picks.get("datadog_high", ()):
            high = parse_span_id(pick.value)
            if high:
                use(pick)
                return high + trace_id[16:]
    return trace_id


def _flags(picks: Picks, use: Callable[[Pick], None]) -> int | None:
    for role, meaning in (("flags", flags_in), ("sampled", sampled_in)):
        for pick in picks.get(role, ()):
            flags = meaning(pick.value)
            if flags is not None:
                use(pick)
                return flags
    return None


def flags_in(text: str) -> int | None:
    """W3C's flags in hex; None where the text is none."""
    text = text.strip().lower()
    return int(text, 16) if 0 < len(text) <= 2 and all(digit in "0123456789abcdef" for digit in text) else None


def sampled_in(text: str) -> int | None:
    """1 or 0 for a text that says whether a trace is sampled."""
    return int(text in _TRUE) if text in _TRUE or text in _FALSE else None


def canonical_trace_ids(ids: pa.StringArray) -> tuple[pa.StringArray, pa.BooleanArray]:
    """Canonical ids of a typed field (bytes in hex, or OTLP/JSON's text), null where there is none.

    And True where a text that is neither empty nor a word of ABSENT was no id.
    Ids that are canonical already cost one look; only the others are parsed, once per distinct text.
    """
    return _canonical(ids, 32, lambda text: parse_trace_id(text) if _fits(text, 16, 32) else None)


def canonical_span_ids(ids: pa.StringArray) -> tuple[pa.StringArray, pa.BooleanArray]:
    """The same for span ids."""
    return _canonical(ids, 16, lambda text: parse_span_id(text) if _fits(text, 16) else None)


def _fits(text: str, *lengths: int) -> bool:
    """Whether a typed id may be one: bytes in hex by their length alone, even where all of its digits are decimal; other texts by their form."""
    return len(text.strip()) in lengths or not HEX.fullmatch(text.strip().lower())


def _canonical(ids: pa.StringArray, length: int, parse: Callable[[str], str | None]) -> tuple[pa.StringArray, pa.BooleanArray]:
    settled = is_id(ids, length)
    odd = pa.array(~settled)
    if settled.all():
        return ids, odd
    encoded = ids.filter(odd).dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    parsed = [parse(text) for text in texts]
    broken = [found is None and text.strip().lower() not in ABSENT for text, found in zip(texts, parsed, strict=True)]
    canonical = pc.replace_with_mask(ids, odd, pa.array(parsed, STRING).take(encoded.indices))
    return canonical, pc.replace_with_mask(odd, odd, pa.array(broken, BOOL).take(encoded.indices))
