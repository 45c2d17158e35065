"""OTLP as JSON: `{"resourceSpans":[…]}`, `{"resourceLogs":[…]}`, or several such documents, a line each.

In: one record's bytes. Out: rows, the same that otlp_proto gives for the same telemetry. Never: metrics (a reject of reason otlp_metrics).
Source: OTLP 1.x, "JSON Protobuf Encoding": ids in hex, 64-bit integers as strings (numbers are taken too), enums as numbers (names too), bytes in base64,
lowerCamelCase (snake_case too), null as absent, unknown fields ignored. A field of a wrong type makes the record malformed.
"""

from typing import Any

from tracebraid.pipeline.decode.any_value import attributes, signed_nanos, text, with_dropped
from tracebraid.pipeline.decode.otlp_json_fields import (
    UINT32,
    UINT64,
    documents,
    enum_of,
    get,
    integer_of,
    objects_of,
    pairs_of,
    resource_key,
    text_of,
    unfold,
)
from tracebraid.pipeline.decode.rows import DecodeError, Rows, check_rows
from tracebraid.schemas.semconv import SPAN_KINDS, STATUS_CODES

_NAMES = {f"resource{word}" for word in ("Spans", "Logs", "Metrics")} | {f"resource_{word}" for word in ("spans", "logs", "metrics")}
_KNOWN = _NAMES | {"schemaUrl", "schema_url"}
_SCOPES = {f"scope{word}" for word in ("Spans", "Logs", "Metrics")} | {f"scope_{word}" for word in ("spans", "logs", "metrics")}
_KINDS = {name: number for number, name in enumerate(SPAN_KINDS)} | {f"SPAN_KIND_{name}": number for number, name in enumerate(SPAN_KINDS)}
_CODES = {name: number for number, name in enumerate(STATUS_CODES)} | {f"STATUS_CODE_{name}": number for number, name in enumerate(STATUS_CODES)}
_LEVELS = [f"{level}{step}" for level in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL") for step in ("", "2", "3", "4")]
_SEVERITIES = {f"SEVERITY_NUMBER_{name}": number for number, name in enumerate(["UNSPECIFIED", *_LEVELS])}


def decode_otlp_json(value: bytes, record: int, rows: Rows) -> None:
    """Append the spans and log records of one record. Raises DecodeError: malformed, invalid_utf8, not_an_object, too_deep, too_large, otlp_metrics."""
    decode_documents(documents(value), record, rows)


def is_otlp(document: Any) -> bool:
    """Whether a parsed JSON value is an OTLP message: it has a name of one, and beside fields that are none of OTLP's, also what lies below it.

    Without the second, a log object with a field of its own that is called `resourceSpans` would be an OTLP message without spans.
    """
    if not isinstance(document, dict) or _NAMES.isdisjoint(document):
        return False
    groups = (document[name] for name in _NAMES & document.keys())
    return document.keys() <= _KNOWN or any(isinstance(group, list) and any(map(_has_scopes, group)) for group in groups)


def _has_scopes(group: Any) -> bool:
    return isinstance(group, dict) and not _SCOPES.isdisjoint(group)


def decode_documents(parsed: list[Any], record: int, rows: Rows) -> None:
    """The same for documents that are parsed already."""
    index = 0
    for document in parsed:
        if not isinstance(document, dict):
            raise DecodeError("not_an_object", f"an OTLP message is a JSON object, this is {_name(document)}")
        if document and _NAMES.isdisjoint(document):
            raise DecodeError("malformed", "the JSON object has neither resourceSpans nor resourceLogs")
        index = _spans(document, record, index, rows)
        index = _logs(document, record, index, rows)
        if objects_of(document, "resourceMetrics"):
            if not index:
                raise DecodeError("otlp_metrics", "the record holds OTLP metrics; give tracebraid topics of spans and logs")
            values = {"record": record, "record_index": index, "reason": "otlp_metrics", "message": "the record holds OTLP metrics beside its other rows"}
            rows.rejects.append({**values, "encoding": "otlp_json"})
            index += 1


def _name(document: Any) -> str:
    return {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(document), "a number")


def _spans(document: dict[str, Any], record: int, index: int, rows: Rows) -> int:
    for group in objects_of(document, "resourceSpans"):
        resource = _resource(group, rows)
        for scope in objects_of(group, "scopeSpans"):
            common = {"record": record, "resource": resource, **_scope(scope)}
            spans = objects_of(scope, "spans")
            check_rows(index + len(spans), rows.most)
            for span in spans:
                rows.check_parts(len(objects_of(span, "events")) + len(objects_of(span, "links")))
                rows.spans.append({**common, "record_index": index, **_span(span)})
                index += 1
    return index


def _span(span: dict[str, Any]) -> dict[str, Any]:
    kept, left_out = attributes(pairs_of(span, "attributes"), unfold)
    status = get(span, "status") or {}
    if not isinstance(status, dict):
        raise DecodeError("malformed", "status is no JSON object")
    return {
        "trace_id": text_of(span, "traceId") or None,
        "span_id": text_of(span, "spanId") or None,
        "parent_span_id": text_of(span, "parentSpanId") or None,
        "trace_state": text_of(span, "traceState") or None,
        "flags": integer_of(span, "flags", UINT32),
        "name": text_of(span, "name"),
        "kind": enum_of(span, "kind", _KINDS),
        "start_unix_nano": integer_of(span, "startTimeUnixNano", UINT64),
        "end_unix_nano": integer_of(span, "endTimeUnixNano", UINT64),
        "status_code": enum_of(status, "code", _CODES),
        "status_message": text_of(status, "message") or None,
        "events": [_event(event) for event in objects_of(span, "events")],
        "links": [_link(link) for link in objects_of(span, "links")],
        "dropped_attributes_count": integer_of(span, "droppedAttributesCount", UINT32) + left_out,
        "dropped_events_count": integer_of(span, "droppedEventsCount", UINT32),
        "dropped_links_count": integer_of(span, "droppedLinksCount", UINT32),
        "attributes": kept,
    }


def _logs(document: dict[str, Any], record: int, index: int, rows: Rows) -> int:
    for group in objects_of(document, "resourceLogs"):
        resource = _resource(group, rows)
        for scope in objects_of(group, "scopeLogs"):
            common = {"record": record, "resource": resource, "form": "otlp", **_scope(scope)}
            logs = objects_of(scope, "logRecords")
            check_rows(index + len(logs), rows.most)
            for log in logs:
                rows.logs.append({**common, "record_index": index, **_log(log)})
                index += 1
    return index


def _log(log: dict[str, Any]) -> dict[str, Any]:
    kept, left_out = attributes(pairs_of(log, "attributes"), unfold)
    return {
        "trace_id": text_of(log, "traceId") or None,
        "span_id": text_of(log, "spanId") or None,
        "flags": integer_of(log, "flags", UINT32),
        "time_unix_nano": integer_of(log, "timeUnixNano", UINT64) or None,
        "observed_unix_nano": integer_of(log, "observedTimeUnixNano", UINT64) or None,
        "severity_number": enum_of(log, "severityNumber", _SEVERITIES),
        "severity_text": text_of(log, "severityText") or None,
        "body": text(get(log, "body"), unfold),
        "event_name": text_of(log, "eventName") or None,
        "dropped_attributes_count": integer_of(log, "droppedAttributesCount", UINT32) + left_out,
        "attributes": kept,
    }


def _resource(group: dict[str, Any], rows: Rows) -> int:
    """The resource's number; one that the batch has seen already keeps its number."""
    resource = get(group, "resource") or {}
    schema_url = text_of(group, "schemaUrl") or None
    dropped = integer_of(resource, "droppedAttributesCount", UINT32) if isinstance(resource, dict) else 0
    return rows.intern(resource_key(resource, schema_url), lambda: with_dropped(attributes(pairs_of(resource, "attributes"), unfold), dropped), schema_url)


def _scope(group: dict[str, Any]) -> dict[str, Any]:
    scope = get(group, "scope") or {}
    if not isinstance(scope, dict):
        raise DecodeError("malformed", "scope is no JSON object")
    return {
        "scope_name": text_of(scope, "name") or None,
        "scope_version": text_of(scope, "version") or None,
        "scope_attributes": with_dropped(attributes(pairs_of(scope, "attributes"), unfold), integer_of(scope, "droppedAttributesCount", UINT32)),
        "scope_schema_url": text_of(group, "schemaUrl") or None,
    }


def _event(event: dict[str, Any]) -> dict[str, Any]:
    kept, left_out = attributes(pairs_of(event, "attributes"), unfold)
    nanos = signed_nanos(integer_of(event, "timeUnixNano", UINT64), kept)
    dropped = integer_of(event, "droppedAttributesCount", UINT32) + left_out
    return {"time_unix_nano": nanos, "name": text_of(event, "name"), "attributes": list(kept.items()), "dropped_attributes_count": dropped}


def _link(link: dict[str, Any]) -> dict[str, Any]:
    kept, left_out = attributes(pairs_of(link, "attributes"), unfold)
    return {
        "trace_id": text_of(link, "traceId") or None,
        "span_id": text_of(link, "spanId") or None,
        "trace_state": text_of(link, "traceState") or None,
        "flags": integer_of(link, "flags", UINT32),
        "attributes": list(kept.items()),
        "dropped_attributes_count": integer_of(link, "droppedAttributesCount", UINT32) + left_out,
    }
