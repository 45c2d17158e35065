"""One rule, checked: what it looks at, when it fires, and how its alerts live.

In: nothing. Out: frozen values. Never: a parser (pipeline/rules reads YAML and expressions), I/O.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Literal

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
SIGNALS = ("spans", "logs", "records")
ON_MISSING = ("hold", "resolve", "fire")
FORMATS = ("tracebraid", "alertmanager")
# What a rule says beside its condition: an edit of these leaves its series, its baselines and its alerts alone.
PRESENTATION = ("labels", "annotations", "format")


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """Fires while the budget burns more than `factor` times as fast as it may, over the long window and, so that it ends soon, over the short one."""

    factor: float
    long_us: int
    short_us: int


@dataclass(frozen=True, slots=True)
class Slo:
    """A service level objective. objective: the share of good rows, between 0 and 1; good: canonical row condition; period_us: of the error budget."""

    objective: float
    good: str
    windows: tuple[BurnWindow, ...]
    period_us: int


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule as pipeline.rules.load hands it out. Times in microseconds; `where`, `when` and `slo.good` are canonical text.

    window_us: length of a window; every_us: distance of the windows' ends, equal to window_us for tumbling ones, else a divisor of it.
    when: '' where there is an slo. consecutive: rows in a row, for rules over rows. missing_for_us, on_missing: how long an alert
    holds without data, and what comes then. labels, annotations: in the order of the file.
    """

    name: str
    on: Literal["spans", "logs", "records"]
    when: str
    where: str = ""
    by: tuple[str, ...] = ()
    window_us: int = MINUTE_US
    every_us: int = MINUTE_US
    for_us: int = 0
    keep_firing_for_us: int = 0
    missing_for_us: int = 15 * MINUTE_US
    on_missing: Literal["hold", "resolve", "fire"] = "hold"
    consecutive: int = 1
    lateness_us: int = 10_000_000
    adapt_after_us: int = HOUR_US
    timezone: str = "UTC"
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    slo: Slo | None = None
    max_series: int = 10_000
    format: Literal["tracebraid", "alertmanager"] = "tracebraid"

    @cached_property
    def content_hash(self) -> str:
        """16 hex characters over all but PRESENTATION: equal as long as the rule means the same, whatever its layout and order of keys.

        What has its default takes no part, so that a key that a later version knows changes no rule that is without it.
        """
        usual = {each.name: each.default for each in fields(self)}
        parts = {key: value for key, value in asdict(self).items() if key not in PRESENTATION and value != usual[key]}
        return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=8).hexdigest()

    @property
    def severity(self) -> str:
        """The label `severity`; 'warning' without one."""
        return dict(self.labels).get("severity", "warning")
