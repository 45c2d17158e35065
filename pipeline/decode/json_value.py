"""JSON text ↔ Python values, with what orjson leaves out.

In: JSON text. Out: plain Python values, and back. Never: a crash on hostile text, or a rounded integer.

orjson is strict and fast. It rounds integers beyond 64 bits to floats without a word, and refuses NaN, Infinity, numbers beyond a double and lone
surrogates, all of which real loggers write. So text that it refuses for those, or that holds a number which it may have rounded, is read
again `exact`: by the standard library, with such numbers kept as they were spelled. Of duplicate keys both keep the last.
"""

import json
import math
import re
from typing import Any

import orjson

from tracebraid.pipeline.kernel import limits

INEXACT_FROM = 2.0**63  # a float at least this large may have been an integer that orjson rounded
_BEYOND_ORJSON = re.compile(rb"NaN|Infinity|\\u[dD]|[0-9][eE]\+?[0-9]{3}")
_ROUNDED = re.compile(rb"[0-9]e\+?[0-9]{2}")  # orjson 3.13 writes 1e+16, 3.10 wrote 1e16
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_INTEGER_CHARS_MAX = 4000  # Python refuses to convert longer ones; they stay text


class NotJson(Exception):
    """The text is not JSON, or is nested deeper than `nesting_depth_max`."""


class Inexact(Exception):
    """The value may have lost digits: read it again, exact."""


def parse(text: bytes | str, exact: bool = False) -> Any:
    """The JSON value that `text` writes. Raises NotJson, or Inexact where only an exact reading takes it."""
    try:
        value = _exact(text) if exact else orjson.loads(text)
    except orjson.JSONDecodeError:
        if _BEYOND_ORJSON.search(text if isinstance(text, bytes) else text.encode("utf-8", "replace")):
            raise Inexact from None
        raise NotJson from None
    except (ValueError, RecursionError):
        raise NotJson from None
    brackets = text.count(b"{") + text.count(b"[") if isinstance(text, bytes) else text.count("{") + text.count("[")
    if brackets > limits.nesting_depth_max and depth(value) > limits.nesting_depth_max:
        raise NotJson
    return _whole(value) if exact else value


def dump(value: Any, exact: bool = False) -> str:
    """`value` as compact JSON text. Raises Inexact where a number in it may have been rounded by a reading that was not exact."""
    if exact:
        return orjson.dumps(_spelled(value)).decode()
    text = orjson.dumps(value)
    if _ROUNDED.search(text):
        raise Inexact
    return text.decode()


def scalar(value: Any, exact: bool = False) -> str | None:
    """A value that is neither object nor array as its map value: text as it is, numbers and booleans in JSON spelling, null as null."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        if not exact and abs(value) >= INEXACT_FROM:
            raise Inexact
        return orjson.dumps(_spelled(value)).decode()
    return str(value) if not isinstance(value, bool) else "true" if value else "false"


def depth(value: Any) -> int:
    """How deep objects and arrays are nested; without recursion, whatever the depth."""
    level, found = [value], 0
    while True:
        level = [child for item in level if isinstance(item, (dict, list)) for child in (item.values() if isinstance(item, dict) else item)] or (
            [None] if any(isinstance(item, (dict, list)) for item in level) else []
        )
        if not level:
            return found
        found += 1


def _exact(text: bytes | str) -> Any:
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < _INTEGER_CHARS_MAX else digits, parse_float=_float)


def _spelled(value: Any) -> Any:
    """`value` with the numbers that orjson does not write, beyond 64 bits and NaN, as they are spelled; all others have orjson's one spelling."""
    if isinstance(value, dict):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    beyond = not math.isfinite(value) if isinstance(value, float) else isinstance(value, int) and not -(2**63) <= value < 2**64
    return orjson.Fragment(json.dumps(value)) if beyond else value


def _float(digits: str) -> float | str:
    number = float(digits)
    return digits if number in (float("inf"), float("-inf")) else number


def _whole(value: Any) -> Any:
    """`value` with every lone surrogate replaced by U+FFFD, since no UTF-8 text holds one."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value
