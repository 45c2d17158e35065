"""Level words and numbers → severity 1..24.

In: a level as it was written. Out: OpenTelemetry's severity number, 0 where it is unknown. Never: a change of the text.

Source: OpenTelemetry's log data model, appendix B "SeverityNumber example mappings" (specification/logs/data-model-appendix.md: syslog, Windows' event
log and ETW, Log4j, zap, java.util.logging, .NET); pino's and bunyan's own scale of tens, Google's LogSeverity of hundreds.
Where the sources disagree: the word `critical` is FATAL (.NET, ETW; Python has nothing above it), though Windows' event log and syslog put it at ERROR2, as
do syslog's short `crit` and the numbers of syslog and Google, which have levels above it; `panic` is zap's, below fatal; a bare number from 0 to 7 is
syslog's, from 10 to 69 pino's, unless the field's name says Python (`levelno`) or OpenTelemetry (`severity_number`).
"""

from functools import lru_cache

TRACE, DEBUG, INFO, WARN, ERROR, FATAL = 1, 5, 9, 13, 17, 21
WORDS: dict[str, int] = {
    **{
        f"{name}{number or ''}": first + max(number - 1, 0)
        for name, first in zip(("trace", "debug", "info", "warn", "error", "fatal"), range(1, 25, 4), strict=True)
        for number in range(5)
    },
    **dict.fromkeys(("trc", "trce", "vrb", "finest", "silly"), TRACE),
    **dict.fromkeys(("dbg", "dbug", "d", "verbose", "finer"), DEBUG),
    **{"fine": 6, "config": 7, "http": 7},
    **dict.fromkeys(("inf", "i", "information", "informational", "log"), INFO),
    **dict.fromkeys(("notice", "note", "success"), INFO + 1),
    **dict.fromkeys(("wrn", "w", "warning"), WARN),
    **dict.fromkeys(("err", "e", "severe", "fail", "eror", "exception"), ERROR),
    **dict.fromkeys(("crit", "dpanic"), ERROR + 1),
    **dict.fromkeys(("alert", "panic", "pnc"), ERROR + 2),
    **dict.fromkeys(("ftl", "f", "critical", "emergency", "emerg"), FATAL),
}
SYSLOG = (FATAL, ERROR + 2, ERROR + 1, ERROR, WARN, INFO + 1, INFO, DEBUG)
_PYTHON = {10: DEBUG, 20: INFO, 30: WARN, 40: ERROR, 50: FATAL}
_GOOGLE = {100: DEBUG, 200: INFO, 300: INFO + 1, 400: WARN, 500: ERROR, 600: ERROR + 1, 700: ERROR + 2, 800: FATAL}


@lru_cache(maxsize=4096)
def severity_number(text: str, scale: str = "") -> int:
    """1..24 for a level's word or number, 0 where it is unknown. `scale`: 'otel' or 'python' where a number's meaning is known."""
    word = text.strip().strip("[]<>():'\"").strip().lower()
    if not (word.isascii() and word.isdigit()):
        return WORDS.get(word, 0)
    number = int(word) if len(word) < 4 else -1
    if scale == "otel":
        return number if 1 <= number <= 24 else 0
    if scale == "python":
        return _PYTHON.get(number // 10 * 10, 0)
    if 0 <= number <= 7:
        return SYSLOG[number]
    return 4 * (number // 10) - 3 if 10 <= number < 70 else _GOOGLE.get(number, 0)
