"""The documents speak of what exists: paths, links, commands with their options, make targets, modules and settings."""

import importlib.util
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy.commands import problem
from tools.docs import documents
from tracebraid.pipeline.kernel.environment import FREE_SECTIONS, IGNORED_PREFIX, PREFIX, known_variables

DOCUMENTS = (
    "README.md",
    "ARCHITECTURE.md",
    "DECISIONS.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/schema.md",
    "docs/trace-ids.md",
    "docs/formats.md",
    "docs/settings.md",
    "docs/rules.md",
    "docs/alerts.md",
    "docs/notify.md",
    "docs/verify.md",
    "docs/object-stores.md",
    "docs/operations.md",
    "docs/scaling.md",
    "docs/redaction.md",
    "docs/normalized.md",
    "docs/performance.md",
    "docker-compose.yml",
)
# Names in the documents that are a user's, or outside of the repository.
NOT_OURS = frozenset({"../shared", "capture.jsonl", "tracebraid.toml"})
FILE = re.compile(r"[\w.-]+\.(?:py|md|toml|ya?ml|txt|sql|sh)")


def code(text: str) -> Iterator[str]:
    """Inline code, and the lines of fenced blocks; of a YAML file its comments."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    yield from (line.partition("  #")[0].strip() for block in fenced for line in block.splitlines())
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    yield from (line.partition("   ")[0].strip("# ") for line in text.splitlines() if line.startswith("#   docker compose"))


def missing_paths(root: Path, text: str) -> list[str]:
    top = {path.name for path in root.iterdir()} | {"docs", "tests", "pipeline", "schemas", "jobs"}
    named = {word for snippet in code(text) for word in snippet.split() if "…" not in word and "*" not in word}
    named = {word.strip("',;:()\"") for word in named}
    paths = {
        word
        for word in named
        if re.fullmatch(r"[\w./-]+", word) and (FILE.fullmatch(word.rpartition("/")[2]) or ("/" in word and word.partition("/")[0] in top))
    }
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link}
    return sorted(path for path in (paths | links) - NOT_OURS if path and not (root / path).exists())


def wrong_commands(root: Path, text: str) -> list[str]:
    targets = set(re.findall(r"^([a-z]+):", (root / "Makefile").read_text(encoding="utf-8"), re.M))
    found = []
    for snippet in code(text):
        words = shlex.split(snippet.replace("…", "")) if snippet.count("'") % 2 == 0 and snippet.count('"') % 2 == 0 else []
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if words[:4] == ["docker", "compose", "run", "--rm"]:
            words = words[4:]
        if words and Path(words[0]).name == "tracebraid" and len(words) > 1 and (says := problem(words[1:])) and not says.startswith(("Missing", "Path ")):
            found.append(f"{snippet}: {says}")
        if words and words[0] == "make":
            found += [f"{snippet}: no such target" for word in words[1:] if re.fullmatch("[a-z]+", word) and word not in targets]
        if words and Path(words[0]).name.startswith("python") and words[1:2] == ["-m"] and not importlib.util.find_spec(words[2]):
            found.append(f"{snippet}: no such module")
    return found


def unknown_settings(text: str, tests: str) -> list[str]:
    known = known_variables()
    free = tuple(f"{PREFIX}{section.upper()}__" for section in FREE_SECTIONS)
    named = set(re.findall(PREFIX + r"[A-Z_]+", text)) - {PREFIX}
    return sorted(name for name in named if name not in known and not name.startswith(free) and not (name.startswith(IGNORED_PREFIX) and name in tests))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_exists(document: str, root: Path) -> None:
    assert missing_paths(root, (root / document).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_exists(document: str, root: Path) -> None:
    assert wrong_commands(root, (root / document).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_setting_exists(document: str, root: Path) -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (root / "tests").rglob("*.py"))
    assert unknown_settings((root / document).read_text(encoding="utf-8"), tests) == []


def test_what_does_not_exist_is_found(root: Path) -> None:
    lines = [
        "`pipeline/nowhere.py` and [x](docs/nothing.md)",
        "```",
        "tracebraid config shwo",
        "X=1 tracebraid config show --jsn",
        "make tset",
        "python -m nowhere",
        "```",
    ]
    text = "\n".join([*lines, "`TRACEBRAID_LAEK`"])
    assert missing_paths(root, text) == ["docs/nothing.md", "pipeline/nowhere.py"]
    assert len(wrong_commands(root, text)) == 4
    assert unknown_settings(text, "") == ["TRACEBRAID_LAEK"]


def test_generated_documents_are_up_to_date(root: Path) -> None:
    for path, text in documents().items():
        assert (root / path).read_text(encoding="utf-8") == text, f"{path}: run python -m tools.docs"


def test_help_of_every_target_and_job_is_there(root: Path) -> None:
    helped = subprocess.run(["make", "--no-print-directory", "help"], cwd=root, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "test", "lint", "bench", "install", "clean"):
        assert f"make {target}" in helped
