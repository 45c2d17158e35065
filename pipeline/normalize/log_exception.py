"""Stack traces → the exception's class and message.

In: a stack trace as its runtime prints it, or a log of several lines that holds one. Out: class, message, trace. Never: a cut; the trace stays whole.

Shapes: Java, JavaScript and .NET (`CLASS: MESSAGE`, then frames that begin with `at`), where the first exception is the one that was logged; Python
(`Traceback`, frames, `CLASS: MESSAGE`), where the last one is. Go's and Rust's name no class. Every pattern is anchored, or a literal with one bounded class
behind it, and none is tried twice over the same characters: the work is linear.
"""

import re
from typing import NamedTuple

_PYTHON = "Traceback (most recent call last):"
_FRAME = re.compile(r"\n[ \t]{1,16}at [^\n]")
_CLASS = re.compile(r"([A-Za-z_$][\w$.]{0,255})(?:: |:?$)")
# Behind the last traceback's frames, which are indented: the class at a line's start.
_PYTHON_END = re.compile(r"\n([A-Za-z_][\w.]{0,255})(?:: |$|\n)")
_MESSAGE_CHARS_MAX = 4096


class Raised(NamedTuple):
    """kind: the exception's class; null where the trace names none, as is the message."""

    kind: str | None
    message: str | None
    trace: str


def raised_in(trace: str) -> Raised:
    """What a stack trace, given as such, is of."""
    kind, message = _of_python(trace) if _PYTHON in trace else _of_frames(trace)
    return Raised(kind, message, trace)


def raised_in_text(text: str) -> Raised | None:
    """The stack trace behind the first line of a log of several lines; None where there is none."""
    first = text.find("\n")
    if first < 0:
        return None
    python = text.find(_PYTHON, first)
    if python < 0 and _FRAME.search(text, first) is None:
        return None
    return raised_in(text[first + 1 if python < 0 else python :].rstrip())


def _of_python(trace: str) -> tuple[str | None, str | None]:
    end = _PYTHON_END.search(trace, trace.rfind(_PYTHON))
    return (end.group(1), _cut(trace[end.end() :]) if end.group().endswith(": ") else None) if end else (None, None)


def _of_frames(trace: str) -> tuple[str | None, str | None]:
    frame = _FRAME.search(trace)
    if frame is None:
        return None, None
    head = trace[: frame.start()]
    found = _CLASS.match(head)
    return (found.group(1), _cut(head[found.end() :])) if found else (None, None)


def _cut(message: str) -> str | None:
    return message.strip()[:_MESSAGE_CHARS_MAX] or None
