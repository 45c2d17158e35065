"""Zipkin as protobuf: a `zipkin.proto3.ListOfSpans` a record.

In: one record's bytes. Out: a row a span. Never: a field that the table below lacks; protobuf passes over those.
Source: github.com/openzipkin/zipkin-api, zipkin.proto.
"""

from typing import Any

from tracebraid.pipeline.decode.messages import message_types, parsed
from tracebraid.pipeline.decode.rows import Rows, check_rows
from tracebraid.pipeline.decode.zipkin import Endpoint, ZipkinSpan, address, put_span

_TYPES = message_types(
    "tracebraid.zipkin",
    {
        "Endpoint": ["string service_name 1", "bytes ipv4 2", "bytes ipv6 3", "int32 port 4"],
        "Annotation": ["fixed64 timestamp 1", "string value 2"],
        "Tag": ["string key 1", "string value 2"],
        "Span": [
            "bytes trace_id 1",
            "bytes parent_id 2",
            "bytes id 3",
            "int32 kind 4",
            "string name 5",
            "fixed64 timestamp 6",
            "uint64 duration 7",
            "Endpoint local_endpoint 8",
            "Endpoint remote_endpoint 9",
            "repeated Annotation annotations 10",
            "repeated Tag tags 11",
            "bool debug 12",
            "bool shared 13",
        ],
        "ListOfSpans": ["repeated Span spans 1"],
    },
)
_KINDS = ("", "CLIENT", "SERVER", "PRODUCER", "CONSUMER")


def decode_zipkin_proto(value: bytes, record: int, rows: Rows) -> None:
    """Append the spans of one record. Raises DecodeError: malformed, invalid_utf8, too_deep, too_large."""
    spans = parsed(_TYPES["ListOfSpans"], value, "Zipkin spans").spans
    check_rows(len(spans), rows.most)
    for index, span in enumerate(spans):
        rows.check_parts(len(span.annotations))
        put_span(
            ZipkinSpan(
                trace_id=span.trace_id.hex(),
                span_id=span.id.hex(),
                parent_id=span.parent_id.hex(),
                name=span.name,
                kind=_KINDS[span.kind] if 0 <= span.kind < len(_KINDS) else str(span.kind),
                start=span.timestamp,
                duration=span.duration,
                local=_endpoint(span.local_endpoint),
                remote=_endpoint(span.remote_endpoint),
                annotations=[(annotation.timestamp, annotation.value) for annotation in span.annotations],
                tags={tag.key: tag.value for tag in span.tags},
                debug=span.debug,
                shared=span.shared,
            ),
            record,
            index,
            rows,
        )


def _endpoint(endpoint: Any) -> Endpoint:
    return Endpoint(endpoint.service_name, address(endpoint.ipv4) + address(endpoint.ipv6), endpoint.port)
