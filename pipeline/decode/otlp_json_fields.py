"""Fields of OTLP/JSON objects, by protobuf's JSON mapping.

In: parsed JSON. Out: values of the field's type, its default where it is absent or null. Never: a wrong type taken for a right one:
that raises DecodeError malformed with the field's name.
"""

import binascii
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson

from tracebraid.pipeline.decode.json_value import NotJson, parse
from tracebraid.pipeline.decode.rows import DecodeError

UINT32 = (0, 2**32 - 1)
UINT64 = (0, 2**64 - 1)
INT64 = (-(2**63), 2**63 - 1)
_INT32 = (-(2**31), 2**31 - 1)
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_URL_SAFE = str.maketrans("-_", "+/")
_BOM = b"\xef\xbb\xbf"


def documents(value: bytes) -> list[Any]:
    """The JSON documents of a record: one, or one a line. Raises DecodeError malformed, invalid_utf8, too_deep."""
    value = value.removeprefix(_BOM)
    try:
        return [_load(value)]
    except orjson.JSONDecodeError as error:
        lines = [line for line in value.split(b"\n") if line.strip()]
        if len(lines) < 2:
            raise _explained(error) from None
    try:
        return [_load(line) for line in lines]
    except orjson.JSONDecodeError as error:
        raise _explained(error) from None


def _load(text: bytes) -> Any:
    """orjson's reading, else the lenient one: some SDKs write NaN, and JavaScript's write half of a surrogate pair."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            return parse(text, exact=True)
        except NotJson:
            raise error from None


def get(owner: dict[str, Any], name: str) -> Any:
    """The field `name`, in lowerCamelCase or snake_case; None where it is absent or null."""
    value = owner.get(name)
    return owner.get(_snake(name)) if value is None else value


def text_of(owner: dict[str, Any], name: str) -> str:
    value = get(owner, name)
    if value is None:
        return ""
    if value.__class__ is not str:
        raise DecodeError("malformed", f"{name} is no string")
    return value


def integer_of(owner: dict[str, Any], name: str, bounds: tuple[int, int]) -> int:
    value = get(owner, name)
    return 0 if value is None else _integer(value, name, bounds)


def enum_of(owner: dict[str, Any], name: str, numbers: Mapping[str, int]) -> int:
    """An enum's number, given as number or as name; numbers that the enum does not have are kept."""
    value = get(owner, name)
    if value is None:
        return 0
    known = numbers.get(value) if value.__class__ is str else None
    return _integer(value, name, _INT32) if known is None else known


def bytes_of(owner: dict[str, Any], name: str) -> bytes:
    """Bytes in base64."""
    value = get(owner, name)
    return b"" if value is None else _bytes(value, name)


def double_of(owner: dict[str, Any], name: str) -> float:
    value = get(owner, name)
    return 0.0 if value is None else _double(value, name)


def objects_of(owner: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """A repeated message."""
    value = get(owner, name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise DecodeError("malformed", f"{name} is no array of JSON objects")
    return value


def pairs_of(owner: Any, name: str) -> list[tuple[str, Any]]:
    """A repeated KeyValue as pairs of key and AnyValue object."""
    if not isinstance(owner, dict):
        raise DecodeError("malformed", f"what holds {name} is no JSON object")
    return [(text_of(item, "key"), item.get("value")) for item in objects_of(owner, name)]


def resource_key(resource: Any, schema_url: str | None) -> tuple[str, bytes, str | None]:
    """What tells a resource from others, for Rows.interned."""
    try:
        return "otlp_json", orjson.dumps(resource), schema_url
    except orjson.JSONEncodeError:  # deeper than orjson writes
        raise DecodeError("too_deep", "a resource nests too deep") from None


def unfold(value: Any) -> Any:
    """One AnyValue object, for any_value.text."""
    if value is None:
        return None
    if value.__class__ is not dict:
        raise DecodeError("malformed", "an attribute's value or a body is no AnyValue object")
    for name, content in value.items():
        if content is not None and name in _OPEN:
            return _OPEN[name](content)
    return None


def _string(content: Any) -> str:
    if content.__class__ is not str:
        raise DecodeError("malformed", "stringValue is no string")
    return content


def _bool(content: Any) -> bool:
    if content.__class__ is not bool:
        raise DecodeError("malformed", "boolValue is neither true nor false")
    return content


def _double(content: Any, name: str = "doubleValue") -> float:
    if content.__class__ in (int, float):
        return float(content)
    if content in ("NaN", "Infinity", "-Infinity") or (isinstance(content, str) and len(content) < 400 and _NUMBER.fullmatch(content)):
        return float(content)
    raise DecodeError("malformed", f"{name} is no number")


def _bytes(content: Any, name: str = "bytesValue") -> bytes:
    try:
        plain = content.translate(_URL_SAFE).rstrip("=")
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except (AttributeError, ValueError):
        raise DecodeError("malformed", f"{name} is no base64") from None


def _array(content: Any) -> list[Any]:
    values = get(content, "values") if isinstance(content, dict) else content
    if values is None:
        return []
    if not isinstance(values, list):
        raise DecodeError("malformed", "arrayValue holds no array")
    return values


def _kvlist(content: Any) -> dict[str, Any]:
    return dict(pairs_of(content, "values"))


_OPEN = {
    "stringValue": _string,
    "boolValue": _bool,
    "intValue": lambda content: _integer(content, "intValue", INT64),
    "doubleValue": _double,
    "bytesValue": _bytes,
    "arrayValue": _array,
    "kvlistValue": _kvlist,
}


@cache
def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), name)


_OPEN.update({_snake(name): opened for name, opened in tuple(_OPEN.items())})


def _integer(value: Any, name: str, bounds: tuple[int, int]) -> int:
    written = value.__class__ is str and _INTEGER.fullmatch(value)
    whole = value.__class__ is float and value.is_integer() and abs(value) < 2**53  # orjson reads integers beyond 64 bits as floats
    number = int(value) if value.__class__ is int or written or whole else None
    if number is None or not bounds[0] <= number <= bounds[1]:
        raise DecodeError("malformed", f"{name} is no integer from {bounds[0]} to {bounds[1]}")
    return number


def _explained(error: orjson.JSONDecodeError) -> DecodeError:
    message = error.msg
    reason = "invalid_utf8" if "UTF-8" in message else "too_deep" if "depth" in message else "malformed"
    return DecodeError(reason, f"not JSON: {message} at character {error.pos}")
