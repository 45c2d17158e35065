"""What requests leave behind: spans and log lines, with the pods that made them.

In: nothing. Out: shapes. Never: bytes; encode.py and logs.py write those.
"""

from dataclasses import dataclass

from tracebraid.jobs.shop.model import Service, Shape

Pairs = tuple[tuple[str, str | int], ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a span failed. `code`: HTTP or gRPC status code of the answer, 0 where there was none."""

    type: str
    message: str
    code: int = 0


@dataclass(frozen=True, slots=True)
class Pod:
    """One running instance, of one version."""

    service: Service
    name: str
    version: str


@dataclass(slots=True)
class Span:
    shape: Shape
    pod: Pod
    trace_id: int
    span_id: int
    parent_id: int
    start_ns: int
    end_ns: int = 0
    failure: Failure | None = None
    raised: bool = False  # the failure began here and left an exception event
    own: Pairs = ()
    linked_id: int = 0


@dataclass(slots=True)
class Line:
    """One log line; trace_id and span_id 0 for a line outside a request."""

    pod: Pod
    time_ns: int
    level: str  # DEBUG, INFO, WARN, ERROR
    logger: str
    text: str
    trace_id: int = 0
    span_id: int = 0
    failure: Failure | None = None
    fields: Pairs = ()
