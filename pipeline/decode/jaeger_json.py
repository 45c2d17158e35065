"""Jaeger as JSON: one span a record, as gogo's jsonpb writes `jaeger.api_v2.Span`.

In: one record's bytes. Out: the row that jaeger_proto gives for the same span. Never: Jaeger's other JSON, that of its UI and of Elasticsearch, where
ids are hex and times are numbers: it is not on Kafka.
Source: protobuf's JSON mapping: lowerCamelCase (snake_case too), bytes, ids among them, in base64, 64-bit integers as strings, enums by name (numbers too),
times as RFC 3339, durations as seconds with an `s`.
"""

import re
from datetime import datetime
from typing import Any

import orjson

from tracebraid.pipeline.decode.jaeger import CHILD_OF, FOLLOWS_FROM, JaegerSpan, Tags, put_span
from tracebraid.pipeline.decode.otlp_json_fields import INT64, UINT32, bytes_of, documents, double_of, enum_of, get, integer_of, objects_of, text_of
from tracebraid.pipeline.decode.rows import DecodeError, Rows, check_rows

_REFERENCES = {"CHILD_OF": CHILD_OF, "FOLLOWS_FROM": FOLLOWS_FROM}
_TYPES = {name: number for number, name in enumerate(("STRING", "BOOL", "INT64", "FLOAT64", "BINARY"))}
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?s")
_ID_CHARS = {12, 24}  # of base64: 8 and 16 bytes
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def decode_jaeger_json(value: bytes, record: int, rows: Rows) -> None:
    """Append the span of one record, or those on its lines. Raises DecodeError: malformed, invalid_utf8, not_an_object, too_deep, too_large."""
    decode_jaeger_documents(documents(value), record, rows)


def decode_jaeger_documents(parsed: list[Any], record: int, rows: Rows) -> None:
    """The same for documents that are parsed already."""
    check_rows(len(parsed), rows.most)
    for index, document in enumerate(parsed):
        if not isinstance(document, dict):
            raise DecodeError("not_an_object", "a Jaeger span is a JSON object, this is none")
        if not {"traceId", "trace_id", "spanId", "span_id", "operationName", "operation_name"} & document.keys():
            raise DecodeError("malformed", "the JSON object has neither traceId, spanId nor operationName")
        rows.check_parts(len(objects_of(document, "logs")) + len(objects_of(document, "references")))
        put_span(_span(document), record, index, rows)


def is_jaeger(document: Any) -> bool:
    """Whether a parsed JSON value is a Jaeger span: an operationName beside ids in base64. Ids in hex have other lengths."""
    return isinstance(document, dict) and isinstance(get(document, "operationName"), str) and all(_is_id(get(document, name)) for name in ("traceId", "spanId"))


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and len(value) in _ID_CHARS and value.endswith("=")


def _span(span: dict[str, Any]) -> JaegerSpan:
    start = text_of(span, "startTime")
    warnings = get(span, "warnings") or []
    if not isinstance(warnings, list) or not all(isinstance(warning, str) for warning in warnings):
        raise DecodeError("malformed", "warnings is no array of strings")
    return JaegerSpan(
        trace_id=bytes_of(span, "traceId").hex(),
        span_id=bytes_of(span, "spanId").hex(),
        name=text_of(span, "operationName"),
        references=[
            (bytes_of(reference, "traceId").hex(), bytes_of(reference, "spanId").hex(), enum_of(reference, "refType", _REFERENCES))
            for reference in objects_of(span, "references")
        ],
        flags=integer_of(span, "flags", UINT32),
        start=_nanos(start, "startTime") if start else None,
        duration=_duration(text_of(span, "duration")),
        tags=_tags(span, "tags"),
        logs=[(_nanos(text_of(log, "timestamp"), "timestamp"), _tags(log, "fields")) for log in objects_of(span, "logs")],
        process=_process(get(span, "process")),
        process_id=text_of(span, "processId"),
        warnings=warnings,
    )


def _process(process: Any) -> Any:
    if process is None:
        return None
    if not isinstance(process, dict):
        raise DecodeError("malformed", "process is no JSON object")
    try:
        key = "jaeger_json", orjson.dumps(process)
    except orjson.JSONEncodeError:
        raise DecodeError("too_deep", "a process nests too deep") from None
    return key, text_of(process, "serviceName"), _tags(process, "tags")


def _tags(owner: dict[str, Any], name: str) -> Tags:
    return [(text_of(tag, "key"), _value(tag)) for tag in objects_of(owner, name)]


def _value(tag: dict[str, Any]) -> Any:
    kind = enum_of(tag, "vType", _TYPES)
    if kind == _TYPES["BOOL"]:
        value = get(tag, "vBool") or False
        if not isinstance(value, bool):
            raise DecodeError("malformed", "vBool is neither true nor false")
        return value
    if kind == _TYPES["INT64"]:
        return integer_of(tag, "vInt64", INT64)
    if kind == _TYPES["FLOAT64"]:
        return double_of(tag, "vFloat64")
    return bytes_of(tag, "vBinary") if kind == _TYPES["BINARY"] else text_of(tag, "vStr")


def _nanos(time: str, name: str) -> int:
    """Nanoseconds since 1970, exact. An empty text is 1970."""
    match = _TIME.fullmatch(time)
    if match is None and not time:
        return 0
    try:
        whole = datetime.fromisoformat(match[1] + match[3]) - _EPOCH  # type: ignore[index]
    except (TypeError, ValueError):
        raise DecodeError("malformed", f"{name} is no time by RFC 3339") from None
    return (whole.days * 86_400 + whole.seconds) * 1_000_000_000 + int((match[2] or "").ljust(9, "0"))  # type: ignore[index]


def _duration(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        if text:
            raise DecodeError("malformed", "duration is no number of seconds with an s behind it")
        return 0
    nanos = int(match[2]) * 1_000_000_000 + int((match[3] or "").ljust(9, "0"))
    return -nanos if match[1] else nanos
