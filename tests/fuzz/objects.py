"""Log objects in JSON as libraries write them, and as they do not: made of a Random alone.

In: a Random. Out: bytes of one record. Never: a rule of what they mean: that is what is compared.
"""

import json
from random import Random
from typing import Any

import orjson

from tracebraid.pipeline.normalize.log_fields import NAMES

_TRACE, _SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
_ROLES = sorted({name for names in NAMES.values() for name in names})
_OTHERS = (
    "user",
    "items",
    "kubernetes",
    "stream",
    "source_type",
    "agent",
    "log",
    "logEvents",
    "a",
    "a.b",
    "b",
    "Level",
    "MSG",
    "resourceSpans",
    "é",
    "",
    "x" * 70,
)
_USUAL = (
    *(
        "level",
        "time",
        "ts",
        "msg",
        "message",
        "logger",
        "thread",
        "trace_id",
        "span_id",
        "trace_flags",
        "service.name",
        "caller",
        "user",
        "error",
        "took",
        "n",
    ),
    *("severity", "timestamp", "@timestamp", "event", "name", "otelTraceID", "otelSpanID", "trace_sampled", "err.type", "hostname", "pid"),
)
_WORDS = (
    "info",
    "WARN",
    "error",
    "odd",
    "main",
    "shop",
    "a.b.C",
    "order 42 paid",
    "true",
    "1",
    "01",
    "0",
    "-",
    "",
    " ",
    "3ms",
    "{}",
    "[1]",
    "null",
    "\u2003",
    "été",
    "日本",
)
_TIMES = (
    *("2023-11-14T22:13:20Z", "2023-11-14T22:13:20.123456789Z", "2023-11-14 22:13:20,5", "2023-11-14T22:13:20.1+02:00", "2023-02-30T00:00:00Z", "1700000000"),
    *("1700000000.1234567", "1700000000123", "14/Nov/2023:22:13:20 +0000", "Nov 14 22:13:20", "1970-01-01T00:00:00Z", "2023-11-14T23:59:60Z"),
)
_IDS = (
    _TRACE,
    _TRACE.upper(),
    _SPAN,
    "0" * 32,
    "0" * 16,
    f"00-{_TRACE}-{_SPAN}-01",
    f"trace_id={_TRACE} span_id={_SPAN}",
    "1234567890123456789",
    "TRACE nothing",
)
_TRACES = ("java.lang.Error: no\n\tat b.c(D.java:1)", "Traceback (most recent call last):\n  x\nValueError: no", "a\nb")
_HARD = (
    "-0",
    "-0.0",
    "1.50",
    "1e5",
    "0.00001",
    "123456789012345678901",
    "9007199254740993.0",
    "1E+2",
    "0.1234567890123456789",
    "NaN",
    "1e400",
    "01",
    "+1",
    ".5",
    "tru",
)


def log_object(chance: Random) -> bytes:
    """One record: mostly an object that a library may have written, in one of the ways of writing JSON."""
    draw = chance.random()
    fields = _usual(chance) if draw < 0.7 else _any(chance, 0)
    text = _spelled(fields, chance)
    if draw > 0.9:  # numbers that the writers above would not write
        text = text.replace(b":", b":" + chance.choice(_HARD).encode() + chance.choice((b"", b',"z":')), 1)
    if draw > 0.97:
        text = chance.choice((b"\xef\xbb\xbf" + text, b" " + text, text + b"\n", text + text, text + b"\n" + text, b"[" + text + b"]"))
    return text


def _usual(chance: Random) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in chance.sample(_USUAL, chance.randrange(1, 9)):
        likely = {"t": _TIMES, "@": _TIMES}.get(name[0], _WORDS) if "race" not in name and "pan" not in name else (_TRACE, _SPAN, "0", "01", *_IDS)
        fields[name] = chance.choice(likely) if chance.random() < 0.85 else _value(chance, 0)
    if chance.random() < 0.1:
        fields[chance.choice(_ROLES)] = _value(chance, 0)
    return fields


def _any(chance: Random, level: int) -> dict[str, Any]:
    return {_name(chance): _value(chance, level + 1) for _ in range(chance.choice((0, 1, 2, 3, 8)))}


def _name(chance: Random) -> str:
    return chance.choice((chance.choice(_ROLES), chance.choice(_OTHERS), chance.choice(_USUAL), _text(chance)))


def _value(chance: Random, level: int) -> Any:
    draw = chance.randrange(12 if level < 9 else 9)
    if draw < 5:
        return chance.choice((chance.choice(_WORDS), chance.choice(_TIMES), chance.choice(_IDS), chance.choice(_TRACES), _text(chance)))
    if draw < 9:
        small, large = chance.randrange(-100, 100), chance.getrandbits(chance.choice((31, 53, 63, 64, 66)))
        return chance.choice(
            (None, True, False, small, large, -large, chance.random(), round(chance.random() * 1000, 3), chance.random() * 10.0 ** chance.randrange(-30, 30))
        )
    if draw == 9:
        return [_value(chance, level + 1) for _ in range(chance.randrange(4))]
    return _any(chance, level + 1)


def _text(chance: Random) -> str:
    return "".join(chance.choice('ab .:"\\/\n\t\x00\x1fé\u20ac\U0001f600{}[]') for _ in range(chance.choice((0, 1, 2, 5, 11, 12, 13, 40))))


def _spelled(value: Any, chance: Random) -> bytes:
    how = chance.randrange(4)
    if how == 0:
        try:
            return orjson.dumps(value)
        except TypeError:  # integers beyond 64 bits
            pass
    return json.dumps(value, ensure_ascii=how == 1, indent=2 if how == 3 else None, separators=(",", ":") if how == 2 else None).encode(
        "utf-8", "surrogatepass"
    )
