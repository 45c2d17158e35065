"""Lines of text whose shape is written down somewhere: syslog, klog, access logs, logfmt → fields, as if they had been JSON.

In: a line. Out: the name of its format and its fields, under names that log_fields.py and the semantic conventions know. Never: a guess: a line has the
whole shape, or it has none; a change of the line, which stays the body (but for logfmt with a message, all of which is fields).

Sources: RFC 5424 section 6, RFC 3164 section 4, klog's header (k8s.io/klog: `Lmmdd hh:mm:ss.uuuuuu threadid file:line] msg`), Apache's common and combined
log formats, which nginx has too.
Linear: a pattern is tried once, at the start of a line whose first characters fit. Each of its parts is one class that ends at a character which is not in
the class, so there is one way to match, and a failure walks back over the head once. Heads are at most `_HEAD_CHARS` long but for structured data and
the quoted parts of access logs, whose pattern is unrolled: what is no quote and no backslash, then pairs of a backslash and a character with such runs between
them, so that no character fits two of its parts. They are possessive: to be able to walk back, 70 bytes a byte are remembered.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.normalize.logfmt import put, read_logfmt

Fields = dict[str, str | None]
_HEAD_CHARS = 600
_ELEMENT = re.compile(r'\[([^ =\]"]{1,32})((?: [^ =\]"]{1,32}="[^"\\\]]*+(?:\\.[^"\\\]]*+)*+")*+)\]', re.DOTALL)
_PARAMETER = re.compile(r' ([^ =\]"]{1,32})="([^"\\\]]*+(?:\\.[^"\\\]]*+)*+)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\\]])')


class Shape(NamedTuple):
    """pattern: from a line's start, its groups named. fields: what each group is called as a field, in their order; other groups are only matched."""

    pattern: str
    fields: dict[str, str]


def _quoted(group: str) -> str:
    return rf'"(?P<{group}>[^"\\]*+(?:\\.[^"\\]*+)*+)"'


_SYSLOG_FIELDS = {"time": "timestamp", "host": "syslog.hostname", "app": "syslog.appname", "process": "syslog.procid"}
SYSLOG = Shape(  # RFC 5424's, but for its structured data
    r"<(?P<priority>\d{1,3})>(?P<version>\d{1,2}) (?P<time>[^ ]{1,64}) (?P<host>[^ ]{1,255}) (?P<app>[^ ]{1,48}) (?P<process>[^ ]{1,128}) (?P<kind>[^ ]{1,32})"
    r" (?=[-\[])",
    {**_SYSLOG_FIELDS, "kind": "syslog.msgid"},
)
OLD_SYSLOG = Shape(  # RFC 3164's
    r"<(?P<priority>\d{1,3})>(?P<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)(?: (?P<year>[A-Z]{3,5} \d{4}))? (?P<host>[^ ]{1,255})"
    r" (?:(?P<app>[^ :\[]{1,48})(?:\[(?P<process>[^ \]]{1,32})\])?: )?",
    _SYSLOG_FIELDS,
)
KLOG = Shape(
    r"(?P<level>[IWEF])(?P<time>\d{4} \d\d:\d\d:\d\d\.\d{1,9}) {1,7}(?P<thread>\d{1,10}) (?P<caller>(?P<file>[^ \]:]{1,200}):\d{1,7})\] ?",
    {"level": "level", "time": "time", "thread": "thread", "caller": "caller"},
)
FACILITY = "syslog.facility"  # a field behind syslog's others
ACCESS = Shape(
    r"(?P<client>[^ ]{1,255}) (?P<identity>[^ ]{1,64}) (?P<user>[^ ]{1,255}) \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]"
    rf" {_quoted('request')} (?P<status>\d{{3}}) (?P<size>\d{{1,19}}|-)(?: {_quoted('referer')} {_quoted('agent')})?",
    {
        **{"time": "timestamp", "client": "client.address", "user": "user.name", "status": "http.response.status_code", "size": "http.response.body.size"},
        **{"referer": "http.request.header.referer", "agent": "user_agent.original"},
    },
)
REQUEST = Shape(  # the whole of an access log's request
    r"(?P<method>[A-Z]{1,20}) (?P<path>[^ ?]+)(?:\?(?P<query>[^ ]*))?(?: HTTP/(?P<version>\d(?:\.\d)?))?",
    {"method": "http.request.method", "path": "url.path", "query": "url.query", "version": "network.protocol.version"},
)
_SYSLOG, _OLD_SYSLOG, _KLOG, _ACCESS, _REQUEST = (re.compile(shape.pattern, re.ASCII) for shape in (SYSLOG, OLD_SYSLOG, KLOG, ACCESS, REQUEST))


class Line(NamedTuple):
    """format: its name. fields: what the line says. whole: the fields say all of it."""

    format: str
    fields: Fields
    whole: bool = False


def read_line(text: str) -> Line | None:
    """What a line of a written-down shape says; None where it has none. Most lines cost a look at their first characters."""
    first = text[:1]
    if first == "<":
        return _syslog(text)
    if first in ("I", "W", "E", "F") and text[1:5].isdigit():
        return _klog(text)
    if (first.isalpha() or first == "_") and text.find("=", 0, 257) > 0 and "\n" not in text:
        fields = read_logfmt(text)
        if fields is not None:
            return Line("logfmt", fields, True)
    return _access(text) if text.find('] "', 0, _HEAD_CHARS) > 0 else None


def facility_of(priority: str) -> str:
    """Of syslog's number between angle brackets."""
    return str(int(priority) >> 3)


def _syslog(text: str) -> Line | None:
    head = _SYSLOG.match(text)
    if head:
        fields = {**_told(head, SYSLOG), FACILITY: facility_of(head["priority"])}
        fields.update(islice(_structured(text, head.end()), limits.attributes_per_row_max))
        return Line("syslog (RFC 5424)", fields)
    head = _OLD_SYSLOG.match(text)
    if head is None:
        return None
    fields = _told(head, OLD_SYSLOG)
    if head["year"]:
        fields["timestamp"] = f"{head['time']} {head['year']}"
    return Line("syslog (RFC 3164)", {**fields, FACILITY: facility_of(head["priority"])})


def _structured(text: str, at: int) -> Iterator[tuple[str, str]]:
    for _ in range(limits.attributes_per_row_max):
        element = _ELEMENT.match(text, at)
        if element is None:
            return
        for parameter in _PARAMETER.finditer(element.group(2)):
            yield f"syslog.sd.{element.group(1)}.{parameter.group(1)}", _ESCAPED.sub(r"\1", parameter.group(2))
        at = element.end()


def _klog(text: str) -> Line | None:
    head = _KLOG.match(text)
    if head is None:
        return None
    fields = _told(head, KLOG)
    said = text[head.end() :]
    # InfoS and ErrorS write the message in quotes, and pairs behind it.
    end = said.find('" ', 1) if said[:1] == '"' else -1
    pairs = read_logfmt(said[end + 2 :]) if end > 0 and "\n" not in said else None
    numbers: dict[str, int] = {}
    for name, value in (pairs or {}).items():
        put(fields, numbers, name, value)
    return Line("klog", fields)


def _access(text: str) -> Line | None:
    line = _ACCESS.match(text)
    if line is None:
        return None
    fields, asked = _told(line, ACCESS), _REQUEST.fullmatch(line["request"])
    return Line("access log, common" if line["referer"] is None else "access log, combined", {**fields, **_told(asked, REQUEST)} if asked else fields)


def _told(match: re.Match[str], shape: Shape) -> Fields:
    """The fields but for those that are empty, or `-`."""
    found = ((field, match[group]) for group, field in shape.fields.items())
    return {field: value for field, value in found if value and value != "-"}
