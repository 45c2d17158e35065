"""Columns of typed ids → canonical ids, whatever their spelling (pipeline/kernel/trace_context.py knows them all).

In: ids as Arrow texts. Out: the same in lower-case hex of 32 or 16 characters, null where there is none. Never: a guess.
"""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.held import is_id
from tracebraid.pipeline.kernel.trace_context import ABSENT, HEX, parse_span_id, parse_trace_id
from tracebraid.schemas.table import BOOL, STRING


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
