"""A band for each series that learns by itself: what the measure is usually worth at this hour, in the measure's own unit.

In: for rows (series) of a bank, the time and the value of one window. Out: the band, how far outside of it the value is, and which of four rules says so:
further out than ever seen around this hour; further from this hour's usual value than ever; the mean of the last twenty windows further out than ever (on a
logarithmic scale); further from what is usual in this hour of this weekday than ever. "Ever" is the last four to eight weeks. A value is judged before anything
is learned from it. Never reads a clock, never looks ahead, never learns from what is being reported: that is held, and learned in part when the report ends, or
wholly as a new normal.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.detect.judging import DIAL, REASONS, SENSITIVITY, Band, Dial, judged
from tracebraid.pipeline.detect.learning import learned, let_go, widen
from tracebraid.pipeline.detect.memory import RULES, Floats, Memory, Rows
from tracebraid.pipeline.detect.tuning import TUNING

__all__ = ["DIAL", "REASONS", "SENSITIVITY", "Band", "Bank", "Dial"]


class Bank:
    """Baselines of many series, one a row. Rows are the caller's: each at most once in a call, below the capacity; times of a row never go back."""

    def __init__(self, capacity: int = 1024) -> None:
        self.memory = Memory(capacity)

    @property
    def bytes_per_series(self) -> int:
        return self.memory.bytes_per_series

    def grow(self, capacity: int) -> None:
        self.memory.grow(capacity)

    def forget(self, rows: Rows) -> None:
        self.memory.forget(rows)

    def snapshot(self, rows: Rows) -> dict[str, npt.NDArray[np.generic]]:
        return self.memory.snapshot(rows)

    def restore(self, rows: Rows, state: Mapping[str, npt.NDArray[np.generic]]) -> bool:
        return self.memory.restore(rows, state)

    def judge(self, rows: Rows, time_us: npt.NDArray[np.int64] | int, x: Floats, dial: Dial = DIAL) -> Band:
        """The band of each row at this time, and where its value lies. time_us: one for all, or one a row. x: nan (no data) gives the band alone."""
        rows = np.asarray(rows, dtype=np.intp)
        time_s = np.broadcast_to(np.asarray(time_us, dtype=np.float64) / 1e6, rows.shape)
        x = np.where(np.isfinite(x), x, np.nan)
        self.memory.turn(rows, time_s, np.floor((time_s + dial.utc_offset_us / 1e6) / 3600.0))
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            return judged(self.memory, rows, time_s, x, dial)

    def learn(self, band: Band, learn: npt.NDArray[np.bool_]) -> None:
        """Learns the values that `band` judged where `learn`; holds them elsewhere (they are being reported). At most once for a judgement, in order."""
        with np.errstate(invalid="ignore"):
            learned(self.memory, band.traces, np.asarray(learn, dtype=bool))

    def steady(self, rows: Rows, time_us: npt.NDArray[np.int64] | int, adapt_after_us: int) -> npt.NDArray[np.bool_]:
        """Rows that have been held without a pause for so long that they are a new normal."""
        rows = np.asarray(rows, dtype=np.intp)
        get = self.memory.get
        long = np.asarray(time_us, dtype=np.float64) / 1e6 - get("held_since", rows) >= adapt_after_us / 1e6
        steady: npt.NDArray[np.bool_] = long & (get("held_n", rows) >= TUNING.steady_points_min) & (get("quiet", rows) == 0)
        return steady

    def restart(self, rows: Rows) -> None:
        """New normal: what was held is within the band from now on, and the band is wide again, as of a series half a day old."""
        rows = np.asarray(rows, dtype=np.intp)
        memory = self.memory
        for rule in RULES:
            widen(memory, rule, rows, memory.get(f"{rule}_held_low", rows), memory.get(f"{rule}_held_high", rows))
        memory.put("visit_seen", rows, memory.get("visit_seen", rows) + TUNING.hour_points_min)
        memory.put("restarted", rows, memory.get("last", rows))
        let_go(memory, rows)
