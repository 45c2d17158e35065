"""What OTLP's messages are called in JSON, as tables for a kernel: which field a name is, of which number and kind.

In: names. Out: arrays that kernels read. Never: a field that the reference decoder does not read (it is skipped as one that nobody knows). Source:
opentelemetry-proto 1.x, trace.proto, logs.proto, common.proto and resource.proto; a test holds numbers and types to its descriptors.
"""

import re
from itertools import count
from typing import Any

import numpy as np

from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, byte_at, fixed64
from tracebraid.pipeline.kernel.compiled import compiled

# Kinds of fields. MESSAGE: one of the message that it names; MESSAGES: a list of them; SKIPPED: any value, which nobody reads.
MESSAGE, MESSAGES, TEXT, TRACE_ID, SPAN_ID, UINT32, FIXED32, FIXED64, INT64, ENUM, DOUBLE, BOOL, BINARY, SKIPPED = range(14)
_WIRE_TYPES = (2, 2, 2, 2, 2, 0, 5, 1, 0, 0, 1, 0, 2, 2)  # of each kind
_ATTRIBUTES = (MESSAGES, "KeyValue")
_GROUP = {"resource": (1, MESSAGE, "Resource"), "schemaUrl": (3, TEXT)}
_ITEMS = {"scope": (1, MESSAGE, "InstrumentationScope"), "schemaUrl": (3, TEXT)}
# Messages → names → (number, kind, message). Both lists of the first have one number: a record of both signals has it twice, and is left.
FIELDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "Record": {"resourceSpans": (1, MESSAGES, "ResourceSpans"), "resourceLogs": (1, MESSAGES, "ResourceLogs"), "schemaUrl": (3, SKIPPED)},
    "ResourceSpans": {**_GROUP, "scopeSpans": (2, MESSAGES, "ScopeSpans")},
    "ResourceLogs": {**_GROUP, "scopeLogs": (2, MESSAGES, "ScopeLogs")},
    "Resource": {"attributes": (1, *_ATTRIBUTES), "droppedAttributesCount": (2, UINT32)},
    "ScopeSpans": {**_ITEMS, "spans": (2, MESSAGES, "Span")},
    "ScopeLogs": {**_ITEMS, "logRecords": (2, MESSAGES, "LogRecord")},
    "InstrumentationScope": {"name": (1, TEXT), "version": (2, TEXT), "attributes": (3, *_ATTRIBUTES), "droppedAttributesCount": (4, UINT32)},
    "Span": {
        "traceId": (1, TRACE_ID),
        "spanId": (2, SPAN_ID),
        "traceState": (3, TEXT),
        "parentSpanId": (4, SPAN_ID),
        "name": (5, TEXT),
        "kind": (6, ENUM),
        "startTimeUnixNano": (7, FIXED64),
        "endTimeUnixNano": (8, FIXED64),
        "attributes": (9, *_ATTRIBUTES),
        "droppedAttributesCount": (10, UINT32),
        "events": (11, MESSAGES, "Event"),
        "droppedEventsCount": (12, UINT32),
        "links": (13, MESSAGES, "Link"),
        "droppedLinksCount": (14, UINT32),
        "status": (15, MESSAGE, "Status"),
        "flags": (16, FIXED32),
    },
    "Event": {"timeUnixNano": (1, FIXED64), "name": (2, TEXT), "attributes": (3, *_ATTRIBUTES), "droppedAttributesCount": (4, UINT32)},
    "Link": {
        "traceId": (1, TRACE_ID),
        "spanId": (2, SPAN_ID),
        "traceState": (3, TEXT),
        "attributes": (4, *_ATTRIBUTES),
        "droppedAttributesCount": (5, UINT32),
        "flags": (6, FIXED32),
    },
    "Status": {"message": (2, TEXT), "code": (3, ENUM)},
    "LogRecord": {
        "timeUnixNano": (1, FIXED64),
        "severityNumber": (2, ENUM),
        "severityText": (3, TEXT),
        "body": (5, MESSAGE, "AnyValue"),
        "attributes": (6, *_ATTRIBUTES),
        "droppedAttributesCount": (7, UINT32),
        "flags": (8, FIXED32),
        "traceId": (9, TRACE_ID),
        "spanId": (10, SPAN_ID),
        "observedTimeUnixNano": (11, FIXED64),
        "eventName": (12, TEXT),
    },
    "KeyValue": {"key": (1, TEXT), "value": (2, MESSAGE, "AnyValue")},
    "AnyValue": {
        "stringValue": (1, TEXT),
        "boolValue": (2, BOOL),
        "intValue": (3, INT64),
        "doubleValue": (4, DOUBLE),
        "arrayValue": (5, MESSAGE, "ArrayValue"),
        "kvlistValue": (6, MESSAGE, "KeyValueList"),
        "bytesValue": (7, BINARY),
    },
    "ArrayValue": {"values": (1, MESSAGES, "AnyValue")},
    "KeyValueList": {"values": (1, *_ATTRIBUTES)},
}
_MESSAGES = list(FIELDS)
RECORD, ANY_VALUE = _MESSAGES.index("Record"), _MESSAGES.index("AnyValue")
_SHORT = ("Status", "KeyValue", "AnyValue", "ArrayValue", "KeyValueList")  # most of them come to less than 128 bytes
RESERVED = np.array([1 if name in _SHORT else 5 if name.startswith(("Resource", "Scope")) else 2 for name in _MESSAGES], np.int64)
_SLOT_BITS = 10
_EMPTY = -1
_TWO_WORDS = 16
_MIXING = 0x9E3779B97F4A7C15
_TURN = np.uint64(64 - _SLOT_BITS)
_MIX = np.uint64(_MIXING)


def snake(name: str) -> str:
    return re.sub("[A-Z]", lambda found: "_" + found[0].lower(), name)


_NAMES = sorted({spelled.encode() for fields in FIELDS.values() for name in fields for spelled in (name, snake(name))})


def _slot_of(name: bytes, factor: int) -> int:
    first, last = int.from_bytes(name[:8], "little"), int.from_bytes(name[-8:], "little")
    return ((first * _MIXING + last + len(name)) * factor & 0xFFFFFFFFFFFFFFFF) >> (64 - _SLOT_BITS)


def _without_collision() -> int:
    """A factor by which no two names have one slot."""
    odd = (pow(_MIXING, power, 1 << 64) for power in count(1))
    return next(factor for factor in odd if len({_slot_of(name, factor) for name in _NAMES}) == len(_NAMES))


_FACTOR = _without_collision()
_U_FACTOR = np.uint64(_FACTOR)
_SLOTS = np.full(1 << _SLOT_BITS, _EMPTY, np.int64)
_SLOTS[[_slot_of(name, _FACTOR) for name in _NAMES]] = np.arange(len(_NAMES))
_LENGTHS = np.array([len(name) for name in _NAMES], np.int64)
_FIRST, _MIDDLE, _LAST = (np.array([int.from_bytes(name[at], "little") for name in _NAMES], np.uint64) for at in (slice(8), slice(8, 16), slice(-8, None)))
# A field in one word: its kind, the message it holds, its tag, its number. 0: none.
_WORDS = np.zeros((len(_MESSAGES), len(_NAMES)), np.int64)
for _message, _fields in enumerate(FIELDS.values()):
    for _name, (_number, _kind, *_of) in _fields.items():
        _word = _kind | (_MESSAGES.index(_of[0]) if _of else 0) << 8 | (_number << 3 | _WIRE_TYPES[_kind]) << 16 | _number << 32
        for _spelled in (_name, snake(_name)):
            _WORDS[_message, _NAMES.index(_spelled.encode())] = _word


@compiled
def field_named(message: Number, data: Bytes, start: Number, stop: Number) -> Number:
    """The word of the field that a message calls by the name from `start` to `stop`; 0 where it has none of that name."""
    length = stop - start
    first = last = np.uint64(0)
    if length >= 8:
        first, last = np.uint64(fixed64(data, start)), np.uint64(fixed64(data, stop - 8))
    else:
        for place in range(length):
            first |= np.uint64(byte_at(data, start + place)) << np.uint64(8 * place)
        last = first
    slot = np.int64(((first * _MIX + last + np.uint64(length)) * _U_FACTOR) >> _TURN)
    name = _SLOTS[slot]
    if name < 0 or _LENGTHS[name] != length or _FIRST[name] != first or _LAST[name] != last:
        return np.int64(0)
    if length > _TWO_WORDS and _MIDDLE[name] != np.uint64(fixed64(data, start + 8)):
        return np.int64(0)
    return _WORDS[message, name]


assert max(_LENGTHS) <= 24  # three words
