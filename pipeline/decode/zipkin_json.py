"""Zipkin as JSON: an array of v2 spans a record, or of v1 spans.

In: one record's bytes. Out: a row a span. Never: a v1 span split: where both sides wrote into one, it is the client's, and the other's annotations are events.
Source: zipkin.io/zipkin-api, zipkin2-api.yaml and zipkin-api.yaml: ids in hex, times in microseconds.
"""

from typing import Any

from tracebraid.pipeline.decode.otlp_json_fields import UINT64, documents, integer_of, objects_of, text_of
from tracebraid.pipeline.decode.rows import DecodeError, Rows, check_rows
from tracebraid.pipeline.decode.span_row import spelled
from tracebraid.pipeline.decode.zipkin import Endpoint, ZipkinSpan, put_span
from tracebraid.pipeline.kernel.trace_context import HEX

# v1: the annotations that begin and end a side, its kind, and the binary annotation that names the other side.
_SIDES = (("cs", "cr", "CLIENT", "sa"), ("sr", "ss", "SERVER", "ca"), ("ms", "", "PRODUCER", "ma"), ("mr", "", "CONSUMER", "ma"))
# One of these, or both of the times, tell a span from a log object that has an id and a trace id.
_TELLING = frozenset({"localEndpoint", "remoteEndpoint", "binaryAnnotations", "annotations", "tags"})
_LOGS = frozenset({"message", "msg", "level", "severity"})


def decode_zipkin_json(value: bytes, record: int, rows: Rows) -> None:
    """Append the spans of one record. Raises DecodeError: malformed, invalid_utf8, not_an_object, too_deep, too_large."""
    for document in (parsed := documents(value)):
        if not isinstance(document, list):
            raise DecodeError("malformed", "Zipkin's spans are a JSON array, this is none")
    decode_zipkin_spans([span for document in parsed for span in document], record, rows)


def decode_zipkin_spans(spans: list[Any], record: int, rows: Rows) -> None:
    """The same for spans that are parsed already."""
    check_rows(len(spans), rows.most)
    for index, span in enumerate(spans):
        if not isinstance(span, dict):
            raise DecodeError("not_an_object", f"span {index} of the array is no JSON object")
        if "id" not in span or "traceId" not in span:
            raise DecodeError("malformed", f"span {index} of the array has no id or no traceId")
        rows.check_parts(len(objects_of(span, "annotations")))
        put_span(v1_span(span) if _is_v1(span) else _v2(span), record, index, rows)


def is_zipkin(document: Any) -> bool:
    """Whether a parsed JSON value is an array of Zipkin's spans."""
    return isinstance(document, list) and bool(document) and all(map(_is_span, document))


def _is_span(span: Any) -> bool:
    if not isinstance(span, dict) or not all(isinstance(span.get(name), str) and HEX.fullmatch(span[name].lower()) for name in ("id", "traceId")):
        return False
    return _LOGS.isdisjoint(span) and (not _TELLING.isdisjoint(span) or {"timestamp", "duration"} <= span.keys())


def _is_v1(span: dict[str, Any]) -> bool:
    return "binaryAnnotations" in span or any("endpoint" in annotation for annotation in objects_of(span, "annotations"))


def _v2(span: dict[str, Any]) -> ZipkinSpan:
    return ZipkinSpan(
        **_common(span),
        kind=text_of(span, "kind"),
        start=integer_of(span, "timestamp", UINT64),
        duration=integer_of(span, "duration", UINT64),
        local=_endpoint(span, "localEndpoint"),
        remote=_endpoint(span, "remoteEndpoint"),
        annotations=[(integer_of(each, "timestamp", UINT64), text_of(each, "value")) for each in objects_of(span, "annotations")],
        tags=spelled(_object(span, "tags")),
        shared=_flag(span, "shared"),
    )


def v1_span(span: dict[str, Any]) -> ZipkinSpan:
    """A span of Zipkin v1, as its JSON has it. Raises DecodeError malformed."""
    annotations = [(integer_of(each, "timestamp", UINT64), text_of(each, "value"), each) for each in objects_of(span, "annotations")]
    binary = objects_of(span, "binaryAnnotations")
    at = {value: micros for micros, value, _ in reversed(annotations)}
    begin, end, kind, other = next((side for side in _SIDES if side[0] in at or side[1] in at), ("", "", "", ""))
    owners = [each for _, value, each in annotations if kind and value in (begin, end)] + [each for _, _, each in annotations]
    owners += [each for each in binary if text_of(each, "key") not in ("sa", "ca", "ma")]
    start = integer_of(span, "timestamp", UINT64) or at.get(begin, 0)
    return ZipkinSpan(
        **_common(span),
        kind=kind,
        start=start,
        duration=integer_of(span, "duration", UINT64) or max(0, at.get(end, start) - start),
        local=next((found for each in owners if (found := _endpoint(each, "endpoint")) != Endpoint()), Endpoint()),
        remote=next((_endpoint(each, "endpoint") for each in binary if other and text_of(each, "key") == other), Endpoint()),
        annotations=[(micros, value) for micros, value, _ in annotations if not (kind and value in (begin, end))],
        tags=spelled({text_of(each, "key"): each.get("value") for each in binary if not (other and text_of(each, "key") == other)}),
    )


def _common(span: dict[str, Any]) -> dict[str, Any]:
    return {
        "trace_id": _id(text_of(span, "traceId"), 32),
        "span_id": _id(text_of(span, "id"), 16),
        "parent_id": _id(text_of(span, "parentId"), 16),
        "name": text_of(span, "name"),
        "debug": _flag(span, "debug"),
    }


def _id(text: str, size: int) -> str:
    """An id in full length: some senders strip leading zeros."""
    return text.zfill(16 if len(text) <= 16 else size) if HEX.fullmatch(text.lower()) else text


def _endpoint(owner: dict[str, Any], name: str) -> Endpoint:
    endpoint = _object(owner, name)
    addresses = [text for text in (text_of(endpoint, "ipv4"), text_of(endpoint, "ipv6")) if text]
    return Endpoint(text_of(endpoint, "serviceName"), addresses, integer_of(endpoint, "port", UINT64))


def _object(owner: dict[str, Any], name: str) -> dict[str, Any]:
    found = owner.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise DecodeError("malformed", f"{name} is no JSON object")
    return found


def _flag(owner: dict[str, Any], name: str) -> bool:
    found = owner.get(name)
    if found is not None and not isinstance(found, bool):
        raise DecodeError("malformed", f"{name} is neither true nor false")
    return bool(found)
