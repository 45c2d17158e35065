"""Values that kernels do not spell: numbers that are not whole, lists, maps, bytes.

In: where they lie. Out: their texts, as views in their items' places. Never: a value that the reference decoder would refuse where it
stands: its record is left.
"""

import math

import numpy as np
import orjson
from google.protobuf.message import DecodeError as ParseError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tracebraid.pipeline.decode.any_value import text
from tracebraid.pipeline.decode.otlp_proto import unfold
from tracebraid.pipeline.decode.rows import DecodeError
from tracebraid.pipeline.decode.walkers import memory as m
from tracebraid.pipeline.decode.walkers.memory import Memory
from tracebraid.pipeline.decode.walkers.values import put_views
from tracebraid.pipeline.decode.walkers.wire import Bytes

# Protobuf's parser counts levels from the record on. A value lies up to six deep (an event's attribute), and one of fewer bytes cannot make the rest.
SHALLOW_BYTES = 180
_LEVELS = 6


def spell(memory: Memory, data: Bytes) -> tuple[bytes, set[int]]:
    """Spell the values that kernels do not: the bytes that their views point into, and the records in which one is no value."""
    hard = memory.hard.tolist()
    if not hard:
        return b"", set()
    rendered = _spelled([data[each[m.H_START] : each[m.H_START] + each[m.H_LENGTH]].tobytes() for each in hard])
    broken = {each[m.H_RECORD] for each, found in zip(hard, rendered, strict=True) if found is None}
    if broken:
        return b"", broken
    known = [found or b"" for found in rendered]
    out, table = b"".join(known), memory.hard
    lengths = np.fromiter(map(len, known), np.int64, len(known))
    places = np.column_stack([table[:, m.H_ITEM], np.cumsum(lengths) - lengths, lengths])
    for which in range(3):
        put_views(memory.items(which).reshape(-1), places[table[:, m.H_LIST] == which], np.frombuffer(out, np.uint8), 2)
    return out, broken


def _spelled(values: list[bytes]) -> list[bytes | None]:
    """Each AnyValue as text; None where it is none."""
    distinct = list(dict.fromkeys(values))
    doubles = [value for value in distinct if value[0] == 0x21]
    numbers = np.frombuffer(b"".join(value[1:] for value in doubles), "<f8").tolist()
    finite = [(value, number) for value, number in zip(doubles, numbers, strict=True) if math.isfinite(number)]
    known: dict[bytes, bytes | None] = {}
    if finite:
        known = dict(zip((value for value, _ in finite), orjson.dumps([number for _, number in finite])[1:-1].split(b","), strict=True))
    for value in distinct:
        if value not in known:
            try:
                found = text(_parsed(value), unfold)
                known[value] = None if found is None else found.encode()
            except (DecodeError, ParseError):
                known[value] = None
    return [known[value] for value in values]


def _parsed(value: bytes) -> AnyValue:
    """Parsed no deeper than within its record."""
    if len(value) < SHALLOW_BYTES:
        return AnyValue.FromString(value)
    for _ in range(_LEVELS // 2):  # a list in a value is two levels
        value = within(0x2A, within(0x0A, value))
    found = AnyValue.FromString(value)
    for _ in range(_LEVELS // 2):
        found = found.array_value.values[0]
    return found


def within(tag: int, message: bytes) -> bytes:
    """`message` as a field of another."""
    length, head = len(message), bytearray([tag])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + message
