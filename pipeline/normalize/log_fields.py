"""What the fields of log objects mean, by their names.

In: a field's dotted name as it was written. Out: its role and its rank among the names of that role, or nothing. Never: a look at the value.

Names are compared without regard to case, `_`, `-` and blanks. Ids and services are also found inside the objects that libraries nest their context in;
a name at the top goes before the same name inside one.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple


class Role(NamedTuple):
    """role: a key of NAMES. rank: lower goes first. scale: how its numbers count, where the name tells ('decimal', 'python', 'otel')."""

    role: str
    rank: int
    scale: str = ""


# By role, the names in order of preference. Sources: the libraries' own documentation of their JSON output, as wire-format names.
NAMES: dict[str, tuple[str, ...]] = {
    "traceparent": ("traceparent",),
    "trace_id": (
        *(
            "trace_id",
            "trace.id",
            "otelTraceID",
            "@tr",
            "logging.googleapis.com/trace",
            "X-B3-TraceId",
            "xray_trace_id",
            "X-Amzn-Trace-Id",
            "b3",
            "uber-trace-id",
        ),
        *("X-Cloud-Trace-Context", "dd.trace_id", "SW_CTX"),
    ),
    "trace_maybe": ("trace", "Root"),  # words that often mean something else: taken when they hold an id, not counted when they do not
    "span_id": ("span_id", "span.id", "otelSpanID", "@sp", "logging.googleapis.com/spanId", "X-B3-SpanId", "dd.span_id"),
    "datadog_high": ("_dd.p.tid",),
    "flags": ("trace_flags", "trace.flags", "otelTraceFlags"),
    "sampled": ("otelTraceSampled", "trace_sampled", "logging.googleapis.com/trace_sampled", "X-B3-Sampled"),
    "time": (
        *("time", "timestamp", "@timestamp", "@t", "ts", "datetime", "eventTime", "asctime", "time_unix_nano", "timeMillis", "logtime", "created", "date"),
        "instant.epochSecond",
        "timestamp.seconds",
    ),
    "level_maybe": ("at",),  # logfmt's short name, where it holds a level
    "nanos": ("instant.nanoOfSecond", "timestamp.nanos"),
    "level": (
        "level",
        "severity",
        "log.level",
        "levelname",
        "@l",
        "loglevel",
        "lvl",
        "severity_text",
        "severity_number",
        "levelno",
        "syslog.severity",
        "PRIORITY",
    ),
    "message": ("message", "msg", "@m", "body", "textPayload", "jsonPayload.message", "fields.message", "short_message", "@mt", "log", "event", "text"),
    "logger": ("logger", "logger_name", "log.logger", "logger.name", "SourceContext", "Properties.SourceContext", "Category", "channel"),
    "logger_maybe": ("name", "target"),  # loggers' names only beside a level and a message
    "thread": ("thread_name", "thread", "process.thread.name", "thread.name"),
    "exception_type": (
        *("exception.type", "error.type", "err.type", "exception.exception_class", "thrown.name", "error.name", "err.name", "error.kind", "exc_type"),
        "exception_class",
    ),
    "exception_message": (
        *("exception.message", "error.message", "err.message", "exception.exception_message", "thrown.message", "exc_message", "error", "err"),
        *("exception_message", "fields.error", "fields.err"),
    ),
    "exception_stacktrace": (
        *("exception.stacktrace", "error.stack_trace", "stack_trace", "exc_info", "err.stack", "error.stack", "exception", "@x", "stack", "errorVerbose"),
        "thrown.extendedStackTrace",
    ),
    "service": (
        *("service.name", "service", "otelServiceName", "dd.service", "resource.service.name", "resource.attributes.service.name", "serviceContext.service"),
        *("application.name", "application", "app.name", "app", "syslog.appname"),
    ),
    "event_name": ("event.name", "event_name"),
    "contexts": ("spans",),  # a list of contexts, as JSON text: Rust's tracing
}
_NESTS = (
    "context",
    "trace",
    "dd",
    "mdc",
    "contextmap",
    "properties",
    "labels",
    "fields",
    "spancontext",
    "ctx",
    "extra",
    "attributes",
    "jsonpayload",
    "span",
    "data",
    "tracecontext",
    "opentelemetry",
    "otel",
    "headers",
)
_ROLES_IN_NESTS = frozenset({"traceparent", "trace_id", "span_id", "datadog_high", "flags", "sampled", "service"})
_SCALES = {"dd.traceid": "decimal", "dd.spanid": "decimal", "severitynumber": "otel", "levelno": "python"}
_NEST_RANK = 100
ID_ROLES = frozenset({"traceparent", "trace_id", "trace_maybe", "span_id", "datadog_high", "flags", "sampled", "contexts"})


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


_ROLES = {_plain(name): Role(role, rank, _SCALES.get(_plain(name), "")) for role, names in NAMES.items() for rank, name in enumerate(names)}


@lru_cache(maxsize=16384)
def role_of(name: str) -> Role | None:
    """The role of a field called `name`."""
    if len(name) > 128:
        return None
    for level, plain in enumerate(_suffixes(_plain(name))):
        found = _ROLES.get(plain)
        if found and (level == 0 or found.role in _ROLES_IN_NESTS):
            return found._replace(rank=found.rank + level * _NEST_RANK)
    return None


def _suffixes(plain: str) -> Iterator[str]:
    """The name, then what is left of it without one nest, two …"""
    yield plain
    nest, _, rest = plain.partition(".")
    while rest and nest in _NESTS:
        yield rest
        nest, _, rest = rest.partition(".")
