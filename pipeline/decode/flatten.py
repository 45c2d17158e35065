"""A JSON object → one level of names and texts: `{"a": {"b": 1}}` → `{"a.b": "1"}`.

In: a parsed JSON object. Out: a map of text. Never: a value lost in silence: a name that is taken gets `#2` behind it; what is nested deeper than
`flatten_depth_max`, objects whose dotted name is longer than `flatten_name_chars_max`, and every array stay JSON text; fields beyond `attributes_per_row_max`
are counted.
"""

from typing import Any

from tracebraid.pipeline.decode.json_value import dump, scalar
from tracebraid.pipeline.decode.rows import Attributes
from tracebraid.pipeline.kernel import limits


def flatten(fields: dict[str, Any], exact: bool = False) -> tuple[Attributes, int]:
    """The fields by dotted name, in their order, and how many were left out. Raises json_value.Inexact."""
    flat: Attributes = {}
    return flat, _add((flat, {}), "", fields, 1, exact)


def _add(into: tuple[Attributes, dict[str, int]], prefix: str, fields: dict[str, Any], level: int, exact: bool) -> int:
    """`into`: the fields so far, and the last number behind each name that was taken."""
    flat, numbers = into
    left_out = 0
    for key, value in fields.items():
        name = prefix + key
        if isinstance(value, dict) and value and level < limits.flatten_depth_max and len(name) <= limits.flatten_name_chars_max:
            left_out += _add(into, name + ".", value, level + 1, exact)
        elif len(flat) >= limits.attributes_per_row_max:
            left_out += 1
        else:
            if name in flat:
                name = _free(flat, numbers, name)
            flat[name] = dump(value, exact) if isinstance(value, (dict, list)) else scalar(value, exact)
    return left_out


def _free(flat: Attributes, numbers: dict[str, int], name: str) -> str:
    number = numbers.get(name, 1) + 1
    while f"{name}#{number}" in flat:
        number += 1
    numbers[name] = number
    return f"{name}#{number}"
