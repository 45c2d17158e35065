"""What librdkafka's errors mean to a user, for the two stages that talk to Kafka.

In: error names and texts. Out: a TracebraidError of one line, a logger, a count. Never: a connection (confluent_kafka is source's and publish's).
"""

import logging
from collections import Counter
from typing import Protocol

import structlog

from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError

log = structlog.get_logger()
REPEAT_S = 10.0  # the same error is logged once in this time
IDENTITY = frozenset({"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "_SSL", "ILLEGAL_SASL_STATE", "UNSUPPORTED_SASL_MECHANISM"})
DENIED = frozenset({"TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"})
ABSENT = frozenset({"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "UNKNOWN_TOPIC_ID"})
UNREACHABLE = frozenset({"_TRANSPORT", "_ALL_BROKERS_DOWN", "_TIMED_OUT", "_TIMED_OUT_QUEUE", "_RESOLVE", "_WAIT_COORD", "_DESTROY_BROKER"})
# A broker that comes up, moves a leader or a coordinator says these; the same call works a little later.
PASSING = UNREACHABLE | {
    "LEADER_NOT_AVAILABLE",
    "NOT_LEADER_FOR_PARTITION",
    "COORDINATOR_LOAD_IN_PROGRESS",
    "COORDINATOR_NOT_AVAILABLE",
    "NOT_COORDINATOR",
    "REQUEST_TIMED_OUT",
    "UNSTABLE_OFFSET_COMMIT",
    "OFFSET_NOT_AVAILABLE",
}


class ClientError(Protocol):
    """What confluent_kafka.KafkaError has that is used here."""

    def name(self) -> str: ...
    def str(self) -> str: ...


def explain(name: str, text: str, brokers: str, doing: str) -> TracebraidError:
    """One line for the error called `name` (librdkafka's), met at `brokers` while `doing` ('reading topic x')."""
    if name in IDENTITY:
        what = "TLS failed" if name == "_SSL" else "the brokers refused our credentials"
        return TracebraidError(f"{doing}: {what} at {brokers}: {text}", "Check the sasl and ssl settings of [client]: `tracebraid config show`")
    if name in DENIED:
        return TracebraidError(f"{doing}: not allowed at {brokers}: {text}", "`tracebraid topics plan` prints the ACLs needed")
    if name in ABSENT:
        return TracebraidError(f"{doing}: no such topic at {brokers}: {text}", "Check its name, or make it")
    if name == "_INVALID_ARG":
        return UsageError(f"{doing}: {text}", "Check [client] in the settings: its names and values are librdkafka's")
    if name in UNREACHABLE:
        hint = "Check bootstrap_servers (TRACEBRAID_BOOTSTRAP_SERVERS) and that the brokers run"
        return TracebraidError(f"{doing}: no broker answers at {brokers}: {text}", hint, transient=True)
    return TracebraidError(f"{doing}: {text} ({name}) at {brokers}", transient=name in PASSING)


class ErrorLog:
    """librdkafka's errors that belong to no call: logged, not too often, and kept until somebody asks why a call failed."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.seen: Counter[str] = Counter()
        self.last: dict[str, str] = {}
        self.connected = False  # until then a failure is the caller's one line, and these would stand beside it
        self._logged_at: dict[str, float] = {}

    def __call__(self, error: ClientError) -> None:
        """The error_cb of a client."""
        name, now = error.name(), self.clock.monotonic_s()
        self.seen[name] += 1
        self.last[name] = error.str()
        if now - self._logged_at.get(name, -REPEAT_S) >= REPEAT_S:
            self._logged_at[name] = now
            (log.warning if self.connected else log.debug)("kafka", error=name, text=error.str())

    def refusal(self) -> tuple[str, str] | None:
        """(name, text) of a refusal of our identity, which no waiting mends."""
        return next(((name, text) for name, text in self.last.items() if name in IDENTITY), None)

    def cause(self, name: str, text: str) -> tuple[str, str]:
        """The likelier reason for the failure (name, text): a call only times out where the connection says why."""
        if found := self.refusal():
            return found
        for likely in ("_RESOLVE", "_TRANSPORT"):
            if name in UNREACHABLE and likely in self.last:
                return likely, self.last[likely]
        return name, text


class _Forward(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log.debug("librdkafka", text=record.getMessage())


def client_logger() -> logging.Logger:
    """Where librdkafka's own lines go: to our log at level debug, for what matters of them comes as an error too."""
    logger = logging.getLogger("tracebraid.librdkafka")
    if not logger.handlers:
        logger.addHandler(_Forward())
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
    return logger
