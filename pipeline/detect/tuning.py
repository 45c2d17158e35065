"""The parameters of the learned baseline, one set for every series: what each does, and why it has its value.

They were chosen on published series and on seeded synthetic ones together; scores move by 3 points or less when any single one of them is changed by a third.
Nothing here belongs to one series, one measure or one width of window.
"""

from dataclasses import dataclass

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Seconds, points, or shares without a unit."""

    # How far outside what was seen counts as outside: shares of the range seen.
    tolerance: float = 0.0125
    tolerance_heavy: float = 0.06  # times the mean size of past records times ln(1 + records a week / 0.25): a heavy tail earns a wider band
    tolerance_report: float = 0.1  # each remembered report widens by a tenth, at most REPORTS_MAX of them
    reports_max: float = 20.0
    record_size_max: float = 5.0
    memory_half_life_s: float = 14 * DAY_S  # of records and reports
    # A young series has not shown its range yet: (2 days / age)^0.75 times this is added:
    # 0.73 of the range after an hour, 0.07 after a day, 0.01 after two weeks.
    tolerance_young: float = 0.04
    young_s: float = 2 * DAY_S
    restarted_age_s: float = DAY_S / 2  # the age from which a series counts again after a new normal
    settled_s: float = 2 * DAY_S  # records and reports before that say nothing about the tail
    sustained_share: float = 0.75  # rule 3's range is of means: the same share of it means less, hence the wider margin
    margin_level: float = 0.02  # no departure under 2 % of the series' mean size is one; this keeps the band of a noiseless series open
    single: float = 2.0  # one window alone must be this much further out; the band itself holds for two of three
    score_max: float = 1000.0  # further out says no more; a series that never moved is infinitely far out at its first move
    points_min: int = 30  # no band before
    # Level, size and short mean.
    level_s: float = 6 * DAY_S
    magnitude_s: float = 4 * DAY_S
    mean_points: float = 20.0
    mean_points_min: int = 10
    # Season.
    hours_beside: int = 3  # hours on each side whose ranges count too: load is not punctual
    hour_points_min: int = 4
    epoch_s: float = 28 * DAY_S  # ranges hold this epoch and the one before; forgetting sooner costs more than it finds
    usual_gain: float = 0.15
    residual_s: float = DAY_S / 4  # rule 2 needs as much of its own residuals
    week_gain: float = 0.1
    week_points_min: int = 4
    week_learns_s: float = 8 * DAY_S
    week_used_s: float = 14 * DAY_S  # two full periods
    week_better: float = 0.8  # the week is used where its mean error is below this share of the day's
    error_s: float = 7 * DAY_S
    # Reports: what is being reported is held, not learned.
    quiet_points: int = 9  # so many points inside end a report
    # An ended report widens a range by at most its own width on each side: one wild excursion does not blind for weeks. A range without width takes it all.
    held_width_max: float = 1.0
    steady_points_min: int = 3
    # Sending again.
    repeat_factor: float = 2.0
    repeat_s: float = 2 * 3600.0


TUNING = Tuning()
