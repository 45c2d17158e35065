"""The reading jobs as a user runs them: what reaches a pipe, a terminal, standard error, and the exit code."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.query.build import log, shop_lake, span, write
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.spans import SPANS

TRACE = "a".zfill(32)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop_lake(tmp_path_factory.mktemp("lake"))


def run(lake: Path, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Exit code, standard output and standard error, into pipes."""
    done = subprocess.run(
        [sys.executable, "-m", "tracebraid", *arguments],
        env={**os.environ, "TRACEBRAID_LAKE": str(lake)},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def terminal(lake: Path, *arguments: str, columns: int = 120) -> str:
    """What a terminal of that width is sent."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TRACEBRAID_LAKE": str(lake), "COLUMNS": str(columns), "LINES": "50", "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen([sys.executable, "-m", "tracebraid", *arguments], env=environment, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    seen = b""
    try:
        while block := os.read(ours, 65536):
            seen += block
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(ours)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, b"")
    return seen.decode().replace("\r\n", "\n")


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_sql_to_a_pipe_is_json(lake: Path) -> None:
    code, out, error = run(lake, "sql", "SELECT service_name, count(*) AS n FROM spans GROUP BY ALL ORDER BY ALL")
    assert (code, objects(out), error) == (0, [{"service_name": "cart", "n": 2}, {"service_name": "db", "n": 1}, {"service_name": "gateway", "n": 2}], "")


def test_sql_from_standard_input_as_csv(lake: Path) -> None:
    assert run(lake, "sql", "--csv", "-", stdin="SELECT day,\n start_time FROM spans LIMIT 1;\n") == (
        0,
        "day,start_time\n2026-01-02,2026-01-02T12:00:00Z\n",
        "",
    )


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_a_reader_that_goes_away_is_no_failure(lake: Path, form: str) -> None:
    for rows in (3, 3_000_000):  # those still buffered at the end, and those written meanwhile
        command = [sys.executable, "-m", "tracebraid", "sql", form, f"SELECT range FROM range({rows})"]
        with subprocess.Popen(command, env={**os.environ, "TRACEBRAID_LAKE": str(lake)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.close()
            assert (process.wait(timeout=60), process.stderr.read()) == (0, b"")


def test_sql_to_parquet(lake: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    assert run(lake, "sql", "SELECT * FROM traces", "--parquet", str(target)) == (0, "", f"2 rows in {target}\n")
    assert objects(run(lake, "sql", f"SELECT spans FROM read_parquet('{target}') ORDER BY 1")[1]) == [{"spans": 1}, {"spans": 3}]


def test_sql_at_a_terminal_is_a_table_with_a_last_row(lake: Path) -> None:
    shown = terminal(lake, "sql", "SELECT i AS number, 'x' || i AS word FROM range(1000) AS r(i)", "--max-rows", "3")
    assert "number" in shown
    assert "x2" in shown
    assert "x3" not in shown
    assert "the first 3 rows" in shown
    assert "(1 row)" in terminal(lake, "sql", "SELECT 1 AS one")


def test_sql_shows_wide_rows_one_below_the_other(lake: Path) -> None:
    shown = terminal(lake, "sql", "SELECT * FROM spans WHERE status_code = 'ERROR'", columns=80)
    assert "row 1" in shown
    assert "status_message" in shown
    assert "sold out" in shown
    assert "trace_state" not in shown  # it is null


def test_mistakes(lake: Path, tmp_path: Path) -> None:
    code, out, error = run(lake, "sql", "SELECT * FROM spanz")
    assert (code, out, error) == (
        2,
        "",
        'tracebraid: Catalog Error: Table with name spanz does not exist! Did you mean "spans"? (line 1, column 15, at spanz)\n',
    )
    assert run(lake, "sql", "SELECT 1", "--json", "--parquet", "x")[0] == 2
    code, out, error = run(tmp_path / "nowhere", "sql", "SELECT 1")
    assert (code, out) == (1, "")
    assert error.startswith(f"tracebraid: there is no lake at {tmp_path}/nowhere. ")
    assert run(lake, "trace", "zzz")[0] == 2
    assert run(lake, "trace", "f" * 32)[0] == 1
    assert run(lake, "rejects", "show", "nonsense")[0] == 2
    assert run(lake, "rejects", "show", "t:0:99")[0] == 1
    assert run(lake, "rejects", "list", "--reason", "bad")[0] == 2
    assert run(lake, "lake", "schema", "spanz")[0] == 2


def test_trace(lake: Path) -> None:
    code, out, _ = run(lake, "trace", TRACE.upper())
    assert (code, [row["kind"] for row in objects(out)]) == (0, ["trace", "span", "span", "log", "span", "log"])
    code, out, _ = run(lake, "trace", "a", "--tree")
    assert (code, "\x1b" in out, "cart add server ERROR sold out" in out) == (0, False, True)
    colored = terminal(lake, "trace", "a")
    assert "\x1b[" in colored
    assert "sold out" in colored


def test_a_hostile_name_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    hostile = "\x1b]0;owned\x07"
    write(tmp_path, SPANS, [span("a", "1", name=hostile, service_name=hostile)])
    write(tmp_path, LOGS, [log("a", "1", hostile)])
    write(tmp_path, REJECTS, [{"message": hostile, "kafka_topic": hostile}])
    for arguments in (
        ["trace", "a"],
        ["sql", "SELECT name AS n, body FROM spans JOIN logs USING (trace_id)"],
        ["rejects", "list"],
        ["rejects", "show", f"{hostile}:0:0"],
    ):
        shown = terminal(tmp_path, *arguments)
        assert "\x07" not in shown
        assert "\x1b]" not in shown
        assert "\\x1b]0;owned\\x07" in shown.replace("\n", "")


def test_status(lake: Path) -> None:
    code, out, error = run(lake, "status", "--no-broker")
    whole, partition = objects(out)
    assert (code, error, whole["kind"], whole["complete"], whole["rows"]) == (0, "", "lake", True, {"spans": 5, "logs": 4, "rejects": 1})
    assert (partition["topic"], partition["next_offset"], partition["lag"], partition["complete"]) == ("t", 5, None, True)
    shown = terminal(lake, "status", "--no-broker", columns=160)
    assert "complete" in shown
    assert "unknown" in shown


def test_rejects(lake: Path) -> None:
    code, out, _ = run(lake, "rejects", "list", "--reason", "malformed", "--topic", "t")
    assert (code, [(row["kafka_offset"], row["reason"]) for row in objects(out)]) == (0, [(4, "malformed")])
    assert run(lake, "rejects", "list", "--topic", "other") == (0, "", "")
    shown = terminal(lake, "rejects", "show", "t:0:4:0")
    assert "k = v\\x1b[31m" in shown
    assert "00000000  00 ff 62 61 64" in shown
    assert objects(run(lake, "rejects", "show", "t:0:4")[1])[0]["record_value"] == "AP9iYWQ="


def test_lake(lake: Path) -> None:
    code, out, _ = run(lake, "lake")
    assert (code, [(row["table"], row["files"], row["rows"], row["days"]) for row in objects(out)]) == (
        0,
        [("spans", 2, 5, 1), ("logs", 2, 4, 1), ("rejects", 1, 1, 1), ("intervals", 1, 1, 1), ("windows", 0, 0, 0), ("alerts", 0, 0, 0)],
    )
    code, out, _ = run(lake / "nowhere", "lake", "schema", "spans")
    assert (code, objects(out)[1]["column"], objects(out)[1]["type"]) == (0, "trace_id", "VARCHAR")


def test_help_costs_no_database() -> None:
    """The façade and every --help import neither DuckDB nor PyArrow."""
    code = "import sys, tracebraid, tracebraid.jobs.sql, tracebraid.jobs.trace, tracebraid.jobs.status, tracebraid.jobs.rejects, tracebraid.jobs.lake"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print({{'duckdb', 'pyarrow', 'deltalake'}} & set(sys.modules))"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
