"""The shop's log lines as the libraries of a dozen teams write them, each with its own spelling of a trace id.

In: a Line. Out: the topic and the bytes of one Kafka record. Never: an id in the form of another team.
Libraries imitated: zap, logstash-logback-encoder, structlog, pino, ECS logging, Datadog's tracers, logback, logfmt, zerolog, python-json-logger.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from tracebraid.jobs.shop.telemetry import Line, Pod

APP_LOGS = "app-logs"
CONTAINER_LOGS = "container-logs"
PINO_LEVELS = {"DEBUG": 20, "INFO": 30, "WARN": 40, "ERROR": 50}
OTLP_SEVERITY = {"DEBUG": (5, "DEBUG"), "INFO": (9, "INFO"), "WARN": (13, "WARN"), "ERROR": (17, "ERROR")}
Record = dict[str, Any]


def iso(time_ns: int, digits: int = 3) -> str:
    """UTC with `digits` of a second: 2026-01-01T00:00:00.000Z."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}"[: 20 + digits] + "Z"


def zap(line: Line) -> Record:
    record: Record = {
        "level": line.level.lower(),
        "ts": line.time_ns / 1e9,
        "logger": line.logger,
        "caller": "server/http.go:118",
        "msg": line.text,
        "service": "gateway",
    }
    if line.trace_id:
        record |= {"trace_id": f"{line.trace_id:032x}", "span_id": f"{line.span_id:016x}"}
    return record | ({"error": line.failure.message} if line.failure else {})


def logstash(line: Line) -> Record:
    record: Record = {
        "@timestamp": iso(line.time_ns),
        "@version": "1",
        "message": line.text,
        "logger_name": f"shop.{line.logger}",
        "thread_name": f"http-nio-8080-exec-{line.span_id % 20}",
        "level": line.level,
        "service": line.pod.service.name,
        "HOSTNAME": line.pod.name,
    }
    if line.trace_id:
        record |= {"traceId": f"{line.trace_id:032x}", "spanId": f"{line.span_id:016x}"}
    return record | ({"stack_trace": java_stack(line)} if line.failure else {})


def structlog(line: Line) -> Record:
    level = line.level.lower().replace("warn", "warning")
    record: Record = {"event": line.text, "level": level, "logger": line.logger, "timestamp": iso(line.time_ns, 6), "service": line.pod.service.name}
    return record | ({"trace_id": f"{line.trace_id:032x}", "span_id": f"{line.span_id:016x}"} if line.trace_id else {})


def pino(line: Line) -> Record:
    record: Record = {
        "level": PINO_LEVELS[line.level],
        "time": line.time_ns // 1_000_000,
        "pid": 1,
        "hostname": line.pod.name,
        "name": line.logger,
        "service": line.pod.service.name,
        "msg": line.text,
    }
    record |= {"traceparent": f"00-{line.trace_id:032x}-{line.span_id:016x}-01"} if line.trace_id else {}
    return record | ({"err": {"type": line.failure.type, "message": line.failure.message}} if line.failure else {})


def ecs(line: Line) -> Record:
    record: Record = {
        "@timestamp": iso(line.time_ns),
        "log.level": line.level,
        "message": line.text,
        "ecs.version": "1.2.0",
        "service.name": line.pod.service.name,
        "service.version": line.pod.version,
        "process.thread.name": f"checkout-{line.span_id % 8}",
        "log.logger": f"shop.{line.logger}",
    }
    record |= {"trace.id": f"{line.trace_id:032x}", "span.id": f"{line.span_id:016x}"} if line.trace_id else {}
    return record | ({"error.type": line.failure.type, "error.message": line.failure.message, "error.stack_trace": java_stack(line)} if line.failure else {})


def datadog(line: Line) -> Record:
    """128-bit trace ids in hex, span ids in decimal: Datadog's present default."""
    record: Record = {
        "time": iso(line.time_ns, 9),
        "level": line.level,
        "msg": line.text,
        "dd.service": line.pod.service.name,
        "dd.version": line.pod.version,
        "dd.env": "prod",
    }
    record |= {"dd.trace_id": f"{line.trace_id:032x}", "dd.span_id": str(line.span_id)} if line.trace_id else {}
    return record | ({"error": line.failure.message} if line.failure else {})


def zerolog(line: Line) -> Record:
    """Datadog's older form: the low 64 bits in decimal, the high ones in _dd.p.tid."""
    record: Record = {"level": line.level.lower(), "service": line.pod.service.name, "time": iso(line.time_ns), "message": line.text}
    if line.trace_id:
        record["dd"] = {"trace_id": str(line.trace_id & (1 << 64) - 1), "span_id": str(line.span_id), "_dd.p.tid": f"{line.trace_id >> 64:016x}"}
    return record


def python_json(line: Line) -> Record:
    """The trace id as a UUID."""
    record: Record = {
        "asctime": iso(line.time_ns),
        "levelname": line.level.replace("WARN", "WARNING"),
        "name": line.logger,
        "message": line.text,
        "service": line.pod.service.name,
    }
    return record | ({"trace_id": str(UUID(int=line.trace_id)), "span_id": f"{line.span_id:016x}"} if line.trace_id else {})


def logback(line: Line) -> str:
    context = f"TraceID: {line.trace_id:032x} SpanID: {line.span_id:016x} " if line.trace_id else ""
    stack = java_stack(line) if line.failure else ""
    return f"{iso(line.time_ns)[11:23]} {line.level:<5} s.{line.logger}#{line.span_id % 64} {context}{line.text}\n{stack}"


def logfmt(line: Line) -> str:
    context = f" traceID={line.trace_id:032x} spanID={line.span_id:016x}" if line.trace_id else ""
    return f'ts={iso(line.time_ns, 6)} level={line.level.lower()} target={line.logger} msg="{line.text}"{context}\n'


def java_stack(line: Line) -> str:
    if line.failure is None:
        return ""
    name = line.pod.service.name
    return f"shop.{name}.CallFailed: {line.failure.message}\n\tat shop.{name}.Client.call(Client.java:88)\n\tat shop.{name}.Api.handle(Api.java:41)\n"


def fluent_bit(pod: Pod, time_ns: int, log: str) -> bytes:
    """Fluent Bit's envelope of a container's line."""
    labels = {"app": pod.service.name, "version": pod.version}
    kubernetes = {"pod_name": pod.name, "namespace_name": "shop", "container_name": pod.service.name, "host": f"node-{pod.name[-1]}", "labels": labels}
    return orjson.dumps({"log": log, "stream": "stdout", "time": iso(time_ns, 9), "kubernetes": kubernetes})


JSON_LIBRARIES: dict[str, Callable[[Line], Record]] = {
    "zap": zap,
    "logstash": logstash,
    "structlog": structlog,
    "pino": pino,
    "ecs": ecs,
    "datadog": datadog,
    "python-json": python_json,
}
# What each library's lines look like, for people: how the trace id is spelled.
SPELLINGS = {
    "zap": "trace_id, 32 hex",
    "logstash": "traceId, 32 hex",
    "structlog": "trace_id, 32 hex",
    "pino": "W3C traceparent",
    "ecs": "trace.id, 32 hex",
    "datadog": "dd.trace_id, 32 hex",
    "zerolog": "dd.trace_id, decimal",
    "python-json": "trace_id, UUID",
    "logback": "TraceID: … in text",
    "logfmt": "traceID=… in text",
    "otlp": "OTLP field",
}


def write(line: Line) -> tuple[str, bytes]:
    """(topic, value) of the line; OTLP's lines are batched by simulate.py and never come here."""
    library = line.pod.service.library
    if library in JSON_LIBRARIES:
        record = JSON_LIBRARIES[library](line)
        for key, value in line.fields:
            record[key] = value
        return APP_LOGS, orjson.dumps(record)
    text = orjson.dumps(zerolog(line) | dict(line.fields)).decode() + "\n" if library == "zerolog" else logback(line) if library == "logback" else logfmt(line)
    return CONTAINER_LOGS, fluent_bit(line.pod, line.time_ns, text)
