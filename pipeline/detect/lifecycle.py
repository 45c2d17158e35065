"""The life of alerts of one rule, a row a series: inactive → pending → firing → resolved, each change with its reason.

In: one window's truth of many rows. Out: changes, as arrays. Never: a clock: `for` and its like are counted in windows that were complete.

A window without data, or of which the condition is unknown, holds whatever is: it is neither true nor false. `for` fires in the first window whose end lies
`for` behind that of the first true one, keep_firing_for ends in the first that lies so far behind the first false one: as Prometheus counts evaluations.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.detect.axis import NEVER, Bools, Floats, Ints, fitted
from tracebraid.pipeline.detect.repeat import sends
from tracebraid.schemas.rule import Rule

Truths = npt.NDArray[np.int8]
Array = npt.NDArray[Any]  # of the type in FIELDS
INACTIVE, PENDING, FIRING = 0, 1, 2
CONDITION, FOR_ELAPSED, MORE_SEVERE, RECOVERED, NO_DATA, NEW_NORMAL, RULE_CHANGED, RULE_REMOVED = range(8)
REASONS = ("condition", "for elapsed", "more severe", "recovered", "no data", "new normal", "rule changed", "rule removed")
# Name → (type, what a row begins with). since_us: end of the episode's first window. The counters count windows: true ones while pending, others while
# firing (-1: none yet), without data. peak, peak_us: the severity told last, and when.
FIELDS: dict[str, tuple[type[np.generic], int | float]] = {
    "state": (np.int8, INACTIVE),
    "since_us": (np.int64, NEVER),
    "held": (np.int32, 0),
    "quiet": (np.int32, -1),
    "missing": (np.int32, 0),
    "peak": (np.float64, 0),
    "peak_us": (np.int64, NEVER),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One window, an element a row. truth: 1, 0, -1 unknown. absent: the window is one without data; stale: what is judged is a wider one, and nothing new.

    severity: 1 at the threshold or at the edge of the band.
    """

    end_us: int
    truth: Truths
    absent: Bools
    stale: Bools
    complete: Bools
    severity: Floats


@dataclass(frozen=True, slots=True)
class Changes:
    """Rows that went over to `transition` for `reason`; since_us: of their episodes."""

    transition: str
    reason: int
    rows: Ints
    since_us: Ints


@dataclass(frozen=True, slots=True)
class Repeat:
    """When an alert is told again: `ratio` times as severe as it was told; 0: never. muted: whether a new episode soon after must be more severe too."""

    ratio: float
    muted: bool


class Life:
    """All rows of one rule."""

    def __init__(self, rule: Rule, repeat: Repeat) -> None:
        self.rule, self.repeat = rule, repeat
        self.of: dict[str, Array] = {name: np.empty(0, kind) for name, (kind, _) in FIELDS.items()}

    def fit(self, capacity: int) -> None:
        for name, (_, start) in FIELDS.items():
            self.of[name] = fitted(self.of[name], capacity, start)

    def clear(self, rows: Ints) -> None:
        for name, (_, start) in FIELDS.items():
            self.of[name][rows] = start

    def active(self, rows: Ints) -> Bools:
        found: Bools = self.of["state"][rows] != INACTIVE
        return found

    def step(self, rows: Ints, seen: Seen) -> list[Changes]:
        """One window of `rows`, in the order of windows' ends. Changes of a row come in their order."""
        now = {name: held[rows] for name, held in self.of.items()}
        nothing = seen.absent | ((seen.truth == -1) & (now["state"] != INACTIVE) & (self.rule.on_missing != "fire"))  # rows that say nothing are no data
        true, false, lapsed = self._judged(now, seen, nothing)
        state = now["state"].copy()
        found: list[tuple[str, int, Bools]] = []
        self._begin(now, seen, true, found)
        waiting = state == PENDING
        now["held"] += waiting & true & seen.complete
        found.append(("firing", FOR_ELAPSED, waiting & true & (now["held"].astype(np.int64) * self.rule.every_us >= self.rule.for_us)))
        firing = state == FIRING
        worse = firing & true & (seen.severity >= self.repeat.ratio * now["peak"]) & (self.repeat.ratio > 0)
        found.append(("firing", MORE_SEVERE, worse))
        now["quiet"] = np.where(firing & false, now["quiet"] + 1, np.where(true, -1, now["quiet"])).astype(np.int32)
        over = firing & false & (now["quiet"].astype(np.int64) * self.rule.every_us >= self.rule.keep_firing_for_us)
        unknown = nothing if self.rule.on_missing == "resolve" else np.zeros(len(rows), bool)
        for ended, reason in ((~unknown, RECOVERED), (unknown, NO_DATA)):
            found += [("cancelled", reason, waiting & false & ended), ("resolved", reason, over & ended)]
        if self.rule.on_missing == "hold":
            found += [("cancelled", NO_DATA, waiting & lapsed), ("resolved", NO_DATA, firing & lapsed)]
        if self.rule.on_missing == "fire":
            found.append(("firing", NO_DATA, ~firing & lapsed))
        return self._change(rows, now, seen, found)

    def _judged(self, now: dict[str, Array], seen: Seen, nothing: Bools) -> tuple[Bools, Bools, Bools]:
        """(true, false, without data for long enough). Of an incomplete window only what is true counts: what is not may be what it lacks."""
        missing = np.where(nothing & ((seen.truth != 1) | seen.stale), now["missing"] + seen.complete, 0)
        now["missing"] = missing.astype(np.int32)
        lapsed = (missing > 0) & (missing.astype(np.int64) * self.rule.every_us >= self.rule.missing_for_us)
        true, false = (seen.truth == 1) & ~(lapsed & seen.stale), (seen.truth == 0) & ~seen.absent & seen.complete
        if self.rule.on_missing == "resolve":
            false = false | (nothing & ~true & seen.complete)
        return true, false, lapsed & ~true

    def _begin(self, now: dict[str, Array], seen: Seen, true: Bools, found: list[tuple[str, int, Bools]]) -> None:
        begins = (now["state"] == INACTIVE) & true
        if self.repeat.muted:
            begins &= sends(seen.severity, now["peak"], np.maximum(now["peak_us"], 0), seen.end_us)
        found.append(("firing", CONDITION, begins) if self.rule.for_us <= 0 else ("pending", CONDITION, begins))

    def _change(self, rows: Ints, now: dict[str, Array], seen: Seen, found: list[tuple[str, int, Bools]]) -> list[Changes]:
        changes = []
        for transition, reason, where in found:
            if not where.any():
                continue
            new = where & (now["state"] == INACTIVE)
            now["since_us"] = np.where(new, seen.end_us, now["since_us"])
            changes.append(Changes(transition, reason, rows[where], now["since_us"][where]))
            if transition in ("pending", "firing"):
                now["state"] = np.where(where, PENDING if transition == "pending" else FIRING, now["state"]).astype(np.int8)
                now["held"] = np.where(new, 0, now["held"]).astype(np.int32)
                now["quiet"] = np.where(where, -1, now["quiet"]).astype(np.int32)
                told = where if transition == "firing" else np.zeros_like(where)
                now["peak"] = np.where(told, seen.severity, now["peak"])
                now["peak_us"] = np.where(told, seen.end_us, now["peak_us"])
            else:
                for name in ("state", "since_us", "held", "quiet"):
                    now[name] = np.where(where, FIELDS[name][1], now[name]).astype(FIELDS[name][0])
        for name, values in now.items():
            self.of[name][rows] = values
        return changes

    def raise_peak(self, rows: Ints, severity: Floats) -> None:
        """Of rows that fired before their window ended: what the whole of it says."""
        self.of["peak"][rows] = np.maximum(self.of["peak"][rows], severity)

    def end(self, rows: Ints, reason: int) -> list[Changes]:
        """Whatever the window says: pending is cancelled, firing resolved."""
        found = []
        for state, transition in ((PENDING, "cancelled"), (FIRING, "resolved")):
            ended = rows[self.of["state"][rows] == state]
            if ended.size:
                found.append(Changes(transition, reason, ended, self.of["since_us"][ended].astype(np.int64)))
                for name in ("state", "since_us", "held", "quiet"):
                    self.of[name][ended] = FIELDS[name][1]
        return found
