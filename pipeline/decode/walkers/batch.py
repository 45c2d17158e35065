"""All records of a batch that hold OTLP spans as protobuf, walked at once.

In: the values of a batch, and which of them may be such records. Out: rows of schemas.records.WALKED_SPANS, their resources, and which records they are of.
Never: a record taken that the reference decoder would refuse, or read otherwise.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf.message import DecodeError as ParseError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from tracebraid.pipeline.decode.any_value import text, with_dropped
from tracebraid.pipeline.decode.otlp_proto import attributes_of, unfold
from tracebraid.pipeline.decode.rows import Attributes, DecodeError, maps_of
from tracebraid.pipeline.decode.walkers import memory as m
from tracebraid.pipeline.decode.walkers.gather import by_id, coded, hexed, integers, maps, offsets_of, plain_maps, slices, texts_of
from tracebraid.pipeline.decode.walkers.memory import Ints, Memory, Scratch
from tracebraid.pipeline.decode.walkers.promote import NONE
from tracebraid.pipeline.decode.walkers.spans import WALKED, walk
from tracebraid.pipeline.decode.walkers.values import put_view
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.held import take
from tracebraid.schemas.records import RESOURCES, WALKED_SPANS
from tracebraid.schemas.semconv import SPAN
from tracebraid.schemas.spans import EVENT, LINK
from tracebraid.schemas.table import STRING

Bytes = npt.NDArray[np.uint8]
_REMEMBERED_BYTES_MAX = 16 * 1024  # of one message
_OBJECT_BYTES = 256  # what one takes at least, however small it is
_FIRST = 0x0A  # the tag of resource_spans
_NOTHING: tuple[str | None, str | None, Attributes] = (None, None, {})


@dataclass(frozen=True, slots=True)
class Walked:
    """spans: schemas.records.WALKED_SPANS, in the order of the wire. resources: schemas.records.RESOURCES. records: bool [n], which are in them."""

    spans: pa.RecordBatch
    resources: pa.RecordBatch
    records: npt.NDArray[np.bool_]


def may_be_walked(values: pa.BinaryArray) -> Bytes:
    """1 for each record that begins as OTLP in protobuf does and is not too large, else 0."""
    if not values.buffers()[2]:
        return np.zeros(len(values), np.uint8)
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    data, sizes = np.frombuffer(values.buffers()[2], np.uint8), np.diff(offsets)
    likely = (sizes > 0) & (sizes <= limits.record_bytes_max) & (len(data) > 0)
    likely[likely] = data[offsets[:-1][likely]] == _FIRST
    return likely.astype(np.uint8)


def walk_spans(values: pa.BinaryArray, wanted: Bytes, scratch: Scratch) -> Walked | None:
    """`wanted`: 1 for each record of `values` that may be walked. None where none of them could be."""
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    data = np.frombuffer(values.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    starts = offsets - offsets[0]
    while True:
        marks = wanted.copy()
        memory = _walked(data, starts, marks, scratch)
        if not memory.count(m.U_ROWS):
            return None
        spelled, broken = _hard_values(memory, data)
        shared = _Shared(memory, data)
        broken |= shared.broken
        if not broken:
            return Walked(_spans(memory, data, spelled, shared), shared.resources(), marks == WALKED)
        wanted = wanted.copy()
        wanted[list(broken)] = 0  # their values are none, or nest too deep: the others are walked as if these had not been there


def _walked(data: Bytes, starts: npt.NDArray[np.int32], marks: Bytes, scratch: Scratch) -> Memory:
    texts, wanted = max(512, len(data) // 512), marks.copy()
    while True:
        memory = scratch.take(len(data), texts)
        if walk(memory.words, data, starts, marks):
            return memory
        texts, marks[:] = 4 * texts, wanted


def _hard_values(memory: Memory, data: Bytes) -> tuple[bytes, set[int]]:
    """Spell the values that kernels do not: the bytes that their views point into, and the records in which one is no value."""
    hard = memory.hard.tolist()
    if not hard:
        return b"", set()
    rendered = _spelled([data[each[m.H_START] : each[m.H_START] + each[m.H_LENGTH]].tobytes() for each in hard])
    broken = {each[m.H_RECORD] for each, found in zip(hard, rendered, strict=True) if found is None}
    if broken:
        return b"", broken
    known = [found or b"" for found in rendered]
    out, lists, place = b"".join(known), [memory.items(which) for which in range(3)], 0
    whole = np.frombuffer(out, np.uint8)
    for each, found in zip(hard, known, strict=True):
        put_view(lists[each[m.H_LIST]].reshape(-1), each[m.H_ITEM] * m.ITEM, whole, place, len(found), 2)
        place += len(found)
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
                found = text(AnyValue.FromString(value), unfold)
                known[value] = None if found is None else found.encode()
            except (DecodeError, ParseError):
                known[value] = None
    return [known[value] for value in values]


def _parse(kind: Any, message: bytes) -> tuple[str | None, str | None, Attributes] | None:
    """What a message of a resource or scope says; None where it is none."""
    try:
        found = kind.FromString(message)
        attributes = with_dropped(attributes_of(found.attributes), found.dropped_attributes_count)
    except (DecodeError, ParseError):
        return None
    return (None, None, attributes) if kind is Resource else (found.name or None, found.version or None, attributes)


class _Remembered:
    """What `_parse` said of messages of an ordinary size: they come with every record. Forgotten all at once where the messages come to `bytes_max` bytes:
    as Python objects each may take ten times as many, and who sends a new one with every record would fill the memory."""

    def __init__(self, bytes_max: int) -> None:
        self._known: dict[tuple[Any, bytes], Any] = {}
        self._bytes_max, self.bytes = bytes_max, 0

    def parsed(self, kind: Any, message: bytes) -> Any:
        key = kind, message
        if key in self._known:
            return self._known[key]
        found, size = _parse(kind, message), len(message) + _OBJECT_BYTES
        if size <= _REMEMBERED_BYTES_MAX:
            if self.bytes + size > self._bytes_max:
                self._known.clear()
                self.bytes = 0
            self._known[key] = found
            self.bytes += size
        return found


_remembered = _Remembered(8 * limits.MIB)


class _Shared:
    """The resources and scopes of one walk. broken: records that have one which is none."""

    def __init__(self, memory: Memory, data: Bytes) -> None:
        rows, urls = memory.rows, texts_of(memory.texts(m.SCHEMA_URL), data).to_pylist()
        self.broken: set[int] = set()
        self._known: dict[int, list[tuple[Any, str | None]]] = {}
        for kind, message, column in ((m.RESOURCE, Resource, m.R_RESOURCE), (m.SCOPE, InstrumentationScope, m.R_SCOPE)):
            places = memory.texts(kind)[:, [m.E_START, m.E_LENGTH, m.E_OWNER]].tolist()
            used = np.zeros(len(places), np.bool_)
            used[rows[column]] = True
            parsed = [
                _remembered.parsed(message, data[start : start + length].tobytes()) if use else _NOTHING
                for (start, length, _), use in zip(places, used, strict=True)
            ]
            none = np.array([found is None for found in parsed], np.bool_)
            self.broken |= set(rows[m.R_RECORD][none[rows[column]]].tolist())
            named = [urls[owner - 1] if owner and use else None for (_, _, owner), use in zip(places, used, strict=True)]
            self._known[kind] = [(found or _NOTHING, url) for found, url in zip(parsed, named, strict=True)]

    def resources(self) -> pa.RecordBatch:
        known = self._known[m.RESOURCE]
        return pa.record_batch([maps_of([found[2] for found, _ in known]), pa.array([url for _, url in known], STRING)], schema=RESOURCES)

    def scopes(self, numbers: npt.NDArray[np.int32]) -> dict[str, pa.Array]:
        known, rows = self._known[m.SCOPE], pa.array(numbers.astype(np.int32))
        texts = {
            "scope_name": [found[0] for found, _ in known],
            "scope_version": [found[1] for found, _ in known],
            "scope_schema_url": [url for _, url in known],
        }
        coded_texts: dict[str, pa.Array] = {name: pa.array(each, STRING).dictionary_encode().take(rows) for name, each in texts.items()}
        return coded_texts | {"scope_attributes": maps_of([found[2] for found, _ in known]).take(rows)}


def _spans(memory: Memory, data: Bytes, spelled: bytes, shared: _Shared) -> pa.RecordBatch:
    """In the order of trace ids: files are written in it, and a file's batches are then read side by side, not here and there."""
    rows, keys = memory.rows, _keys(memory, data)
    order = by_id(data, rows[m.R_TRACE])
    buffers = [pa.py_buffer(data), pa.py_buffer(memory.digits.copy()), pa.py_buffer(spelled)]

    def texts(column: int, kind: int) -> pa.DictionaryArray:
        return coded(rows[column], texts_of(memory.texts(kind), data), order)

    def numbers(column: int, to: type = np.int64) -> pa.Array:
        return pa.array(rows[column].astype(to)[order])

    columns = {
        "record": numbers(m.R_RECORD, np.int32),
        "record_index": numbers(m.R_INDEX, np.int32),
        "resource": numbers(m.R_RESOURCE, np.int32),
        "trace_id": hexed(data, rows[m.R_TRACE][order], 16),
        "span_id": hexed(data, rows[m.R_SPAN][order], 8),
        "parent_span_id": hexed(data, rows[m.R_PARENT][order], 8),
        "trace_state": texts(m.R_STATE, m.TRACE_STATE),
        "flags": numbers(m.R_FLAGS),
        "name": _names(rows[m.R_NAME], texts_of(memory.texts(m.NAME), data), order),
        "kind": numbers(m.R_KIND, np.int32),
        "start_unix_nano": numbers(m.R_START).view(pa.uint64()),
        "end_unix_nano": numbers(m.R_END).view(pa.uint64()),
        "status_code": numbers(m.R_CODE, np.int32),
        "status_message": texts(m.R_MESSAGE, m.STATUS_MESSAGE),
        **shared.scopes(rows[m.R_SCOPE][order]),
        "events": take(_events(memory, data, keys, buffers), order),
        "links": take(_links(memory, data, keys, buffers), order),
        "dropped_attributes_count": numbers(m.R_DROPPED),
        "dropped_events_count": numbers(m.R_EVENTS_DROPPED),
        "dropped_links_count": numbers(m.R_LINKS_DROPPED),
        "attributes": take(maps(memory.items(0), rows[m.R_ITEMS], keys, buffers), order),
    }
    for number, attribute in enumerate(SPAN):
        values = rows[m.R_COLUMNS + number]
        is_text = attribute.type == STRING
        columns[attribute.column] = coded(values, texts_of(memory.texts(m.COLUMN + number), data), order) if is_text else integers(values[order], NONE)
    return pa.record_batch([columns[name] for name in WALKED_SPANS.names], schema=WALKED_SPANS)


def _keys(memory: Memory, data: Bytes) -> pa.StringArray:
    """Keys by their numbers. One that is no UTF-8 is of a record that was given up: what stands for it is never seen."""
    entries = memory.texts(m.KEY)
    keys = texts_of(entries, data)
    try:
        keys.validate(full=True)
    except pa.ArrowInvalid:
        whole = keys.cast(pa.binary()).to_pylist()
        keys = pa.array([key.decode("utf-8", "backslashreplace") for key in whole], STRING)
    return keys


def _names(numbers: Ints, texts: pa.StringArray, order: Ints) -> pa.DictionaryArray:
    """A span always has a name; the empty one is no text of the table."""
    if (numbers < 0).any():
        texts, numbers = pa.concat_arrays([texts, pa.array([""], STRING)]), np.where(numbers < 0, len(texts), numbers)
    return coded(numbers, texts, order)


def _events(memory: Memory, data: Bytes, keys: pa.StringArray, buffers: list[pa.Buffer]) -> pa.ListArray:
    rows = memory.events
    attributes = plain_maps(maps(memory.items(1), rows[:, m.S_ITEMS], keys, buffers))
    names = slices(data, rows[:, m.S_NAME], rows[:, m.S_NAME_LENGTH])
    arrays = [pa.array(rows[:, m.S_TIME].copy()), names, attributes, pa.array(rows[:, m.S_DROPPED].copy())]
    return _lists(memory.rows[m.R_EVENTS], arrays, EVENT)


def _links(memory: Memory, data: Bytes, keys: pa.StringArray, buffers: list[pa.Buffer]) -> pa.ListArray:
    rows = memory.links
    attributes = plain_maps(maps(memory.items(2), rows[:, m.L_ITEMS], keys, buffers))
    states = slices(data, rows[:, m.L_STATE], rows[:, m.L_STATE_LENGTH])
    states = pc.if_else(pc.equal(states, pa.scalar("", STRING)), pa.scalar(None, STRING), states)
    ids = [hexed(data, rows[:, column], length) for column, length in ((m.L_TRACE, 16), (m.L_SPAN, 8))]
    return _lists(memory.rows[m.R_LINKS], [*ids, states, pa.array(rows[:, m.L_FLAGS].copy()), attributes, pa.array(rows[:, m.L_DROPPED].copy())], LINK)


def _lists(ends: Ints, arrays: list[pa.Array], of: pa.StructType) -> pa.ListArray:
    cast = [array.cast(field.type) for array, field in zip(arrays, of, strict=True)]
    return pa.ListArray.from_arrays(offsets_of(ends), pa.StructArray.from_arrays(cast, fields=list(of)))
