"""The wheel: what it holds, what it leaves in site-packages, and that it works away from the checkout."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

FOLDERS = ("schemas", "pipeline", "jobs")


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the checkout stays clean."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in (*FOLDERS, "tracebraid"):
        shutil.copytree(root / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(target), "."]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site-packages with the wheel alone in it."""
    target = tmp_path_factory.mktemp("site")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return target


def test_it_holds_every_module_once_under_one_name(wheel: Path, root: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    kept = {".py", ".json", ".sql", ".lark", ".yaml", ".html", ".css", ".js"}
    ours = {f"tracebraid/{path.relative_to(root)}" for folder in FOLDERS for path in (root / folder).rglob("*") if path.suffix in kept}
    assert held == ours | {"tracebraid/__init__.py", "tracebraid/__main__.py", "tracebraid/py.typed"}


def test_site_packages_gets_one_name(site: Path) -> None:
    assert {path.name for path in site.iterdir() if path.suffix != ".dist-info"} - {"bin"} == {"tracebraid"}
    (info,) = site.glob("*.dist-info")
    assert (info / "licenses" / "LICENSE").read_text(encoding="utf-8").lstrip().startswith("Apache License")


def test_it_works_away_from_the_checkout(site: Path, tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(site)}

    def run(*arguments: str) -> str:
        return subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True).stdout

    assert Path(run("-c", "import tracebraid; print(tracebraid.__file__)").strip()).is_relative_to(site)
    assert "ingest" in run(str(site / "bin" / "tracebraid"), "--help")
    assert 'lake = "lake"  # default' in run("-m", "tracebraid", "config", "show")
    assert "CREATE" in run("-c", "from importlib.resources import files; print(files('tracebraid.pipeline.query').joinpath('views.sql').read_text())")
    schema = run("-c", "from importlib.resources import files; print(files('tracebraid.schemas').joinpath('alert.schema.json').read_text())")
    assert json.loads(schema)["oneOf"] == [{"$ref": "#/$defs/Transition"}, {"$ref": "#/$defs/Evidence"}]
    rows = run("-c", "from importlib.resources import files; print(files('tracebraid.schemas').joinpath('row.schema.json').read_text())")
    assert json.loads(rows)["oneOf"] == [{"$ref": "#/$defs/spans"}, {"$ref": "#/$defs/logs"}]


def test_the_links_are_links(root: Path) -> None:
    assert {name: os.readlink(root / "tracebraid" / name) for name in FOLDERS} == {name: f"../{name}" for name in FOLDERS}
