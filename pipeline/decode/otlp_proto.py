"""OTLP as protobuf: `ExportTraceServiceRequest` or `ExportLogsServiceRequest`, told apart by structure.

In: one record's bytes. Out: rows. Never: metrics (a reject of reason otlp_metrics). The reference: it says by opentelemetry-proto what compiled
kernels must say. Source: opentelemetry-proto 1.x; the parser is protobuf's own, which nests at most 100 messages.
"""

from typing import Any

from google.protobuf.message import DecodeError as ParseError
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from tracebraid.pipeline.decode.any_value import attributes, signed_nanos, text, with_dropped
from tracebraid.pipeline.decode.rows import Attributes, DecodeError, Rows
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
        _check_rows(sum(len(scope.spans) for resource in data.resource_spans for scope in resource.scope_spans))
        _spans(data, record, rows)
    else:
        _check_rows(sum(len(scope.log_records) for resource in data.resource_logs for scope in resource.scope_logs))
        _logs(data, record, rows)


def _parse(value: bytes, signal: str) -> Any:
    try:
        return _PARSERS[signal].FromString(value)
    except ParseError as error:
        message = str(error).rpartition(": ")[2]
        reason = "invalid_utf8" if "UTF-8" in message else "too_deep" if "MaxDepth" in message else "malformed"
        raise DecodeError(reason, f"OTLP {signal}: {message}") from None


def _check_rows(count: int) -> None:
    if count > limits.record_rows_max:
        raise DecodeError("too_large", f"{count} rows in one record; {limits.record_rows_max} is the limit")


def _spans(data: Any, record: int, rows: Rows) -> None:
    index = 0
    for resource_spans in data.resource_spans:
        resource = _resource(resource_spans, rows)
        for scope_spans in resource_spans.scope_spans:
            common = {"record": record, "resource": resource, **_scope(scope_spans)}
            for span in scope_spans.spans:
                kept, left_out = _attributes(span.attributes)
                status = span.status
                rows.spans.append(
                    {
                        **common,
                        "record_index": index,
                        "trace_id": span.trace_id.hex() or None,
                        "span_id": span.span_id.hex() or None,
                        "parent_span_id": span.parent_span_id.hex() or None,
                        "trace_state": span.trace_state or None,
                        "flags": span.flags,
                        "name": span.name,
                        "kind": span.kind,
                        "start_unix_nano": span.start_time_unix_nano,
                        "end_unix_nano": span.end_time_unix_nano,
                        "status_code": status.code,
                        "status_message": status.message or None,
                        "events": [_event(event) for event in span.events],
                        "links": [_link(link) for link in span.links],
                        "dropped_attributes_count": span.dropped_attributes_count + left_out,
                        "dropped_events_count": span.dropped_events_count,
                        "dropped_links_count": span.dropped_links_count,
                        "attributes": kept,
                    }
                )
                index += 1


def _logs(data: Any, record: int, rows: Rows) -> None:
    index = 0
    for resource_logs in data.resource_logs:
        resource = _resource(resource_logs, rows)
        for scope_logs in resource_logs.scope_logs:
            common = {"record": record, "resource": resource, "form": "otlp", **_scope(scope_logs)}
            for log in scope_logs.log_records:
                kept, left_out = _attributes(log.attributes)
                rows.logs.append(
                    {
                        **common,
                        "record_index": index,
                        "trace_id": log.trace_id.hex() or None,
                        "span_id": log.span_id.hex() or None,
                        "flags": log.flags,
                        "time_unix_nano": log.time_unix_nano or None,
                        "observed_unix_nano": log.observed_time_unix_nano or None,
                        "severity_number": log.severity_number,
                        "severity_text": log.severity_text or None,
                        "body": text(log.body, _unfold),
                        "event_name": log.event_name or None,
                        "dropped_attributes_count": log.dropped_attributes_count + left_out,
                        "attributes": kept,
                    }
                )
                index += 1


def _resource(group: Any, rows: Rows) -> int:
    """The resource's number; one that the batch has seen already, byte for byte, keeps its number."""
    key = ("otlp_proto", group.resource.SerializeToString(), group.schema_url)
    number = rows.interned.get(key)
    if number is None:
        resource = group.resource
        kept = with_dropped(_attributes(resource.attributes), resource.dropped_attributes_count)
        number = rows.interned[key] = rows.resource(kept, group.schema_url or None)
    return number


def _scope(group: Any) -> dict[str, Any]:
    scope = group.scope
    return {
        "scope_name": scope.name or None,
        "scope_version": scope.version or None,
        "scope_attributes": with_dropped(_attributes(scope.attributes), scope.dropped_attributes_count),
        "scope_schema_url": group.schema_url or None,
    }


def _event(event: Any) -> dict[str, Any]:
    kept, left_out = _attributes(event.attributes)
    nanos = signed_nanos(event.time_unix_nano, kept)
    dropped = event.dropped_attributes_count + left_out
    return {"time_unix_nano": nanos, "name": event.name, "attributes": list(kept.items()), "dropped_attributes_count": dropped}


def _link(link: Any) -> dict[str, Any]:
    kept, left_out = _attributes(link.attributes)
    return {
        "trace_id": link.trace_id.hex() or None,
        "span_id": link.span_id.hex() or None,
        "trace_state": link.trace_state or None,
        "flags": link.flags,
        "attributes": list(kept.items()),
        "dropped_attributes_count": link.dropped_attributes_count + left_out,
    }


def _attributes(items: Any) -> tuple[Attributes, int]:
    if len(items) > limits.attributes_per_row_max:
        return attributes(((item.key, item.value) for item in items), _unfold)
    kept: Attributes = {}
    for item in items:  # nine attributes in ten are strings or integers: they are spared two calls
        value = item.value
        which = value.WhichOneof("value")
        if which == "string_value":
            kept[item.key] = value.string_value
        elif which == "int_value":
            kept[item.key] = str(value.int_value)
        else:
            kept[item.key] = text(value, _unfold)
    return kept, 0


def _unfold(value: Any) -> Any:
    which = value.WhichOneof("value")
    if which == "string_value":
        return value.string_value
    if which == "array_value":
        return list(value.array_value.values)
    if which == "kvlist_value":
        return {item.key: item.value for item in value.kvlist_value.values}
    return None if which is None or which.endswith("strindex") else getattr(value, which)
