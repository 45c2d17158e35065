"""`tracebraid rules test`: the documented example, what a difference looks like, and mistakes in files of tests."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tracebraid.pipeline.rules.cases import load_cases
from tracebraid.pipeline.rules.errors import RuleError


def blocks(root: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", (root / "docs/rules.md").read_text(encoding="utf-8"), re.M | re.S)


def run(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-m", "tracebraid", "rules", "test", *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_documented_example_and_one_that_differs(root: Path, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "checkout.yaml").write_text(blocks(root, "yaml")[0], encoding="utf-8")
    (tmp_path / "right.yml").write_text(blocks(root, "yml")[0], encoding="utf-8")
    (tmp_path / "wrong.yml").write_text(blocks(root, "yml")[0].replace("12m - 17m", "12m - 16m").replace("73x3 70", "73 70x3"), encoding="utf-8")
    code, out, err = run("right.yml", "wrong.yml", cwd=tmp_path)
    assert out.splitlines() == [
        "ok  a fault that lasts",
        "ok  three in a row",
        "FAILED  a fault that lasts  (wrong.yml:3)",
        "    checkout-slow-and-failing {deployment_environment_name: , http_route: , service_name: checkout}",
        "      - 12m - 16m",
        "      + 12m - 17m",
        "FAILED  three in a row  (wrong.yml:10)",
        "    sensor-drift {device: a1}",
        "      - 4m - 5m",
    ]
    assert (code, err) == (1, "tracebraid: 2 of 4 tests failed. '-' is what was expected, '+' what fired\n")
    assert run("right.yml", cwd=tmp_path)[0] == 0


TEST = "rule_files: a.yaml\ntests:\n  - rows:\n    - {count: 1x3, row: {service_name: a}}\n    alerts:\n    - {rule: a, firing: 1m - 2m}\n"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("rule_files: a.yaml\n", "", "f.yaml:1:1: tests without rule_files; add `rule_files:`"),
        ("count: 1x3", "count: 1xa", "f.yaml:4:15: count is no list of whole numbers; as 60x10 0x5 60x10; an interval may have 10000 rows"),
        ("service_name: a", "duration: slow", "f.yaml:4:36: duration cannot be slow; it is a number"),
        (
            "service_name",
            "servce_name",
            "f.yaml:4:39: there is no column servce_name; did you mean service_name? An attribute of that name is written attributes['servce_name']",
        ),
        ("row: {service_name: a}", "each: {temp: 1 2}", "f.yaml:4:33: 2 values of temp for 3 intervals; give one each, as 70x3 80x2"),
        ("1m - 2m", "2m - 1m", "f.yaml:6:25: firing cannot be 2m - 1m; write from - to since the beginning, as 3m - 7m, or 3m - where it fires at the end"),
        ("firing", "fring", "f.yaml:6:17: there is no key fring; did you mean firing?"),
    ],
)
def test_mistakes_are_told_where_they_are(before: str, after: str, told: str) -> None:
    assert len(load_cases(TEST, "f.yaml").cases) == 1
    with pytest.raises(RuleError) as raised:
        load_cases(TEST.replace(before, after), "f.yaml")
    assert told in raised.value.lines
