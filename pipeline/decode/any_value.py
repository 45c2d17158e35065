"""OTLP's AnyValue as the text that attribute maps hold, and key-value lists as such maps.

In: a value, and a function that unfolds one node of it, so that protobuf messages and JSON objects take the same way.
Out: strings as they are; integers, booleans and doubles in JSON spelling (NaN, Infinity and -Infinity as those words), bytes in base64,
arrays and key-value lists as JSON text with the same rules inside; null for an empty value. Never: recursion.
"""

import base64
import math
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from tracebraid.pipeline.decode.rows import Attributes, DecodeError
from tracebraid.pipeline.kernel import limits

DROPPED_KEY = "otel.dropped_attributes_count"
# A node unfolds into a scalar (str, bool, int, float, bytes or None), a list of nodes, or a dict of nodes.
Unfold = Callable[[Any], Any]


def text(value: Any, unfold: Unfold) -> str | None:
    """`value` as text. Raises DecodeError too_deep beyond limits.nesting_depth_max."""
    opened = unfold(value)
    if opened.__class__ is str:
        return opened
    if opened is None:
        return None
    if opened.__class__ in (list, dict):
        return orjson.dumps(_plain(opened, unfold)).decode()
    if opened.__class__ is float and math.isfinite(opened):
        return orjson.dumps(opened).decode()
    scalar = _scalar(opened)
    return scalar if isinstance(scalar, str) else orjson.dumps(scalar).decode()


def attributes(pairs: Iterable[tuple[str, Any]], unfold: Unfold) -> tuple[Attributes, int]:
    """A map of `pairs`, the last of equal keys winning, and how many keys beyond limits.attributes_per_row_max were left out."""
    kept: Attributes = {}
    left_out = 0
    for key, value in pairs:
        if len(kept) < limits.attributes_per_row_max or key in kept:
            kept[key] = text(value, unfold)
        else:
            left_out += 1
    return kept, left_out


def with_dropped(read: tuple[Attributes, int], dropped: int) -> Attributes:
    """The attributes of a resource or scope, as `attributes` read them. Their count of dropped ones has no column: it is kept among them."""
    kept, left_out = read
    if dropped + left_out:
        kept[DROPPED_KEY] = str(dropped + left_out)
    return kept


def signed_nanos(unix_nano: int, kept: Attributes) -> int | None:
    """An event's time as int64; from 2^63 on null, with its decimal text among the event's attributes."""
    if unix_nano < 1 << 63:
        return unix_nano
    kept["tracebraid.time_unix_nano"] = str(unix_nano)
    return None


def _plain(opened: Any, unfold: Unfold) -> Any:
    """An unfolded list or dict as plain JSON values."""
    root: list[Any] = [None]
    work: list[tuple[Any, Any, Any, int]] = [(root, 0, opened, 1)]
    while work:
        parent, place, node, depth = work.pop()
        if depth > limits.nesting_depth_max and node.__class__ in (list, dict):
            raise DecodeError("too_deep", f"an attribute or body nests deeper than {limits.nesting_depth_max} levels")
        if node.__class__ is list:
            parent[place] = array = [None] * len(node)
            work.extend((array, index, unfold(child), depth + 1) for index, child in enumerate(node))
        elif node.__class__ is dict:
            parent[place] = members = dict.fromkeys(node)
            work.extend((members, key, unfold(child), depth + 1) for key, child in node.items())
        else:
            parent[place] = _scalar(node)
    return root[0]


def _scalar(value: Any) -> Any:
    if value.__class__ is bytes:
        return base64.b64encode(value).decode()
    if value.__class__ is float and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
