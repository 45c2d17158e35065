"""The demo, end to end: shop, embedded broker, ingest, lake, SQL."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "tracebraid", "demo"]


def run(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DEMO, *options], capture_output=True, text=True, timeout=120, env=environment(tmp_path), check=False)


def environment(tmp_path: Path) -> dict[str, str]:
    """Temporary files where we can see them; settings of a cluster that is none of the demo's business."""
    return {**os.environ, "TMPDIR": str(tmp_path), "TRACEBRAID_BOOTSTRAP_SERVERS": "127.0.0.1:1"}


def test_the_failing_service_is_found(tmp_path: Path) -> None:
    done = run(tmp_path, "--minutes", "12", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads(done.stdout)
    assert summary["culprit"] == "payment"
    by_service = {row["service"]: row for row in summary["services"]}
    assert len(by_service) == 12
    payment, gateway = by_service["payment"], by_service["gateway"]
    assert (payment["version_before"], payment["version_after"]) == ("2.3.4", "2.4.0")
    assert payment["own_p99_ms_after"] > 3 * payment["own_p99_ms_before"]
    assert gateway["p99_ms_after"] > 3 * gateway["p99_ms_before"]  # it is slow as well,
    assert gateway["own_p99_ms_after"] < 2 * gateway["own_p99_ms_before"] + 5  # but not of itself
    totals = summary["totals"]
    assert totals["spans"] > 8_000
    assert summary["alerts"] == []  # nine minutes before the fault are too few to learn from
    assert totals["logs"] > 5_000
    assert sum(row["logs"] for row in summary["logs"]) == totals["logs"]
    assert sum(row["rejects"] for row in summary["rejects"]) == totals["rejects"] >= 3
    assert {row["reason"] for row in summary["rejects"]} >= {"malformed", "otlp_metrics"}
    assert summary["joined_share"] > 0.98
    for row in summary["logs"]:
        assert row["joined"] == row["logs"] - row["without_id"], row
    assert summary["slowest"]["spans"] > 20
    assert list(tmp_path.iterdir()) == []  # the temporary lake is gone


def test_the_summary_for_a_person_and_the_lake_that_stays(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    done = run(tmp_path, "--minutes", "4", "--seed", "3", "--lake", str(lake))
    assert (done.returncode, done.stderr) == (0, "")
    assert "payment is at fault" in done.stdout
    assert "TraceID: … in text" in done.stdout
    assert f"export TRACEBRAID_LAKE={lake}" in done.stdout
    assert "\x1b" not in done.stdout
    asked = subprocess.run(
        [sys.executable, "-m", "tracebraid", "sql", "--json", "SELECT count(DISTINCT service_name) AS services FROM spans"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**environment(tmp_path), "TRACEBRAID_LAKE": str(lake)},
        check=False,
    )
    assert (asked.stdout.strip(), asked.returncode) == ('{"services":12}', 0)


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    done = run(tmp_path, "--lake", str(tmp_path / "mine"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"tracebraid: {tmp_path / 'mine'} is not empty. Give --lake a new directory: the demo begins a lake of its own\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_stopped_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen([*DEMO, "--minutes", "600"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(tmp_path)) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("*/spans/_delta_log/*.json")) and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr.strip()) == (130, "", "")  # click ends the line of the ^C
    assert list(tmp_path.iterdir()) == []


def test_the_starter_rules_raise_alerts_on_the_way_of_the_fault_alone(tmp_path: Path) -> None:
    done = run(tmp_path, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    firing = [alert for alert in json.loads(done.stdout)["alerts"] if alert["transition"] == "firing" and alert["reason"] != "more severe"]
    assert {alert["series"]["service_name"] for alert in firing} == {"payment", "checkout", "gateway"}  # payment, and who waits for it
    # A fault begins anywhere within a minute: by that it took 190 to 264 s until the rule, whose windows are whole minutes, had held for two of them.
    assert all(0 < alert["after_s"] <= 300 and alert["value"] > alert["band"]["high"] and alert["exemplars"] for alert in firing)
