"""What a frame means, asked of the reference decoder once for all records that have it.

In: one of its records, with its holes. Out: which hole is the log's text, which its time, what its attributes are, what its resource is made of. Never: a rule
of its own: the record is read twice, with other values in its holes each time, and what differs is what the holes give.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tracebraid.pipeline.decode.log_rows import LogRow, read_json
from tracebraid.pipeline.decode.rows import DecodeError
from tracebraid.pipeline.decode.sniff import json_holds_otlp, json_may_hold_spans
from tracebraid.pipeline.decode.walkers.frames import ESCAPED, TEXT

Hole = tuple[int, int, int]  # where it begins in the record, its length, its kind
Value = int | str | None  # the number of a hole, or what all records of the frame have there
_READINGS = (7_000_000_000_000, 8_000_000_000_000)  # numbers that stand in holes, and texts of them


class Frame(NamedTuple):
    """What is said of the records of one frame. content: the hole that is their text. attributes: names and values."""

    content: int
    time: Value
    attributes: tuple[tuple[str, Value], ...]
    envelope: str | None
    facts: dict[str, Any]


def meaning_of(record: bytes, holes: Sequence[Hole]) -> Frame | None:
    """None where it means more than one text in its envelopes."""
    readings = [_filled(record, holes, first) for first in _READINGS]
    if json_holds_otlp(readings[0]) is not False or json_may_hold_spans(readings[0]):
        return None
    logs = [_only(reading) for reading in readings]
    one, other = logs
    if one is None or other is None or one.facts != other.facts or one.envelope != other.envelope or one.left_out or other.left_out:
        return None
    try:
        content = _told(one.text, other.text, len(holes))
        time = _told(one.time, other.time, len(holes))
        pairs = zip(one.attributes.items(), other.attributes.items(), strict=True)
        attributes = tuple((name, _told(value, second, len(holes))) for (name, value), (same, second) in pairs if _is(name == same))
    except ValueError:
        return None
    if not isinstance(content, int) or holes[content][2] not in (TEXT, ESCAPED):
        return None
    return Frame(content, time, attributes, one.envelope, one.facts)


def _filled(record: bytes, holes: Sequence[Hole], first: int) -> bytes:
    parts, at = [], 0
    for number, (start, length, kind) in enumerate(holes):
        value = str(first + number)
        parts += [record[at:start], (f"t{value}" if kind in (TEXT, ESCAPED) else value).encode()]
        at = start + length
    return b"".join([*parts, record[at:]])


def _only(reading: bytes) -> LogRow | None:
    try:
        logs = read_json(reading, 1)
    except DecodeError:
        return None
    return logs[0] if logs is not None and len(logs) == 1 else None


def _is(same: bool) -> bool:
    if not same:
        raise ValueError
    return True


def _told(one: str | None, other: str | None, holes: int) -> Value:
    """What both readings have, or the hole that gives it. Raises ValueError where holes give only a part."""
    if one == other:
        return one
    first, second = (int((text or "").removeprefix("t")) - begin for text, begin in zip((one, other), _READINGS, strict=True))
    _is(first == second and 0 <= first < holes)
    return first
