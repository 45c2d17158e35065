"""detect the slow way: rule by rule, series by series, window by window, in plain Python over the rows themselves.

In: for each shard its messages in order: ('rows', partition, rows), ('told', watermarks), ('release', partitions, until). Out: what changed, as tuples.
It shares with the product the compiled condition and the baseline, a bank of one series each; nothing of how windows, series, time and alerts are kept.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.detecting import CONDITIONS, MINUTE, Row
from tracebraid.pipeline.detect.baseline import Bank, Dial
from tracebraid.pipeline.detect.tuning import TUNING
from tracebraid.pipeline.kernel.histogram import bucket_of, value_of
from tracebraid.pipeline.rules.program import Band, Input, Program

Change = tuple[Any, ...]  # rule, series, transition, reason, end, started, value, threshold, width
HOUR = 60 * MINUTE


@dataclass
class Heard:
    """One shard: rows that were taken, by lateness and pane length; how far each lateness has closed; which windows were incomplete."""

    events: dict[int, int | None] = field(default_factory=dict)
    idle: dict[int, bool] = field(default_factory=dict)
    released: dict[int, int] = field(default_factory=dict)
    watermark: int | None = None
    rows: list[tuple[Row, int | None]] = field(default_factory=list)
    steps: list[tuple[int, list[float]]] = field(default_factory=list)  # watermark reached, own event times (inf: idle)

    def message(self, message: tuple[Any, ...]) -> None:
        if message[0] == "rows":
            self.rows += [(row, self.watermark) for row in message[2]]
            return
        if message[0] == "told":
            for one in message[1]:
                self.idle[one.partition] = one.caught_up
                held = self.events.get(one.partition)
                self.events[one.partition] = one.event_time_us if held is None else max(held, one.event_time_us or held)
        else:
            for partition in message[1]:
                self.released[partition] = max(self.released.get(partition, 0), message[2])
        waited = [max(event or 0, self.released.get(p, 0)) for p, event in self.events.items() if not self.idle[p]]
        reached = min(waited) if waited else max((event or 0 for event in self.events.values()), default=0)
        if reached > (self.watermark or 0):
            self.watermark = reached
            self.steps.append((reached, [math.inf if self.idle[p] else event or 0 for p, event in self.events.items()]))

    def complete(self, needed: int) -> bool:
        owns = next(owns for reached, owns in self.steps if reached >= needed)
        return all(own >= needed for own in owns)


@dataclass
class Life:
    state: str = "inactive"
    since: int = 0
    held: int = 0
    quiet: int = -1
    missing: int = 0
    silent: int = 0
    live: bool = False
    peak: float = 0.0
    peak_at: int | None = None
    run: int = 0
    banks: list[Bank] = field(default_factory=list)
    earlier: dict[tuple[int, int], float] = field(default_factory=dict)


class Oracle:
    """One rule in one shard."""

    def __init__(self, program: Program, heard: Heard, repeat: tuple[float, bool], keep: int) -> None:
        self.program, self.rule, self.heard, self.repeat, self.keep = program, program.rule, heard, repeat, keep
        self.lives: dict[tuple[str, ...], Life] = {}
        self.panes: dict[tuple[int, tuple[str, ...], int], list[Row]] = defaultdict(list)
        self.found: list[Change] = []
        for row, watermark in heard.rows:
            for measure in program.measures:
                pane = row.time_us - row.time_us % measure.pane_us
                if measure.signal == row.signal and (watermark is None or pane + measure.pane_us + self.rule.lateness_us > watermark):
                    self.panes[measure.id, row.labels[: len(measure.by)], pane].append(row)

    def run(self) -> list[Change]:
        every = self.rule.every_us
        if self.heard.watermark is None or not self.panes:
            return []
        end = (min(pane for _, _, pane in self.panes) // every + 1) * every
        while end + self.rule.lateness_us <= self.heard.watermark:
            self._window(end)
            end += every
        return self.found

    def _rows(self, measure: int, series: tuple[str, ...], start: int, end: int) -> list[Row]:
        pane_us = self.program.measures[0].pane_us
        return [row for pane in range(start, end, pane_us) for row in self.panes.get((measure, series, pane), [])]

    def _window(self, end: int) -> None:
        start = end - self.rule.window_us
        names = {series for _, series, _ in self.panes}
        present = {series: any(self._rows(m.id, series, start, end) for m in self.program.measures) for series in names}
        enough = max((spec.min_count for spec in self.program.baselines), default=0)
        sparse: dict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
        for series in sorted(names):
            life = self.lives.setdefault(series, Life())
            if not (present[series] or life.live):
                continue
            width = self._width([series], end, enough)
            values = [self._value(each, [series], end, (width if enough else 1, enough), life) for each in self.program.inputs]
            if width == 0:
                values = [self._value(each, [series], end, (1, 0), life) for each in self.program.inputs]
                if len(self.rule.by) > 1:
                    sparse[series[:-1]].append(series)
            self._judge(series, life, end, values, (present[series], width))
        parents = {key[:-1] for key in self.lives if isinstance(key[-1], str) and len(key) == len(self.rule.by)} if enough and len(self.rule.by) > 1 else set()
        for parent in sorted(parents):
            life = self.lives.setdefault((*parent, None), Life())  # type: ignore[arg-type]
            children = sparse.get(parent, [])
            here = any(self._counting([child], end, 1, enough) for child in children)
            if not (here or life.live):
                continue
            width = self._width(children, end, enough)
            values = [self._value(each, children, end, (width, enough), life) if width else math.nan for each in self.program.inputs]
            self._judge((*parent, None), life, end, values, (here, width))  # type: ignore[arg-type]

    # Widths

    def _counting(self, names: Sequence[tuple[str, ...]], end: int, width: int, enough: int, measure: int = 0) -> list[Row]:
        """Rows of a widened window: of what is older than five windows only from panes whose five windows hold too few."""
        window, pane_us = self.rule.window_us, self.program.measures[0].pane_us
        judge = next((spec.measure_id for spec in self.program.baselines if spec.min_count), self.program.inputs[0].measure_id)
        found = []
        for series in names:
            for pane in range(end - width * window, end, pane_us):
                old = pane < end - 5 * window
                if not old or len(self._rows(judge, series, pane + pane_us - 5 * window, pane + pane_us)) < enough:
                    found += self._rows(measure or judge, series, pane, pane + pane_us)
        return found

    def _width(self, names: Sequence[tuple[str, ...]], end: int, enough: int) -> int:
        if not enough:
            return 1
        panes = self.rule.window_us // self.program.measures[0].pane_us
        return next((width for width in (1, 5, 15, 60) if width * panes <= 360 and len(self._counting(names, end, width, enough)) >= enough), 0)

    # Values

    def _value(self, each: Input, names: Sequence[tuple[str, ...]], end: int, how: tuple[int, int], life: Life) -> float:
        width, enough = how
        if enough or len(names) != 1:
            rows = self._counting(names, end, width, enough, each.measure_id) if each.window_us == self.rule.window_us else []
        else:
            start = end - each.window_us
            if each.window_us > 6 * HOUR:
                start -= start % HOUR
            rows = self._rows(each.measure_id, names[0], start, end)
        if each.kind == "run":
            return self._longest(each, names[0], end, life)
        value = _aggregate(each, rows)
        if each.kind in ("count", "errors", "missing", "condition"):
            value = value / width / (each.window_us / 1e6 if each.rate else 1)
        elif each.kind == "sum":
            value = value / width
        if each.earlier_us:
            place = self.program.inputs.index(each)
            life.earlier[place, end] = value
            return life.earlier.get((place, end - each.earlier_us), math.nan)
        return value

    def _longest(self, each: Input, series: tuple[str, ...], end: int, life: Life) -> float:
        rows = sorted(self._rows(each.measure_id, series, end - self.rule.every_us, end), key=lambda row: (row.time_us, row.partition, row.offset))
        longest = -1
        for row in rows:
            life.run = life.run + 1 if row.true else 0
            longest = max(longest, life.run)
        return float(longest) if rows else math.nan

    # One window of one series

    def _judge(self, series: tuple[str, ...], life: Life, end: int, values: list[float], spoke: tuple[bool, int]) -> None:
        present, width = spoke
        life.live |= present
        complete = self.heard.complete(end + self.rule.lateness_us)
        arrays = [np.array([value]) for value in values]
        life.banks = life.banks or [Bank(1) for _ in self.program.baselines]
        bands = []
        for place, (bank, spec) in enumerate(zip(life.banks, self.program.baselines, strict=True)):
            dial = Dial(sensitivity=spec.sensitivity, floor=spec.floor, direction=spec.direction)
            bands.append(bank.judge(np.array([0]), end, self.program.observe(place, arrays), dial))
        known = [
            Band(np.where(np.isfinite(b.low), b.low, np.nan), np.where(np.isfinite(b.high), b.high, np.nan), np.nan_to_num(b.severity), b.reason) for b in bands
        ]
        verdict = self.program.evaluate(arrays, known)
        truth = int(verdict.truth[0]) if width else -1
        severity = 1.0
        for one in verdict.comparisons:
            if one.truth[0] == 1:
                value = one.band.severity[0] if one.band else 1 + abs(one.value[0] - one.threshold[0]) / abs(one.threshold[0]) if one.threshold[0] else 1.0
                severity = max(severity, float(value)) if math.isfinite(value) else severity
        stale = not present and width > 1
        for transition, reason in self._step(life, end, truth, (not present, stale, complete), severity):
            self._tell(series, life, end, (transition, reason, verdict, width))
        if complete and width and not stale:
            for bank, band in zip(life.banks, bands, strict=True):
                bank.learn(band, np.array([truth != 1]))
                if truth == 1 and band.severity[0] >= 1 and life.state == "firing" and bank.steady(np.array([0]), end, self.rule.adapt_after_us)[0]:
                    bank.restart(np.array([0]))
                    self._tell(series, life, end, ("resolved", "new normal", verdict, width))
                    life.state = "inactive"
        life.silent = 0 if present else life.silent + complete
        if life.silent * self.rule.every_us >= self.keep:
            if life.state != "inactive":
                self._tell(series, life, end, ("resolved" if life.state == "firing" else "cancelled", "no data", verdict, width))
            self.lives[series] = Life()

    def _tell(self, series: tuple[str, ...], life: Life, end: int, what: tuple[str, str, Any, int]) -> None:
        transition, reason, verdict, width = what
        first = next((one for one in verdict.comparisons if one.truth[0] == 1), verdict.comparisons[0])
        value, threshold = float(first.value[0]), float(first.threshold[0])
        if self.program.early and reason == "condition":
            value = threshold
        told = [None if not math.isfinite(one) else round(one, 6) for one in (value, threshold)]
        labels = tuple(label for label in series if label is not None)
        self.found.append((self.rule.name, labels, transition, reason, end, life.since, *told, width))

    def _step(self, life: Life, end: int, truth: int, how: tuple[bool, bool, bool], severity: float) -> list[tuple[str, str]]:
        absent, stale, complete = how
        rule, every = self.rule, self.rule.every_us
        nothing = absent or (truth == -1 and life.state != "inactive" and rule.on_missing != "fire")
        life.missing = life.missing + complete if nothing and (truth != 1 or stale) else 0
        lapsed = life.missing > 0 and life.missing * every >= rule.missing_for_us
        if stale and lapsed and truth == 1:
            truth = -1
        true = truth == 1
        false = complete and not true and ((truth == 0 and not absent) or (rule.on_missing == "resolve" and nothing))
        why = "no data" if rule.on_missing == "resolve" and nothing else "recovered"
        told = self._moved(life, end, (true, false, complete, why), severity)
        if told or not lapsed or true:
            return told
        return self._lapse(life, end, severity)

    def _moved(self, life: Life, end: int, how: tuple[bool, bool, bool, str], severity: float) -> list[tuple[str, str]]:
        true, false, complete, why = how
        rule, every, before = self.rule, self.rule.every_us, life.state
        told: list[tuple[str, str]] = []
        if before == "inactive" and true:
            recent = life.peak_at is not None and end - life.peak_at <= TUNING.repeat_s * 1e6
            muted = self.repeat[1] and recent and severity <= life.peak * (TUNING.repeat_factor if life.peak >= 1 else 1)
            if not muted:
                life.since, life.held = end, 0
                life.state = "firing" if rule.for_us <= 0 else "pending"
                told = [(life.state, "condition")]
        elif before == "pending" and true:
            life.held += complete
            if life.held * every >= rule.for_us:
                life.state, told = "firing", [("firing", "for elapsed")]
        elif before == "pending" and false:
            life.state, told = "inactive", [("cancelled", why)]
        elif before == "firing" and true:
            life.quiet = -1
            told = [("firing", "more severe")] if severity >= self.repeat[0] * life.peak else []
        elif before == "firing" and false:
            life.quiet += 1
            if life.quiet * every >= rule.keep_firing_for_us:
                life.state, told = "inactive", [("resolved", why)]
        if told and told[0][0] == "firing":
            life.peak, life.peak_at, life.quiet = severity, end, -1
        return told

    def _lapse(self, life: Life, end: int, severity: float) -> list[tuple[str, str]]:
        if self.rule.on_missing == "hold" and life.state != "inactive":
            gone = "resolved" if life.state == "firing" else "cancelled"
            life.state = "inactive"
            return [(gone, "no data")]
        if self.rule.on_missing == "fire" and life.state != "firing":
            life.since = end if life.state == "inactive" else life.since
            life.state, life.peak, life.peak_at, life.quiet = "firing", severity, end, -1
            return [("firing", "no data")]
        return []


def _aggregate(each: Input, rows: list[Row]) -> float:
    values = [row.duration for row in rows]
    counts: dict[str, Callable[[], int]] = {
        "count": lambda: len(rows),
        "errors": lambda: sum(row.error for row in rows),
        "missing": lambda: sum(not row.trace_id for row in rows),
        "condition": lambda: sum(CONDITIONS["duration > 50ms"](row) for row in rows),
    }
    numbers: dict[str, Callable[[], float]] = {
        "quantile": lambda: float(value_of(bucket_of(np.array([sorted(values)[max(1, math.ceil(each.quantile * len(values) - 1e-9)) - 1]])))[0]),
        "sum": lambda: math.fsum(values),
        "avg": lambda: math.fsum(values) / len(values),
        "min": lambda: min(values),
        "max": lambda: max(values),
        "last": lambda: max((row.time_us, row.duration) for row in rows)[1],
    }
    if each.kind in counts:
        return float(counts[each.kind]())
    return numbers[each.kind]() if rows else math.nan
