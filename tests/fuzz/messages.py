"""OTLP span messages, written byte by byte, so that they can be wrong in every way in which bytes can.

In: a Random. Out: the bytes of a TracesData, or of what only resembles one. Never: a library that would refuse to write nonsense. Fields and their numbers:
opentelemetry-proto 1.x, trace.proto, common.proto and resource.proto.
"""

import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from tracebraid.schemas.semconv import SPAN
from tracebraid.schemas.table import STRING

VARINT, FIXED64, BYTES, GROUP, GROUP_END, FIXED32 = range(6)
_KEYS = [*(name.encode() for promoted in SPAN for name in promoted.names), b"app.user", b"app.order", "ключ".encode(), b"k", b""]
_OF_TEXT = frozenset(name.encode() for promoted in SPAN if promoted.type == STRING for name in promoted.names)
_TEXTS = [b"", b"a", b"GET", b"200", b"-1", b"007", b"2147483648", b"-2147483648", b"a" * 12, b"a" * 13, "ü".encode() * 7, "😀".encode(), b"\x00", b"x" * 300]
_NO_UTF8 = [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"long enough for a view\xff"]
_NUMBERS = [0, 1, 200, 127, 128, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 10**11, 10**12, 2**63 - 1, 2**63, 2**64 - 1, 2**64 - 200]
_DOUBLES = [0.0, -0.0, 0.5, 1e300, 5e-324, float("inf"), float("-inf"), float("nan"), 200.0, 0.1]
_IDS = {8: (0, 7, 9), 16: (0, 8, 15, 17)}
_DEEP = 70  # more levels than any reader takes
Fields = list[tuple[int, bytes]]


def varint(number: int, padded: int = 0) -> bytes:
    """`padded`: so many bytes more than it needs."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number | (0x80 if padded else 0))
    return bytes(out) + b"\x80" * (padded - 1) + b"\x00" * bool(padded)


def tagged(number: int, content: bytes) -> bytes:
    """A field of bytes."""
    return varint(number << 3 | BYTES) + varint(len(content)) + content


class Writer:
    """One message's. `odd`: how likely each of its parts is something that no SDK writes; 0 for what the walkers should take."""

    def __init__(self, chance: Random, odd: float) -> None:
        self.chance, self.odd = chance, odd
        self.order = chance.choice(("ascending", "descending", "any"))

    def _odd(self) -> bool:
        return self.odd > 0 and self.chance.random() < self.odd

    def _varint(self, number: int) -> bytes:
        return varint(number, self.chance.randint(1, 9) if self._odd() else 0)

    def number(self, field: int, number: int) -> tuple[int, bytes]:
        return self._field(field, VARINT, self._varint(number))

    def fixed64(self, field: int, number: int) -> tuple[int, bytes]:
        return self._field(field, FIXED64, struct.pack("<Q", number))

    def fixed32(self, field: int, number: int) -> tuple[int, bytes]:
        return self._field(field, FIXED32, struct.pack("<I", number))

    def content(self, field: int, content: bytes) -> tuple[int, bytes]:
        length = len(content)
        if self._odd():
            length = max(0, length + self.chance.choice((-1, 1, 2, 1 << 31, 1 << 63)))
        return self._field(field, BYTES, self._varint(length) + content)

    def _field(self, field: int, kind: int, body: bytes) -> tuple[int, bytes]:
        if self._odd():
            kind = self.chance.choice((VARINT, FIXED64, BYTES, GROUP, GROUP_END, FIXED32, 6, 7))
        return field, self._varint(field << 3 | kind) + body

    def message(self, fields: Fields) -> bytes:
        """The fields in this message's order; where it is odd, with some twice, some missing, and some that nobody knows."""
        while self._odd():
            at = self.chance.randint(0, len(fields))
            choice = self.chance.randrange(5)
            if choice == 0 and fields:
                fields.insert(at, self.chance.choice(fields))
            elif choice == 1 and fields:
                fields.pop(at - 1)
            elif choice == 2:
                unknown = self.chance.choice((0, 17, 31, 1000, 2**29 - 1))
                fields.insert(at, self.chance.choice((self.number, self.fixed64, self.fixed32))(unknown, 7))
            elif choice == 3:
                group = self.chance.choice((2, 9, 20))
                fields.insert(at, (group, varint(group << 3 | GROUP) + b"\x08\x01" + varint((group if self.chance.random() < 0.7 else 3) << 3 | GROUP_END)))
            else:
                fields.insert(at, (self.chance.randrange(1, 18), self.chance.randbytes(self.chance.randrange(4))))
        if self.order == "any":
            self.chance.shuffle(fields)
        else:
            fields.sort(key=lambda field: field[0], reverse=self.order == "descending")
        return b"".join(body for _, body in fields)

    def text(self) -> bytes:
        if self._odd():
            return self.chance.choice(_NO_UTF8)
        if self.chance.random() < 0.7:
            return self.chance.choice(_TEXTS)
        return b"t-%x" % self.chance.getrandbits(self.chance.choice((4, 16, 64)))

    def id(self, length: int) -> bytes:
        if self._odd():
            return self.chance.randbytes(self.chance.choice(_IDS[length]))
        return bytes(length) if self.chance.random() < 0.05 else self.chance.randbytes(length)

    def any_value(self, depth: int = 0) -> bytes:
        """An AnyValue of any kind, nested a little; where it is odd, of two kinds at once, or nested beyond all limits."""
        if self._odd() and self.chance.random() < 0.1:
            return self._deep()
        fields: Fields = []
        for _ in range(2 if self._odd() else 1):
            kind = self.chance.choices((0, 1, 2, 3, 4, 5, 6, 7, 8), (1, 12, 2, 6, 2, depth < 3, depth < 3, 1, self._odd()))[0]
            if kind == 1:
                fields.append(self.content(1, self.text()))
            elif kind == 2:
                fields.append(self.number(2, self.chance.choice((0, 1, 1, 2))))
            elif kind in (3, 8):
                fields.append(self.number(kind, self._integer()))
            elif kind == 4:
                fields.append(self._field(4, FIXED64, struct.pack("<d", self.chance.choice(_DOUBLES))))
            elif kind == 5:
                fields.append(self.content(5, self.message(self._several(1, lambda: self.any_value(depth + 1)))))
            elif kind == 6:
                fields.append(self.content(6, self.message(self.attributes(1, depth + 1))))
            elif kind == 7:
                fields.append(self.content(7, self.chance.randbytes(self.chance.randrange(9))))
        return self.message(fields)

    def _deep(self) -> bytes:
        value = tagged(1, b"deep")
        for _ in range(self.chance.choice((5, 30, 33, 48, _DEEP))):
            value = tagged(5, tagged(1, value)) if self.chance.random() < 0.7 else tagged(6, tagged(1, tagged(1, b"k") + tagged(2, value)))
        return value

    def _integer(self) -> int:
        return self.chance.choice(_NUMBERS) if self.chance.random() < 0.7 else self.chance.getrandbits(self.chance.choice((8, 31, 40, 64)))

    def _several(self, field: int, make: Callable[[], bytes], most: int = 2) -> Fields:
        return [self.content(field, make()) for _ in range(self.chance.randint(0, most))]

    def attributes(self, field: int, depth: int = 0, most: int = 4) -> Fields:
        """Keys differ, unless the message is odd; those that have a column of texts mostly have texts."""
        keys = self.chance.sample(_KEYS, self.chance.randint(0, most))
        if self._odd() and keys:
            keys.append(self.chance.choice((keys[0], self.text())))
        return [self.content(field, self.message([self.content(1, key), self.content(2, self._value_of(key, depth))])) for key in keys]

    def _value_of(self, key: bytes, depth: int) -> bytes:
        if key in _OF_TEXT and self.chance.random() < 0.97:
            return self.message([self.content(1, self.text())])
        return self.any_value(depth)

    def _sometimes(self, share: float, *fields: Callable[[], tuple[int, bytes]]) -> Fields:
        return [make() for make in fields if self.chance.random() < share]

    def event(self) -> bytes:
        named = self._sometimes(0.8, lambda: self.fixed64(1, self._integer()), lambda: self.content(2, self.text()))
        return self.message([*named, *self.attributes(3, most=2), *self._sometimes(0.2, lambda: self.number(4, self._count()))])

    def link(self) -> bytes:
        ids = self._sometimes(0.9, lambda: self.content(1, self.id(16)), lambda: self.content(2, self.id(8)))
        rest = (lambda: self.content(3, self.text()), lambda: self.number(5, self._count()), lambda: self.fixed32(6, self.chance.getrandbits(32)))
        return self.message([*ids, *self.attributes(4, most=1), *self._sometimes(0.3, *rest)])

    def _count(self) -> int:
        return self._integer() if self._odd() else self.chance.choice((0, 1, 2, 2**32 - 1))

    def span(self) -> bytes:
        start = self._integer() if self.chance.random() < 0.3 else 1_700_000_000_000_000_000 + self.chance.getrandbits(40)
        usual = self._sometimes(
            0.95,
            lambda: self.content(1, self.id(16)),
            lambda: self.content(2, self.id(8)),
            lambda: self.content(5, self.text()),
            lambda: self.number(6, self.chance.choice((1, 2, 3, 5, 0, 9, 2**31, 2**64 - 1))),
            lambda: self.fixed64(7, start),
            lambda: self.fixed64(8, min(start + self.chance.getrandbits(32), 2**64 - 1)),
        )
        rare = self._sometimes(
            0.15,
            lambda: self.content(3, self.text()),
            lambda: self.content(4, self.id(8)),
            lambda: self.number(10, self._count()),
            lambda: self.number(12, self._count()),
            lambda: self.number(14, self._count()),
            lambda: self.content(15, self.message(self._sometimes(0.7, lambda: self.content(2, self.text()), lambda: self.number(3, self._code())))),
            lambda: self.fixed32(16, self.chance.getrandbits(32)),
        )
        few = self.chance.random() < 0.3
        events = self._several(11, self.event) if few else []
        links = self._several(13, self.link) if few else []
        return self.message([*usual, *rare, *self.attributes(9), *events, *links])

    def _code(self) -> int:
        return self.chance.choice((0, 1, 2, 2, 3, 2**31, 2**64 - 1))

    def resource_spans(self) -> bytes:
        scope = self.message([*self._sometimes(0.7, lambda: self.content(1, self.text()), lambda: self.content(2, self.text())), *self.attributes(3, most=1)])
        url = lambda: self.content(3, self.text())  # noqa: E731
        scopes: Fields = []
        for _ in range(self.chance.choice((1, 1, 1, 2, 0))):
            spans = [self.content(2, self.span()) for _ in range(self.chance.choice((1, 1, 1, 2, 3)))]
            scopes.append(self.content(2, self.message([*spans, *self._sometimes(0.7, lambda: self.content(1, scope)), *self._sometimes(0.1, url)])))
        resource = lambda: self.content(1, self.message([*self.attributes(1), *self._sometimes(0.1, lambda: self.number(2, self._count()))]))  # noqa: E731
        return self.message([*scopes, *self._sometimes(0.9, resource), *self._sometimes(0.1, url)])


def _wide(writer: Writer) -> bytes:
    """A span with about as many attributes as one may have, events too."""
    pairs: Fields = [
        writer.content(9, tagged(1, b"k%d" % number) + tagged(2, tagged(1, b"v"))) for number in range(writer.chance.choice((1000, 1023, 1024, 1025)))
    ]
    events: Fields = [writer.content(11, writer.event()) for _ in range(writer.chance.choice((1, 60)))]
    return tagged(1, tagged(2, tagged(2, writer.message([*pairs, *events, writer.content(1, writer.id(16))]))))


def _repeated(writer: Writer) -> bytes:
    """Many small spans that share a large resource or scope: about as many as may."""
    shared = tagged(1, tagged(1, b"k") + tagged(2, tagged(1, b"x" * writer.chance.choice((100, 3000, 9000)))))
    spans = b"".join(tagged(2, writer.message([writer.content(1, writer.id(16))])) for _ in range(writer.chance.choice((10, 63, 64, 65, 300))))
    of_resource = writer.chance.random() < 0.5
    return tagged(1, tagged(1, shared) + tagged(2, spans) if of_resource else tagged(2, tagged(1, tagged(3, shared)) + spans))


def spans_message(chance: Random, oddities: Sequence[float] = (0.0, 0.0, 0.002, 0.01, 0.03)) -> bytes:
    """A TracesData of one group, rarely none or several, and rarely a large one; how odd it is, is one of `oddities`."""
    writer = Writer(chance, chance.choice(oddities))
    if chance.random() < 0.002:
        return chance.choice((_wide, _repeated))(writer)
    groups: list[Any] = [writer.content(1, writer.resource_spans()) for _ in range(chance.choice((1, 1, 1, 1, 2, 0) if writer.odd else (1,)))]
    return writer.message(groups)
