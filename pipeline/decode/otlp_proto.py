"""OTLP as protobuf: `ExportTraceServiceRequest` or `ExportLogsServiceRequest`, told apart by structure.

In: one record's bytes. Out: rows. Never: metrics (a reject of reason otlp_metrics). The reference: it says by opentelemetry-proto what compiled
kernels must say. Source: opentelemetry-proto 1.x; the parser is protobuf's own, which nests at most 100 messages.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
from typing import Any

from google.protobuf.message import DecodeError as ParseError
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from tracebraid.pipeline.decode.any_value import attributes, signed_nanos, text, with_dropped
from tracebraid.pipeline.decode.rows import Attributes, DecodeError, Rows, check_rows
from tracebraid.pipeline.decode.sniff import Signal, otlp_signal
from tracebraid.pipeline.kernel import limits

_PARSERS: dict[str, Any] = {"spans": TracesData, "logs": LogsData}


def decode_otlp_proto(value: bytes, record: int, rows: Rows) -> None:
    """Append the spans or log records of one record. Raises DecodeError: malformed, invalid_utf8, too_deep, too_large, otlp_metrics, ambiguous."""
    decode_signal(value, otlp_signal(value), record, rows)


def decode_signal(value: bytes, signal: Signal | None, record: int, rows: Rows) -> None:
    """The same for bytes whose signal `otlp_signal` has told already."""
    if signal is None:
        raise DecodeError("malformed", "the bytes are no OTLP protobuf: a tag, a length or a level breaks its structure")
    if signal == "metrics":
        raise DecodeError("otlp_metrics", "the record holds OTLP metrics; give tracebraid topics of spans and logs")
    if signal == "ambiguous":
        raise DecodeError("ambiguous", "the items of the record fit spans as well as logs or metrics")
    if signal == "empty":
        return
    data = _parse(value, signal)
    if signal == "spans":
        scopes = [scope for resource in data.resource_spans for scope in resource.scope_spans]
        check_rows(sum(len(scope.spans) for scope in scopes), rows.most)
        rows.check_parts(sum(len(span.events) + len(span.links) for scope in scopes for span in scope.spans))
        _spans(data, record, rows)
    else:
        check_rows(sum(len(scope.log_records) for resource in data.resource_logs for scope in resource.scope_logs), rows.most)
        _logs(data, record, rows)


def _parse(value: bytes, signal: str) -> Any:
    try:
        return _PARSERS[signal].FromString(value)
    except ParseError as error:
        message = str(error).rpartition(": ")[2]
        reason = "invalid_utf8" if "UTF-8" in message else "too_deep" if "MaxDepth" in message else "malformed"
        raise DecodeError(reason, f"OTLP {signal}: {message}") from None


def _spans(data: Any, record: int, rows: Rows) -> None:
    groups = [(_resource(group, rows), scope, scope.spans) for group in data.resource_spans for scope in group.scope_spans]
    spans = [span for _, _, spans in groups for span in spans]
    kept = [attributes_of(span.attributes) for span in spans]
    statuses = [span.status for span in spans]
    rows.spans.extend(
        len(spans),
        _common(groups, record, len(spans))
        | {
            "trace_id": [span.trace_id.hex() or None for span in spans],
            "span_id": [span.span_id.hex() or None for span in spans],
            "parent_span_id": [span.parent_span_id.hex() or None for span in spans],
            "trace_state": [span.trace_state or None for span in spans],
            "flags": [span.flags for span in spans],
            "name": [span.name for span in spans],
            "kind": [span.kind for span in spans],
            "start_unix_nano": [span.start_time_unix_nano for span in spans],
            "end_unix_nano": [span.end_time_unix_nano for span in spans],
            "status_code": [status.code for status in statuses],
            "status_message": [status.message or None for status in statuses],
            "events": [[_event(event) for event in span.events] for span in spans],
            "links": [[_link(link) for link in span.links] for span in spans],
            "dropped_attributes_count": [span.dropped_attributes_count + left_out for span, (_, left_out) in zip(spans, kept, strict=True)],
            "dropped_events_count": [span.dropped_events_count for span in spans],
            "dropped_links_count": [span.dropped_links_count for span in spans],
            "attributes": [attributes for attributes, _ in kept],
        },
    )


def _logs(data: Any, record: int, rows: Rows) -> None:
    groups = [(_resource(group, rows), scope, scope.log_records) for group in data.resource_logs for scope in group.scope_logs]
    logs = [log for _, _, logs in groups for log in logs]
    kept = [attributes_of(log.attributes) for log in logs]
    rows.logs.extend(
        len(logs),
        _common(groups, record, len(logs))
        | {
            "form": repeat("otlp", len(logs)),
            "trace_id": [log.trace_id.hex() or None for log in logs],
            "span_id": [log.span_id.hex() or None for log in logs],
            "flags": [log.flags for log in logs],
            "time_unix_nano": [log.time_unix_nano or None for log in logs],
            "observed_unix_nano": [log.observed_time_unix_nano or None for log in logs],
            "severity_number": [log.severity_number for log in logs],
            "severity_text": [log.severity_text or None for log in logs],
            "body": [text(log.body, unfold) for log in logs],
            "event_name": [log.event_name or None for log in logs],
            "dropped_attributes_count": [log.dropped_attributes_count + left_out for log, (_, left_out) in zip(logs, kept, strict=True)],
            "attributes": [attributes for attributes, _ in kept],
        },
    )


def _common(groups: Sequence[tuple[int, Any, Any]], record: int, count: int) -> dict[str, Iterable[Any]]:
    """The columns of place and scope for the items of (resource number, scope message, items) groups."""
    sizes = [len(items) for _, _, items in groups]
    scopes = [_scope(scope) for _, scope, _ in groups]

    def spread(values: Iterable[Any]) -> Iterable[Any]:
        return chain.from_iterable(map(repeat, values, sizes))

    return {
        "record": repeat(record, count),
        "record_index": range(count),
        "resource": spread(number for number, _, _ in groups),
        **{name: spread([scope[name] for scope in scopes]) for name in ("scope_name", "scope_version", "scope_attributes", "scope_schema_url")},
    }


def _resource(group: Any, rows: Rows) -> int:
    """The resource's number; one that the batch has seen already, byte for byte, keeps its number."""
    resource, schema_url = group.resource, group.schema_url or None
    key = ("otlp_proto", resource.SerializeToString(), schema_url)
    return rows.intern(key, lambda: with_dropped(attributes_of(resource.attributes), resource.dropped_attributes_count), schema_url)


def _scope(group: Any) -> dict[str, Any]:
    scope = group.scope
    return {
        "scope_name": scope.name or None,
        "scope_version": scope.version or None,
        "scope_attributes": with_dropped(attributes_of(scope.attributes), scope.dropped_attributes_count),
        "scope_schema_url": group.schema_url or None,
    }


def _event(event: Any) -> dict[str, Any]:
    kept, left_out = attributes_of(event.attributes)
    nanos = signed_nanos(event.time_unix_nano, kept)
    dropped = event.dropped_attributes_count + left_out
    return {"time_unix_nano": nanos, "name": event.name, "attributes": list(kept.items()), "dropped_attributes_count": dropped}


def _link(link: Any) -> dict[str, Any]:
    kept, left_out = attributes_of(link.attributes)
    return {
        "trace_id": link.trace_id.hex() or None,
        "span_id": link.span_id.hex() or None,
        "trace_state": link.trace_state or None,
        "flags": link.flags,
        "attributes": list(kept.items()),
        "dropped_attributes_count": link.dropped_attributes_count + left_out,
    }


def attributes_of(items: Any) -> tuple[Attributes, int]:
    if len(items) > limits.attributes_per_row_max:
        return attributes(((item.key, item.value) for item in items), unfold)
    kept: Attributes = {}
    for item in items:  # most attributes are strings or integers: they are spared the calls
        value = item.value
        string = value.string_value
        if string:
            kept[item.key] = string
        elif value.WhichOneof("value") == "int_value":
            kept[item.key] = str(value.int_value)
        else:
            kept[item.key] = text(value, unfold)
    return kept, 0


def unfold(value: Any) -> Any:
    which = value.WhichOneof("value")
    if which == "string_value":
        return value.string_value
    if which == "array_value":
        return list(value.array_value.values)
    if which == "kvlist_value":
        return {item.key: item.value for item in value.kvlist_value.values}
    return None if which is None or which.endswith("strindex") else getattr(value, which)
