"""The errors a user meets: one line that says what, where and what to do.

Errors are permanent unless marked transient. Only `jobs.main` turns them into an exit code.
"""


class TracebraidError(Exception):
    """Something failed: exit code 1. `what` says what and where, `hint` what to do."""

    exit_code = 1

    def __init__(self, what: str, hint: str = "", *, transient: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.transient = transient

    def __str__(self) -> str:
        return f"{self.what}. {self.hint}" if self.hint else self.what


class UsageError(TracebraidError):
    """The user asked for something that makes no sense: exit code 2."""

    exit_code = 2


class OwnershipLost(TracebraidError):
    """Another writer owns a partition: drop the open cycle, read the ledgers again, go on."""

    def __init__(self, what: str) -> None:
        super().__init__(what, transient=True)
