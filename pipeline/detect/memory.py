"""What a baseline remembers of each series: arrays of fixed size, 1,202 bytes a series, and the turn of the hour in them.

In: row numbers and times. Out: the same arrays, changed in place. It never judges.

Of each hour of the day it holds the range of (value - level) in this epoch of 28 days and the one before, and the usual value; of each day of the week, in
blocks of four hours, the usual difference from the usual day. All else is one number a series (`now`, a row of it for each name in FIELDS). What a judgement
needs of the hour is copied into `now` when the hour turns, so that between two turns of the hour the tables are not touched.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.detect.tuning import TUNING

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

VERSION = 1
EMPTY_LOW, EMPTY_HIGH = np.inf, -np.inf

RULES = ("range", "usual", "sustained", "week")
# name: value of a series never seen
FIELDS: dict[str, float] = {
    **{"count": 0.0, "first": 0.0, "last": 0.0, "hour": -1.0, "epoch": 0.0},  # times in seconds since 1970; hour: whole local hours since 1970
    **{"level": 0.0, "magnitude": 0.0, "mean": 0.0},
    **{"visit_low": EMPTY_LOW, "visit_high": EMPTY_HIGH, "visit_seen": 0.0, "visit_sum": 0.0, "visit_n": 0.0},  # of the hour under way
    **{
        "near_low": EMPTY_LOW,
        "near_high": EMPTY_HIGH,
        "here_low": EMPTY_LOW,
        "here_high": EMPTY_HIGH,
        "here_seen": 0.0,
    },  # of the hours beside, and of this one, before
    **{"width": np.nan, "usual": np.nan, "weekly": np.nan},
    **{"score_1": 0.0, "score_2": 0.0, "records": 0.0, "record_size": 0.0, "reports": 0.0, "error_day": 0.0, "error_week": 0.0},
    **{"residual_since": np.inf, "restarted": -np.inf, "held_since": np.inf, "held_n": 0.0, "held_size": 0.0, "quiet": 0.0},
    **{
        f"{rule}_{end}": value
        for rule in RULES
        for end, value in (("low", EMPTY_LOW), ("high", EMPTY_HIGH), ("earlier_low", EMPTY_LOW), ("earlier_high", EMPTY_HIGH))
    },
    **{f"{rule}_held_{end}": value for rule in RULES for end, value in (("low", EMPTY_LOW), ("high", EMPTY_HIGH))},
}
AT = {name: at for at, name in enumerate(FIELDS)}
_INITIAL = np.array(list(FIELDS.values()))
LOW, HIGH, EARLIER_LOW, EARLIER_HIGH, USUAL = range(5)
_HOURS_INITIAL = np.array([np.inf, -np.inf, np.inf, -np.inf, np.nan], dtype=np.float32)[:, None]


class Memory:
    """The arrays of a Bank. Rows are the caller's: 0 ≤ row < capacity."""

    def __init__(self, capacity: int) -> None:
        self.now: Floats = np.repeat(_INITIAL[:, None], capacity, axis=1)
        self.hours = np.tile(_HOURS_INITIAL, (capacity, 1, 24))  # float32 [capacity, 5, 24]
        self.seen = np.zeros((capacity, 2, 24), dtype=np.uint8)  # points in the hour, at most 255: this epoch, the one before
        self.week = np.zeros((capacity, 42), dtype=np.float32)
        self.week_seen = np.zeros((capacity, 42), dtype=np.uint8)

    @property
    def capacity(self) -> int:
        return int(self.now.shape[1])

    @property
    def bytes_per_series(self) -> int:
        return sum(array.nbytes for array in (self.now, self.hours, self.seen, self.week, self.week_seen)) // max(self.capacity, 1)

    def grow(self, capacity: int) -> None:
        """Makes room for rows below `capacity`; what is held stays. Never shrinks."""
        if capacity <= self.capacity:
            return
        more = Memory(capacity - self.capacity)
        self.now = np.concatenate((self.now, more.now), axis=1)
        for name in ("hours", "seen", "week", "week_seen"):
            setattr(self, name, np.concatenate((getattr(self, name), getattr(more, name))))

    def get(self, name: str, rows: Rows) -> Floats:
        values: Floats = self.now[AT[name]].take(rows)
        return values

    def put(self, name: str, rows: Rows, values: Floats | float) -> None:
        self.now[AT[name]][rows] = values

    def forget(self, rows: Rows) -> None:
        """These rows are as never seen."""
        self.now[:, rows] = _INITIAL[:, None]
        self.hours[rows] = _HOURS_INITIAL
        for table in (self.seen, self.week, self.week_seen):
            table[rows] = 0

    def snapshot(self, rows: Rows) -> dict[str, npt.NDArray[np.generic]]:
        """Copies of all that is held of these rows, first axis the rows; and `version`, int64 [1]."""
        tables = {name: getattr(self, name)[rows] for name in ("hours", "seen", "week", "week_seen")}
        return {"version": np.array([VERSION]), "now": np.ascontiguousarray(self.now[:, rows].T), **tables}

    def restore(self, rows: Rows, state: Mapping[str, npt.NDArray[np.generic]]) -> bool:
        """Puts a snapshot into these rows. False, and nothing changed, where it was made by another version."""
        if int(state["version"][0]) != VERSION or state["now"].shape != (len(rows), len(FIELDS)):
            return False
        self.now[:, rows] = np.asarray(state["now"], dtype=np.float64).T
        for name in ("hours", "seen", "week", "week_seen"):
            getattr(self, name)[rows] = state[name]
        return True

    def turn(self, rows: Rows, time_s: Floats, hour: Floats) -> None:
        """Into the hour `hour` (whole local hours since 1970) for those rows that are in another one: closes the visit, opens the next."""
        other = np.flatnonzero(self.get("hour", rows) != hour)
        if not len(other):
            return
        rows, time_s, hour = rows[other], time_s[other], hour[other]
        known = np.flatnonzero(self.get("hour", rows) >= 0)
        self.put("epoch", rows, np.where(self.get("hour", rows) < 0, time_s, self.get("epoch", rows)))
        if len(known):
            self._close(rows[known])
        self._next_epoch(rows, time_s)
        for name in ("visit_low", "visit_high", "visit_seen", "visit_sum", "visit_n"):
            self.put(name, rows, FIELDS[name])
        self.put("hour", rows, hour)
        self._open(rows, hour.astype(np.int64))

    def _close(self, rows: Rows) -> None:
        hour = self.get("hour", rows).astype(np.int64)
        k, block = hour % 24, (hour // 24) % 7 * 6 + hour % 24 // 4
        self.hours[rows, LOW, k] = np.fmin(self.hours[rows, LOW, k], self.get("visit_low", rows).astype(np.float32))
        self.hours[rows, HIGH, k] = np.fmax(self.hours[rows, HIGH, k], self.get("visit_high", rows).astype(np.float32))
        self.seen[rows, 0, k] = np.minimum(self.seen[rows, 0, k] + self.get("visit_seen", rows), 255).astype(np.uint8)
        n = self.get("visit_n", rows)
        some = np.flatnonzero(n > 0)
        rows, k, block = rows[some], k[some], block[some]
        mean = self.get("visit_sum", rows) / n[some]
        usual = self.hours[rows, USUAL, k].astype(np.float64)
        new = np.isnan(usual)
        self.hours[rows, USUAL, k] = np.where(new, mean, usual + TUNING.usual_gain * (mean - usual))
        old = np.flatnonzero(~new)
        rows, block, difference = rows[old], block[old], (mean - usual)[old]
        seen, week = self.week_seen[rows, block].astype(np.float64), self.week[rows, block].astype(np.float64)
        self.week[rows, block] = week + np.maximum(TUNING.week_gain, 1.0 / (seen + 1.0)) * (difference - week)
        self.week_seen[rows, block] = np.minimum(seen + 1, 255).astype(np.uint8)

    def _next_epoch(self, rows: Rows, time_s: Floats) -> None:
        ended = np.flatnonzero(time_s - self.get("epoch", rows) >= TUNING.epoch_s)
        if not len(ended):
            return
        rows = rows[ended]
        self.put("epoch", rows, time_s[ended])
        self.hours[rows, EARLIER_LOW], self.hours[rows, EARLIER_HIGH] = self.hours[rows, LOW], self.hours[rows, HIGH]
        self.hours[rows, LOW], self.hours[rows, HIGH] = EMPTY_LOW, EMPTY_HIGH
        self.seen[rows, 1], self.seen[rows, 0] = self.seen[rows, 0], 0
        for rule in RULES:
            for end, empty in (("low", EMPTY_LOW), ("high", EMPTY_HIGH)):
                self.put(f"{rule}_earlier_{end}", rows, self.get(f"{rule}_{end}", rows))
                self.put(f"{rule}_{end}", rows, empty)

    def _open(self, rows: Rows, hour: npt.NDArray[np.int64]) -> None:
        k, block = hour % 24, (hour // 24) % 7 * 6 + hour % 24 // 4
        held = self.hours[rows]
        low, high = np.minimum(held[:, LOW], held[:, EARLIER_LOW]).astype(np.float64), np.maximum(held[:, HIGH], held[:, EARLIER_HIGH]).astype(np.float64)
        seen = self.seen[rows].astype(np.int64).sum(axis=1)
        at = np.arange(len(rows))
        self.put("here_low", rows, low[at, k])
        self.put("here_high", rows, high[at, k])
        self.put("here_seen", rows, seen[at, k].astype(np.float64))
        enough = seen >= TUNING.hour_points_min
        near_low, near_high = np.full(len(rows), EMPTY_LOW), np.full(len(rows), EMPTY_HIGH)
        for beside in range(-TUNING.hours_beside, TUNING.hours_beside + 1):
            if beside:
                q = (k + beside) % 24
                near_low = np.where(enough[at, q], np.minimum(near_low, low[at, q]), near_low)
                near_high = np.where(enough[at, q], np.maximum(near_high, high[at, q]), near_high)
        self.put("near_low", rows, near_low)
        self.put("near_high", rows, near_high)
        hours, total = enough.sum(axis=1), np.zeros(len(rows))
        for hour_of_day in range(24):  # one after the other, so that a series alone and among others gives the same sum
            some = enough[:, hour_of_day]
            total += np.where(some, high[:, hour_of_day], 0.0) - np.where(some, low[:, hour_of_day], 0.0)
        self.put("width", rows, np.where(hours > 0, total / np.maximum(hours, 1), np.nan))
        usual = held[at, USUAL, k].astype(np.float64)
        self.put("usual", rows, usual)
        self.put("weekly", rows, np.where(self.week_seen[rows, block] >= TUNING.week_points_min, self.week[rows, block].astype(np.float64), np.nan))
