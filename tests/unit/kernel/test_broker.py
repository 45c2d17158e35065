"""librdkafka's errors in a user's words."""

import pytest

from tracebraid.pipeline.kernel.broker import ErrorLog, explain
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError


class Error:
    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = name, text

    def name(self) -> str:
        return self._name

    def str(self) -> str:
        return self._text


@pytest.mark.parametrize(
    ("name", "says", "kind", "transient"),
    [
        ("_TRANSPORT", "no broker answers at b:9", TracebraidError, True),
        ("_AUTHENTICATION", "refused our credentials at b:9", TracebraidError, False),
        ("_SSL", "TLS failed at b:9", TracebraidError, False),
        ("GROUP_AUTHORIZATION_FAILED", "not allowed at b:9", TracebraidError, False),
        ("UNKNOWN_TOPIC_OR_PART", "no such topic at b:9", TracebraidError, False),
        ("_INVALID_ARG", "Check [client]", UsageError, False),
        ("COORDINATOR_LOAD_IN_PROGRESS", "(COORDINATOR_LOAD_IN_PROGRESS) at b:9", TracebraidError, True),
        ("CORRUPT_MESSAGE", "(CORRUPT_MESSAGE) at b:9", TracebraidError, False),
    ],
)
def test_an_error_is_one_line(name: str, says: str, kind: type, transient: bool) -> None:
    error = explain(name, "the text", "b:9", "reading topic t")
    assert str(error).startswith("reading topic t: ")
    assert says in str(error)
    assert "the text" in str(error)
    assert (type(error), error.transient) == (kind, transient)


def test_a_call_that_timed_out_is_explained_by_what_the_connection_said() -> None:
    errors = ErrorLog(Clock())
    assert errors.cause("_TIMED_OUT", "timed out") == ("_TIMED_OUT", "timed out")
    errors(Error("_TRANSPORT", "connection refused"))  # type: ignore[arg-type]
    assert errors.cause("_TIMED_OUT", "timed out") == ("_TRANSPORT", "connection refused")
    assert errors.cause("TOPIC_AUTHORIZATION_FAILED", "no") == ("TOPIC_AUTHORIZATION_FAILED", "no")
    errors(Error("_AUTHENTICATION", "wrong password"))  # type: ignore[arg-type]
    assert errors.cause("_TIMED_OUT", "timed out") == ("_AUTHENTICATION", "wrong password")
    assert errors.seen.total() == 2
