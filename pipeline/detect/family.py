"""One rule's series of one axis, the rule's own or their parents: what each has learned, remembers and reports.

In: values of a window for many rows. Out: changes of their alerts, with what was compared. Never: where the values come from; a loop over series.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from tracebraid.pipeline.detect.axis import Axis, Bools, Floats, Ints, fitted
from tracebraid.pipeline.detect.baseline import Band as Judgement
from tracebraid.pipeline.detect.baseline import Bank, Dial
from tracebraid.pipeline.detect.lifecycle import FIRING, INACTIVE, NEW_NORMAL, NO_DATA, Changes, Life, Repeat, Seen
from tracebraid.pipeline.rules.program import Band, Program, Verdict
from tracebraid.schemas.rule import HOUR_US

HOURLY_FROM_US = 6 * HOUR_US


@dataclass(frozen=True, slots=True)
class Window:
    """What is known of one window of `rows`, an element a row. present: its own window holds rows; width: of the one judged, in windows, 0: too sparse."""

    end_us: int
    rows: Ints
    values: Sequence[Floats]
    present: Bools
    width: Ints
    complete: Bools


@dataclass(frozen=True, slots=True)
class Judged:
    """Changes, and what was compared: arrays with an element a row of the window."""

    window: Window
    verdict: Verdict
    severity: Floats
    changes: list[Changes]


class Family:
    """`keep_us`: a series without data for so long is forgotten. keeps: (place of an input, earlier_us) whose values change() will ask for."""

    def __init__(self, program: Program, axis: Axis, repeat: Repeat, keep_us: int) -> None:
        self.program, self.axis, self.keep_us = program, axis, keep_us
        self.banks = [Bank(0) for _ in program.baselines]
        self.life = Life(program.rule, repeat)
        self._zone = ZoneInfo(program.rule.timezone)
        self.live: Bools = np.empty(0, bool)
        self.silent = np.empty(0, np.int32)  # windows since it had data
        self.begun: Bools = np.empty(0, bool)  # fired before its window ended
        self.carry = np.empty(0, np.int32)  # observations true in a row, up to the last
        self.earlier: dict[int, dict[int, Floats]] = {place: {} for place, each in enumerate(program.inputs) if each.earlier_us}

    def fit(self) -> None:
        capacity = self.axis.capacity
        self.live, self.silent = fitted(self.live, capacity, False), fitted(self.silent, capacity, 0)
        self.begun, self.carry = fitted(self.begun, capacity, False), fitted(self.carry, capacity, 0)
        for held in self.earlier.values():
            for time_us in held:
                held[time_us] = fitted(held[time_us], capacity, np.nan)
        self.life.fit(capacity)
        for bank in self.banks:
            bank.grow(capacity)

    def clear(self, rows: Ints) -> None:
        """As if they had never been seen."""
        self.live[rows], self.silent[rows], self.begun[rows], self.carry[rows] = False, 0, False, 0
        for held in self.earlier.values():
            for values in held.values():
                values[rows] = np.nan
        self.life.clear(rows)
        for bank in self.banks:
            bank.forget(rows)

    def nbytes(self) -> int:
        arrays = [
            self.live,
            self.silent,
            self.begun,
            self.carry,
            *self.life.of.values(),
            *(values for held in self.earlier.values() for values in held.values()),
        ]
        return sum(array.nbytes for array in arrays) + sum(bank.bytes_per_series * bank.memory.capacity for bank in self.banks)

    # change()

    def remember(self, place: int, end_us: int, rows: Ints, values: Floats) -> Floats:
        """Keeps an input's values of the window that ends at `end_us`, and gives those of the window that ended earlier_us before it."""
        held, earlier_us = self.earlier[place], self.program.inputs[place].earlier_us
        now, then = self._slot(end_us, earlier_us), self._slot(end_us - earlier_us, earlier_us)
        if now not in held:
            held[now] = np.full(self.axis.capacity, np.nan)
        held[now][rows] = values
        return held[then][rows] if then in held else np.full(len(rows), np.nan)

    @staticmethod
    def _slot(end_us: int, earlier_us: int) -> int:
        """Beyond six hours one window an hour is kept, the last that ended in it."""
        return end_us if earlier_us <= HOURLY_FROM_US else -(-end_us // HOUR_US) * HOUR_US

    def expire(self, before_us: int) -> None:
        """No window that ends at or before `before_us` will be judged again."""
        for place, held in self.earlier.items():
            oldest = self._slot(before_us - self.program.inputs[place].earlier_us, self.program.inputs[place].earlier_us)
            for time_us in [time_us for time_us in held if time_us < oldest]:
                del held[time_us]

    # One window

    def judge(self, window: Window) -> Judged:
        """Bands, truth, changes; then what is to be learned is learned."""
        program, rows, end_us = self.program, window.rows, window.end_us
        self.live[rows] |= window.present
        judgements = self._bands(rows, end_us, window.values)
        verdict = program.evaluate(window.values, [_band(each) for each in judgements])
        truth = np.where(window.width > 0, verdict.truth, -1).astype(np.int8)
        severity = _severity(verdict)
        stale = ~window.present & (window.width > 1)
        seen = Seen(end_us, truth, ~window.present, stale, window.complete, severity)
        changes = self._step(rows, seen)
        if judgements:
            steady = self._learn(rows, seen, judgements, np.flatnonzero(window.complete & (window.width > 0) & ~stale))
            changes += self._settle(window, judgements, steady)
        changes += self._forget(rows, window)
        return Judged(window, verdict, severity, changes)

    def _bands(self, rows: Ints, end_us: int, values: Sequence[Floats]) -> list[Judgement]:
        """What each baseline says. The hour of the day is that of the window's end in the rule's timezone."""
        offset = self._zone.utcoffset(datetime.fromtimestamp(end_us // 1_000_000, UTC).astimezone(self._zone))
        offset_us = round(offset.total_seconds() * 1e6) if offset else 0
        found = []
        for place, (bank, spec) in enumerate(zip(self.banks, self.program.baselines, strict=True)):
            dial = Dial(sensitivity=spec.sensitivity, floor=spec.floor, direction=spec.direction, utc_offset_us=offset_us)
            found.append(bank.judge(rows, end_us, self.program.observe(place, values), dial))
        return found

    def _step(self, rows: Ints, seen: Seen) -> list[Changes]:
        """Rows of which there is nothing to say, the most, are left out; so are those that have begun early."""
        early = self.begun[rows]
        if early.any():
            self.begun[rows] = False
            self.life.raise_peak(rows[early], seen.severity[early])
        of = self.life.of
        at = np.flatnonzero(~early & ((seen.truth == 1) | seen.absent | (of["state"][rows] != INACTIVE) | (of["missing"][rows] != 0)))
        if not at.size:
            return []
        return self.life.step(rows[at], Seen(seen.end_us, seen.truth[at], seen.absent[at], seen.stale[at], seen.complete[at], seen.severity[at]))

    def begin_early(self, window: Window) -> Judged:
        """Of a window that is still open: rows of which every comparison holds already, and which were inactive, begin.

        Every one, also where one would do: so which of them is told does not depend on how far the window was filled.
        """
        verdict = self.program.evaluate(window.values, [])
        rows = window.rows
        holds = np.all([each.truth == 1 for each in verdict.comparisons], axis=0)
        begins = (verdict.truth == 1) & holds & ~self.life.active(rows) & ~self.begun[rows]
        severity = _severity(verdict)
        at = np.flatnonzero(begins)
        none = np.zeros(len(at), bool)
        changes = self.life.step(rows[at], Seen(window.end_us, verdict.truth[at], none, none, ~none, severity[at])) if at.size else []
        self.begun[rows[at]] = True
        self.live[rows[at]] = True
        return Judged(window, verdict, severity, changes)

    def _learn(self, rows: Ints, seen: Seen, judgements: Sequence[Judgement], at: Ints) -> list[Ints]:
        """Of the windows `at`, what is reported is held, the rest is learned. By baseline, rows that were held without a pause for adapt_after: begun anew."""
        found = []
        for bank, judgement in zip(self.banks, judgements, strict=True):
            bank.learn(replace(judgement, traces=judgement.traces.only(at)), seen.truth[at] != 1)
            firing = rows[at[(seen.truth[at] == 1) & (judgement.severity[at] >= 1) & (self.life.of["state"][rows[at]] == FIRING)]]
            found.append(firing[bank.steady(firing, seen.end_us, self.program.rule.adapt_after_us)] if firing.size else firing)
            if found[-1].size:
                bank.restart(found[-1])
        return found

    def _settle(self, window: Window, judgements: Sequence[Judgement], steady: Sequence[Ints]) -> list[Changes]:
        """What was outside a band for so long is the new normal: its alert ends, unless the rest of the condition holds without that baseline."""
        if not any(rows.size for rows in steady):
            return []
        bands = [_band(each) for each in judgements]
        for place, rows in enumerate(steady):
            gone, band = np.isin(window.rows, rows), bands[place]
            bands[place] = replace(band, low=np.where(gone, np.nan, band.low), high=np.where(gone, np.nan, band.high))
        rest = self.program.evaluate(window.values, bands).truth == 1
        return self.life.end(np.setdiff1d(np.concatenate(steady), window.rows[rest]), NEW_NORMAL)

    def _forget(self, rows: Ints, window: Window) -> list[Changes]:
        """Series silent for too long. One that still fires (on_missing: fire) ends so."""
        silent = np.where(window.present, 0, self.silent[rows] + window.complete)
        self.silent[rows] = silent
        gone = rows[silent.astype(np.int64) * self.program.rule.every_us >= self.keep_us]
        if not gone.size:
            return []
        changes = self.life.end(gone, NO_DATA)
        self.clear(gone)
        return changes


def _band(each: Judgement) -> Band:
    """As rules see it: an edge that there is not is NaN, and without a band or data nothing is outside."""
    low, high = (np.where(np.isfinite(edge), edge, np.nan) for edge in (each.low, each.high))
    return Band(low, high, np.nan_to_num(each.severity, nan=0.0), each.reason)


def _severity(verdict: Verdict) -> Floats:
    """1 at the threshold: by how much of it a value has passed it, or what the band says; of several the most."""
    found = np.ones(len(verdict.truth))
    for each in verdict.comparisons:
        at = np.flatnonzero(each.truth == 1)
        if not at.size:
            continue
        if each.band is not None:
            severity = each.band.severity[at].astype(np.float64)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                severity = 1 + np.abs(each.value[at] - each.threshold[at]) / np.abs(each.threshold[at])
        found[at] = np.fmax(found[at], np.where(np.isfinite(severity), severity, 1.0))
    return found
