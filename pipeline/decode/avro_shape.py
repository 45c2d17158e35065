"""What values of an Avro schema may grow to, found from the schema alone, before a byte of them is read.

In: a schema as fastavro has parsed it. Out: nothing, for one that is safe to read. Never: a schema whose values take more than `avro_growth_max` bytes of
memory, or of text, for a byte that came; one that nests beyond `nesting_depth_max`, which fastavro reads by recursion, or is part of itself.

In Avro nulls, records without fields and fixed values of size 0 take no bytes, so an array of them may claim any number of items in ten bytes, records of
records of them double at each level, and names of fields and symbols are in no value, but in each one's text. Weights are rough and rather too high. A type
is summed up as the most that one value weighs less what its bytes allow: where that is above zero in an array or a map, as many of them as somebody likes
would pass all bounds.
"""

from typing import Any

from tracebraid.pipeline.decode.rows import DecodeError
from tracebraid.pipeline.kernel import limits

_ROOM = limits.avro_growth_max  # what a byte allows
_ITEM = 8  # a place in a list, a comma
_VALUE = 64  # an object of Python
_HOLDER = 192  # a list or a dictionary
_PLAIN = {"null": (_ITEM, 1), **dict.fromkeys(("string", "bytes", "boolean", "int", "long", "float", "double"), (_VALUE - _ROOM, 1))}


def check_shape(schema: Any) -> None:
    """Raises DecodeError: too_large, too_deep, unknown_encoding; and what a schema raises that is none."""
    if _Shapes().of(schema, 1)[0] > limits.avro_beyond_max:
        raise DecodeError("too_large", "a value of the schema that its frame names is large, however few bytes it has")


class _Shapes:
    """Types as (weight beyond what their bytes allow, levels). Named ones are measured once, and may be met often."""

    def __init__(self) -> None:
        self._named: dict[str, tuple[int, int]] = {}
        self._inside: set[str] = set()

    def of(self, schema: Any, level: int) -> tuple[int, int]:
        """`level`: of this type within the whole."""
        beyond, levels = self._measured(schema, level)
        if level + levels > limits.nesting_depth_max:
            raise DecodeError("too_deep", f"the schema that its frame names has more than {limits.nesting_depth_max} levels")
        return beyond, levels

    def _measured(self, schema: Any, level: int) -> tuple[int, int]:
        if level > limits.nesting_depth_max:
            return 0, 1
        if isinstance(schema, list):
            found = [self.of(each, level + 1) for each in schema]
            return max(beyond for beyond, _ in found) - _ROOM, 1 + max(levels for _, levels in found)
        match schema if isinstance(schema, str) else schema["type"]:
            case "record" | "error":
                shape = self._record(schema, level)
            case "array" | "map":
                shape = self._many(schema, level)
            case "fixed":
                shape = self._name(schema, (_VALUE - _ROOM * schema["size"], 1))
            case "enum":
                shape = self._name(schema, (_VALUE + max(map(len, schema["symbols"]), default=0) - _ROOM, 1))
            case kind:
                shape = _PLAIN.get(kind) or self._known(kind)
        return shape

    def _record(self, schema: dict[str, Any], level: int) -> tuple[int, int]:
        name, total, deepest = schema["name"], _HOLDER, 0
        self._inside.add(name)
        for field in schema["fields"]:
            beyond, levels = self.of(field["type"], level + 1)
            total, deepest = total + beyond + _ITEM + len(field["name"]), max(deepest, levels)
        self._inside.discard(name)
        return self._name(schema, (total, 1 + deepest))

    def _many(self, schema: dict[str, Any], level: int) -> tuple[int, int]:
        beyond, levels = self.of(schema["items"] if schema["type"] == "array" else schema["values"], level + 1)
        key = _VALUE - _ROOM if schema["type"] == "map" else 0
        if beyond + key + _ITEM > 0:
            raise DecodeError("too_large", f"the schema that its frame names has {schema['type']}s of which a few bytes would be more values than memory holds")
        return _HOLDER - _ROOM, 1 + levels

    def _name(self, schema: dict[str, Any], shape: tuple[int, int]) -> tuple[int, int]:
        self._named[schema["name"]] = shape
        return shape

    def _known(self, name: str) -> tuple[int, int]:
        if name in self._inside:
            raise DecodeError("unknown_encoding", "the schema that its frame names is part of itself: a log has no such shape")
        return self._named[name]
