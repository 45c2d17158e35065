"""A real capture, through a real broker and straight into a lake: SQL must give exactly what was counted at the source (truth.json).

Reads the capture beside the repository; skipped by name where it is absent.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tracebraid import connect

SPANS = "spans.otlp.jsonl.zst"
LOGS = "logs.jsonl.zst"


def tracebraid(*arguments: str, **environment: str) -> dict[str, Any]:
    """Run the command as a user does; its JSON summary."""
    done = subprocess.run(
        [sys.executable, "-m", "tracebraid", *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr[-2000:]
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return summary


def check(lake: Path, truth: dict[str, Any]) -> None:
    database = connect(str(lake))

    def one(query: str) -> Any:
        row = database.execute(query).fetchone()
        assert row is not None
        return row[0] if len(row) == 1 else row

    assert one("select count(*), count(distinct (trace_id, span_id)), count(distinct trace_id), count(distinct service_name) from spans") == (
        truth["spans"],
        truth["distinct_trace_span_ids"],
        truth["traces"],
        truth["services"],
    )
    assert one("select count(*) from (select distinct trace_id, span_id from spans where parent_span_id is null)") <= truth["root_spans"]
    assert one("select count(*) from spans where parent_span_id is null") == truth["root_spans"]
    assert one("select count(*), count(*) filter (complete) from traces") == (truth["traces"], truth["traces"])
    absent = "from spans s where parent_span_id is not null and (trace_id, parent_span_id) not in (select (trace_id, span_id) from spans)"
    assert one(f"select count(*) {absent}") == truth["spans_whose_parent_is_absent"]
    assert dict(database.execute("select service_name, count(*) from spans group by 1").fetchall()) == truth["spans_by_service"]
    slow = "select service_name, round(quantile_cont(end_unix_nano - start_unix_nano, 0.99) / 1e6, 3) p99 from spans group by 1 order by p99 desc limit 5"
    assert dict(database.execute(slow).fetchall()) == truth["p99_ms_by_service"]
    longest = "select trace_id, count(*) n from spans group by 1 order by n desc limit 1"
    assert dict(database.execute(longest).fetchall()) == truth["longest_trace_spans"]
    assert list(one("select min(start_unix_nano), max(start_unix_nano) from spans")) == truth["time_range_unix_nano"]

    assert one("select count(*), count(trace_id) from logs") == (truth["logs"], truth["logs_with_trace_id"])
    assert one("select count(*) from logs where trace_id in (select trace_id from spans)") == truth["logs_joined_by_trace_id"]
    joined = "select count(*) from logs where (trace_id, span_id) in (select (trace_id, span_id) from spans)"
    assert one(joined) == truth["logs_joined_by_trace_and_span_id"]
    assert dict(database.execute("select severity_text, count(*) from logs group by 1").fetchall()) == truth["logs_by_level"]
    broken = "select count(*), count(trace_id), count(span_id) from logs where container_name is null and k8s_pod_name is null"
    assert one(broken) == (truth["log_lines_not_one_json_object"],) * 3
    assert one("select count(*) from rejects") == 0
    assert one("select sum(rows_spans), sum(rows_logs), sum(rows_in - rows_spans - rows_logs - rows_rejected - rows_dropped) from intervals") == (
        truth["spans"],
        truth["logs"],
        0,
    )


@pytest.fixture(scope="module")
def capture(shared: Path) -> Path:
    return shared / "data" / "trainticket"


@pytest.fixture(scope="module")
def truth(capture: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((capture / "truth.json").read_text())
    return found


@pytest.mark.broker
@pytest.mark.shared
def test_through_a_real_broker(capture: Path, truth: dict[str, Any], broker: Any, tmp_path: Path) -> None:
    environment = {"TRACEBRAID_BOOTSTRAP_SERVERS": broker.address, "TRACEBRAID_LAKE": str(tmp_path / "lake")}
    tracebraid("load", str(capture / SPANS), "--topic", "tt_spans", "--json", **environment)
    tracebraid("load", str(capture / LOGS), "--topic", "tt_logs", "--json", **environment)
    summary = tracebraid("ingest", "--topic", "tt_spans", "--topic", "tt_logs", "--drain", "--json", **environment)
    assert (summary["spans"], summary["logs"], summary["rejects"]) == (truth["spans"], truth["logs"], 0)
    check(tmp_path / "lake", truth)
    again = tracebraid("ingest", "--topic", "tt_spans", "--topic", "tt_logs", "--drain", "--json", **environment)
    assert again["records"] == 0


@pytest.mark.shared
def test_straight_into_a_lake(capture: Path, truth: dict[str, Any], tmp_path: Path) -> None:
    environment = {"TRACEBRAID_LAKE": str(tmp_path / "lake")}
    summary = tracebraid("load", str(capture / SPANS), str(capture / LOGS), "--into-lake", "--json", **environment)
    assert (summary["spans"], summary["logs"], summary["already_held"]) == (truth["spans"], truth["logs"], 0)
    again = tracebraid("load", str(capture / SPANS), "--into-lake", "--json", **environment)
    assert again["spans"] == 0
    check(tmp_path / "lake", truth)
