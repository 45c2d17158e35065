"""What rows of a walk share: resources, scopes, keys.

In: the memory of a walk. Out: resources as rows, scopes as columns, keys by their numbers. Never: a message parsed twice that came before.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from google.protobuf.message import DecodeError as ParseError
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from tracebraid.pipeline.decode.any_value import with_dropped
from tracebraid.pipeline.decode.otlp_proto import attributes_of
from tracebraid.pipeline.decode.rows import Attributes, DecodeError, maps_of
from tracebraid.pipeline.decode.walkers import memory as m
from tracebraid.pipeline.decode.walkers.gather import texts_of
from tracebraid.pipeline.decode.walkers.memory import Memory
from tracebraid.pipeline.decode.walkers.spelled import SHALLOW_BYTES, within
from tracebraid.pipeline.decode.walkers.wire import Bytes
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.held import take
from tracebraid.schemas.records import RESOURCES
from tracebraid.schemas.table import STRING

_REMEMBERED_BYTES_MAX = 16 * 1024  # of one message
_OBJECT_BYTES = 256  # what one takes at least, however small it is
_NOTHING: tuple[str | None, str | None, Attributes] = (None, None, {})


class Shared:
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
        known, rows = self._known[m.SCOPE], numbers.astype(np.int64)
        texts = {
            "scope_name": [found[0] for found, _ in known],
            "scope_version": [found[1] for found, _ in known],
            "scope_schema_url": [url for _, url in known],
        }
        coded_texts: dict[str, pa.Array] = {name: take(pa.array(each, STRING).dictionary_encode(), rows) for name, each in texts.items()}
        return coded_texts | {"scope_attributes": take(maps_of([found[2] for found, _ in known]), rows)}


def keys_of(memory: Memory, data: Bytes) -> pa.StringArray:
    """Keys by their numbers. One that is no UTF-8 is of a record that was given up: what stands for it is never seen."""
    entries = memory.texts(m.KEY)
    keys = texts_of(entries, data)
    try:
        keys.validate(full=True)
    except pa.ArrowInvalid:
        whole = keys.cast(pa.binary()).to_pylist()
        keys = pa.array([key.decode("utf-8", "backslashreplace") for key in whole], STRING)
    return keys


def _parse(kind: Any, message: bytes) -> tuple[str | None, str | None, Attributes] | None:
    """What a message of a resource or scope says; None where it is none."""
    try:
        found = _in_its_place(kind, message)
        attributes = with_dropped(attributes_of(found.attributes), found.dropped_attributes_count)
    except (DecodeError, ParseError):
        return None
    return (None, None, attributes) if kind is Resource else (found.name or None, found.version or None, attributes)


def _in_its_place(kind: Any, message: bytes) -> Any:
    """Parsed as deep as it lies in its record: protobuf's parser counts levels."""
    if len(message) < SHALLOW_BYTES:
        return kind.FromString(message)
    if kind is Resource:
        return TracesData.FromString(within(0x0A, within(0x0A, message))).resource_spans[0].resource
    return TracesData.FromString(within(0x0A, within(0x12, within(0x0A, message)))).resource_spans[0].scope_spans[0].scope


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
