"""The benchmark of the learned baseline: files in, files out, and its score against the public scorer."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.nab import Series, judge, read, write
from benchmarks.nab_report import scores

DAY = 288


def _data(folder: Path) -> dict[str, list[list[str]]]:
    random = np.random.default_rng(1)
    windows = {}
    for name, at in (("a/one.csv", 9 * DAY), ("b/two.csv", 8 * DAY), ("b/none.csv", None)):
        values = 50 + 10 * np.sin(np.arange(14 * DAY) / DAY * 2 * np.pi) + random.normal(0, 1, 14 * DAY)
        values[random.integers(0, 14 * DAY, 3)] += 40
        if at:
            values[at : at + 12] += 60
        stamps = (np.datetime64("2024-01-01T00:00:00") + np.arange(14 * DAY) * np.timedelta64(5, "m")).astype(str)
        stamps = np.char.replace(stamps, "T", " ")
        windows[name] = [[f"{stamps[at - 100]}.000000", f"{stamps[at + 100]}.000000"]] if at else []
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("timestamp,value\n" + "".join(f"{stamp},{value}\n" for stamp, value in zip(stamps, values, strict=True)))
    return windows


def test_scores_are_written_for_every_series_in_its_order(tmp_path: Path, shared: Path) -> None:
    windows = _data(tmp_path)
    series = read(tmp_path)
    judged = judge(series)
    write(tmp_path / "out", series, judged)
    for one, found in zip(series, judged, strict=True):
        rows = list(csv.DictReader((tmp_path / "out" / one.name).read_text().splitlines()))
        assert [row["timestamp"] for row in rows] == one.stamps
        assert [float(row["anomaly_score"]) for row in rows] == (found.sent / (1 + found.sent)).tolist()
    (tmp_path / "windows.json").write_text(json.dumps(windows))
    command = [sys.executable, str(shared / "tools" / "nab_score.py"), str(tmp_path / "out"), "--windows", str(tmp_path / "windows.json")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    best, at, fixed = scores(series, [found.sent for found in judged], windows)
    assert printed == f"NAB standard: {best:.2f} at threshold {at / (1 + at):g} over 2 windows\n"
    assert 50 < fixed <= best


def test_a_folder_without_series_is_said(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.nab", str(tmp_path), str(tmp_path / "out")],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert (result.returncode, result.stderr) == (1, f"no CSV file under {tmp_path}: give the folder that holds the series\n")


def test_the_score_of_nothing_is_nothing() -> None:
    series = [Series("x", ["2024-01-01 00:00:00"] * 100, np.arange(100, dtype=np.int64), np.zeros(100))]
    assert scores(series, [np.zeros(100)], {})[0] == 0.0
