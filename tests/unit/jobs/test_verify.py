"""`tracebraid verify --no-broker`: exit codes, JSON lines, and lines for a person."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.verify.damage import filled
from tracebraid.jobs import verify


def test_json_lines_and_exit_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEBRAID_LAKE", str(tmp_path))
    lake = filled(tmp_path)
    clean = CliRunner().invoke(verify.command, ["--no-broker"])
    summary = {"partitions": 2, "intervals": 8, "files": 25, "rows": 54, "records": 0, "rejects": 0}
    assert (clean.exit_code, json.loads(clean.stdout)) == (0, {"kind": "summary", **summary, "findings": 0, "notes": []})
    path = lake.copy_file("spans", 2)
    wrong = CliRunner().invoke(verify.command, ["--no-broker", "--json"])
    found, last = (json.loads(line) for line in wrong.stdout.splitlines())
    assert (wrong.exit_code, last["findings"]) == (1, 1)
    assert found == {
        "kind": "doubled",
        "topic": "otlp_spans",
        "topic_id": "id-of-otlp_spans",
        "partition": 0,
        "offset": 10,
        "last_offset": 13,
        "index": 0,
        "count": 4,
        "table": "spans",
        "file": path,
        "detail": f"also in spans/{lake.path('spans', 2)}",
    }


def test_what_a_person_sees(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    path, gone = lake.copy_file("spans", 2), lake.delete_file("logs", 1)
    ours, theirs = pty.openpty()
    environment = {"TRACEBRAID_LAKE": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, "-m", "tracebraid", "verify", "--no-broker"], env=environment, stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)
    shown = os.read(ours, 65536).decode().splitlines()
    os.close(ours)
    assert (done.returncode, done.stderr) == (1, b"")
    assert shown[:4] == [
        f"file_missing    logs/{gone}  the log names it, and it is not there",
        f"doubled         otlp_spans:0:10-13:0  4 positions  spans/{path}  also in spans/{lake.path('spans', 2)}",
        "interval_sum    otlp_spans:1:0-9  logs  0 rows of logs, the interval says 3",
        "missing         otlp_spans:1:0-9  3 positions  so many of its records have no row; without the topic nobody knows which",
    ]
    assert shown[4] == "doubled: A position is in the tables more than once."
    assert shown[-1] == f"{tmp_path}: 55 rows in 26 files, 2 partitions, 8 intervals, 0 records of topics, 0 published rejects: 4 findings"


def test_wrong_use(tmp_path: Path) -> None:
    filled(tmp_path)
    command = [sys.executable, "-m", "tracebraid", "verify", "--no-broker", "--topic", "nowhere"]
    done = subprocess.run(command, env={"TRACEBRAID_LAKE": str(tmp_path), "PATH": ""}, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"tracebraid: no interval of the lake {tmp_path} is of topic nowhere. `tracebraid status` lists its topics\n"
