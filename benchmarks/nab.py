"""`python -m benchmarks.nab DATA_DIR OUT_DIR`: anomaly scores of every CSV under DATA_DIR, made by the baseline as it ships.

In: CSV files with the columns timestamp and value. Out: files of the same names with timestamp and anomaly_score, one row for each row, in order, as the
Numenta Anomaly Benchmark wants them. The score is severity / (1 + severity) where an alert at that severity would be sent, else 0: 0.5 is the band's own edge,
the threshold fixed beforehand. It sees each series once, in order, a value at a time; no window of anomalies, nothing of one series more than of another. Its
loop is what detect does with one window after another.
"""

import argparse
import csv
import datetime as dt
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.detect.baseline import DIAL, Bank, Dial
from tracebraid.pipeline.detect.repeat import sends

ADAPT_AFTER_US = 3_600_000_000  # the default of a rule's adapt_after
EDGE = 0.5  # the score at severity 1

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """One file. stamps: as written; times_us: UTC; values: nan where the file has none."""

    name: str
    stamps: list[str]
    times_us: npt.NDArray[np.int64]
    values: Floats


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said of one series, a value a row. sent: the severity where an alert at that severity is sent, else 0."""

    severity: Floats
    sent: Floats
    low: Floats
    high: Floats
    reason: npt.NDArray[np.int8]


def read(folder: Path) -> list[Series]:
    """Every CSV under the folder, by name."""
    found = []
    for path in sorted(folder.rglob("*.csv")):
        with path.open(newline="") as lines:
            rows = [(row["timestamp"], row["value"]) for row in csv.DictReader(lines)]
        stamps = [stamp for stamp, _ in rows]
        times = np.array([round(dt.datetime.fromisoformat(stamp).replace(tzinfo=dt.UTC).timestamp() * 1e6) for stamp in stamps], dtype=np.int64)
        found.append(Series(str(path.relative_to(folder)), stamps, times, np.array([float(value or "nan") for _, value in rows])))
    return found


def judge(series: Sequence[Series], dial: Dial = DIAL) -> list[Judged]:
    """All series side by side in one bank, the i-th value of each in the i-th step."""
    lengths = np.array([len(one.values) for one in series])
    times, values = (_padded([getattr(one, name) for one in series]) for name in ("times_us", "values"))
    shape = values.shape
    severity, sent, low, high = (np.zeros(shape) for _ in range(4))
    reason = np.zeros(shape, dtype=np.int8)
    bank, sent_severity, sent_us = Bank(len(series)), np.zeros(len(series)), np.zeros(len(series), dtype=np.int64)
    for step in range(shape[0]):
        rows = np.flatnonzero(lengths > step)
        now = times[step, rows].astype(np.int64)
        band = bank.judge(rows, now, values[step, rows], dial)
        bank.learn(band, ~(band.severity >= 1.0))
        bank.restart(rows[bank.steady(rows, now, ADAPT_AFTER_US)])
        found = np.nan_to_num(band.severity)
        send = sends(found, sent_severity[rows], sent_us[rows], now)
        sent_severity[rows], sent_us[rows] = np.where(send, found, sent_severity[rows]), np.where(send, now, sent_us[rows])
        severity[step, rows], sent[step, rows], low[step, rows], high[step, rows] = found, np.where(send, found, 0.0), band.low, band.high
        reason[step, rows] = band.reason
    return [Judged(*(array[:length, at] for array in (severity, sent, low, high, reason))) for at, length in enumerate(lengths)]


def _padded(columns: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    padded = np.zeros((max(map(len, columns)), len(columns)), dtype=columns[0].dtype)
    for at, column in enumerate(columns):
        padded[: len(column), at] = column
    return padded


def write(folder: Path, series: Sequence[Series], judged: Sequence[Judged]) -> None:
    """A file of scores for each series, under its own name."""
    for one, found in zip(series, judged, strict=True):
        path = folder / one.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as lines:
            rows = csv.writer(lines)
            rows.writerow(("timestamp", "anomaly_score"))
            rows.writerows((stamp, repr(float(score))) for stamp, score in zip(one.stamps, found.sent / (1.0 + found.sent), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with CSV files: timestamp, value")
    parser.add_argument("out", type=Path, help="folder for the scores")
    arguments = parser.parse_args()
    series = read(arguments.data)
    if not series:
        sys.exit(f"no CSV file under {arguments.data}: give the folder that holds the series")
    write(arguments.out, series, judge(series))
    print(f"scores of {len(series)} series in {arguments.out}; the band's edge is at {EDGE}")


if __name__ == "__main__":
    main()
