"""`for`, `keep_firing_for`, recovery and missing data mean what they mean to Prometheus: promtool finds each alert firing exactly when the engine says so.

A window that ends at minute n is an evaluation at minute n; a window without rows is a sample that is stale, as `on_missing: resolve` has it.
"""

import itertools
import random
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.detecting import MINUTE, SECOND, T0, Row, measures, partials, programs, source, told
from tracebraid.pipeline.detect.build import EngineSettings
from tracebraid.pipeline.detect.engine import Engine

LENGTH = 30
RULES = {f"for{held}keep{kept}": (held, kept) for held, kept in itertools.product((0, 1, 3), (0, 2, 5))}
# A character a minute: x true, o false, . without data.
WRITTEN = {
    "steady": "ooxxxxxxxxooooooooooo",
    "flapping": "oxoxxoxxxoxxxxoxxxxxoooxoooo",
    "silent while firing": "oxxxxxx....................",
    "silent while pending": "oxx.xxxx.oooo",
    "silent before it began": "....xxxxx..o..xxx",
    "back within keep_firing_for": "xxxxxo.xoo.xoooooox",
}


def histories() -> dict[str, str]:
    """What is written above, and others by chance, that hold each state for some minutes; all of one length."""
    chance = random.Random(5)
    found = dict(WRITTEN)
    for number in range(40):
        text = "".join(chance.choice("xxo.") * chance.randint(1, 5) for _ in range(LENGTH))
        found[f"chance {number}"] = text[: LENGTH - 8]
    return {name: text.ljust(LENGTH, "o") for name, text in found.items()}


def firing(known: Mapping[str, str]) -> dict[tuple[str, str], list[int]]:
    """(rule, history) → the minutes at which the engine holds it firing."""
    lines = [
        f"- {{name: {name}, on: spans, by: [service_name], when: error_rate > 50%, for: {held}m, keep_firing_for: {kept}m, on_missing: resolve}}"
        for name, (held, kept) in RULES.items()
    ]
    made = programs("\n".join(lines))
    engine = Engine(made, EngineSettings(shards=1, repeat_ratio=0))
    now: set[tuple[str, str]] = set()
    found: dict[tuple[str, str], list[int]] = {(rule, name): [] for rule in RULES for name in known}
    for minute in range(LENGTH):
        rows = [Row(T0 + minute * MINUTE, (name,), error=text[minute] == "x") for name, text in known.items() if text[minute] != "."]
        engine.merge(0, source(), minute, minute + 1, partials(rows, measures(made)))
        engine.watermark(0, [told(0, T0 + (minute + 1) * MINUTE + 10 * SECOND)])
        for each in engine.tick():
            key = each.rule.name, each.series["service_name"]
            if each.transition == "firing":
                now.add(key)
            elif each.transition == "resolved":
                now.remove(key)
        for key in now:
            found[key].append(minute)
    return found


def asked(known: Mapping[str, str], expected: Mapping[tuple[str, str], list[int]]) -> dict[str, Any]:
    """What promtool is asked: at each minute exactly these are firing."""
    values = {"x": "1", "o": "0", ".": "stale"}
    checks = [
        {
            "eval_time": f"{minute}m",
            "alertname": rule,
            "exp_alerts": [{"exp_labels": {"service_name": name}} for name in known if minute in expected[rule, name]],
        }
        for rule in RULES
        for minute in range(LENGTH)
    ]
    series = [{"series": f'errors{{service_name="{name}"}}', "values": " ".join(values[each] for each in text)} for name, text in known.items()]
    return {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [{"name": "as the engine", "interval": "1m", "input_series": series, "alert_rule_test": checks}],
    }


def promtool(folder: Path, question: Mapping[str, Any]) -> "subprocess.CompletedProcess[str]":
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("needs promtool, of Prometheus")
    alerts = [{"alert": name, "expr": "errors > 0.5", "for": f"{held}m", "keep_firing_for": f"{kept}m"} for name, (held, kept) in RULES.items()]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "g", "interval": "1m", "rules": alerts}]}), encoding="utf-8")
    (folder / "tests.yaml").write_text(yaml.safe_dump(dict(question)), encoding="utf-8")
    return subprocess.run([tool, "test", "rules", str(folder / "tests.yaml")], capture_output=True, text=True, check=False)


def test_the_engine_fires_as_written() -> None:
    found = firing({name: text.ljust(LENGTH, "o") for name, text in WRITTEN.items()})
    assert found["for3keep2", "steady"] == [5, 6, 7, 8, 9, 10, 11]
    assert found["for1keep0", "silent while firing"] == [2, 3, 4, 5, 6]
    assert found["for3keep0", "silent while pending"] == [7]
    assert found["for0keep5", "back within keep_firing_for"] == [*range(17), *range(18, 24)]


def test_prometheus_fires_when_the_engine_does(tmp_path: Path) -> None:
    known = histories()
    expected = firing(known)
    assert sum(map(len, expected.values())) > 1000
    result = promtool(tmp_path, asked(known, expected))
    assert result.returncode == 0, (result.stdout + result.stderr)[:4000]


def test_promtool_would_tell(tmp_path: Path) -> None:
    known = histories()
    expected = firing(known)
    expected["for3keep2", "steady"] = expected["for3keep2", "steady"][:-1]
    result = promtool(tmp_path, asked(known, expected))
    assert result.returncode != 0
