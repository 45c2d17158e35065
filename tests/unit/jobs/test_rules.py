"""`tracebraid rules`: what it prints, and its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

GOOD = "- name: {}\n  on: spans\n  by: [service_name]\n  when: p99(duration) > 500ms\n"


def run(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-m", "tracebraid", "rules", *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_check(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(GOOD.format("a"), encoding="utf-8")
    (tmp_path / "rules" / "b.yml").write_text(GOOD.format("b"), encoding="utf-8")
    (tmp_path / "rules" / "notes.txt").write_text("no rules", encoding="utf-8")
    assert run("check", "rules", cwd=tmp_path) == (0, "2 rules, no mistake.\n", "")


def test_check_tells_the_mistakes_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.format("a").replace("500ms", "500"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(GOOD.format("b").replace("p99", "p9x"), encoding="utf-8")
    (tmp_path / "c.yaml").write_text(GOOD.format("c"), encoding="utf-8")
    (tmp_path / "d.yaml").write_text(GOOD.format("c"), encoding="utf-8")
    (tmp_path / "e.yaml").write_bytes(b"- name: \xff")
    code, out, err = run("check", "a.yaml", "b.yaml", "c.yaml", "d.yaml", "e.yaml", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert [line.removeprefix("tracebraid: ").split(": ")[0] for line in err.splitlines()] == ["a.yaml:4:23", "b.yaml:4:9", "d.yaml:1:1", "e.yaml:1:1"]


def test_wrong_use(tmp_path: Path) -> None:
    assert [run("check", *arguments, cwd=tmp_path)[0] for arguments in ((), ("absent.yaml",), (".",))] == [2, 2, 2]


def test_list_without_files_is_the_starter_set(tmp_path: Path) -> None:
    code, out, err = run("list", cwd=tmp_path)
    assert (code, err) == (0, "")
    names = [json.loads(line)["name"] for line in out.splitlines()]
    assert names == ["latency-out-of-character", "error-rate-out-of-character", "trace-ids-missing", "error-log-burst", "silence"]
