"""What a line of text says: ids, level, time, logger, thread.

In: the text of a log. Out: its parts. Never: a cut in the text; the whole line stays the body, so that nothing is lost where a pattern was wrong,
and a search finds the line as the program wrote it.

Only the first `id_search_chars_max` characters are looked at, and a level or logger only where such a line has it: near its start. Every
pattern is a literal or a class with bounded repeats, so the work is linear in that window.
Shapes: logback and log4j, Spring Boot, Python's logging (OpenTelemetry's too), .NET's console, klog, syslog's <PRI>, nginx's [error], JSON that is broken.
"""

import re
from typing import NamedTuple

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.trace_context import Context, parse_context, parse_span_id
from tracebraid.pipeline.normalize.log_time import Moment, parse_time
from tracebraid.pipeline.normalize.severity import SYSLOG, severity_number

_HEAD_CHARS = 200  # where a line has its level
_TRIES_MAX = 8
_IS = r"[\\\"' ]{0,4}[:=][\\\"' \[]{0,4}"  # between a name and its value, also in JSON within JSON
_TRACE = re.compile(rf"trace(?:[-_. ]?(?:id|context)|parent){_IS}([0-9a-f][0-9a-f:=;/_%.-]{{0,127}})")
_ROOT = re.compile(r"root=1-[0-9a-f]{8}-[0-9a-f]{24}(?:;parent=[0-9a-f]{16})?")
_SPAN = re.compile(rf"span[-_. ]?id{_IS}([0-9a-f]{{1,20}})(?![0-9a-z])")
# SkyWalking's agents write SW_CTX: […] or TID:HEX.NUMBER.NUMBER.
_SKYWALKING = re.compile(r"sw_ctx: {0,4}(\[[^\[\]]{0,512}\])|(?<![0-9a-z])tid: {0,4}([0-9a-f]{32}\.[0-9]{1,10}\.[0-9]{1,20})(?![0-9a-z.])")
_TRACEPARENT = re.compile(r"(?<![0-9a-z-])00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?![0-9a-z-])")
# Spring Cloud Sleuth's [service,trace,span,exported] and Spring Boot's [trace-span].
_BRACKETED = re.compile(r"\[(?:[\w.-]{0,64},)?([0-9a-f]{32}|[0-9a-f]{16})[,-]([0-9a-f]{16})(?:,(?:true|false)?)?[ ]{0,64}\]")

# What every text has in which ids_in finds any, for RE2: a look at each of a batch.
MAY_HOLD_IDS = r"(?i)trace|root=1-|sw_ctx:|tid:|[0-9a-f]{32}-[0-9a-f]{16}|[\[,][0-9a-f]{16}"

_WORD = r"TRACE|DEBUG|INFO|NOTICE|WARNING|WARN|ERROR|FATAL|CRITICAL|SEVERE|ALERT|EMERG|PANIC|FINEST|FINER|FINE|CONFIG|VERBOSE|TRC|DBG|INF|WRN|ERR|FTL|VRB"
_LEVEL_UPPER = re.compile(rf"(?<![^\s\[(|<:>\"-])({_WORD})(?![^\s\])|<:>,-])")
_LEVEL_LOWER = re.compile(r"[\[(](trace|debug|info|notice|warn|warning|error|err|crit|critical|alert|emerg|fatal|panic)[\])]")
_LEVEL_FIRST = re.compile(r"(trce|dbug|info|warn|fail|crit|debug|warning|error|critical|fatal): ")
_LEVEL_NAMED = re.compile(rf"(?<![A-Za-z])(?:level|lvl|severity|loglevel|LEVEL|Level|Severity){_IS}([A-Za-z]{{1,13}})(?![A-Za-z])")
_KLOG = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d")
_SYSLOG = re.compile(r"<(\d{1,3})>")

_ISO = r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?"
_TIME_FIRST = re.compile(rf"[\[(\"]?({_ISO})(?![0-9])")
_TIME_APACHE = re.compile(r"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]")
_TIME_NAMED = re.compile(r"(?<![A-Za-z@\\_-])\"?(?:@timestamp|timestamp|time|ts)\"? ?[:=] ?(?:\"([^\"\\]{9,40})\"|([0-9][0-9TZ:.+-]{8,40}))")
_NAMED_PAIRS = re.compile(r"\{|[a-z_]{1,32}=")  # how JSON and logfmt begin

_CLOCK = r"(?:\d{4}[-/]\d\d[-/]\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|[+-]\d\d:?\d\d))?"
_THREAD = r"\[ {0,16}([^\[\]]{1,128})\] "
# TIME [THREAD] LEVEL [THREAD] LOGGER#LINE …, LOGGER - …, LOGGER : …
# Spring Boot has PID --- [APPLICATION] [THREAD] [CORRELATION] before its logger, the first and the last of them only where they are set.
_LOGBACK = re.compile(
    rf"{_CLOCK} {{1,3}}(?:{_THREAD})?(?:{_WORD}) {{1,3}}(\d{{1,8}} --- )?(?:{_THREAD})?(?:\[ {{0,64}}([^\[\]]{{0,128}})\] )?(?:\[[^\[\]]{{0,128}}\] )?"
    r"([^\s\"]{1,256}?)(?:#\d{1,7}(?= )| {1,40}(?:\[[^\[\]]{0,256}\] ){0,2}[-:](?= ))"
)
_CORRELATION = re.compile(r"[0-9a-f]{16,32}-[0-9a-f]{16}")
_PYTHON = re.compile(rf"{_CLOCK} - ([\w.]{{1,128}}) - (?:{_WORD}) - ")
_OTEL_PYTHON = re.compile(rf"{_CLOCK} (?:{_WORD}) \[([\w.]{{1,128}})\] \[[^\[\]]{{1,256}}\] \[trace_id=")  # as OpenTelemetry's instrumentation sets it
_SERVICE = re.compile(r"service\.name=([\w.-]{1,128})")
_SAMPLED = re.compile(rf"sampled{_IS}(true|false|[01])(?![0-9a-z])")


class Level(NamedTuple):
    text: str
    number: int


def ids_in(text: str) -> Context | None:
    """The first trace context that the text names, and the span that it names with it."""
    low = text[: limits.id_search_chars_max].lower()
    if "trace" in low:
        for tries, match in enumerate(_TRACE.finditer(low)):
            decimal = low.endswith("dd.", 0, match.start())
            context = parse_context(match.group(1).strip("-_.:;/="), decimal=decimal)
            if context:
                sampled = _SAMPLED.search(low) if context.flags is None and "sampled" in low else None
                flags = int(sampled.group(1) in ("true", "1")) if sampled else context.flags
                return context._replace(span_id=context.span_id or _span_in(low, match.start(), decimal), flags=flags)
            if tries == _TRIES_MAX:
                break
    for form in (_TRACEPARENT, _ROOT):
        plain = form.search(low)
        if plain:
            return parse_context(plain.group())
    skywalking = _SKYWALKING.search(low) if "sw_ctx:" in low or "tid:" in low else None
    if skywalking:
        return parse_context(skywalking.group(1) or skywalking.group(2))
    bracketed = _BRACKETED.search(low)
    return parse_context(f"{bracketed.group(1)}-{bracketed.group(2)}") if bracketed else None


def level_in(text: str) -> Level | None:
    """The level of a line, as it was written."""
    head = text[:_HEAD_CHARS]
    klog = _KLOG.match(head)
    if klog:
        return Level(klog.group(1), severity_number("info" if klog.group(1) == "I" else klog.group(1)))
    pairs = _NAMED_PAIRS.match(head) is not None
    named = (_LEVEL_NAMED, text[: limits.id_search_chars_max] if pairs else head)
    plain = ((_LEVEL_UPPER, head), (_LEVEL_LOWER, head))
    for pattern, searched in (named, *plain) if pairs else (*plain, named):
        found = pattern.search(searched)
        if found and severity_number(found.group(1)):
            return Level(found.group(1), severity_number(found.group(1)))
    first = _LEVEL_FIRST.match(head)
    if first:  # .NET's console: its short `crit` is LogLevel.Critical, not syslog's
        return Level(first.group(1), severity_number("critical" if first.group(1) == "crit" else first.group(1)))
    syslog = _SYSLOG.match(head)
    return Level(syslog.group(1), SYSLOG[int(syslog.group(1)) & 7]) if syslog and int(syslog.group(1)) < 192 else None


def time_in(text: str) -> Moment | None:
    """The line's own time with its date: at its start, in an access log's brackets, or by name in logfmt and in broken JSON."""
    head = text[: limits.id_search_chars_max]
    if _NAMED_PAIRS.match(head):
        for tries, named in enumerate(_TIME_NAMED.finditer(head)):
            moment = parse_time(named.group(1) or named.group(2))
            if moment or tries == _TRIES_MAX:
                return moment
        return None
    found = _TIME_FIRST.match(head) or _TIME_APACHE.search(head[:_HEAD_CHARS])
    return parse_time(found.group(1)) if found else None


def origin_in(text: str) -> tuple[str | None, str | None]:
    """Logger and thread, where the line is one of logback's, log4j's, Spring Boot's or Python's usual shapes."""
    if not text[:1].isdigit():
        return None, None
    head = text[: 2 * _HEAD_CHARS]
    otel = _OTEL_PYTHON.match(head) if "[trace_id=" in head else None
    if otel:
        return otel.group(1), None
    logback = _LOGBACK.match(head)
    if logback:
        before, spring_boot, after, second, logger = logback.groups()
        if spring_boot and second and second.strip() and not _CORRELATION.fullmatch(second):
            after = second
        thread = before or after
        return logger, thread.strip() if thread else None
    python = _PYTHON.match(head)
    return (python.group(1), None) if python else (None, None)


def service_in(text: str) -> str | None:
    """The service that a line names by its attribute's name."""
    found = _SERVICE.search(text[: limits.id_search_chars_max]) if "service.name=" in text else None
    return found.group(1) if found else None


def _span_in(low: str, start: int, decimal: bool) -> str | None:
    match = _SPAN.search(low, start) or _SPAN.search(low)
    return parse_span_id(match.group(1), decimal=decimal) if match else None
