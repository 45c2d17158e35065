"""The house rules hold in this repository, and each rule finds what it forbids."""

import subprocess
from pathlib import Path

import pytest

from tests.tidy import rules

EVERYTHING = ("schemas", "pipeline", "jobs", "tracebraid", "tests", "benchmarks")
WRITTEN = ("schemas", "pipeline", "jobs", "benchmarks")


def tree(folder: Path, **files: str) -> Path:
    """A small repository: module names with '__' for '/'."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_layers(root: Path) -> None:
    assert rules.forbidden_imports(root) == []


def test_libraries_with_side_effects_stay_at_home(root: Path) -> None:
    assert rules.strays(root) == []


def test_pure_stages_are_pure(root: Path) -> None:
    assert rules.impurities(root) == []


def test_sizes(root: Path) -> None:
    assert rules.oversized(root, *WRITTEN) == []
    assert [line for line in rules.oversized(root, "tests") if " lines, at most 400" in line] == []


def test_every_module_says_what_it_is(root: Path) -> None:
    assert rules.undocumented(root, *EVERYTHING[:3], "tracebraid/__init__", "tests", "benchmarks") == []


def test_nothing_is_left_unused(root: Path) -> None:
    assert rules.unused(root) == []


def test_no_trace_of_a_machine_or_a_registry(root: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False).stdout.split("\0")
    tracked = [path for path in listed if path] or [str(path.relative_to(root)) for path in root.rglob("*") if ".venv" not in path.parts and path.is_file()]
    assert rules.traces_of_a_machine(root, tracked) == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("pipeline__decode__a", "from tracebraid.pipeline.normalize.time import b"),
        ("pipeline__decode__a", "import tracebraid.pipeline.flow"),
        ("pipeline__kernel__a", "def f():\n    from tracebraid.pipeline.decode import b"),
        ("pipeline__kernel__a", "from tracebraid.jobs import common"),
        ("pipeline__flow", "from tracebraid.jobs import common"),
        ("schemas__a", "from tracebraid.pipeline.kernel import limits"),
        ("pipeline__rules__a", "from tracebraid.pipeline.measure import b"),
        ("pipeline__store__a", "from tracebraid.pipeline.rules import b"),
        ("pipeline__store__a", "from pipeline.kernel import limits"),
        ("pipeline__store__a", "import schemas.spans"),
        ("pipeline__store__a", "from . import ledger"),
        ("jobs__a", "from tests import helpers"),
        ("pipeline__invented__a", "from tracebraid.schemas import spans"),
    ],
)
def test_forbidden_import_is_found(tmp_path: Path, module: str, text: str) -> None:
    (found,) = rules.forbidden_imports(tree(tmp_path, **{module: text}))
    assert module.replace("__", "/") in found


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (
            "pipeline__decode__a",
            "from tracebraid.pipeline.kernel import limits\nfrom tracebraid.schemas.spans import SPANS\nfrom tracebraid.pipeline.decode import b",
        ),
        ("pipeline__detect__a", "from tracebraid.pipeline.rules import b"),
        ("pipeline__flow", "from tracebraid.pipeline.decode import a\nfrom tracebraid.pipeline.store import b"),
        ("jobs__a", "from tracebraid.pipeline.flow import ingest\nfrom tracebraid.jobs.common import start"),
    ],
)
def test_allowed_import_is_not_found(tmp_path: Path, module: str, text: str) -> None:
    assert rules.forbidden_imports(tree(tmp_path, **{module: text})) == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("pipeline__store__a", "import confluent_kafka.admin"),
        ("jobs__a", "from confluent_kafka import Producer"),
        ("pipeline__source__a", "import deltalake"),
        ("pipeline__query__a", "from pyarrow import parquet"),
        ("pipeline__query__a", "import pyarrow.parquet as pq"),
        ("jobs__a", "import duckdb"),
        ("jobs__a", "import time"),
        ("pipeline__store__a", "from time import sleep"),
        ("pipeline__store__a", "import os\nx = os.environ['A']"),
        ("pipeline__store__a", "from os import environ"),
        ("pipeline__store__a", "import os\nx = os.getenv('A')"),
        ("pipeline__store__a", "import datetime\nx = datetime.datetime.now()"),
        ("pipeline__store__a", "from datetime import date\nx = date.today()"),
        ("pipeline__store__a", "import prometheus_client"),
        ("pipeline__detect__a", "import yaml"),
    ],
)
def test_stray_library_is_found(tmp_path: Path, module: str, text: str) -> None:
    assert len(rules.strays(tree(tmp_path, **{module: text}))) == 1


def test_library_at_home_is_not_found(tmp_path: Path) -> None:
    homes = {
        "pipeline__source__kafka": "import confluent_kafka",
        "pipeline__store__lake": "import deltalake\nimport pyarrow.parquet",
        "pipeline__query__a": "import duckdb",
    }
    assert rules.strays(tree(tmp_path, **homes, pipeline__kernel__clock="import time", pipeline__query__snapshot="import deltalake")) == []


@pytest.mark.parametrize(
    "text", ["import socket", "import os", "from pathlib import Path", "open('a')", "import random", "from urllib.request import urlopen", "print(1)"]
)
def test_impurity_is_found(tmp_path: Path, text: str) -> None:
    assert len(rules.impurities(tree(tmp_path, pipeline__decode__a=text, pipeline__store__b=text))) == 1


def test_oversize_is_found(tmp_path: Path) -> None:
    files = {
        "pipeline__a": "x = 1\n" * 401,
        "pipeline__b": "def f():\n" + "    x = 1\n" * 60,
        "pipeline__c": "def f(a, b, c, d, e, f, g):\n    pass",
        "pipeline__d": "def f(self, a, b, c, d, e, f, *, g, h):\n    pass",
        "jobs__e": "@command.command()\ndef f(a, b, c, d, e, f, g):\n    pass",
    }
    found = rules.oversized(tree(tmp_path, **files), "pipeline", "jobs")
    assert [line.partition(":")[0] for line in found] == ["pipeline/a.py", "pipeline/b.py", "pipeline/c.py"]


def test_missing_docstring_is_found(tmp_path: Path) -> None:
    assert rules.undocumented(tree(tmp_path, pipeline__a="x = 1", pipeline__b='"""Says."""', pipeline____init__=""), "pipeline") == [
        "pipeline/a.py: no module docstring"
    ]


def test_unused_name_is_found(tmp_path: Path) -> None:
    files = {
        "pipeline__kernel__limits": "used_max = 1\nunused_max = 2",
        "pipeline__a": "from tracebraid.pipeline.kernel import limits\nprint(limits.used_max)\ndef f(): ...",
    }
    assert rules.unused(tree(tmp_path, **files)) == ["pipeline/a.py:3: f is used nowhere", "pipeline/kernel/limits.py:2: unused_max is used nowhere"]


def test_trace_of_a_machine_is_found(tmp_path: Path) -> None:
    lines = ["see /ro" + "ot/x", "x = '/ho" + "me/ann/y'", "--index" + "-url x", "https://py" + "pi.org/simple", "a /workspace/b and ~/.cache are fine"]
    (tmp_path / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    assert [line.split(":")[1] for line in rules.traces_of_a_machine(tmp_path, ["a.txt"])] == ["1", "2", "3", "4"]
