"""Topics `tracebraid.alerts` and `tracebraid.alerts.state`: what is told of an alert; and the table that is kept of it.

Each message is one JSON object of version 1, schemas/alert.schema.json, which `python -m tools.docs` writes from the models here: `kind` is `transition`
(what detect saw; every one on tracebraid.alerts, the present one of each rule and series on the compacted tracebraid.alerts.state) or `evidence` (what
explain found behind it, a little later, under the same id). Times are microseconds of event time since 1970 and, for people, ISO 8601 in UTC.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tracebraid.schemas.table import ATTRIBUTES, INT32, INT64, LATEST_US, PARTITION_COLUMN, STRING, TIMESTAMP, Column, Table
from tracebraid.schemas.windows import FLOAT64

VERSION = 1
Change = Literal["pending", "firing", "resolved", "cancelled"]


def _moment(us: int) -> int:
    """Whoever reads an alert makes dates of its times: one that is none must be refused as the message is read, not end its reader."""
    if not 0 <= us <= LATEST_US:
        raise ValueError("no time between 1970 and 2100")
    return us


Moment = Annotated[int, AfterValidator(_moment)]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Window(_Shape):
    """Of event time: from `start_us` up to and without `end_us`."""

    start: str = Field(description="ISO 8601, UTC.")
    end: str = Field(description="ISO 8601, UTC.")
    start_us: Moment
    end_us: Moment


class Band(_Shape):
    """What the series was expected to be, in the measure's unit; null on a side that has no edge."""

    low: float | None
    high: float | None
    reason: str = Field(default="", description="Which rule of the baseline drew the edge that was passed.")


class Comparison(_Shape):
    """One comparison of the rule's condition."""

    text: str
    unit: str = Field(description="ns, By, 1/s, 1 (a share) or '' (a plain number).")
    value: float | None
    threshold: float | None
    holds: bool | None = Field(description="null without data.")
    band: Band | None = None


class Exemplar(_Shape):
    """A trace of the window. value: of the measure's first column, a duration in ns for spans."""

    trace_id: str
    value: float | None = None
    failing: bool = False


class Transition(_Shape):
    """An alert went over to `transition`, in the window `window`."""

    version: Literal[1] = 1
    kind: Literal["transition"] = "transition"
    id: str = Field(pattern="^[0-9a-f]{32}$", description="Of the episode: the same from pending to resolved, and for its evidence.")
    rule: str
    rule_version: str = Field(description="Hash of what the rule means.")
    severity: str
    labels: dict[str, str] = Field(description="The rule's labels.")
    annotations: dict[str, str] = Field(default_factory=dict)
    series: dict[str, str] = Field(description="The group that it is about: names of `by` and their values.")
    signal: str
    transition: Change
    reason: str
    started_us: Moment = Field(description="End of the episode's first window.")
    window: Window
    value: float | None = Field(description="Of the first comparison that decided it.")
    unit: str
    threshold: float | None
    band: Band | None = None
    comparisons: list[Comparison] = Field(default_factory=list)
    completeness: float = Field(ge=0, le=1, description="Share of the source partitions that had reached the window's end.")
    width_us: int = Field(description="Length of the window that spoke: longer than the rule's where few rows came.")
    judged_at: dict[str, str] | None = Field(default=None, description="The group whose baseline judged it, where its own rows were too few.")
    exemplars: list[Exemplar] = Field(default_factory=list)
    format: Literal["tracebraid", "alertmanager"] = Field(default="tracebraid", description="The rule's: in which form it is told besides.")


class TraceEvidence(_Shape):
    """One exemplar trace: the way from its root to the span that is to blame, and how long each span was on its own."""

    trace_id: str
    duration_ns: int | None
    error: bool
    path: list[str] = Field(description="service: span name, from the root down.")


class LogEvidence(_Shape):
    """A log line of one of the traces."""

    trace_id: str
    time: str
    service: str
    severity: str
    body: str = Field(description="At most 1 KiB.")


class Suspect(_Shape):
    """A service, by how much more of its own time and its own errors there was than in the hour before."""

    service: str
    own_ns_now: float
    own_ns_before: float | None
    own_errors_now: float
    own_errors_before: float | None
    score: float


class Evidence(_Shape):
    """What stands behind the alert of the same id."""

    version: Literal[1] = 1
    kind: Literal["evidence"] = "evidence"
    id: str = Field(pattern="^[0-9a-f]{32}$")
    rule: str
    series: dict[str, str]
    window: Window
    service: str = Field(description="The service at fault; '' where nothing stands out.")
    reason: str
    suspects: list[Suspect] = Field(default_factory=list)
    traces: list[TraceEvidence] = Field(default_factory=list)
    logs: list[LogEvidence] = Field(default_factory=list, max_length=10)
    sql: str = Field(description="Gives the rows behind it, on the lake.")
    tables: dict[str, int] = Field(description="Versions of the tables that were read.")
    waited_s: float
    complete: bool = Field(description="Whether the lake held all of the window.")


ALERTS = Table(
    name="alerts",
    version=1,
    comment="One row a message of tracebraid.alerts.",
    sort_by=("alert_id", "window_end"),
    columns=(
        PARTITION_COLUMN,
        Column("alert_id", STRING, "Id of the episode.", True),
        Column("kind", STRING, "transition or evidence.", True),
        Column("rule_name", STRING, "Name of the rule.", True),
        Column("transition", STRING, "pending, firing, resolved, cancelled; null for evidence."),
        Column("reason", STRING, "Why."),
        Column("severity", STRING, "Severity of the rule; null for evidence."),
        Column("series", ATTRIBUTES, "The group that it is about.", True),
        Column("window_start", TIMESTAMP, "Start of the window.", True),
        Column("window_end", TIMESTAMP, "End of the window.", True),
        Column("measured", FLOAT64, "Value."),
        Column("threshold", FLOAT64, "Threshold, or the edge of the band."),
        Column("service_at_fault", STRING, "Of evidence."),
        Column("message", STRING, "The whole message, JSON.", True),
        Column("kafka_partition", INT32, "Partition of tracebraid.alerts.", True),
        Column("kafka_offset", INT64, "Offset on tracebraid.alerts.", True),
        Column("kafka_time", TIMESTAMP, "When it was published.", True),
        Column("ingested_at", TIMESTAMP, "When it was committed.", True),
    ),
)
