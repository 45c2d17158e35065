"""Batches as a Collector with many SDKs behind it sends them: one record is one service's, of several pods.

In: spans, or log lines of the services that log by OTLP. Out: (bytes of an OTLP export request, the latest time in it in nanoseconds).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TypeVar

from tracebraid.jobs.shop import encode
from tracebraid.jobs.shop.logs import OTLP_SEVERITY
from tracebraid.jobs.shop.model import Shape
from tracebraid.jobs.shop.telemetry import Line, Pod, Span

Row = TypeVar("Row", Span, Line)
batch_rows_max = 200
SCOPES = {
    "go": "go.opentelemetry.io/contrib/instrumentation/{}",
    "java": "io.opentelemetry.{}",
    "nodejs": "@opentelemetry/instrumentation-{}",
    "python": "opentelemetry.instrumentation.{}",
    "rust": "opentelemetry-{}",
}


def span_batches(spans: list[Span]) -> Iterator[tuple[bytes, int]]:
    for batch in _batches(spans):
        value = encode.export_request(_by_pod((span.pod, span.shape.scope, _span_bytes(span)) for span in batch))
        yield value, max(span.end_ns for span in batch)


def log_batches(lines: list[Line]) -> Iterator[tuple[bytes, int]]:
    for batch in _batches(lines):
        value = encode.export_request(_by_pod((line.pod, "log", _log_bytes(line)) for line in batch))
        yield value, max(line.time_ns for line in batch)


def _batches(rows: list[Row]) -> Iterator[list[Row]]:
    """The rows of each service, at most batch_rows_max at a time."""
    by_service: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_service[row.pod.service.name].append(row)
    for of_service in by_service.values():
        for first in range(0, len(of_service), batch_rows_max):
            yield of_service[first : first + batch_rows_max]


def _by_pod(rows: Iterable[tuple[Pod, str, bytes]]) -> Iterator[tuple[bytes, Iterator[tuple[bytes, list[bytes]]]]]:
    """Grouped by resource and scope, as export_request wants it."""
    found: dict[Pod, dict[str, list[bytes]]] = {}
    for pod, scope, row in rows:
        found.setdefault(pod, {}).setdefault(scope, []).append(row)
    for pod, scopes in found.items():
        yield _resource(pod), ((_scope(pod.service.language, scope), of_scope) for scope, of_scope in scopes.items())


def _span_bytes(span: Span) -> bytes:
    trace_id = span.trace_id.to_bytes(16, "big")
    parent = span.parent_id.to_bytes(8, "big") if span.parent_id else b""
    own = encode.attributes(9, span.own) if span.own else b""
    failure = span.failure
    if failure:
        own += encode.attribute(9, "error.type", failure.type) + encode.failed(failure.message)
    if failure and span.raised:
        own += encode.exception(span.end_ns, failure.type, failure.message)
    if span.linked_id:
        own += encode.link(trace_id, span.linked_id.to_bytes(8, "big"))
    return encode.span((trace_id, span.span_id.to_bytes(8, "big"), parent), (span.start_ns, span.end_ns), _shape(span.shape), own)


def _log_bytes(line: Line) -> bytes:
    ids = (line.trace_id.to_bytes(16, "big"), line.span_id.to_bytes(8, "big")) if line.trace_id else None
    pairs = line.fields
    if line.failure:
        pairs += (("exception.type", line.failure.type), ("exception.message", line.failure.message))
    return encode.log_record(line.time_ns, OTLP_SEVERITY[line.level], line.text, pairs, ids)


@cache
def _shape(shape: Shape) -> bytes:
    return encode.span_shape(shape.name, shape.kind, shape.attributes, shape.remote_parent)


@cache
def _scope(language: str, name: str) -> bytes:
    return encode.scope(SCOPES[language].format(name), "1.4.0")


@cache
def _resource(pod: Pod) -> bytes:
    service = pod.service
    return encode.resource(
        (
            ("service.name", service.name),
            ("service.namespace", "shop"),
            ("service.version", pod.version),
            ("service.instance.id", pod.name),
            ("deployment.environment.name", "prod"),
            ("host.name", f"node-{pod.name[-1]}"),
            ("k8s.cluster.name", "shop-eu-1"),
            ("k8s.namespace.name", "shop"),
            ("k8s.pod.name", pod.name),
            ("k8s.container.name", service.name),
            ("cloud.region", "eu-central-1"),
            ("telemetry.sdk.language", service.language),
            ("telemetry.sdk.name", "opentelemetry"),
        )
    )
