"""The errors a user meets: one line that says what, where and what to do.

Errors are permanent unless marked transient. Only `jobs.main` turns them into an exit code.
"""

import re

_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_LINKS = re.compile(r"\s*\n\s*(?:↳\s*)?")
_STORE_SAYS = re.compile(r"<Code>([^<]*)</Code>(?:\s*<Message>([^<]*)</Message>)?")
_CHARS_MAX = 300


class TracebraidError(Exception):
    """Something failed: exit code 1. `what` says what and where, `hint` what to do.

    `transient`: it may pass, so it is tried again. `unknown`: nobody knows whether it does, so that is done limits.unknown_failures_max times.
    """

    exit_code = 1

    def __init__(self, what: str, hint: str = "", *, transient: bool = False, unknown: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.transient = transient or unknown
        self.unknown = unknown

    def __str__(self) -> str:
        return f"{self.what}. {self.hint}" if self.hint else self.what


class UsageError(TracebraidError):
    """The user asked for something that makes no sense: exit code 2."""

    exit_code = 2


class OwnershipLost(TracebraidError):
    """Another writer owns a partition: drop the open cycle, read the ledgers again, go on."""

    def __init__(self, what: str) -> None:
        super().__init__(what, transient=True)


def one_line(error: BaseException) -> str:
    """What an error says, without line breaks and colors, 300 characters at most: its beginning, and its end, where causes stand.

    delta-rs gives its chain of causes a line each; an object store answers in XML, of which the code and the message are what a user can act on.
    """
    text = str(error).strip()
    if said := _STORE_SAYS.search(text):
        return ": ".join(part for part in said.groups() if part)[:_CHARS_MAX]
    text = _LINKS.sub(": ", _COLORS.sub("", text)) or type(error).__name__
    if len(text) <= _CHARS_MAX:
        return text
    half = (_CHARS_MAX - 3) // 2
    return f"{text[:half]} … {text[-half:]}"
