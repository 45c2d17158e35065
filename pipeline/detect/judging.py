"""One value against its band: four rules, the furthest out of which speaks.

In: the memory of the series, times, values, how the rule asks. Out: the band and the severity. It changes nothing in the memory.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.detect.memory import EMPTY_HIGH, EMPTY_LOW, RULES, Floats, Memory, Rows
from tracebraid.pipeline.detect.tuning import DAY_S, TUNING

_LEAST = 1e-12
_STRETCH_MAX = 50.0  # sinh of more overflows nothing yet means nothing
REASONS = (
    "still learning",
    "outside the range seen around this hour",
    "unlike what is usual at this hour",
    "the mean of the last windows is outside the range seen",
    "unlike what is usual at this hour of this weekday",
)
SENSITIVITY = 4.0

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """How a rule asks. sensitivity: larger is wider, 4 is the tolerance as learned; floor: in the measure's unit, no departure below it counts.

    direction: the side the rule looks at, the other is never outside; utc_offset_us: added to the time to know the hour and the weekday.
    """

    sensitivity: float = SENSITIVITY
    floor: float = 0.0
    direction: Literal["high", "low", "both"] = "both"
    utc_offset_us: int = 0


DIAL = Dial()


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What learning needs of a judgement. values, inner, outer: [4, n], by rule: the value in the rule's terms, and the range seen in them."""

    rows: Rows
    time_s: Floats
    x: Floats
    values: Floats
    inner: Floats
    outer: Floats
    spread: Floats
    score: Floats
    size: Floats
    decay: Floats

    def only(self, at: npt.NDArray[np.intp]) -> "Traces":
        return Traces(**{name: getattr(self, name)[..., at] for name in self.__dataclass_fields__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One judgement, arrays of one length. low, high: in the measure's unit, infinite while there is no band.

    severity: 1 or more exactly outside the band on the side the dial looks at, nan without data, rising with the distance; reason: int8, index into REASONS, of
    the rule that is furthest out, else of the narrowest.
    """

    low: Floats
    high: Floats
    severity: Floats
    reason: npt.NDArray[np.int8]
    traces: Traces


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """The four rules at one moment. [4, n] by rule: values, inner, outer, margins; [n]: the rest."""

    values: Floats
    inner: Floats
    outer: Floats
    margins: Floats
    offsets: tuple[Floats, Floats, Floats]  # what rules 1, 2 and 4 have taken away from x
    floor: Floats
    times: Floats
    mean: Floats
    gain: Floats
    magnitude: Floats
    x: Floats


def judged(memory: Memory, rows: Rows, time_s: Floats, x: Floats, dial: Dial) -> Band:
    """As Bank.judge, with the hour turned. time_s, x: float64 [n]."""

    def get(name: str) -> Floats:
        return memory.get(name, rows)

    t, count, mean, usual, width = TUNING, get("count"), get("mean"), get("usual"), get("width")
    fresh = count == 0
    level, magnitude = np.where(fresh, x, get("level")), np.where(fresh, np.abs(x), get("magnitude"))
    age = np.where(fresh, 0.0, time_s - get("first"))
    weekly = np.where(age >= t.week_learns_s, get("weekly"), np.nan)
    gain = np.maximum(2.0 / (t.mean_points + 1.0), 1.0 / (count + 1.0))
    scaled = np.where(magnitude > 0, np.arcsinh(x / np.where(magnitude > 0, magnitude, 1.0)), np.where(np.isnan(x), np.nan, 0.0))
    values = np.stack((x - level, x - usual, mean + gain * (scaled - mean), x - (usual + weekly)))
    inner, outer, spread = _ranges(get)
    decay = np.exp2(-np.where(fresh, 0.0, time_s - get("last")) / t.memory_half_life_s)
    tolerance, tolerance_residual = _tolerances(get, time_s, age, decay)
    dialed = dial.sensitivity / SENSITIVITY
    scale = 0.5 * spread[0] + 0.5 * np.where(np.isnan(width), outer[0] - inner[0], width)
    margins = dialed * np.stack((tolerance * scale, tolerance_residual * spread[1], tolerance * spread[2] / t.sustained_share, tolerance_residual * spread[3]))
    active = (count >= t.points_min) & _in_use(get, time_s, age, weekly, spread) & (outer >= inner)
    before = np.maximum(get("score_1"), get("score_2"))
    view = _View(
        values=values,
        inner=inner,
        outer=outer,
        margins=margins,
        offsets=(level, usual, usual + weekly),
        floor=np.maximum(dial.floor, t.margin_level * magnitude) + _LEAST,
        times=np.where(before >= 1.0, 1.0, t.single),
        mean=mean,
        gain=gain,
        magnitude=magnitude,
        x=x,
    )
    above, highs = _side(view, 1.0)
    below, lows = _side(view, -1.0)
    excess = np.where(active, np.fmax({"high": above, "low": below, "both": np.fmax(above, below)}[dial.direction], 0.0), 0.0)
    score = np.minimum(excess.max(axis=0), t.score_max)
    highs, lows = np.where(active, highs, np.inf), np.where(active, lows, -np.inf)
    binding = np.where(score > 0, excess.argmax(axis=0), (highs - lows).argmin(axis=0))
    return Band(
        low=lows.max(axis=0),
        high=highs.min(axis=0),
        severity=np.where(np.isnan(x), np.nan, np.maximum(np.minimum(score, before), score / t.single)),
        reason=np.where(active.any(axis=0), binding + 1, 0).astype(np.int8),
        traces=Traces(
            rows=rows,
            time_s=time_s,
            x=x,
            values=values,
            inner=inner,
            outer=outer,
            spread=spread,
            score=score,
            size=np.minimum(score * tolerance, t.record_size_max),
            decay=decay,
        ),
    )


def _ranges(get: Callable[[str], Floats]) -> tuple[Floats, Floats, Floats]:
    """What was seen, by rule: least, most, and the distance of the two; the first rule's least and most are those around this hour. [4, n] each."""
    inner = np.stack([np.minimum(get(f"{rule}_low"), get(f"{rule}_earlier_low")) for rule in RULES])
    outer = np.stack([np.maximum(get(f"{rule}_high"), get(f"{rule}_earlier_high")) for rule in RULES])
    spread = outer - inner
    inner[0], outer[0] = _around_this_hour(get)
    return inner, outer, spread


def _in_use(get: Callable[[str], Floats], time_s: Floats, age: Floats, weekly: Floats, spread: Floats) -> Bools:
    """Which rules know enough to speak: the week's in place of the day's where it is the better guess. [4, n]."""
    t = TUNING
    by_week = ~np.isnan(weekly) & (age >= t.week_used_s) & (spread[3] >= 0) & (get("error_week") < t.week_better * get("error_day"))
    by_day = ~np.isnan(get("usual")) & (time_s - get("residual_since") >= t.residual_s) & ~by_week
    always = np.ones(len(age), dtype=bool)
    return np.stack((always, by_day, always, by_week))


def _side(view: _View, sign: float) -> tuple[Floats, Floats]:
    """One side (sign 1: above, -1: below): how far out in tolerances by rule (negative: inside), and the band's edges in the measure's unit. [4, n]."""
    edges = view.outer if sign > 0 else view.inner
    out, limits = np.empty_like(edges), np.empty_like(edges)
    for rule, offset in zip((0, 1, 3), view.offsets, strict=True):
        size = np.maximum(np.abs(view.inner[rule]), np.abs(view.outer[rule]))
        margin = np.maximum(view.margins[rule], view.floor) + 1e-6 * size
        out[rule] = sign * (view.values[rule] - edges[rule]) / margin
        limits[rule] = offset + edges[rule] + sign * view.times * margin
    # The mean of the last windows, solved for this one: the value that brings it to its edge, but none inside of what would keep it there: once the mean is
    # out, an ordinary value is not to blame. The floor is in the measure's unit and counts from that value.
    margin = view.margins[2] + 1e-9
    at_edge, keeps = (
        sign * view.magnitude * np.sinh(np.clip(scaled, -_STRETCH_MAX, _STRETCH_MAX)) for scaled in (view.mean + (edges[2] - view.mean) / view.gain, edges[2])
    )
    at_edge = np.maximum(at_edge, keeps)
    beyond = view.magnitude * np.sinh(np.clip(view.mean + (edges[2] + sign * view.times * margin - view.mean) / view.gain, -_STRETCH_MAX, _STRETCH_MAX))
    out[2] = np.minimum(sign * (view.values[2] - edges[2]) / margin, (sign * view.x - at_edge) / view.floor)
    limits[2] = sign * np.maximum(sign * beyond, at_edge + view.times * view.floor)
    return out, limits


def _around_this_hour(get: Callable[[str], Floats]) -> tuple[Floats, Floats]:
    """The range of value - level in this hour of day and those beside it. An hour counts from its fourth point."""
    enough = get("visit_seen") + get("here_seen") >= TUNING.hour_points_min
    low = np.minimum(get("near_low"), np.where(enough, np.minimum(get("visit_low"), get("here_low")), EMPTY_LOW))
    high = np.maximum(get("near_high"), np.where(enough, np.maximum(get("visit_high"), get("here_high")), EMPTY_HIGH))
    return low, high


def _tolerances(get: Callable[[str], Floats], time_s: Floats, age: Floats, decay: Floats) -> tuple[Floats, Floats]:
    """Shares of the range seen: for rules of the series' whole age, and for rules 2 and 4, whose residuals began later."""
    t = TUNING
    records, reports = get("records") * decay, get("reports") * decay
    size = np.where(records > 0, get("record_size") * decay / np.where(records > 0, records, 1.0), 0.0)
    a_week = records * (7 * DAY_S * math.log(2) / t.memory_half_life_s)
    learned = (t.tolerance + t.tolerance_heavy * size * np.log1p(a_week / 0.25)) * (1 + t.tolerance_report * np.minimum(reports, t.reports_max))
    known_s = np.maximum(np.minimum(age, t.restarted_age_s + time_s - get("restarted")), 1.0)
    residual_s = np.maximum(np.minimum(known_s, time_s - get("residual_since")), 1.0)
    young, young_residual = (t.tolerance_young * np.sqrt(q * np.sqrt(q)) for q in (t.young_s / known_s, t.young_s / residual_s))
    return learned + young, learned + young_residual
