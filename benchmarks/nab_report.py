"""`python -m benchmarks.nab_report DATA_DIR [--pictures DIR]`: what the learned baseline is worth on series whose anomalies are known.

In: CSV files and windows.json, as the Numenta Anomaly Benchmark has them. Out: its standard score at the best threshold and at the one fixed beforehand (the
band's edge), and alerts outside every window for each week of series; whole, and for two halves of the series. With --pictures: series, band and alerts drawn
(needs matplotlib).
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.nab import Floats, Judged, Series, judge, read
from tracebraid.pipeline.detect.baseline import REASONS

FALSE_WEIGHT = 0.11
WEEK_US = 7 * 86_400 * 1e6
PICTURES = (
    "nyc_taxi",
    "art_daily_jumpsdown",
    "ec2_request_latency_system_failure",
    "ambient_temperature_system_failure",
    "Twitter_volume_AAPL",
    "grok_asg_anomaly",
)

Spans = list[tuple[int, int]]


def spans_of(series: Series, windows: dict[str, list[list[str]]]) -> Spans:
    """First and last row of each window of anomalies."""
    at = {stamp.split(".")[0]: row for row, stamp in reversed(list(enumerate(series.stamps)))}
    return [(at[a.split(".")[0]], at[b.split(".")[0]]) for a, b in windows.get(series.name, [])]


def probation(series: Series) -> int:
    """Rows at the start that the benchmark does not count."""
    return min(math.floor(0.15 * len(series.values)), 750)


def _position(x: float) -> float:
    return -1.0 if x > 3.0 else 2.0 / (1.0 + math.exp(5.0 * x)) - 1.0


def _worth(rows: int, spans: Spans) -> Iterator[tuple[float, int]]:
    """For each row: what an alert there is worth in the standard profile, and its window, or -1."""
    last: tuple[int, int] | None = None
    at = 0
    for row in range(rows):
        while at < len(spans) and row > spans[at][1]:
            last, at = spans[at], at + 1
        if at < len(spans) and spans[at][0] <= row:
            start, end = spans[at]
            yield _position(-(end - row + 1) / (end - start + 1)) / _position(-1.0), at
        elif last is None:
            yield -FALSE_WEIGHT, -1
        else:
            yield _position((row - last[1]) / (last[1] - last[0])) * FALSE_WEIGHT, -1


def scores(series: Sequence[Series], sent: Sequence[Floats], windows: dict[str, list[list[str]]]) -> tuple[float, float, float]:
    """Standard score at the best threshold, that threshold (a severity), and the score at severity 1."""
    alerts: list[tuple[float, float, tuple[int, int] | None]] = []
    missed = 0
    for number, (one, severities) in enumerate(zip(series, sent, strict=True)):
        spans = spans_of(one, windows)
        missed += len(spans)
        for row, (worth, window) in enumerate(_worth(len(severities), spans)):
            if row >= probation(one) and severities[row] > 0:
                alerts.append((float(severities[row]), worth, (number, window) if window >= 0 else None))
    alerts.sort(key=lambda alert: -alert[0])
    found: dict[tuple[int, int], float] = {}
    total = best = fixed = 0.0  # above the detector that never fires
    best_at = math.inf
    for i, (severity, worth, window) in enumerate(alerts):
        if window is None:
            total += worth
        elif worth > found.get(window, -1.0):
            total += worth - found.get(window, -1.0)
            found[window] = worth
        last_of_equals = i + 1 == len(alerts) or alerts[i + 1][0] < severity
        if last_of_equals and total > best:
            best, best_at = total, severity
        if last_of_equals and severity >= 1.0:
            fixed = total
    return 50.0 * best / max(missed, 1), best_at, 50.0 * fixed / max(missed, 1)


def false_alerts(series: Sequence[Series], sent: Sequence[Floats], windows: dict[str, list[list[str]]], *, early: bool) -> float:
    """Alerts at severity 1 outside every window, for each week of series; with the probation period or without."""
    alerts, weeks = 0, 0.0
    for one, severities in zip(series, sent, strict=True):
        start = 0 if early else probation(one)
        outside = severities >= 1.0
        for a, b in spans_of(one, windows):
            outside[a : b + 1] = False
        alerts += int(outside[start:].sum())
        weeks += (one.times_us[-1] - one.times_us[start]) / WEEK_US
    return alerts / weeks


def line(name: str, series: Sequence[Series], judged: Sequence[Judged], windows: dict[str, list[list[str]]]) -> str:
    """One row of the table."""
    sent = [one.sent for one in judged]
    best, at, fixed = scores(series, sent, windows)
    after, whole = (false_alerts(series, sent, windows, early=early) for early in (False, True))
    return f"{name:12} {len(series):6} {best:6.1f} {at:10.2f} {fixed:6.1f} {after:13.2f} {whole:13.2f}"


def draw(path: Path, one: Series, found: Judged, spans: Spans) -> None:
    """One picture: the series, its band, the windows of anomalies, and the alerts that are sent."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    times = one.times_us.astype("datetime64[us]")
    figure, axes = plt.subplots(figsize=(11, 3.6))
    axes.fill_between(times, found.low, found.high, where=np.isfinite(found.high), color="#9ecae1", alpha=0.6, linewidth=0, label="band")
    axes.plot(times, one.values, color="#333333", linewidth=0.6, label="value")
    for at, (start, end) in enumerate(spans):
        axes.axvspan(times[start], times[end], color="#fdd49e", alpha=0.6, linewidth=0, label="known anomaly" if at == 0 else None)
    alerts = np.flatnonzero(found.sent >= 1.0)
    axes.scatter(times[alerts], one.values[alerts], color="#cb181d", s=22, zorder=3, label="alert sent")
    low, high = np.nanmin(one.values), np.nanmax(one.values)
    axes.set_ylim(low - 0.25 * (high - low), high + 0.25 * (high - low))
    axes.set_xlim(times[0], times[-1])
    axes.set_title(Path(one.name).stem, fontsize=10)
    axes.legend(loc="upper left", fontsize=7, ncols=4)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with CSV files and windows.json")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures")
    parser.add_argument("--alerts", action="store_true", help="list the alerts outside every window")
    arguments = parser.parse_args()
    windows = json.loads((arguments.data / "windows.json").read_text())
    series = read(arguments.data)
    judged = judge(series)
    print(f"{'':12} {'series':>6} {'best':>6} {'at severity':>10} {'fixed':>6} {'false/week':>13} {'from row 0':>13}")
    print(line("all", series, judged, windows))
    for name, start in (("even half", 0), ("odd half", 1)):
        print(line(name, series[start::2], judged[start::2], windows))
    for one, found in zip(series, judged, strict=True):
        spans = spans_of(one, windows)
        if arguments.alerts:
            for row in np.flatnonzero(found.sent >= 1.0):
                if not any(a <= row <= b for a, b in spans):
                    band = f"{found.low[row]:g} to {found.high[row]:g}"
                    print(f"{one.name} {one.stamps[row]} value {one.values[row]:g}, band {band}, severity {found.sent[row]:.1f}: {REASONS[found.reason[row]]}")
        if arguments.pictures and Path(one.name).stem in PICTURES:
            draw(arguments.pictures / f"baseline-{Path(one.name).stem.lower().replace('_', '-')}.png", one, found, spans)


if __name__ == "__main__":
    main()
