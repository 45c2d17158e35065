"""Every user's mistake: one line that says what, where and what to do; the right exit code; no stack trace."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard
from deltalake import DeltaTable


def run(*arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRACEBRAID_")}
    return subprocess.run(
        [sys.executable, "-m", "tracebraid", *arguments], env={**clean, **(environment or {})}, capture_output=True, text=True, check=False, timeout=60
    )


def refused(done: subprocess.CompletedProcess[str], exit_code: int, *words: str) -> None:
    """One line of error with these words. Structured logs of the job may stand before it."""
    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len([line for line in lines if line.startswith(("tracebraid: ", "Error: "))]) == 1, done.stderr
    for word in words:
        assert word in lines[-1], done.stderr


@pytest.fixture
def lake(tmp_path: Path) -> dict[str, str]:
    """A lake with one log in it."""
    place = {"TRACEBRAID_LAKE": str(tmp_path / "lake")}
    (tmp_path / "one.jsonl").write_text('{"time":"2026-01-01T00:00:00Z","level":"info","msg":"hello"}\n')
    done = run("load", str(tmp_path / "one.jsonl"), "--into-lake", environment=place)
    assert done.returncode == 0, done.stderr
    return place


def test_unknown_setting(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text("[ingest]\nflush_mb = 3\n")
    refused(run("config", "check", "--config", str(tmp_path / "t.toml")), 2, "ingest.flush_mb", "t.toml")


def test_settings_file_is_absent() -> None:
    refused(run("ingest", "--topic", "t", "--config", "absent.toml"), 2, "absent.toml", "--config")


def test_settings_file_is_no_toml(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text("lake = \n")
    refused(run("config", "check", "--config", str(tmp_path / "t.toml")), 2, "t.toml", "line 1")


def test_value_of_a_wrong_type() -> None:
    refused(run("ingest", "--topic", "t", environment={"TRACEBRAID_INGEST__FLUSH_MIB": "many"}), 2, "FLUSH_MIB")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--topic", "a b"), ("topics", "not a topic's name")),
        (("--topic", ""), ("topics", "name")),
        (("--topic", "^("), ("topics", "not a regular expression")),
        (("--topic", "a", "--topic", "a"), ("topics", "twice")),
        (("--topic", "a", "--start", "yesterday"), ("ingest.start", "ISO 8601")),
        (("--topic", "a", "--start", ""), ("ingest.start", "ISO 8601")),
    ],
)
def test_options_of_ingest_that_are_no_settings(options: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(run("ingest", *options), 2, *words)


def test_no_topic() -> None:
    refused(run("ingest"), 2, "no topic", "--topic")


def test_unknown_command_and_option() -> None:
    assert run("ingets").returncode == 2
    assert run("ingest", "--tpoic", "x").returncode == 2


def test_unreachable_broker(tmp_path: Path) -> None:
    environment = {"TRACEBRAID_BOOTSTRAP_SERVERS": "127.0.0.1:1", "TRACEBRAID_LAKE": str(tmp_path / "lake")}
    refused(run("ingest", "--topic", "t", "--drain", environment=environment), 1, "127.0.0.1:1", "TRACEBRAID_BOOTSTRAP_SERVERS")


@pytest.mark.broker
def test_missing_topic(broker: Any, tmp_path: Path) -> None:
    environment = {"TRACEBRAID_BOOTSTRAP_SERVERS": broker.address, "TRACEBRAID_LAKE": str(tmp_path / "lake")}
    refused(run("ingest", "--topic", "no-such-topic", "--drain", environment=environment), 1, "no-such-topic")


def test_lake_is_absent(tmp_path: Path) -> None:
    refused(run("sql", "select 1", environment={"TRACEBRAID_LAKE": str(tmp_path / "nowhere")}), 1, "nowhere", "TRACEBRAID_LAKE")


def test_lake_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "one.jsonl").write_text('{"msg":"x"}\n')
    refused(run("load", str(tmp_path / "one.jsonl"), "--into-lake", environment={"TRACEBRAID_LAKE": str(tmp_path / "file")}), 1, str(tmp_path / "file"))


def test_malformed_query(lake: dict[str, str]) -> None:
    refused(run("sql", "selec 1", environment=lake), 2, "selec")
    refused(run("sql", "select * from span", environment=lake), 2, "span")
    refused(run("sql", "select trace from spans", environment=lake), 2, "trace")


def test_trace_that_is_none(lake: dict[str, str]) -> None:
    refused(run("trace", "xyz", environment=lake), 2, "xyz")
    refused(run("trace", "4bf92f3577b34da6a3ce929d0e0e4736", environment=lake), 1, "4bf92f3577b34da6a3ce929d0e0e4736")


def test_lake_of_a_newer_version(lake: dict[str, str]) -> None:
    table = DeltaTable(Path(lake["TRACEBRAID_LAKE"]) / "spans")
    table.alter.set_table_properties({"tracebraid.schemaVersion": "99"}, raise_if_not_exists=False)
    refused(run("sql", "select count(*) from spans", environment=lake), 1, "99", "pgrade")


def test_file_to_load_is_absent(tmp_path: Path) -> None:
    refused(run("load", "absent.jsonl", "--into-lake", environment={"TRACEBRAID_LAKE": str(tmp_path / "lake")}), 1, "absent.jsonl")


def test_broken_compression(tmp_path: Path) -> None:
    whole = zstandard.compress(b'{"msg":"x"}\n' * 10_000 + os.urandom(100_000))
    (tmp_path / "broken.jsonl.zst").write_bytes(whole[:-1000])
    done = run("load", str(tmp_path / "broken.jsonl.zst"), "--into-lake", environment={"TRACEBRAID_LAKE": str(tmp_path / "lake")})
    refused(done, 1, "broken.jsonl.zst")


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A file system of 2 MiB; needs the right to mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk_and_recovery(small_disk: Path, tmp_path: Path) -> None:
    lines = "".join(f'{{"time":"2026-01-01T00:00:00Z","msg":"{os.urandom(600).hex()}"}}\n' for _ in range(4000))
    (tmp_path / "many.jsonl").write_text(lines)
    place = {"TRACEBRAID_LAKE": str(small_disk / "lake")}
    refused(run("load", str(tmp_path / "many.jsonl"), "--into-lake", environment=place), 1, "disk is full", str(small_disk))
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert run("load", str(tmp_path / "many.jsonl"), "--into-lake", environment=place).returncode == 0
    assert run("sql", "--csv", "select count(*) n, count(distinct body) b from logs", environment=place).stdout.split() == ["n,b", "4000,4000"]


def test_read_only_lake(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text('{"msg":"x"}\n')
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    place = {"TRACEBRAID_LAKE": str(small_disk / "lake")}
    refused(run("load", str(tmp_path / "one.jsonl"), "--into-lake", environment=place), 1, "read-only", str(small_disk))
