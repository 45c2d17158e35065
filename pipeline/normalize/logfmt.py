"""logfmt: lines of `key=value key="a value" flag`.

In: a line. Out: its fields, or None where it is not logfmt from its first character to its last. Never: a part of the line left out.

The form is brandur.org's, as logrus, go-kit and Heroku write it; quoted values are JSON strings. Prose with an `=` in it is no logfmt: a line begins with a
pair, has two of them, and at most one bare key among three. The pattern takes a token at a time from where the last one ended; a key is at most 256
characters, and what follows it begins with a character that no key holds, so that no character is looked at more often than a key is long.
"""

import re

import orjson

from tracebraid.pipeline.kernel import limits

_TOKEN = re.compile(r'([^\s="]{1,256})(?:=("[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\s"]\S*|(?=[ ]|$)))?(?: +|$)')
_PAIRS_MIN = 2


def read_logfmt(text: str) -> dict[str, str | None] | None:
    """The fields of a logfmt line, a second one of a name as `name#2`; a bare key has no value."""
    found: dict[str, str | None] = {}
    numbers: dict[str, int] = {}
    at = bare = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None or len(found) >= limits.attributes_per_row_max:
            return None
        key, value = token.groups()
        if value is None:
            bare += 1
            if not found or (bare > 1 and 3 * bare > len(found) + 1):
                return None
        elif value[:1] == '"':
            try:
                value = orjson.loads(value)
            except orjson.JSONDecodeError:
                return None
        put(found, numbers, key, value)
        at = token.end()
    return found if len(found) - bare >= _PAIRS_MIN and bare * 3 <= len(found) else None


def put(found: dict[str, str | None], numbers: dict[str, int], name: str, value: str | None) -> None:
    """Put a field beside the others; one whose name is taken gets a number, as the fields of JSON logs do. `numbers`: the last one behind each name."""
    while name in found:
        plain = name.partition("#")[0]
        numbers[plain] = numbers.get(plain, 1) + 1
        name = f"{plain}#{numbers[plain]}"
    found[name] = value
