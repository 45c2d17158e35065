"""Records of every encoding, each with secrets of its own in every place of it that holds a text.

In: how many rounds. Out: records, and the kinds of secrets that each holds. Never: two records with a secret in
common but `shared`, by which the rows of a round join.
"""

import base64
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status, TracesData

from tracebraid.pipeline.decode.jaeger_proto import _TYPES as JAEGER
from tracebraid.pipeline.decode.zipkin_proto import _TYPES as ZIPKIN

NANOS = 1_767_225_600_000_000_000
MICROS = NANOS // 1000
TIME = "2026-01-01T00:00:00Z"
TRACE_ID, SPAN_ID = bytes(range(1, 17)), bytes(range(1, 9))
OF_TEXT = frozenset(("email", "card", "token", "password", "ssn"))
OF_ATTRIBUTES = frozenset(("user", "cookie", "shared"))
SPANS = frozenset(("otlp_proto spans", "jaeger_proto", "jaeger_json", "zipkin_proto", "zipkin_json"))
AVRO_ID = 7
_FIRST_RAW = 3000  # numbers of secrets have four digits, with 6000 added; those of the other records lie below
# The attributes are a map of Avro; the rest is what a log object has.
AVRO_SCHEMA = {
    "type": "record",
    "name": "Log",
    "fields": [
        *({"name": name, "type": "string"} for name in ("time", "level", "msg", "logger")),
        {"name": "given", "type": {"type": "map", "values": "string"}},
    ],
}
Texts = dict[str, str]


@dataclass(frozen=True, slots=True)
class Secret:
    """One record. encoding: what reads it. secrets: kind → what it holds of that kind."""

    encoding: str
    value: bytes
    secrets: Texts


def luhn(head: str) -> str:
    """`head` with its check digit."""
    total = sum(int(digit) if place % 2 else sum(map(int, str(2 * int(digit)))) for place, digit in enumerate(reversed(head)))
    return f"{head}{-total % 10}"


def secrets_of(number: int, shared: int) -> Texts:
    card = luhn(f"4000{number:04d}7788123")
    return {
        "email": f"person{number}@secret-mail.example",
        "card": f"{card[:4]} {card[4:8]} {card[8:12]} {card[12:]}" if number % 2 else card,
        "token": f"tok{number}S3cr3tValue",
        "password": f"pw{number}hunter2",
        "ssn": f"123-45-{6000 + number}",
        "user": f"raw-user-{number:04d}",
        "cookie": f"raw-cookie-{number:04d}",
        "shared": f"raw-shared-{shared:04d}",
    }


def text_of(own: Texts) -> str:
    return (
        f"mail {own['email']} card {own['card']}, Authorization: Bearer {own['token']} via postgres://app:{own['password']}@db:5432/x\n"
        f"caused by {own['ssn']} of {own['email']}"
    )


def attributes_of(own: Texts) -> Texts:
    text = text_of(own)
    named = {"user.id": own["shared"], "app.user.id": own["user"], "http.cookie": own["cookie"], "session.key": own["cookie"], "customer": own["email"]}
    more = {"http.request.header.authorization": own["token"], f"count.{own['email']}": "1", "exception.message": text, "exception.stacktrace": text}
    return {**named, **more, "url.path": f"/u/{own['email']}", "note": text, "json": json.dumps({"deep": text})}


def corpus(rounds: int) -> list[Secret]:
    """All but `raw`, which a topic's settings must name. The one that no decoder reads is of encoding ''."""
    return [each for number in range(rounds) for each in _round(number)]


def raw(rounds: int) -> list[Secret]:
    """Bodies of logs alone."""
    owned = [secrets_of(_FIRST_RAW + number, number) for number in range(rounds)]
    return [_secret("raw", text_of(own).encode(), own, OF_TEXT) for own in owned]


def _secret(encoding: str, value: bytes, own: Texts, kinds: frozenset[str]) -> Secret:
    return Secret(encoding, value, {kind: own[kind] for kind in own if kind in kinds})


def _round(number: int) -> Iterator[Secret]:
    everything = OF_TEXT | OF_ATTRIBUTES
    makers = (*_OTLP, *_SPANS, *_LOGS)
    for place, (encoding, make) in enumerate(makers):
        own = secrets_of(number * len(makers) + place, number)
        yield _secret(encoding, make(own), own, OF_TEXT if encoding == "text" else everything)


def _otlp(given: Texts) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in given.items()]


def _resource(own: Texts) -> Resource:
    facts = {"service.name": f"svc {own['email']}", "service.instance.id": own["user"], "host.name": text_of(own)}
    return Resource(attributes=_otlp({**facts, **attributes_of(own)}))


def _otlp_spans(own: Texts) -> bytes:
    text, given = text_of(own), attributes_of(own)
    event, link = Span.Event(name=text, attributes=_otlp(given)), Span.Link(trace_id=bytes(range(16)), trace_state=text, attributes=_otlp(given))
    span = Span(trace_id=TRACE_ID, span_id=SPAN_ID, name=text, kind=2, trace_state=text, events=[event], links=[link])
    span.MergeFrom(Span(start_time_unix_nano=NANOS, end_time_unix_nano=NANOS + 5, status=Status(code=2, message=text), attributes=_otlp(given)))
    scope = ScopeSpans(scope={"name": text, "version": text, "attributes": _otlp(given)}, spans=[span])
    return bytes(TracesData(resource_spans=[ResourceSpans(resource=_resource(own), scope_spans=[scope])]).SerializeToString())


def _otlp_logs(own: Texts) -> bytes:
    text, given = text_of(own), attributes_of(own)
    record = LogRecord(time_unix_nano=NANOS, severity_text=text, event_name=text, body=AnyValue(string_value=text), attributes=_otlp(given))
    scope = ScopeLogs(scope={"name": text, "version": text, "attributes": _otlp(given)}, log_records=[record])
    return bytes(LogsData(resource_logs=[ResourceLogs(resource=_resource(own), scope_logs=[scope])]).SerializeToString())


def _otlp_json(own: Texts) -> bytes:
    listed = [{"key": key, "value": {"stringValue": value}} for key, value in attributes_of(own).items()]
    record = {"timeUnixNano": str(NANOS), "body": {"stringValue": text_of(own)}, "attributes": listed}
    return _json({"resourceLogs": [{"resource": {"attributes": listed}, "scopeLogs": [{"logRecords": [record]}]}]})


def _jaeger_proto(own: Texts) -> bytes:
    text = text_of(own)
    tags = [{"key": key, "v_str": value} for key, value in attributes_of(own).items()]
    status = [{"key": "otel.status_description", "v_str": text}, {"key": "error", "v_type": 1, "v_bool": True}, {"key": "w3c.tracestate", "v_str": text}]
    scope = [{"key": "otel.scope.name", "v_str": text}, {"key": "otel.scope.version", "v_str": text}]
    span = JAEGER["Span"](trace_id=TRACE_ID, span_id=SPAN_ID, operation_name=text, tags=[*tags, *status, *scope], warnings=[text], process_id=text)
    span.MergeFrom(JAEGER["Span"](start_time={"seconds": NANOS // 10**9}, duration={"nanos": 5}, logs=[{"fields": [{"key": "event", "v_str": text}, *tags]}]))
    span.MergeFrom(JAEGER["Span"](process={"service_name": f"svc {own['email']}", "tags": [{"key": "hostname", "v_str": text}, *tags]}))
    return bytes(span.SerializeToString())


def _jaeger_json(own: Texts) -> bytes:
    text = text_of(own)
    tags = [{"key": key, "vStr": value} for key, value in attributes_of(own).items()]
    span = {"traceId": base64.b64encode(TRACE_ID).decode(), "spanId": base64.b64encode(SPAN_ID).decode(), "operationName": text, "startTime": TIME}
    process = {"serviceName": f"svc {own['email']}", "tags": [{"key": "hostname", "vStr": text}, *tags]}
    logs = [{"timestamp": TIME, "fields": [{"key": "event", "vStr": text}, *tags]}]
    return _json({**span, "duration": "0.000000005s", "tags": tags, "logs": logs, "process": process, "warnings": [text], "processId": text})


def _zipkin_proto(own: Texts) -> bytes:
    text = text_of(own)
    tags = [{"key": key, "value": value} for key, value in _zipkin_tags(own).items()]
    span = {"trace_id": TRACE_ID, "id": SPAN_ID, "name": text, "timestamp": MICROS, "duration": 5, "tags": tags}
    ends = {"local_endpoint": {"service_name": f"svc {own['email']}"}, "remote_endpoint": {"service_name": text}}
    return bytes(ZIPKIN["ListOfSpans"](spans=[{**span, **ends, "annotations": [{"timestamp": MICROS, "value": text}]}]).SerializeToString())


def _zipkin_json(own: Texts) -> bytes:
    text = text_of(own)
    span = {"traceId": TRACE_ID.hex(), "id": SPAN_ID.hex(), "name": text, "timestamp": MICROS, "duration": 5, "tags": _zipkin_tags(own)}
    ends = {"localEndpoint": {"serviceName": f"svc {own['email']}"}, "remoteEndpoint": {"serviceName": text}}
    return _json([{**span, **ends, "annotations": [{"timestamp": MICROS, "value": text}]}])


def _zipkin_tags(own: Texts) -> Texts:
    text = text_of(own)
    of_resource = {"service.instance.id": own["user"], "host.name": text}
    return {**attributes_of(own), **of_resource, "otel.status_code": "ERROR", "otel.status_description": text}


def _log_object(own: Texts) -> bytes:
    text = text_of(own)
    names = {"service": f"svc {own['email']}", "logger": text, "thread": text, "exception": {"message": text, "stacktrace": text}}
    return _json({**attributes_of(own), **names, "level": "error", "msg": text, "time": TIME})


def _docker(own: Texts) -> bytes:
    return _json({"log": text_of(own), "stream": "stdout", "time": TIME, "kubernetes": {"labels": attributes_of(own)}})


def _cloudwatch(own: Texts) -> bytes:
    """A subscription: gzip around it, and events that are text and JSON."""
    events = [{"id": own["email"], "timestamp": MICROS // 1000, "message": message} for message in (text_of(own), _log_object(own).decode())]
    around = {"messageType": "DATA_MESSAGE", "owner": own["email"], "logGroup": text_of(own), "logStream": text_of(own), "subscriptionFilters": [own["email"]]}
    return gzip.compress(_json({**around, "logEvents": events}))


def _google(own: Texts) -> bytes:
    labels = {"container_name": text_of(own), **attributes_of(own)}
    entry = {"insertId": own["email"], "logName": text_of(own), "resource": {"type": text_of(own), "labels": labels}, "timestamp": TIME, "severity": "ERROR"}
    return _json({**entry, "labels": attributes_of(own), "textPayload": text_of(own)})


def _google_json(own: Texts) -> bytes:
    entry = {"insertId": own["email"], "logName": text_of(own), "resource": {"type": "k8s_container"}, "timestamp": TIME}
    return _json({**entry, "jsonPayload": {"message": text_of(own), **attributes_of(own)}})


def _avro(own: Texts) -> bytes:
    import fastavro

    out = io.BytesIO()
    content = {"time": TIME, "level": "error", "msg": text_of(own), "logger": text_of(own), "given": attributes_of(own)}
    fastavro.schemaless_writer(out, fastavro.parse_schema(AVRO_SCHEMA), content)
    return b"\0" + AVRO_ID.to_bytes(4, "big") + out.getvalue()


def _text(own: Texts) -> bytes:
    return f"{TIME} ERROR {text_of(own)}".encode()


def _reject(own: Texts) -> bytes:
    return b"\xff\xfe" + text_of(own).encode() + b"".join(value.encode() for value in own.values())


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


_OTLP = (("otlp_proto spans", _otlp_spans), ("otlp_proto logs", _otlp_logs), ("otlp_json", _otlp_json))
_SPANS = (("jaeger_proto", _jaeger_proto), ("jaeger_json", _jaeger_json), ("zipkin_proto", _zipkin_proto), ("zipkin_json", _zipkin_json))
_LOGS = (
    *(("json", _log_object), ("docker", _docker), ("cloudwatch", _cloudwatch), ("gcp text", _google), ("gcp json", _google_json), ("avro", _avro)),
    *(("text", _text), ("", _reject)),
)
