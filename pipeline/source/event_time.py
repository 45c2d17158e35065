"""When a record of a file happened, as cheaply as it can be found: the first time it names.

In: the bytes of one record. Out: milliseconds since 1970, or None. Never: a verdict on the record; decode and normalize judge it.

Files carry no Kafka timestamp, and a capture must keep its days: so its records are stamped with their own time.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import orjson

OTLP_JSON = re.compile(rb'TimeUnixNano"\s*:\s*"?([1-9]\d{0,19})')
JSON_TIME = re.compile(rb'"(?:time|@timestamp|timestamp|@t|ts)"\s*:\s*"([^"\\]{10,40})"')
JSON_KEYS = ("time", "@timestamp", "timestamp", "@t", "ts", "eventTime", "date", "startTime")  # the last is Jaeger's
ZIPKIN_TIME = re.compile(rb'"timestamp"\s*:\s*([1-9]\d{9,18})\b')
LEADING_TIME = re.compile(rb"\s*\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)")
LOOK_BYTES = 64 * 1024  # a time lies near the start of its record
# OTLP protobuf: resource (1) → scope (2) → span or log record (2); fixed64 fields of Span: 7 start, 8 end; of LogRecord: 1 time, 11 observed.
# https://github.com/open-telemetry/opentelemetry-proto: trace.proto, logs.proto
SPAN_TIMES, LOG_TIMES = (7, 8), (1, 11)
WINDOW_MS = (631_152_000_000, 4_102_444_800_000)  # 1990 to 2100: what lies outside is no time


def event_time_ms(value: bytes) -> int | None:
    """The first event time in `value`: OTLP JSON, a JSON log object or its envelope, Jaeger's or Zipkin's JSON, OTLP protobuf, or a line's beginning."""
    first = value[:1]
    if first == b"{":
        if found := OTLP_JSON.search(value):
            return _plausible(int(found[1]) // 1_000_000)
        return _of_json_log(value)
    if first == b"[" and (found := ZIPKIN_TIME.search(value[:LOOK_BYTES])):
        return _of_number(int(found[1]))
    if first == b"\n":
        return _of_protobuf(value)
    found = LEADING_TIME.match(value[:LOOK_BYTES])
    return _of_text(found[1].decode()) if found else None


def _of_json_log(value: bytes) -> int | None:
    try:
        log = orjson.loads(value)
    except orjson.JSONDecodeError:
        found = JSON_TIME.search(value[:LOOK_BYTES])  # a broken envelope still says when
        return _of_text(found[1].decode(errors="replace")) if found else None
    for key in JSON_KEYS:
        time = log.get(key)
        if isinstance(time, str) and (ms := _of_text(time)) is not None:
            return ms
        if isinstance(time, (int, float)) and not isinstance(time, bool) and (ms := _of_number(time)) is not None:
            return ms
    return None


def _of_text(text: str) -> int | None:
    """ISO 8601; UTC where it names no zone. Digits of a fraction beyond nanoseconds and a comma before it are taken as loggers write them."""
    try:
        moment = datetime.fromisoformat(text.replace(",", "."))
    except ValueError:
        return None
    return _plausible(int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000))


def _of_number(number: float) -> int | None:
    """Seconds, milliseconds, microseconds or nanoseconds since 1970, whichever falls between 1990 and 2100."""
    return next((ms for scale in (1e3, 1, 1e-3, 1e-6) if abs(number) < 1e20 and (ms := _plausible(int(number * scale))) is not None), None)


def _plausible(ms: int) -> int | None:
    return ms if WINDOW_MS[0] <= ms < WINDOW_MS[1] else None


def _of_protobuf(value: bytes) -> int | None:
    view = memoryview(value)
    try:
        for resource in _messages(view, 1):
            for scope in _messages(resource, 2):
                for item in _messages(scope, 2):
                    times = {number: int.from_bytes(content, "little") for number, wire, content in _fields(item) if wire == 1}
                    # Seven and eight together are a span's; a log record has neither.
                    order = SPAN_TIMES if 7 in times else LOG_TIMES
                    found = next((ms for number in order if (ms := _plausible(times.get(number, 0) // 1_000_000)) is not None), None)
                    if found is not None:
                        return found
    except (IndexError, ValueError):
        return None
    return None


def _messages(view: memoryview, wanted: int) -> Iterator[memoryview]:
    return (content for number, wire, content in _fields(view) if number == wanted and wire == 2)


def _fields(view: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """(number, wire type, content) of each field; varints come without content. Raises ValueError or IndexError where the bytes are none."""
    at, end = 0, len(view)
    while at < end:
        tag, at = _varint(view, at)
        wire = tag & 7
        if wire == 0:
            _, at = _varint(view, at)
            size = 0
        elif wire == 2:
            size, at = _varint(view, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > end:
            raise ValueError("beyond the end")
        yield tag >> 3, wire, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    result = shift = 0
    while shift < 70:
        byte = view[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
    raise ValueError("a varint of more than ten bytes")
