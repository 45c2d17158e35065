"""Which trace and span a log belongs to.

In: a log's fields with a role, its text, the traceparent header of its Kafka record. Out: ids, flags, and where the trace id was found.
Never: an id out of a field of another meaning.

Precedence: a field that holds a W3C traceparent; the other fields by name, at the top before nested ones; a field that lists contexts
(`spans` of Rust's tracing); the text; last the record's header, since that may
be the shipper's own trace. (OTLP's typed ids go before all of these.) A span id of its own goes before the one inside a context.
A field that says it is a trace id and holds none is `invalid`, if no other place has one; words for "no trace" are not.
"""

from collections.abc import Callable
from typing import NamedTuple

from tracebraid.pipeline.kernel.trace_context import ABSENT, Context, parse_context, parse_span_id
from tracebraid.pipeline.normalize.log_picks import Pick, Picks
from tracebraid.pipeline.normalize.log_text import ids_in

_TRUE, _FALSE = frozenset({"true", "True", "1", "01"}), frozenset({"false", "False", "0", "00"})


class Ids(NamedTuple):
    trace_id: str | None = None
    span_id: str | None = None
    flags: int | None = None
    source: str | None = None
    invalid: bool = False


def find_ids(picks: Picks, text: str | None, header: str | None, use: Callable[[Pick], None]) -> Ids:
    """Ids of one log. `use` is called with every field that is wholly told by what is returned."""
    field, context, invalid = _from_fields(picks)
    if context and field:
        source = "traceparent" if field.name.lower() == "traceparent" else f"field:{field.name}"
    else:
        context, source = _from_list(picks)
        if context is None:
            context, source = (ids_in(text) if text else None), "text"
        if context is None and header:
            context, source = parse_context(header), "traceparent"
    span_id = _span_id(picks, use) or (context.span_id if context else None)
    if context is None or context.trace_id is None:
        return Ids(None, span_id, _flags(picks, use), None, invalid)
    trace_id = _with_high_half(context.trace_id, field, picks, use)
    if field and context.span_id in (None, span_id):
        use(field)
    flags = _flags(picks, use)
    return Ids(trace_id, span_id, context.flags if flags is None else flags, source, False)


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
    for pick in picks.get("flags", ()):
        text = pick.value.strip().lower()
        if len(text) <= 2 and all(digit in "0123456789abcdef" for digit in text):
            use(pick)
            return int(text, 16)
    for pick in picks.get("sampled", ()):
        if pick.value in _TRUE or pick.value in _FALSE:
            use(pick)
            return int(pick.value in _TRUE)
    return None
