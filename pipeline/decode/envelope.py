"""What collectors and container runtimes wrap around a log, taken off.

In: a parsed JSON object, or a text. Out: a Log: the innermost fields or text, with the facts of the envelopes. Never: judgement of the log itself.

Envelopes: Docker's json-file and Fluent Bit (`log`, with `stream`, `time`, `kubernetes`), Filebeat (`message` beside `@timestamp` and `agent`), Vector
(`message` beside `timestamp` and `source_type`), CRI (`TIME stdout F TEXT`), CloudWatch Logs (`logEvents`, each of which is a log; or one of them with its
`logGroup`), Google Cloud Logging (`jsonPayload` or `textPayload` beside `logName` or `insertId`). They nest at most `envelopes_max` deep. An object with
`kubernetes` beside its own fields (Fluent Bit with Merge_Log) gives up its facts too. Other fields of an envelope join the log's, which go first.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tracebraid.pipeline.decode.flatten import flatten
from tracebraid.pipeline.decode.json_value import NotJson, dump, parse
from tracebraid.pipeline.decode.rows import Attributes
from tracebraid.pipeline.kernel import limits

CRI = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([FP])(?::\S*)?(?: (.*))?", re.DOTALL)
_DOCKER_TIMES = ("time", "date", "@timestamp", "timestamp")
_FACTS = ("kubernetes", "host", "docker", "container")
_CLOUD_FACTS = {"cloudwatch": ("logGroup", "logStream", "owner", "cloudwatch"), "gcp": ("resource",)}
# Names in the `kubernetes` object of Fluent Bit and Fluentd, of Filebeat, of Vector → names of the semantic conventions.
_KUBERNETES = {
    "k8s.pod.name": ("pod_name", "pod.name"),
    "k8s.namespace.name": ("namespace_name", "pod_namespace", "namespace"),
    "container.name": ("container_name", "container.name"),
    "k8s.node.name": ("host", "pod_node_name", "node.name"),
    "k8s.pod.uid": ("pod_id", "pod_uid", "pod.uid"),
    "container.id": ("docker_id", "container_id", "container.id"),
    "container.image.name": ("container_image", "container.image"),
}
# Facts of CloudWatch, and labels of Google's monitored resources → names of the semantic conventions.
_CLOUD = {
    "logGroup": "aws.log.group.names",
    "logStream": "aws.log.stream.names",
    "owner": "cloud.account.id",
    "resource.type": "gcp.resource.type",
    "resource.labels.project_id": "cloud.account.id",
    "resource.labels.location": "cloud.region",
    "resource.labels.zone": "cloud.availability_zone",
    "resource.labels.cluster_name": "k8s.cluster.name",
    "resource.labels.namespace_name": "k8s.namespace.name",
    "resource.labels.pod_name": "k8s.pod.name",
    "resource.labels.container_name": "container.name",
    "resource.labels.instance_id": "host.id",
    "resource.labels.function_name": "faas.name",
    "resource.labels.service_name": "service.name",
    "resource.labels.revision_name": "service.version",
}
_LAMBDA = "/aws/lambda/"
_SERVICE_LABELS = ("app.kubernetes.io/name", "app_kubernetes_io/name", "app", "k8s-app")


@dataclass(slots=True)
class Log:
    """One log out of its envelopes. text: its content where that is no JSON object. fields: its own, then the envelopes' other ones.

    time: the innermost envelope's time as written. facts: what the envelopes say of where the log comes from.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    text: str | None = None
    envelope: str | None = None
    time: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def unwrap(content: dict[str, Any] | str, exact: bool = False) -> Log:
    """The log inside `content`, a JSON object or a text. Raises json_value.Inexact."""
    log = Log()
    outer: list[dict[str, Any]] = []
    for _ in range(limits.envelopes_max):
        inner = _from_text(content, log, outer, exact) if isinstance(content, str) else _from_object(content, log, outer)
        if inner is None:
            break
        content = inner
    if isinstance(content, str):
        log.text = content
    else:
        log.fields = content
    for fields in reversed(outer):
        for name, value in fields.items():
            while name in log.fields:
                name = f"{log.envelope}.{name}"  # noqa: PLW2901
            log.fields[name] = value
    return log


def events_of(item: Any) -> tuple[list[Any], int]:
    """The logs of one JSON value: those of a CloudWatch message, each with what the message says of all; else the value itself. And how many bytes many of them
    repeat so."""
    if not isinstance(item, dict) or not isinstance(item.get("logEvents"), list) or not {"logGroup", "messageType"} & item.keys():
        return [item], 0
    shared = {name: item[name] for name in ("logGroup", "logStream", "owner") if name in item}
    shared["cloudwatch"] = {name: value for name, value in item.items() if name not in shared and name != "logEvents"}
    events: list[Any] = item["logEvents"]
    repeated = len(events) * len(dump(shared, exact=True)) if len(events) > limits.repetition_ratio_max else 0
    return [{**event, **shared} if isinstance(event, dict) else event for event in events], repeated


def strip_newline(text: str) -> str:
    """`text` without the one line end that runtimes leave on a line."""
    return text[:-2] if text.endswith("\r\n") else text[:-1] if text.endswith("\n") else text


def resource_of(facts: Mapping[str, Any]) -> Attributes:
    """Resource attributes of an envelope's facts; what has no name in the semantic conventions keeps its own."""
    flat, _ = flatten(dict(facts), exact=True)
    pod = {name.removeprefix("kubernetes."): value for name, value in flat.items() if name.startswith("kubernetes.")}
    found = {name: value for name, value in flat.items() if not name.startswith("kubernetes.")}
    for old, new in (("host", "host.name"), ("docker.container_id", "container.id")):
        if old in found:
            found.setdefault(new, found.pop(old))
    for name in [name for name in found if name in _CLOUD or name.startswith("resource.")]:
        found.setdefault(_CLOUD.get(name, f"gcp.{name}"), found.pop(name))
    group = found.get("aws.log.group.names") or ""
    if group.startswith(_LAMBDA):
        found["faas.name"] = group.removeprefix(_LAMBDA)
    labels = {}
    for standard, names in _KUBERNETES.items():
        for name in names:
            if name in pod:
                found.setdefault(standard, pod.pop(name))
    for name, value in pod.items():
        kind, _, key = name.removeprefix("pod_").partition(".")
        if kind == "labels":
            labels[key] = value
            found[f"k8s.pod.label.{key}"] = value
        else:
            found[f"k8s.pod.annotation.{key}" if kind == "annotations" else f"kubernetes.{name}"] = value
    service = next((labels[name] for name in _SERVICE_LABELS if labels.get(name)), None) or found.get("container.name") or found.get("faas.name")
    if service:
        found.setdefault("service.name", service)
    return found


def _from_text(content: str, log: Log, outer: list[dict[str, Any]], exact: bool) -> dict[str, Any] | str | None:
    if content[:1].isdigit():
        match = CRI.fullmatch(content)
        if match is None:
            return None
        time, stream, _, text = match.groups()
        log.envelope, log.time = "cri", time
        outer.append({"log.iostream": stream})
        return text or ""
    if content.lstrip()[:1] != "{":
        return None
    try:
        value = parse(content, exact)
    except NotJson:
        return None
    return value if isinstance(value, dict) else None


def _from_object(fields: dict[str, Any], log: Log, outer: list[dict[str, Any]]) -> dict[str, Any] | str | None:
    """The log inside the envelope that `fields` is; None where it is none, and then only facts are taken from it."""
    named = _named(fields)
    if named is None and not isinstance(fields.get("kubernetes"), dict):
        return None
    facts = _CLOUD_FACTS.get(named[0], _FACTS) if named else ("kubernetes",)
    log.facts.update({name: fields.pop(name) for name in facts if name in fields})
    if isinstance(fields.get("stream"), str):
        fields["log.iostream"] = fields.pop("stream")
    if named is None:
        log.envelope = log.envelope or "kubernetes"
        return None
    log.envelope, content, times = named
    inner: dict[str, Any] | str = fields.pop(content)
    for name in times:
        if isinstance(fields.get(name), (str, int, float)):
            log.time = str(fields.pop(name))
            break
    outer.append(fields)
    return strip_newline(inner) if isinstance(inner, str) else inner


def _named(fields: dict[str, Any]) -> tuple[str, str, tuple[str, ...]] | None:
    """Name of the envelope, name of its content's field, names of its time's field."""
    if isinstance(fields.get("log"), str) and "message" not in fields and "msg" not in fields:
        if "kubernetes" in fields:
            return "fluent-bit", "log", _DOCKER_TIMES
        return ("docker", "log", _DOCKER_TIMES) if "stream" in fields or "time" in fields or "date" in fields else None
    if "logName" in fields or "insertId" in fields:
        payload = "jsonPayload" if isinstance(fields.get("jsonPayload"), dict) else "textPayload" if isinstance(fields.get("textPayload"), str) else None
        if payload:
            return "gcp", payload, ("timestamp", "receiveTimestamp")
    return _around_message(fields) if isinstance(fields.get("message"), str) else None


def _around_message(fields: dict[str, Any]) -> tuple[str, str, tuple[str, ...]] | None:
    if isinstance(fields.get("logGroup"), str) and "timestamp" in fields:
        return "cloudwatch", "message", ("timestamp",)
    if "@timestamp" in fields and (isinstance(fields.get("agent"), dict) or "@metadata" in fields or isinstance(fields.get("input"), dict)):
        return "filebeat", "message", ("@timestamp",)
    return ("vector", "message", ("timestamp",)) if "source_type" in fields and "timestamp" in fields else None
