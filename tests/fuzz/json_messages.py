"""OTLP messages as JSON, written text by text, so that they can be wrong in every way in which text can.

In: a Random. Out: the bytes of a record of spans or logs, or of what only resembles one. Never: a library that would refuse to write nonsense. Which fields
there are is told by the kernel's own tables, which a test holds to the .proto files.
"""

import base64
import json
import struct
from collections.abc import Callable, Sequence
from random import Random

from tracebraid.pipeline.decode.walkers import otlp_json_tables as tables
from tracebraid.schemas.semconv import SPAN
from tracebraid.schemas.table import STRING

_KEYS = [*(name for promoted in SPAN for name in promoted.names), "app.user", "ключ", "k", "", 'a"\\b', "\n"]
_OF_TEXT = frozenset(name for promoted in SPAN if promoted.type == STRING for name in promoted.names)
_TEXTS = ("", "a", "GET", "200", "-1", "007", "2147483648", "a" * 12, "a" * 13, "ü" * 7, "😀", "\0", "x" * 300, "a\\b", '"', "tab\t", "\u2028", "{}", "null")
_NUMBERS = (0, 1, 200, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 10**12, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**19, 10**25)
_DOUBLES = (
    "0.0",
    "-0.0",
    "0.5",
    "1e300",
    "5e-324",
    "-1E+2",
    "0.1",
    "200",
    "1e23",
    "9007199254740993",
    "2.2250738585072014e-308",
    '"NaN"',
    '"-Infinity"',
    '"1.5"',
)
_ODD = (
    "null",
    "true",
    "-1",
    "1.5",
    "1e3",
    "1e400",
    "-0",
    "01",
    '"0"',
    '"x"',
    "[]",
    "[null]",
    "{}",
    '{"a":{"b":[1]}}',
    "NaN",
    '"\\ud800"',
    "[[1]]",
    "tru",
    '"',
    "",
)
_NAMES_OF_NOBODY = ("newer", "entityRefs", "keyStrindex", "", "values", "value", "x" * 30, "resourceMetrics", "arrayvalue", "NAME")
_MANY = 200
_LENGTHS = {tables.TRACE_ID: 16, tables.SPAN_ID: 8}
# What each message has nearly always, and how many of a list there are at most; other fields come now and then.
_USUAL = {"startTimeUnixNano", "endTimeUnixNano", "timeUnixNano", "traceId", "spanId", "name", "key", "value", "values", "severityNumber", "attributes", "body"}
_LISTS = {"attributes": 4, "values": 2, "events": 2, "links": 2}


class Writer:
    """One record's. `odd`: how likely each of its parts is something that no SDK writes; 0 for what the kernel should take."""

    def __init__(self, chance: Random, odd: float) -> None:
        self.chance, self.odd = chance, odd
        self.snake = chance.random() < 0.3
        self.spaces: tuple[str, ...] = chance.choice((("",), ("",), ("", " "), ("\n  ", " ", "\t", "\r\n")))
        self.shuffled = chance.random() < 0.3

    def _odd(self) -> bool:
        return self.odd > 0 and self.chance.random() < self.odd

    def _space(self) -> str:
        return self.chance.choice(self.spaces)

    def _joined(self, begin: str, parts: Sequence[str], end: str) -> str:
        comma = ",," if self._odd() else ","
        inner = comma.join(f"{self._space()}{part}{self._space()}" for part in parts)
        if self._odd():
            inner += self.chance.choice((",", "]", "}", "\0", "x", "{", '"'))
        return begin + (inner or self._space()) + end

    def message(self, name: str, depth: int = 0) -> str:
        """A message of this name; where it is odd, with fields twice, missing, unknown, of other types, or in both spellings."""
        if name == "AnyValue":
            return self._any_value(depth)
        fields: list[tuple[str, str]] = []
        for field, (_, kind, *of) in tables.FIELDS[name].items():
            if self.chance.random() < (0.97 if field in _USUAL or "cope" in field or field in ("spans", "logRecords") else 0.2):
                fields.append((self._name(field), self._value(field, kind, *of, depth=depth)))
        return self._object(fields)

    def _object(self, fields: list[tuple[str, str]]) -> str:
        if self.odd and self.chance.random() < 0.05:
            fields.append((self._quoted(self.chance.choice(_NAMES_OF_NOBODY)), self.chance.choice(("1", '{"a":[1,{"b":null}]}', '"x"', "null"))))
        while self._odd():
            at = self.chance.randint(0, len(fields))
            choice = self.chance.randrange(4)
            if choice == 0 and fields:
                fields.insert(at, self.chance.choice(fields))
            elif choice == 1 and fields:
                name, value = self.chance.choice(fields)
                fields.insert(at, (self.chance.choice((tables.snake(name), name.replace("e", "\\u0065"), name.upper())), value))
            elif choice == 2 and fields:
                fields[at - 1] = fields[at - 1][0], self.chance.choice(_ODD)
            else:
                fields.insert(at, (self._quoted(self.chance.choice(_NAMES_OF_NOBODY)), self.chance.choice(_ODD)))
        if self.shuffled:
            self.chance.shuffle(fields)
        return self._joined("{", [f"{name}{self._space()}:{self._space()}{value}" for name, value in fields], "}")

    def _name(self, field: str) -> str:
        return self._quoted(tables.snake(field) if self.snake != self._odd() else field, plain=True)

    def _quoted(self, text: str, plain: bool = False) -> str:
        if plain:
            return f'"{text}"'
        written = json.dumps(text, ensure_ascii=self.chance.random() < 0.5)
        return written.replace("/", "\\/") if self.chance.random() < 0.1 else written

    def _value(self, field: str, kind: int, of: str = "", depth: int = 0) -> str:
        if self.odd and self.chance.random() < self.odd / 4:
            return self.chance.choice(_ODD)
        if kind == tables.MESSAGE:
            return self.message(of, depth + 1)
        if kind == tables.MESSAGES:
            count = self.chance.randint(0, _LISTS[field]) if field in _LISTS else self.chance.choice((1, 1, 1, 2))
            if of == "KeyValue":
                return self._joined("[", self._pairs(count, depth), "]")
            return self._joined("[", [self.message(of, depth + 1) for _ in range(count)], "]")
        return self._scalar(kind)

    def _pairs(self, count: int, depth: int) -> list[str]:
        keys = self.chance.sample(_KEYS, count)
        if self._odd() and keys:
            keys.append(keys[0])
        return [self._object([(self._name("key"), self._quoted(key)), (self._name("value"), self._value_of(key, depth))]) for key in keys]

    def _value_of(self, key: str, depth: int) -> str:
        if key in _OF_TEXT and self.chance.random() < 0.97:
            return self._object([(self._name("stringValue"), self._text())])
        return self._any_value(depth + 1)

    def _any_value(self, depth: int) -> str:
        if self._odd() and self.chance.random() < 0.1:
            levels = self.chance.choice((20, 27, 28, 40, 70))
            return '{"arrayValue":{"values":[' * levels + '{"intValue":"1"}' + "]}}" * levels
        fields = tables.FIELDS["AnyValue"]
        names = self.chance.choices(list(fields), (12, 2, 6, 3, depth < 8, depth < 8, 1), k=2 if self._odd() else 1)
        if self.chance.random() < 0.03:
            return self.chance.choice(("{}", "null", '{"stringValue":null}'))
        return self._object([(self._name(name), self._value(name, *fields[name][1:], depth=depth)) for name in names])

    def _scalar(self, kind: int) -> str:
        make: dict[int, Callable[[], str]] = {
            tables.TEXT: self._text,
            tables.BOOL: lambda: self.chance.choice(("true", "false")),
            tables.BINARY: self._binary,
            tables.DOUBLE: self._double,
            tables.ENUM: lambda: str(self.chance.choice((0, 1, 2, 9, -1, 2**31 - 1, *((2**31, '"1"', '"SPAN_KIND_CLIENT"') if self._odd() else ())))),
        }
        if kind in _LENGTHS:
            return self._id(_LENGTHS[kind])
        return make[kind]() if kind in make else self._integer(kind)

    def _text(self) -> str:
        usual = self.chance.random() < 0.7
        return self._quoted(self.chance.choice(_TEXTS) if usual else f"t-{self.chance.getrandbits(self.chance.choice((4, 16, 64))):x}")

    def _binary(self) -> str:
        text = base64.b64encode(self.chance.randbytes(self.chance.randrange(9))).decode()
        return f'"{text.rstrip("=").replace("/", "_") if self._odd() else text}"'

    def _double(self) -> str:
        if self.chance.random() < 0.5:
            return self.chance.choice(_DOUBLES)
        (number,) = struct.unpack("<d", self.chance.randbytes(8))
        spell: Callable[[float], str] = self.chance.choice((repr, "{:.17g}".format, "{:.3f}".format, "{:e}".format))
        written = spell(self.chance.choice((number, self.chance.uniform(-1e6, 1e6))))
        return written if written[-1].isdigit() else "1.5"  # NaN

    def _integer(self, kind: int) -> str:
        number = self.chance.choice(_NUMBERS) if self._odd() else self.chance.choice((0, 1, 7, 1_700_000_000_000_000_000 + self.chance.getrandbits(40)))
        if kind in (tables.UINT32, tables.FIXED32) and not self._odd():
            number %= 2**32
        if kind == tables.INT64 and self.chance.random() < 0.3:
            number = -number
        written = f"{'0' if self._odd() else ''}{number}{self.chance.choice(('.0', 'e0', ' ')) if self._odd() else ''}"
        return f'"{written}"' if self.chance.random() < 0.6 else written

    def _id(self, length: int) -> str:
        text = self.chance.randbytes(length).hex()
        if self._odd():
            text = self.chance.choice((text.upper(), text[1:], text + "00", text[:-1] + "g", "0" * len(text), "\\u0030" + text[1:], text[:16]))
        return f'"{"" if self.chance.random() < 0.05 else text}"'


def json_message(chance: Random, oddities: Sequence[float] = (0.0, 0.0, 0.0, 0.002, 0.01, 0.03)) -> bytes:
    """A record of spans or of logs; how odd it is, is one of `oddities`."""
    writer = Writer(chance, chance.choice(oddities))
    name = chance.choice(("resourceSpans", "resourceLogs"))
    _, kind, of = tables.FIELDS["Record"][name]
    groups = writer._value(name, kind, of)
    if chance.random() < 0.002:
        groups = "[" + ",".join([writer.message(of)] * _MANY) + "]"
    fields = [(writer._name(name), groups)]
    text = writer._object(fields) if writer.odd else "{" + f"{fields[0][0]}:{groups}" + "}"
    return text.encode("utf-8", "surrogatepass") + (chance.choice((b" \n", b"x", b"\n{}", b",")) if writer._odd() else b"")
