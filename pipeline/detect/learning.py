"""What a judged value does to the memory: it is learned, or held while it is being reported.

In: the traces of a judgement, and which of its rows to learn. Out: the memory, changed in place. It never judges.
"""

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.detect.judging import Traces
from tracebraid.pipeline.detect.memory import FIELDS, RULES, Floats, Memory, Rows
from tracebraid.pipeline.detect.tuning import TUNING

Bools = npt.NDArray[np.bool_]


def learned(memory: Memory, seen: Traces, learn: Bools) -> None:
    """As Bank.learn. learn: bool [n]; where it is false the value is held. No data: nothing happens."""
    data = ~np.isnan(seen.x)
    if not data.all():
        seen, learn = seen.only(np.flatnonzero(data)), learn[data]
    rows, fresh = seen.rows, memory.get("count", seen.rows) == 0
    settled = ~fresh & (seen.time_s - memory.get("first", rows) >= TUNING.settled_s)
    began = ~learn & ~np.isfinite(memory.get("held_since", rows))
    record = learn & (seen.score > 0) & settled
    for name, more in (
        ("records", record.astype(np.float64)),
        ("record_size", np.where(record, seen.size, 0.0)),
        ("reports", (began & settled).astype(np.float64)),
    ):
        memory.put(name, rows, memory.get(name, rows) * seen.decay + more)
    memory.put("score_2", rows, memory.get("score_1", rows))
    memory.put("score_1", rows, seen.score)
    memory.put("mean", rows, seen.values[2])
    held = np.flatnonzero(~learn)
    if len(held):
        _hold(memory, seen.only(held), began[held])
    pausing = np.flatnonzero(learn & np.isfinite(memory.get("held_since", rows)))
    if len(pausing):
        _pause(memory, seen.only(pausing), settled[pausing])
    _take_in(memory, seen, learn, fresh)
    memory.put("first", rows, np.where(fresh, seen.time_s, memory.get("first", rows)))
    memory.put("last", rows, seen.time_s)
    memory.put("count", rows, memory.get("count", rows) + 1)


def _take_in(memory: Memory, seen: Traces, learn: Bools, fresh: Bools) -> None:
    """Level, size, the hour's visit and the ranges take the value in."""
    t, rows, x = TUNING, seen.rows, seen.x

    def update(name: str, values: Floats) -> None:
        memory.put(name, rows, np.where(learn, values, memory.get(name, rows)))

    elapsed, count = np.where(fresh, 0.0, seen.time_s - memory.get("last", rows)), memory.get("count", rows) + 1
    level, magnitude = np.where(fresh, x, memory.get("level", rows)), np.where(fresh, np.abs(x), memory.get("magnitude", rows))
    memory.put("level", rows, level + np.where(learn, np.maximum(-np.expm1(-elapsed / t.level_s), 1 / count), 0.0) * (x - level))
    memory.put("magnitude", rows, magnitude + np.where(learn, np.maximum(-np.expm1(-elapsed / t.magnitude_s), 1 / count), 0.0) * (np.abs(x) - magnitude))
    for name, more in (("visit_seen", 1.0), ("visit_n", 1.0), ("visit_sum", x)):
        update(name, memory.get(name, rows) + more)
    enough = count > t.mean_points_min
    for rule, name in enumerate(RULES):
        takes = learn & enough if name == "sustained" else learn
        widen(memory, name, rows, np.where(takes, seen.values[rule], np.nan), np.where(takes, seen.values[rule], np.nan))
    day, week = np.abs(seen.values[1]), np.abs(seen.values[3])
    gain = np.where(learn & ~np.isnan(day), -np.expm1(-elapsed / t.error_s), 0.0)
    error_day, error_week = memory.get("error_day", rows), memory.get("error_week", rows)
    error_day = error_day + gain * (np.where(np.isnan(day), error_day, day) - error_day)
    memory.put("error_day", rows, error_day)
    memory.put("error_week", rows, np.where(gain > 0, np.where(np.isnan(week), error_day, error_week + gain * (week - error_week)), error_week))
    since = memory.get("residual_since", rows)
    memory.put("residual_since", rows, np.where(learn & ~np.isnan(day), np.minimum(since, seen.time_s), since))


def _hold(memory: Memory, seen: Traces, began: Bools) -> None:
    """What is being reported is put aside."""
    rows = seen.rows
    memory.put("held_since", rows, np.where(began, seen.time_s, memory.get("held_since", rows)))
    memory.put("held_n", rows, memory.get("held_n", rows) + 1)
    memory.put("held_size", rows, np.maximum(memory.get("held_size", rows), seen.size))
    memory.put("quiet", rows, 0.0)
    for rule, name in enumerate(RULES):
        memory.put(f"{name}_held_low", rows, np.fmin(memory.get(f"{name}_held_low", rows), seen.values[rule]))
        memory.put(f"{name}_held_high", rows, np.fmax(memory.get(f"{name}_held_high", rows), seen.values[rule]))


def _pause(memory: Memory, seen: Traces, settled: Bools) -> None:
    """Inside again: the ninth such point ends the report. Its size is a record; a range grows by at most its own width on each side."""
    quiet = memory.get("quiet", seen.rows) + 1
    memory.put("quiet", seen.rows, quiet)
    ended = np.flatnonzero(quiet >= TUNING.quiet_points)
    if not len(ended):
        return
    seen, settled = seen.only(ended), settled[ended]
    rows = seen.rows
    memory.put("records", rows, memory.get("records", rows) + settled)
    memory.put("record_size", rows, memory.get("record_size", rows) + np.where(settled, memory.get("held_size", rows), 0.0))
    for rule, name in enumerate(RULES):
        low, high, spread = memory.get(f"{name}_held_low", rows), memory.get(f"{name}_held_high", rows), seen.spread[rule]
        width = np.where(spread == 0, np.inf, TUNING.held_width_max * spread)
        some = (high >= low) & (width >= 0)
        widen(
            memory,
            name,
            rows,
            np.where(some, np.maximum(low, seen.inner[rule] - width), np.nan),
            np.where(some, np.minimum(high, seen.outer[rule] + width), np.nan),
        )
    let_go(memory, rows)


def let_go(memory: Memory, rows: Rows) -> None:
    """Nothing is held any more."""
    for name in FIELDS:
        if "held" in name or name == "quiet":
            memory.put(name, rows, FIELDS[name])


def widen(memory: Memory, rule: str, rows: Rows, low: Floats, high: Floats) -> None:
    """The rule's range holds low and high too (nan: nothing). The first rule's is also that of the hour under way."""
    for prefix in (rule, "visit") if rule == "range" else (rule,):
        memory.put(f"{prefix}_low", rows, np.fmin(memory.get(f"{prefix}_low", rows), low))
        memory.put(f"{prefix}_high", rows, np.fmax(memory.get(f"{prefix}_high", rows), high))
