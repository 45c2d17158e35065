"""Jaeger as protobuf: one `jaeger.api_v2.Span` a record, with its process filled in.

In: one record's bytes. Out: one row. Never: a field that the table below lacks; protobuf passes over those.
Source: github.com/jaegertracing/jaeger-idl, proto/api_v2/model.proto.
"""

from typing import Any

from tracebraid.pipeline.decode.jaeger import JaegerSpan, Tags, put_span
from tracebraid.pipeline.decode.messages import message_types, parsed
from tracebraid.pipeline.decode.rows import Rows

# Enums are read as numbers: proto3 keeps numbers that an enum does not have.
_TYPES = message_types(
    "tracebraid.jaeger",
    {
        "Timestamp": ["int64 seconds 1", "int32 nanos 2"],
        "KeyValue": ["string key 1", "int32 v_type 2", "string v_str 3", "bool v_bool 4", "int64 v_int64 5", "double v_float64 6", "bytes v_binary 7"],
        "Log": ["Timestamp timestamp 1", "repeated KeyValue fields 2"],
        "Reference": ["bytes trace_id 1", "bytes span_id 2", "int32 ref_type 3"],
        "Process": ["string service_name 1", "repeated KeyValue tags 2"],
        "Span": [
            "bytes trace_id 1",
            "bytes span_id 2",
            "string operation_name 3",
            "repeated Reference references 4",
            "uint32 flags 5",
            "Timestamp start_time 6",
            "Timestamp duration 7",
            "repeated KeyValue tags 8",
            "repeated Log logs 9",
            "Process process 10",
            "string process_id 11",
            "repeated string warnings 12",
        ],
    },
)
_VALUES = ("v_str", "v_bool", "v_int64", "v_float64", "v_binary")  # by v_type


def decode_jaeger_proto(value: bytes, record: int, rows: Rows) -> None:
    """Append the span of one record. Raises DecodeError: malformed, invalid_utf8, too_deep, too_large."""
    span = parsed(_TYPES["Span"], value, "Jaeger span")
    if not span.ListFields():
        return
    rows.check_parts(len(span.logs) + len(span.references))
    process = span.process if span.HasField("process") else None
    put_span(
        JaegerSpan(
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            name=span.operation_name,
            references=[(reference.trace_id.hex(), reference.span_id.hex(), reference.ref_type) for reference in span.references],
            flags=span.flags,
            start=_nanos(span.start_time) if span.HasField("start_time") else None,
            duration=_nanos(span.duration),
            tags=_tags(span.tags),
            logs=[(_nanos(log.timestamp), _tags(log.fields)) for log in span.logs],
            process=process and (("jaeger_proto", process.SerializeToString()), process.service_name, _tags(process.tags)),
            process_id=span.process_id,
            warnings=list(span.warnings),
        ),
        record,
        0,
        rows,
    )


def _nanos(time: Any) -> int:
    seconds: int = time.seconds
    return seconds * 1_000_000_000 + int(time.nanos)


def _tags(items: Any) -> Tags:
    """Pairs of key and value; a type that is unknown is read as a string."""
    return [(item.key, getattr(item, _VALUES[item.v_type] if 0 <= item.v_type < len(_VALUES) else "v_str")) for item in items]
