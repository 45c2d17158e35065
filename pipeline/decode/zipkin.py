"""A Zipkin v2 span as a row, whichever encoding it came in.

In: a ZipkinSpan. Out: a row of DECODED_SPANS. Never: a tag or an annotation lost: one that says less than its form promises stays as it is.
Source: zipkin.io/zipkin-api, zipkin2-api.yaml; status, kind, links, events, resource and scope are read from tags and annotations as
opentelemetry-collector-contrib 0.155, pkg/translator/zipkin/zipkinv2, reads them. Beyond it: `shared` and `debug` are kept, each span has the resource
that its own tags tell, and a span without a timestamp is not put into 1970.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import Any

from tracebraid.pipeline.decode.any_value import DROPPED_KEY
from tracebraid.pipeline.decode.json_value import Inexact, NotJson, parse
from tracebraid.pipeline.decode.rows import Attributes, Rows
from tracebraid.pipeline.decode.span_row import NO_SERVICE, event_time, kind_of, spelled, texts, times
from tracebraid.schemas import semconv

_ERROR = 2
_CODES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": _ERROR, "Unset": 0, "Ok": 1, "Error": _ERROR}
_KINDS = {"SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
_LINKS_MAX = 128
_SCOPE = (("otel.scope.name", "otel.library.name"), ("otel.scope.version", "otel.library.version"))
_SOURCE = "otlp.service.name.source"  # which attribute the service name was taken from, where that was another
# Tags that belong to the resource, by OpenTelemetry's semantic conventions, beside those that have columns.
_NAMES = """
aws.ecs.cluster.arn aws.ecs.container.arn aws.ecs.launchtype aws.ecs.task.arn aws.ecs.task.family aws.ecs.task.revision aws.eks.cluster.arn
aws.log.group.arns aws.log.group.names aws.log.stream.arns aws.log.stream.names cloud.account.id cloud.availability_zone cloud.platform
cloud.provider cloud.resource_id container.id container.image.name container.image.tag container.runtime device.id device.manufacturer
device.model.identifier device.model.name faas.id faas.instance faas.max_memory faas.name faas.version host.arch host.id host.image.id
host.image.name host.image.version host.type k8s.container.restart_count k8s.cronjob.name k8s.cronjob.uid k8s.daemonset.name
k8s.daemonset.uid k8s.deployment.name k8s.deployment.uid k8s.job.name k8s.job.uid k8s.node.name k8s.node.uid k8s.pod.uid
k8s.replicaset.name k8s.replicaset.uid k8s.statefulset.name k8s.statefulset.uid opencensus.exporterversion opencensus.resourcetype
opencensus.starttime os.description os.name os.type os.version process.command process.command_args process.command_line
process.executable.name process.executable.path process.owner process.pid process.runtime.description process.runtime.name
process.runtime.version telemetry.auto.version telemetry.sdk.language telemetry.sdk.name telemetry.sdk.version webengine.description
webengine.name webengine.version
"""
_RESOURCE = frozenset(name for promoted in semconv.RESOURCE for name in promoted.names) | frozenset(_NAMES.split())


@dataclass(slots=True)
class Endpoint:
    """service: '' without one. addresses: as texts, IPv4 first. port: 0 without one."""

    service: str = ""
    addresses: list[str] = field(default_factory=list)
    port: int = 0


@dataclass(slots=True)
class ZipkinSpan:
    """One span: ids in hex, times in microseconds, tags as texts, annotations as (time, value). kind: '' for none."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start: int
    duration: int
    local: Endpoint
    remote: Endpoint
    annotations: list[tuple[int, str]]
    tags: dict[str, Any]
    debug: bool = False
    shared: bool = False


def address(packed: bytes) -> list[str]:
    """An IP address as a list of its text; none where the bytes are none."""
    return [str(ipaddress.ip_address(packed))] if len(packed) in (4, 16) else []


def put_span(span: ZipkinSpan, record: int, index: int, rows: Rows) -> None:
    """Append the row."""
    tags = dict(span.tags)
    resource = _resource(span, tags, rows)
    scope = [next((tags.pop(name) for name in names if isinstance(tags.get(name), str)), None) or None for names in _SCOPE]
    kind = _KINDS.get(span.kind, 0) or kind_of(tags)
    status_code, status_message = _status(tags)
    links = _links(tags)
    trace_state = tags.pop("w3c.tracestate", None) if isinstance(tags.get("w3c.tracestate"), str) else None
    kept, left_out = texts([*tags.items(), *_besides(span)])
    start, end = times(span.start * 1000, span.duration * 1000, kept)
    rows.spans.append(
        {
            "record": record,
            "record_index": index,
            "resource": resource,
            "trace_id": span.trace_id or None,
            "span_id": span.span_id or None,
            "parent_span_id": span.parent_id if span.parent_id and span.parent_id != span.span_id else None,
            "trace_state": trace_state or None,
            "flags": 0,
            "name": span.name,
            "kind": kind,
            "start_unix_nano": start,
            "end_unix_nano": end,
            "status_code": status_code,
            "status_message": status_message,
            "scope_name": scope[0],
            "scope_version": scope[1],
            "events": [_event(micros, value) for micros, value in span.annotations],
            "links": links,
            "dropped_attributes_count": left_out,
            "dropped_events_count": 0,
            "dropped_links_count": 0,
            "attributes": kept,
        }
    )


def _besides(span: ZipkinSpan) -> list[tuple[str, Any]]:
    """Attributes that are no tags."""
    found: list[tuple[str, Any]] = []
    for endpoint, side in ((span.local, "host"), (span.remote, "peer")):
        if side == "peer" and endpoint.service:
            found.append(("peer.service", endpoint.service))
        found += zip((f"net.{side}.ip", f"net.{side}.ipv4"), reversed(endpoint.addresses), strict=False)  # of two, the second is the rule's
        if endpoint.port:
            found.append((f"net.{side}.port", endpoint.port))
    if span.kind and span.kind not in _KINDS:
        found.append(("zipkin.kind", span.kind))
    return found + [(f"zipkin.{name}", True) for name in ("debug", "shared") if getattr(span, name)]


def _resource(span: ZipkinSpan, tags: dict[str, Any], rows: Rows) -> int:
    """The resource of a span's service and of the tags that belong to one; those are taken out of `tags`."""
    source = tags.pop(_SOURCE, "service.name")
    found = {name: tags.pop(name) for name in [name for name in tags if name in _RESOURCE]}
    if span.local.service and span.local.service.lower() != NO_SERVICE:
        found[source if isinstance(source, str) else "service.name"] = span.local.service
    key = "zipkin", tuple(sorted((name, str(value)) for name, value in found.items()))
    return rows.intern(key, lambda: _kept(found))


def _kept(found: dict[str, Any]) -> Attributes:
    kept, left_out = texts(found.items())
    return kept | ({DROPPED_KEY: str(left_out)} if left_out else {})


def _status(tags: dict[str, Any]) -> tuple[int, str | None]:
    """Status by its tags, which are taken out; any tag `error` is an error, and stays where it says more than `true`."""
    code, message = 0, None
    if tags.get("otel.status_code") in _CODES:
        code = _CODES[tags.pop("otel.status_code")]
        message = tags.pop("otel.status_description", None)
    if "error" in tags:
        code = _ERROR
        if tags["error"] == "true":
            del tags["error"]
    return code, message if isinstance(message, str) and message else None


def _links(tags: dict[str, Any]) -> list[dict[str, Any]]:
    """Links from tags `otlp.link.N`, trace|span|state|attributes|dropped, which are taken out; the first that is none ends them."""
    found: list[dict[str, Any]] = []
    while len(found) < _LINKS_MAX and isinstance(value := tags.get(f"otlp.link.{len(found)}"), str):
        trace_id, _, rest = value.partition("|")
        span_id, _, rest = rest.partition("|")
        trace_state, separator, rest = rest.partition("|")
        read = _attributes(rest) if separator else None
        if read is None:
            break
        del tags[f"otlp.link.{len(found)}"]
        kept, dropped = read
        ids = {"trace_id": trace_id.strip('"') or None, "span_id": span_id.strip('"') or None}
        found.append(ids | {"trace_state": trace_state or None, "flags": 0, "attributes": list(kept.items()), "dropped_attributes_count": dropped})
    return found


def _event(micros: int, value: str) -> dict[str, Any]:
    """An annotation; `name|attributes|dropped` is how OpenTelemetry writes an event with attributes, all else is a name."""
    name, separator, rest = value.partition("|")
    read = _attributes(rest) if separator else None
    kept, dropped = read or ({}, 0)
    nanos = event_time(micros * 1000, kept)
    return {"time_unix_nano": nanos, "name": value if read is None else name, "attributes": list(kept.items()), "dropped_attributes_count": dropped}


def _attributes(text: str) -> tuple[Attributes, int] | None:
    """`{…}|dropped` as attributes and their count of dropped ones; None where it is no such thing."""
    written, _, count = text.rpartition("|")
    if not (count.isascii() and count.isdigit() and len(count) <= 10 and int(count) < 1 << 32):
        return None
    for exact in (False, True):
        try:
            found = parse(written, exact)
            if not isinstance(found, dict):
                return None
            kept, left_out = texts(spelled(found, exact).items())
            return kept, int(count) + left_out
        except Inexact:
            continue
        except NotJson:
            return None
    return None
