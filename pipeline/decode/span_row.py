"""What span encodings other than OTLP share on their way to a row.

In: times and tags as those encodings have them. Out: values of DECODED_SPANS. Never: a value lost: what a column cannot hold stays, as text,
among the attributes under a `tracebraid.` key.
"""

from collections.abc import Iterable
from typing import Any

from tracebraid.pipeline.decode.any_value import attributes
from tracebraid.pipeline.decode.json_value import dump
from tracebraid.pipeline.decode.rows import Attributes

# What OpenTelemetry's exporters write where a resource has no service name; Zipkin's JSON has it in lower case.
NO_SERVICE = "otlpresourcenoservicename"
_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


def times(start: int | None, duration: int, kept: Attributes) -> tuple[int | None, int | None]:
    """Start and end in nanoseconds since 1970, for columns of unsigned 64 bits; a duration without a start ends nowhere. `kept`: the span's attributes."""
    if not start:
        if duration:
            kept["tracebraid.duration_ns"] = str(duration)
        return 0, 0
    return _unsigned("start", start, kept), _unsigned("end", start + duration, kept)


def event_time(nanos: int, kept: Attributes) -> int | None:
    """An event's time where 64 bits with a sign hold it; else null, and its text among the event's attributes."""
    if -(1 << 63) <= nanos < 1 << 63:
        return nanos
    kept["tracebraid.time_unix_nano"] = str(nanos)
    return None


def texts(tags: Iterable[tuple[str, Any]]) -> tuple[Attributes, int]:
    """Tags of plain values as attributes, and how many were left out."""
    return attributes(tags, _itself)


def spelled(values: dict[str, Any], exact: bool = True) -> dict[str, Any]:
    """Values out of JSON as texts, whatever their size: what is no text stays JSON. Raises json_value.Inexact where a reading was not exact."""
    return {key: value if value is None or isinstance(value, str) else dump(value, exact) for key, value in values.items()}


def kind_of(tags: dict[str, Any]) -> int:
    """OTLP's number for tag `span.kind`, which is taken out where it is a kind; 0 where it is none."""
    kind = tags.get("span.kind")
    number = _KINDS.get(kind.lower(), 0) if isinstance(kind, str) else 0
    if number:
        del tags["span.kind"]
    return number


def _itself(value: Any) -> Any:
    return value


def _unsigned(name: str, nanos: int, kept: Attributes) -> int | None:
    if 0 <= nanos < 1 << 64:
        return nanos
    kept[f"tracebraid.{name}_unix_nano"] = str(nanos)
    return None
