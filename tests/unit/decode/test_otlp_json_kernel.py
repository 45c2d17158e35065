"""What the kernel of OTLP/JSON is made of: its tables say what the .proto files say, and its doubles are the nearest ones."""

import math
import struct
from dataclasses import replace
from random import Random
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status, TracesData

from tests.batches import records_of
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.decode.walkers import otlp_json_tables as tables
from tracebraid.pipeline.decode.walkers.doubles import double
from tracebraid.pipeline.decode.walkers.groups import walk

MESSAGES = (AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, LogRecord, ResourceLogs, ScopeLogs, Resource, ResourceSpans, ScopeSpans, Status)
DESCRIPTORS = {message.DESCRIPTOR.name: message.DESCRIPTOR for message in (*MESSAGES, Span, Span.Event, Span.Link)}
TYPES = {
    tables.TEXT: FieldDescriptor.TYPE_STRING,
    tables.TRACE_ID: FieldDescriptor.TYPE_BYTES,
    tables.SPAN_ID: FieldDescriptor.TYPE_BYTES,
    tables.UINT32: FieldDescriptor.TYPE_UINT32,
    tables.FIXED32: FieldDescriptor.TYPE_FIXED32,
    tables.FIXED64: FieldDescriptor.TYPE_FIXED64,
    tables.INT64: FieldDescriptor.TYPE_INT64,
    tables.ENUM: FieldDescriptor.TYPE_ENUM,
    tables.DOUBLE: FieldDescriptor.TYPE_DOUBLE,
    tables.BOOL: FieldDescriptor.TYPE_BOOL,
    tables.BINARY: FieldDescriptor.TYPE_BYTES,
}
NEWER = {"entityRefs", "stringValueStrindex", "keyStrindex"}  # which the reference decoder does not read


@pytest.mark.parametrize("name", [name for name in tables.FIELDS if name != "Record"])
def test_fields_are_those_of_the_proto_files(name: str) -> None:
    described: Descriptor = DESCRIPTORS[name]
    found = {field.json_name: field for field in described.fields}
    assert found.keys() - NEWER == tables.FIELDS[name].keys()
    for spelled, (number, kind, *of) in tables.FIELDS[name].items():
        field = found[spelled]
        assert (field.number, field.name, field.is_repeated) == (number, tables.snake(spelled), kind == tables.MESSAGES)
        assert field.message_type.name == of[0] if of else field.type == TYPES[kind]
        assert kind not in (tables.TRACE_ID, tables.SPAN_ID) or field.name.endswith("trace_id" if kind == tables.TRACE_ID else "span_id")


def test_a_record_is_of_one_of_two_messages() -> None:
    for message, name in ((TracesData, "resourceSpans"), (LogsData, "resourceLogs")):
        (field,) = message.DESCRIPTOR.fields
        assert (field.json_name, field.number, field.message_type.name) == (name, 1, tables.FIELDS["Record"][name][2])


def test_names_are_found_by_what_has_them_alone() -> None:
    for number, (message, fields) in enumerate(tables.FIELDS.items()):
        known = {spelled for name in fields for spelled in (name, tables.snake(name))}
        for name in {*known, *(each for fields in tables.FIELDS.values() for each in fields), "", "x", "valuf", "traceIdd", message}:
            text = np.frombuffer(b"...." + name.encode() + b".", np.uint8)
            assert bool(tables.field_named(number, text, 4, 4 + len(name.encode()))) == (name in known)


def _bits(text: str) -> int | None:
    """What the kernel reads; None where it leaves it."""
    data = np.frombuffer(text.encode(), np.uint8)
    bits, end = double(data, 0, len(data))
    return int(bits) if end == len(data) else None


def _expected(text: str) -> int:
    found: int = struct.unpack("<q", struct.pack("<d", float(text)))[0]
    return found


def test_doubles_are_the_nearest() -> None:
    chance, left = Random(1), 0
    made = [struct.unpack("<d", chance.randbytes(8))[0] for _ in range(4000)]
    made += [chance.choice((chance.random(), chance.uniform(-1e6, 1e6), chance.randrange(10**17) / 2 ** chance.randrange(40))) for _ in range(4000)]
    finite = [number for number in made if math.isfinite(number)]
    for number in finite:
        for text in (repr(number), f"{number:.17g}", f"{number:e}", f"{number:.3f}", f"{number:.3E}"):
            bits = _bits(text)
            left += bits is None and text == repr(number)
            assert bits is None or bits == _expected(text), text
    assert left < len(finite) / 100


@pytest.mark.parametrize(
    "text",
    [
        *("0", "0.0", "-0.0", "0e5", "1", "-1", "9007199254740993", "9007199254740992.5", "9007199254740993.0", "1e22", "1e23", "8.5e22", "1e-7", "2.5e-1"),
        *("1844674407370955161e-1", "1234567890123456789", "9223372036854775807", "2.2250738585072014e-308", "1.7976931348623157e308", "4503599627370496.5"),
        *("4503599627370497.5", "0.000000000000000000000000000000000001", "0.1", "36028797018963970", "1E+2"),
    ],
)
def test_doubles_at_the_edges(text: str) -> None:
    assert _bits(text) == _expected(text)


@pytest.mark.parametrize(
    "text", ["", "-", ".5", "1.", "1.e5", "1e", "1e+", "01", "1.2.3", "+1", "-0", "1e309", "1e-320", "1e1000", "18446744073709551615e-1", "nan", "0x1"]
)
def test_doubles_that_are_left(text: str) -> None:
    assert _bits(text) is None


def test_bytes_that_may_be_written_are_walked_by_the_code_for_those_that_may_not() -> None:
    """Kafka's may not; those of a file, and what is made of JSON, may. The walkers would be compiled for both."""
    spans = TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[Span(name="a", trace_id=bytes(16), span_id=bytes(8))])])])
    records = records_of([spans.SerializeToString()])
    writable = pa.array(records.batch.column("value").to_pylist(), pa.binary())
    batch = records.batch.set_column(3, "value", writable)
    natives = cast(Any, walk)._natives
    decode(records)
    before = set(natives)
    decode(replace(records, batch=batch))
    assert before == set(natives) != set()
