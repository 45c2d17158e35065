"""A Jaeger span as a row, whichever encoding it came in.

In: a JaegerSpan. Out: a row of DECODED_SPANS. Never: a tag, a reference or a warning lost.
Source: github.com/jaegertracing/jaeger-idl, model.proto; kind, status, scope, trace state and links are read from tags and references as
opentelemetry-collector-contrib 0.155, pkg/translator/jaeger, reads them. Beyond it: flags, warnings and a process id are kept.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from tracebraid.pipeline.decode.rows import Attributes, Rows
from tracebraid.pipeline.decode.span_row import NO_SERVICE, event_time, kind_of, texts, times

Tags = list[tuple[str, Any]]
CHILD_OF, FOLLOWS_FROM = 0, 1
_OK, _ERROR = 1, 2
_SAMPLED = 1
_SERVER, _CLIENT = 2, 3
_SCOPE = (("otel.scope.name", "otel.scope.version"), ("otel.library.name", "otel.library.version"))


@dataclass(slots=True)
class JaegerSpan:
    """One span: ids in hex, times in nanoseconds, tags as pairs of key and plain value, references as (trace id, span id, type).

    process: what tells it from others, its service name, its tags; None without one. start: None where it was not set.
    """

    trace_id: str
    span_id: str
    name: str
    references: list[tuple[str, str, int]]
    flags: int
    start: int | None
    duration: int
    tags: Tags
    logs: list[tuple[int, Tags]]
    process: tuple[Hashable, str, Tags] | None
    process_id: str
    warnings: list[str]


def put_span(span: JaegerSpan, record: int, index: int, rows: Rows) -> None:
    """Append the row."""
    tags = dict(span.tags)
    kind = kind_of(tags)
    status_code, status_message = _status(tags, kind)
    trace_state = tags.pop("w3c.tracestate", None) or None
    scope_name, scope_version = _scope(tags)
    kept, left_out = texts([*tags.items(), *_besides(span)])
    parent = _parent(span)
    start, end = times(span.start, span.duration, kept)
    rows.spans.append(
        {
            "record": record,
            "record_index": index,
            "resource": _resource(span, rows),
            "trace_id": span.trace_id or None,
            "span_id": span.span_id or None,
            "parent_span_id": parent,
            "trace_state": None if trace_state is None else str(trace_state),
            "flags": span.flags & _SAMPLED,
            "name": span.name,
            "kind": kind,
            "start_unix_nano": start,
            "end_unix_nano": end,
            "status_code": status_code,
            "status_message": status_message,
            "scope_name": scope_name,
            "scope_version": scope_version,
            "events": [_event(nanos, fields) for nanos, fields in span.logs],
            "links": [_link(*reference) for reference in span.references if not _is_parent(span, reference, parent)],
            "dropped_attributes_count": left_out,
            "dropped_events_count": 0,
            "dropped_links_count": 0,
            "attributes": kept,
        }
    )


def _besides(span: JaegerSpan) -> Tags:
    """What a span has that is no tag and has no column."""
    found: Tags = [("jaeger.flags", span.flags)] if span.flags & ~_SAMPLED else []
    if span.warnings:
        found.append(("jaeger.warnings", span.warnings))
    return [*found, ("jaeger.process_id", span.process_id)] if span.process_id else found


def _resource(span: JaegerSpan, rows: Rows) -> int:
    if span.process is None:
        return rows.intern("jaeger without a process", dict)
    key, service, tags = span.process
    return rows.intern(key, lambda: _process(service, tags))


def _process(service: str, tags: Tags) -> Attributes:
    named = dict(tags)
    if "hostname" in named and "host.name" not in named:
        named["host.name"] = named.pop("hostname")
    kept, left_out = texts(named.items())
    if left_out:
        kept["otel.dropped_attributes_count"] = str(left_out)
    return kept | ({"service.name": service} if service and service.lower() != NO_SERVICE else {})


def _same(one: str, other: str) -> bool:
    return one.zfill(32) == other.zfill(32)


def _parent(span: JaegerSpan) -> str | None:
    """The first CHILD_OF in the same trace, else the first FOLLOWS_FROM in it, as Jaeger itself takes it."""
    near = [reference for reference in span.references if _same(reference[0], span.trace_id)]
    for wanted in (CHILD_OF, FOLLOWS_FROM):
        for _, span_id, kind in near:
            if kind == wanted:
                return span_id or None
    return None


def _is_parent(span: JaegerSpan, reference: tuple[str, str, int], parent: str | None) -> bool:
    """Whether a reference says no more than the parent's column does."""
    trace_id, span_id, kind = reference
    return kind == CHILD_OF and (span_id or None) == parent and _same(trace_id, span.trace_id)


def _link(trace_id: str, span_id: str, kind: int) -> dict[str, Any]:
    return {
        "trace_id": trace_id or None,
        "span_id": span_id or None,
        "trace_state": None,
        "flags": 0,
        "attributes": [("opentracing.ref_type", "child_of" if kind == CHILD_OF else "follows_from")],
        "dropped_attributes_count": 0,
    }


def _event(nanos: int, fields: Tags) -> dict[str, Any]:
    named = dict(fields)
    name = named.pop("event") if isinstance(named.get("event"), str) else ""
    kept, left_out = texts(named.items())
    return {"time_unix_nano": event_time(nanos, kept), "name": name, "attributes": list(kept.items()), "dropped_attributes_count": left_out}


def _scope(tags: dict[str, Any]) -> tuple[str | None, str | None]:
    for name, version in _SCOPE:
        if isinstance(tags.get(name), str):
            found = tags.pop(name) or None
            return found, tags.pop(version) or None if isinstance(tags.get(version), str) else None
    return None, None


def _status(tags: dict[str, Any], kind: int) -> tuple[int, str | None]:
    """Status by the tags that say it, which are taken out: `error: true` first, then otel.status_code, then the HTTP status."""
    code, message, settled = 0, None, tags.get("error") is True
    if settled:
        del tags["error"]
        code, message = _ERROR, _text(tags.pop("otel.status_description", tags.get("http.status_message")))
    if "otel.status_code" in tags:
        said = tags.pop("otel.status_code")
        if not settled:
            code = {"OK": _OK, "ERROR": _ERROR}.get(said.upper(), 0) if isinstance(said, str) else 0
            message = _text(tags.pop("otel.status_description", None))
    elif not settled and _failed(tags.get("http.status_code"), kind):
        code, message = _ERROR, _text(tags.get("http.status_message"))
    return code, message


def _failed(http_status: Any, kind: int) -> bool:
    """Whether an HTTP status is an error for a span of this kind, by the semantic conventions: 4xx is the client's."""
    if isinstance(http_status, str) and http_status.isascii() and http_status.isdigit() and len(http_status) < 10:
        http_status = int(http_status)
    if isinstance(http_status, bool) or not isinstance(http_status, int):
        return False
    if 400 <= http_status < 500 and kind in (_SERVER, _CLIENT):
        return kind == _CLIENT
    return not 100 <= http_status < 400


def _text(value: Any) -> str | None:
    return value or None if isinstance(value, str) else None
