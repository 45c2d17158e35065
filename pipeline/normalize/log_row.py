"""One log that is not OTLP: its fields with a role and its text → the columns of its row.

In: picks, body, the envelope's time. Out: a row's values by column name. Never: a value lost; a field leaves the attributes only when a column tells it.

Time: a field with its zone (or a number since 1970), the text's with its zone, the envelope's, then a local one of the fields, of the text,
taken for UTC. A local time is the last resort because an envelope's is right to the zone, and off by microseconds only. When the log has its
own time, the envelope's is when it was observed.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from tracebraid.pipeline.normalize.log_exception import raised_in, raised_in_text
from tracebraid.pipeline.normalize.log_picks import Pick, Picks
from tracebraid.pipeline.normalize.log_text import level_in, origin_in, service_in, time_in
from tracebraid.pipeline.normalize.log_time import Moment, parse_time
from tracebraid.pipeline.normalize.severity import severity_number
from tracebraid.pipeline.normalize.trace_id import find_ids

Use = Callable[[Pick], None]
LEVEL_CHARS_MAX = 32
NAME_CHARS_MAX = 512
DURATION = re.compile(r"[0-9.]{1,20}(?:[num\u00b5]?s|m|h)?")  # Heroku's router says how long a `service` took
_NANOS = re.compile(r"[0-9]{1,9}")
# Columns that a field fills as it is, and its role.
_NAMES = {"logger": "logger", "thread": "thread", "exception_type": "exception_type", "event_name": "event_name", "service": "service"}


class Around(NamedTuple):
    """What is known of a log beside itself. header, state: its record's traceparent and tracestate. kafka_ns: its record's time, for times without a year."""

    envelope_time: str | None
    header: str | None
    state: str | None
    kafka_ns: int


def read_row(picks: Picks, text: str | None, around: Around, use: Use) -> dict[str, Any]:
    """The row's values; absent ones are null. `service`: the log's own; `invalid`: its trace id is none; `envelope_left`: an envelope's time that is none."""
    row: dict[str, Any] = {"severity_number": 0, "body": text if text is not None else _message(picks, use)}
    ids = find_ids(picks, row["body"], around.header, use)
    row |= {"trace_id": ids.trace_id, "span_id": ids.span_id, "flags": ids.flags, "trace_id_source": ids.source, "invalid": ids.invalid}
    if ids.by_header and around.state:
        row["tracestate"] = around.state
    _level(row, picks, text, use)
    _time(row, picks, text, around, use)
    _names(row, picks, text is None, use)
    if text is not None:
        if "logger" not in row:
            row["logger"], thread = origin_in(text)
            row.setdefault("thread", thread)
        if "service" not in row:
            row["service"] = service_in(text)
    body = row["body"]
    if "exception_stacktrace" in row or (body and "\n" in body):
        _exception(row, body, text is None)
    return row


def _message(picks: Picks, use: Use) -> str | None:
    for pick in picks.get("message", ()):
        use(pick)
        return pick.value
    return None


def _level(row: dict[str, Any], picks: Picks, text: str | None, use: Use) -> None:
    best = None
    for pick in picks.get("level", ()):
        if len(pick.value) > LEVEL_CHARS_MAX or structured(pick.value):
            continue
        number = severity_number(pick.value, pick.scale)
        if best is None or (number and not best[1]):
            best = pick, number
    if best is None:
        best = next(((pick, number) for pick in picks.get("level_maybe", ()) if (number := severity_number(pick.value))), None)
    if best:
        use(best[0])
        row["severity_text"], row["severity_number"] = best[0].value, best[1]
    elif text is not None:
        level = level_in(text)
        if level:
            row["severity_text"], row["severity_number"] = level


def _time(row: dict[str, Any], picks: Picks, text: str | None, around: Around, use: Use) -> None:
    envelope = parse_time(around.envelope_time) if around.envelope_time else None
    own, pick = _field_time(picks, envelope.nanos if envelope else around.kafka_ns)
    if own is None or not own.zoned:
        said = time_in(text) if text is not None else None
        if said and (said.zoned or own is None):
            own, pick = said, None
    if own and (own.zoned or envelope is None):
        if pick:
            use(pick)
            own = _with_nanos(own, pick, picks, use)
        row["time_unix_nano"] = own.nanos
        if envelope:
            row["observed_unix_nano"] = envelope.nanos
    elif envelope:
        row["time_unix_nano"] = envelope.nanos
    if around.envelope_time and envelope is None:
        row["envelope_left"] = around.envelope_time


def _field_time(picks: Picks, near_ns: int) -> tuple[Moment | None, Pick | None]:
    local: tuple[Moment | None, Pick | None] = None, None
    for pick in picks.get("time", ()):
        moment = parse_time(pick.value, near_ns)
        if moment and moment.zoned:
            return moment, pick
        if moment and local[0] is None:
            local = moment, pick
    return local


def _with_nanos(moment: Moment, pick: Pick, picks: Picks, use: Use) -> Moment:
    """log4j2's `instant` and Google's `timestamp` objects: seconds in one field, nanoseconds within the second in another."""
    if "second" in pick.name.lower():
        for nanos in picks.get("nanos", ()):
            exact = moment.plus(int(nanos.value)) if _NANOS.fullmatch(nanos.value) else None
            if exact:
                use(nanos)
                return exact
    return moment


def _names(row: dict[str, Any], picks: Picks, is_object: bool, use: Use) -> None:
    for role, column in _NAMES.items():
        if role in picks:
            named = (pick for pick in picks[role] if len(pick.value) <= NAME_CHARS_MAX and not structured(pick.value))
            _take(row, column, named if role != "service" else (pick for pick in named if not DURATION.fullmatch(pick.value)), use)
    if is_object and "logger" not in row and "level" in picks and "message" in picks:
        stacks = [pick.value for pick in picks.get("exception_stacktrace", ())]
        for pick in picks.get("logger_maybe", ()):
            of_exception = any(stack.startswith(f"{pick.value}:") for stack in stacks)  # an error's fields among the log's: winston
            _take(row, "exception_type" if of_exception else "logger", (pick,), use)
            break
    # `error: true` and `exc_info: 1` are flags, not messages.
    if "exception_message" in picks:
        _take(row, "exception_message", (pick for pick in picks["exception_message"] if not flag(pick.value) and not structured(pick.value)), use)
    if "exception_stacktrace" in picks:
        _take(row, "exception_stacktrace", (pick for pick in picks["exception_stacktrace"] if not flag(pick.value)), use)


def _exception(row: dict[str, Any], text: str | None, is_object: bool) -> None:
    """What a stack trace says of its exception, where no field said it; the stack trace of a text, or of a message, if it names an exception."""
    trace = row.get("exception_stacktrace")
    if trace is None:
        raised = raised_in_text(text or "")
        if raised and is_object and raised.kind is None:
            return
    elif "exception_type" in row and "exception_message" in row:
        return
    else:
        raised = raised_in(trace)
    if raised:
        row.setdefault("exception_stacktrace", raised.trace)
        if row.setdefault("exception_type", raised.kind) == raised.kind:
            row.setdefault("exception_message", raised.message)


def _take(row: dict[str, Any], column: str, picks: Any, use: Use) -> None:
    for pick in picks:
        use(pick)
        row[column] = pick.value
        return


def structured(value: str) -> bool:
    """Whether a value is JSON text of an object or a list."""
    return value[0] in "{["


def flag(value: str) -> bool:
    """Whether a value says yes or no, or counts."""
    return value.lower() in ("true", "false") or value.isdigit()
