"""The operation a span is of, as a label: a pattern, never a path with ids in it.

In: columns of spans. Out: Arrow strings of few distinct values. Never: a Python call a row; a column changed: the path itself stays in url_path.
"""

from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.held import as_held, plain
from tracebraid.schemas.table import CODED, STRING

# One after the other, by RE2: in time linear in the text. A path's query and fragment go; then what in a segment looks made, not named.
_COLLAPSED = (
    (r"[?#].*$", ""),
    (r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}", "{id}"),
    (r"(^|[/ :=_.-])[0-9a-fA-F]{16,}($|[/ :;,_.-])", r"\1{id}\2"),
    (r"(^|[/ ])[^/ {]{0,256}[0-9][^/ {]{32,}", r"\1{id}"),
    (r"(^|[/ :=_.-])[0-9]+($|[/ :;,_.-])", r"\1{id}\2"),
    (r"(^|[/ :=_.-])[0-9]+($|[/ :;,_.-])", r"\1{id}\2"),  # again: neighbors share the sign between them
    (r"(\{id\}[-._:]?){2,}", "{id}"),
)
CHARS_MAX = 200


def collapse(texts: pa.Array) -> pa.StringArray:
    """`/orders/8123` → `/orders/{id}`: numbers, UUIDs, long hex and long tokens with digits. Versions such as `v2` stay. Cut at CHARS_MAX."""
    encoded = as_held(texts, CODED)
    cut = pc.utf8_slice_codeunits(encoded.dictionary, 0, 1024)
    words = reduce(lambda found, each: pc.replace_substring_regex(found, each[0], each[1]), _COLLAPSED, cut)
    return pc.utf8_slice_codeunits(words, 0, CHARS_MAX).take(encoded.indices)


def routes(spans: pa.RecordBatch) -> pa.StringArray | pa.DictionaryArray:
    """For rows of schemas.spans: http_route; else the collapsed path behind its method; else rpc_service/rpc_method; else the collapsed name. Never null."""
    given = spans.column("http_route")
    if given.null_count == 0:
        return given
    given = plain(given)
    path = collapse(spans.column("url_path"))
    rpc = pc.binary_join_element_wise(plain(spans.column("rpc_service")), plain(spans.column("rpc_method")), "/")
    return pc.coalesce(given, path, rpc, collapse(spans.column("name")), pa.scalar("", STRING))
