"""Lines of text as loggers write them, and as they do not, bare and within the envelopes of collectors: made of a Random alone.

In: a Random. Out: bytes of records. Never: a rule of what they mean: that is what is compared.
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from tracebraid.pipeline.kernel.lines import WORDS

_TRACE, _SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
_DATES = ("2023-11-14 ", "2023-11-14T", "2023/11/14 ", "2023-02-30 ", "2023-11-14", "", "", "١٢٣٤-11-14 ", "[2023-11-14 ", '"2023-11-14T', "(2023/11-14T")
_CLOCKS = ("22:13:20", "22:13:20.123", "22:13:20,5", "22:13:20.123456789", "22:13:20.1234567890", "2:13:20", "22:13", "22:13:60", "22:13:20.")
_ZONES = ("", "", "", "Z", " Z", "+02:00", " +0200", "-0330", " UTC", "GMT", "+02", "+02:00:", "+02001", "]", ")", '"')
_THREADS = (
    "[main] ",
    "[           main] ",
    "[http-nio-8080-exec-1] ",
    "[a b] ",
    "[] ",
    "[ ] ",
    "[a",
    "[ä] ",
    "[a[0]] ",
    f"[shop,{_TRACE},{_SPAN}] ",
    "[x] [y] ",
)
_LOGGERS = (
    *("c.a.shop.Orders", "o.a.c.c.C.[.[.[.[dispatcherServlet]", "a", "42", "ключ.b", "x" * 255, "x" * 300, '"q"', "a#b", "-", ":", "logger\u2003x", "a.b#12"),
    *("[a]", "1 ---", ""),
)
_ENDS = ("#65 ", "#12345678 ", "# ", "#65: ", " - ", " : ", "  :  ", " -- ", ": ", " [ctx] - ", " [a] [b] : ", " " * 41 + "- ", " ", "")
_IDS = (
    *(
        f"trace_id={_TRACE} span_id={_SPAN}",
        f"TraceID: {_TRACE} SpanID: {_SPAN}",
        f'"traceId":"{_TRACE}","spanId":"{_SPAN}"',
        f"traceparent=00-{_TRACE}-{_SPAN}-01",
    ),
    *(f"00-{_TRACE}-{_SPAN}-01", f"trace id: {_TRACE.upper()}", f"trace_id={_TRACE}0", f"trace_id={_TRACE[:16]}", "trace_id=0", f"trace_id={'0' * 32}"),
    *("dd.trace_id=1234567890123456789 dd.span_id=12345", f"trace_id={_TRACE} trace_sampled=true", f"[shop,{_TRACE},{_SPAN},true]", f"[{_TRACE}-{_SPAN}]"),
    *(f"Root=1-{_TRACE[:8]}-{_TRACE[8:]}", f"TID:{_TRACE}.1.2", "sw_ctx: [a,b,c,d,1]", f"spanid={_SPAN} trace={_TRACE}", f"trace-context = '{_TRACE}'"),
    *(
        f"trace_id=not trace_id={_TRACE}",
        f"trace_id={_TRACE}--;",
        f"trace_id={_TRACE}:x",
        f"trace_id={_TRACE}:1",
        f"span_id={_SPAN}g span_id=1",
        f"span_id={_SPAN} x",
    ),
    *(
        f"span_id=00 {_TRACE}",
        f"trace_id={_TRACE} span_id={'0' * 16}",
        f"trace_\u0130d={_TRACE}",
        "TRACE nothing",
        "service.name=shop",
        f'trace_id\\": \\"{_TRACE}\\"',
    ),
)
_MESSAGES = (
    *(
        "order 42 paid",
        "level=warn x",
        "the Level: ERROR of it",
        "severity is WARN",
        'GET /a HTTP/1.1" 200 [x] "y',
        "(info) hi",
        "[warn] hi",
        "info: hi",
        "fail: hi",
    ),
    *(
        "abc: hi",
        "日本語",
        "été",
        "a\u00a0b",
        "x" * 500,
        "ERROR",
        "<ERROR>",
        "xERROR",
        "ERRORx",
        "|WARN|",
        "a=b c=d",
        "stdout F x",
        " stdout F x",
        "\u212aelvin",
        "\x1b[32mINFO\x1b[0m",
    ),
    *("tab\there", "", " ", "[14/Nov/2023:22:13:20 +0000] x", "trailing ", '{"a":1', "a\nb", "a\n\tat b.c(D.java:1)", "x" * 5000, "é" * 5000),
)
_TRACES = (
    *(
        "\tat b.c(D.java:1)",
        "    at b.c",
        "java.lang.Error: no",
        "java.lang.Error",
        "Caused by: x.Y: z",
        "\t... 7 more",
        "Traceback (most recent call last):",
        "  File x",
    ),
    *(
        "ValueError: no",
        "",
        "The above exception was the direct cause of the following exception:",
        "During handling",
        'Exception in thread "main" x.Y: no',
        "\u3000",
        " ",
    ),
)
_SHAPES = (
    f'time=2023-11-14T22:13:20Z level=warn msg="a b" trace_id={_TRACE}',
    'level=info msg="a\\"b" x= flag',
    "key=value prose goes on here",
    "<34>1 2023-11-14T22:13:20Z host app 1 id - hello",
    "<34>Nov 14 22:13:20 host app[1]: hello",
    "I1114 22:13:20.123456       1 main.go:5] hello",
    '1.2.3.4 - - [14/Nov/2023:22:13:20 +0000] "GET /a HTTP/1.1" 200 5 "-" "curl"',
    f"2023-11-14 22:13:20,123 INFO [a.b] [m.py:1] [trace_id={_TRACE} span_id={_SPAN} resource.service.name=x] - hi",
    f"2023-11-14 22:13:20.123  INFO [shop,{_TRACE},{_SPAN}] 1 --- [   main] c.a.B : hi",
    "2023-11-14 22:13:20,123 - a.b - WARNING - hi",
    "2023-11-14 22:13:20,123 - a.b - odd - hi",
    "H4sIAAAAAAAA",
    '"a string"',
    '[1,"a",{"b":1}]',
    "2(0\x08text",
    "\x00text",
    "plain",
    '{"level":"info","msg":"hello","trace_id":"' + _TRACE + '"}',
    ' {"msg":"x","log.iostream":"y"}',
)
_KEYS = (
    "time",
    "ts",
    "level",
    "msg",
    "message",
    "logger",
    "trace_id",
    "span_id",
    "user",
    "n",
    "error",
    "service",
    "at",
    "caller",
    "log.iostream",
    "name",
    "a.b",
    "é",
)
_ODD_KEYS = ("", "x" * 199, "x" * 250, "x" * 300, "a\u2003b", "{a", "[", *(f"k{number}" for number in range(70)))
_VALUES = (
    *("=1", "=info", "=WARN", '="a b"', '=""', "=", f"={_TRACE}", f"={_SPAN}", "=2023-11-14T22:13:20Z", "=1700000000.5", "=shop", '="order 42 paid"', "=0"),
    *(f'="trace_id={_TRACE}"', "=true", "=2023-11-14T22:13:20", "=3ms"),
)
_ODD_VALUES = ("", "==", '=a"b', '="a\\"b"', '="a', '="a"b', "=\x1c", '="a\tb"', "=é", "=a\u00a0b", "={}", '="\u2003"')
# The parts of an access log's line, the usual ones first.
_ACCESS = (
    ("10.0.0.1", "::1", "web-1.example", "-", "é", "x" * 256, "10.0.0.1,", "2023-11-14", "<1>", "ERROR", ""),
    (" - ", " - ", " id ", "  ", f" {'x' * 65} "),
    ("-", "alice", "a\u00a0b", '"', "a b", "x" * 255, "é" * 200, "trace_id=1"),
    (
        " [14/Nov/2023:22:13:20 +0000]",
        " [29/Feb/2024:23:59:60 -0730]",
        " [30/Feb/2023:22:13:20 +0000]",
        " [14/nov/2023:22:13:20 +0000]",
        " [1/Nov/2023:22:13:20 +0000]",
    ),
    (' "GET /a HTTP/1.1"', ' "POST /a?b=c&d HTTP/2"', ' "-"', ' ""', ' "get /a"', ' "GET /a"', ' "GET /a? HTTP/1.1"', ' "GET  HTTP/1.1"', ' "GET - HTTP/3"'),
    (" 200", " 404", " 20", " 2000", " abc"),
    (" 5123", " -", " 0", f" {'9' * 20}", " 5k", ""),
    ("", ' "-" "curl/8"', ' "https://a/b" "Mozilla/5.0 (X11; \\"x\\") é"', ' "" ""', ' "-"', ' "\\" "x"', " 0.003", ' "-" "a" "1.2.3.4" rt=0.1'),
)
_ACCESS_ODD = (
    ' "\\x16\\x03" 400 0',
    ' "GET /a\u2003b HTTP/1.1" 200 1',
    ' "GET /level=error HTTP/1.1" 200 1',
    f' "GET /{"x" * 600} HTTP/1.1" 200 1',
    f' "GET /?trace_id={_TRACE} HTTP/1.1" 1',
)
_PRIORITIES = ("<34>", "<165>", "<191>", "<192>", "<999>", "<0>", "<1234>", "<>", "<a>", "<34>ERROR ", "")
_HOSTS, _APPS = ("web-1", "10.0.0.1", "-", "é", "x" * 256), ("sshd", "nginx-ingress", "-", "3ms", "{a", "42", "x" * 49, "\u2003", "a:b", "a[b", "")
_SAID = (
    "order 42 paid",
    "ERROR no",
    "level=warn x",
    f"trace_id={_TRACE} span_id={_SPAN}",
    "",
    " x",
    '"a" b="c" d=1',
    "[14/Nov/2023:22:13:20 +0000]",
    "service.name=a",
    "(info) a",
    "é",
)
_MONTH_DAYS = ("Nov 14", "Jan  1", "Dec 31", "Feb 29", "Feb 30", "nov 14", "Nov 4")
_DETAILS = ("-", "-", "- ", '[a@1 b="c"]', '[a b="\\"c" d="e"][f]', "[", "x")
Make = Callable[[str, Random], bytes]


def line(chance: Random) -> str:
    """One text, mostly as a logger may have written it."""
    draw = chance.random()
    if draw < 0.08:
        return chance.choice(_SHAPES)
    if draw < 0.18:
        return _object(chance) if draw < 0.13 else chance.choice(_TRACES)
    if draw < 0.25:
        return chance.choice(_MESSAGES)
    if draw < 0.35:
        return _pairs(chance)
    if draw < 0.5:
        return chance.choice((_access, _syslog, _old_syslog, _klog))(chance)
    pick, word = chance.choice, chance.choice(WORDS) if chance.random() < 0.9 else "odd"
    usual = chance.random() < 0.7
    date = pick(_DATES[:3]) + pick(_CLOCKS[:4]) + pick(_ZONES[:6]) if usual else pick(_DATES) + pick(_CLOCKS) + pick(_ZONES)
    head = f"{date}{pick((' ', ' ', '  ', '   ', '    ', ' - '))}{pick(('', pick(_THREADS)))}{word}{pick((' ', '  ', '', ': '))}"
    head += f"{pick(('', '1 --- ', '123456789 --- ') if chance.random() < 0.3 else ('',))}{pick(('', pick(_THREADS)))}{pick(_LOGGERS)}{pick(_ENDS)}"
    parts = [pick(_IDS) if chance.random() < 0.6 else pick(_MESSAGES) for _ in range(chance.choice((1, 1, 2, 3)))]
    return (head if draw < 0.9 else "") + pick((" ", " ", "", "\u2003")).join(parts)


def _object(chance: Random) -> str:
    """A log object, whose names may be those of its envelope."""
    names = chance.sample(
        (*_KEYS, "log", "file", "offset", "log.offset", "log.level", "stream", "host", "agent.type", "input", "x", "y", "a", "body"),
        chance.choice((1, 2, 4, 8)),
    )
    values = ("a", 1, 1.5, None, True, {"b": 1}, {"offset": 2}, {"text": "x"}, [1, "a"], "info", _TRACE, "2023-11-14T22:13:20Z", {}, "")
    return json.dumps({name: chance.choice(values) for name in names}, ensure_ascii=chance.random() < 0.5)


def _access(chance: Random) -> str:
    """A line of an access log, or of what resembles it."""
    parts = [chance.choice(part if chance.random() < 0.2 else part[:2]) for part in _ACCESS]
    if chance.random() < 0.1:
        parts[4:5] = [chance.choice(_ACCESS_ODD)]
    return "".join(parts)


def _mostly(choices: Sequence[str], chance: Random) -> str:
    """One of them, mostly of the first two."""
    return chance.choice(choices if chance.random() < 0.15 else choices[:2])


def _syslog(chance: Random) -> str:
    date = _mostly(("2023-11-14T22:13:20.123Z", "2023-11-14T22:13:20+01:00", "2023-11-14T22:13:20", "-", "2023-02-30T22:13:20Z", "x" * 65), chance)
    parts = [_mostly(part, chance) for part in (_HOSTS, _APPS, ("1", "1000", "-", "x" * 129), ("ID47", "-", "x" * 33), _DETAILS)]
    return f"{_mostly(_PRIORITIES, chance)}{_mostly(('1', '12', '123', ''), chance)} {date} {' '.join(parts)} {chance.choice(_SAID)}"


def _old_syslog(chance: Random) -> str:
    time = f"{chance.choice(_MONTH_DAYS)} {_mostly(('22:13:20', '23:59:59', '23:59:60', '2:13:20', '24:00:00'), chance)}"
    head = f"{_mostly(_PRIORITIES, chance)}{time}{_mostly(('', '', ' UTC 2023', ' UTC', ' CEST 22'), chance)} {_mostly(_HOSTS, chance)}"
    head += f" {_mostly(_APPS, chance)}{_mostly(('[1]', '', '[]', '[a b]', f'[{chr(120) * 33}]', '[1'), chance)}"
    return f"{head}{_mostly((': ', ': ', ':', ' '), chance)}{chance.choice(_SAID)}"


def _klog(chance: Random) -> str:
    time = _mostly(("1114 22:13:20.123456", "0101 00:00:00.1", "0229 22:13:20.123456", "1114 22:13:20.1234567890", "1314 22:13:20.1", "1114 22:13:20"), chance)
    place = _mostly(("main.go:5", "controller.go:123", f"{'x' * 201}:1", "a:b:1", "é.go:1", "a.go", "a.go:12345678"), chance)
    head = f"{chance.choice('IWEFX')}{time}{_mostly((' ', '       ', '        ', ''), chance)}{_mostly(('1', '12345', '12345678901', 'x'), chance)}"
    return f"{head} {place}{_mostly(('] ', '] ', ']', ''), chance)}{chance.choice(_SAID)}"


def _pairs(chance: Random) -> str:
    """A line of logfmt, or of what resembles it."""
    keys = [chance.choice(_KEYS) if chance.random() < 0.9 else chance.choice(_ODD_KEYS) for _ in range(chance.choice((1, 2, 3, 5, 8, 70)))]
    pairs = [
        key + (chance.choice(_VALUES) if chance.random() < 0.9 else chance.choice(_ODD_VALUES))
        for key in (keys if chance.random() < 0.1 else dict.fromkeys(keys))
    ]
    return chance.choice((" ", " ", " ", "  ", "\t")).join(pairs)


def texts(chance: Random, count: int) -> list[bytes]:
    """So many records in the envelopes of a few senders: lines of one sender have one frame."""
    senders = [_sender(chance) for _ in range(chance.choice((1, 2, 4)))]
    made = []
    for _ in range(count):
        text = line(chance) + chance.choice(("", "", "\n", "\r\n", "\n\n"))
        made.append(chance.choice(senders)(text, chance))
    return made


def _sender(chance: Random) -> Make:
    draw = chance.random()
    if draw < 0.3:
        return lambda text, _: text.encode()
    if draw < 0.45:
        flag, stream = chance.choice(("F", "F", "F", "P", "F:x")), chance.choice(("stdout", "stderr", "stdin"))
        return lambda text, again: f"{_time(again)} {stream} {flag} {text}".encode()
    envelope, spaces, escaped = _envelope(chance), chance.choice(((",", ":"), (", ", ": "))), chance.random() < 0.5
    order = list(envelope)
    chance.shuffle(order)

    def wrapped(text: str, again: Random) -> bytes:
        inner = json.dumps({"log": text, "stream": "stderr", "time": _time(again)}) if draw > 0.97 else text
        filled = {name: _filled(envelope[name], inner, again) for name in order}
        written = json.dumps(filled, separators=spaces, ensure_ascii=escaped)
        if again.random() < 0.02:
            written = written.replace(":", again.choice((":1,", ":tru", ': "\\ud800",', ":{},", ":1.50,")), 1)
        if again.random() < 0.01:
            written = written[:-1] + ',"log":"again"}'
        return written.encode("utf-8", "surrogatepass")

    return wrapped


def _time(chance: Random) -> str:
    return chance.choice(("2023-11-14T22:13:20.123456789Z", "2023-11-14T22:13:21Z", "2023-11-14T22:13:20.5+02:00", "2023-11-14T25:13:20Z"))


_CONTENT, _MOMENT, _NUMBER, _WORD = object(), object(), object(), object()


def _filled(value: Any, text: str, chance: Random) -> Any:
    if isinstance(value, dict):
        return {name: _filled(item, text, chance) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, text, chance) for item in value]
    if value is _CONTENT:
        return text if chance.random() < 0.99 else chance.choice((1, None, {}, [text]))
    if value is _MOMENT:
        usual = chance.random() < 0.95
        return _time(chance) if usual else chance.choice(("", "odd", 1_700_000_000, 1_700_000_000.123456, 1e25, None, True, "2023-11-14 22:13:20"))
    if value is _NUMBER:
        return chance.choice((chance.randrange(10**6), chance.randrange(100), 1.5, 0.1234567890123456789, -0.0, 1e300, 2**63, 2**70))
    return chance.choice(("a", "", "operationName", "é", "t7000000000000", "7000000000001")) if value is _WORD else value


def _envelope(chance: Random) -> dict[str, Any]:
    pod: dict[str, Any] = {"pod_name": f"p-{chance.randrange(3)}", "container_name": "server", "host": "n", "labels": {"app": "shop"}}
    made: list[dict[str, Any]] = [
        {"log": _CONTENT, "stream": "stdout", "time": _MOMENT},
        {"log": _CONTENT, "stream": "stdout", "time": _MOMENT, "kubernetes": pod},
        {"date": _MOMENT, "log": _CONTENT, "kubernetes": {**pod, "pod_id": "u", "annotations": {"a": "b"}}, "took": _NUMBER, "word": _WORD},
        {"@timestamp": _MOMENT, "message": _CONTENT, "agent": {"type": "filebeat"}, "log": {"offset": _NUMBER, "file": {"path": "/a"}}, "host": {"name": "h"}},
        {
            "@timestamp": _MOMENT,
            "message": _CONTENT,
            "input": {"type": "log"},
            "stream": "stdout",
            "kubernetes": {"pod": {"name": "p"}, "n": _NUMBER},
            "list": [_NUMBER],
        },
        {"message": _CONTENT, "timestamp": _MOMENT, "source_type": "file", "host": "h", "file": "/a"},
        {"insertId": _WORD, "logName": "l", "resource": {"type": "k8s_container", "labels": {"a": "b"}}, "timestamp": _MOMENT, "textPayload": _CONTENT},
        {"logGroup": "/aws/lambda/f", "logStream": "s", "timestamp": _NUMBER, "message": _CONTENT, "id": _WORD},
        {"kubernetes": pod, "msg": _CONTENT, "level": "info", "time": _MOMENT},
        {"log": _CONTENT, "time": _MOMENT, "level": "error", "trace_id": _TRACE, "n": _NUMBER},
        {"log": _CONTENT, "operationName": _WORD, "time": _MOMENT},
        {"log": _CONTENT, "stream": "stdout", "time": _MOMENT, "a": {"b": _NUMBER}, "a.b": _WORD, "x": None, "y": True},
    ]
    return chance.choice(made)
