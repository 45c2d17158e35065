"""Which library wrote a JSON log, by the names of its fields: for a person who asks, since rows do not depend on it.

In: a log's fields. Out: the library's name, or nothing. Never: a look at more than names, but for the spelling of a level.
"""

from collections.abc import Callable, Mapping

Fields = Mapping[str, str | None]


def _has(*names: str) -> Callable[[Fields], bool]:
    return lambda fields: all(name in fields for name in names)


def _upper(fields: Fields) -> bool:
    return (fields.get("level") or "").isupper()


# In order: the first that fits. Names that only one library writes stand first.
_LIBRARIES: tuple[tuple[str, Callable[[Fields], bool]], ...] = (
    ("serilog", lambda fields: "@t" in fields and ("@m" in fields or "@mt" in fields)),
    ("log4j2 (JsonTemplateLayout)", _has("instant.epochSecond", "loggerName")),
    ("log4j2 (LogstashJsonEventLayoutV1)", _has("@version", "logger_name", "source_host")),
    ("logstash-logback-encoder", _has("@version", "logger_name")),
    ("ECS", lambda fields: "ecs.version" in fields or ("log.level" in fields and "@timestamp" in fields)),
    ("Rust tracing", _has("fields.message", "target", "level")),
    ("python-json-logger", lambda fields: "message" in fields and ("levelname" in fields or "asctime" in fields)),
    ("bunyan", _has("v", "pid", "hostname", "name", "level", "msg", "time")),
    ("pino", _has("pid", "hostname", "level", "time", "msg")),
    ("structlog", _has("event", "level", "timestamp")),
    ("Google Cloud", _has("severity", "message")),
    ("zap", _has("level", "ts", "msg")),
    ("slog", lambda fields: _has("level", "time", "msg")(fields) and _upper(fields)),
    ("logrus", _has("level", "time", "msg")),
    ("zerolog", _has("level", "time", "message")),
    ("winston", _has("level", "message", "timestamp")),
)


def library_of(fields: Fields) -> str | None:
    """The library whose names these are."""
    return next((name for name, fits in _LIBRARIES if fits(fields)), None)
