"""`tracebraid up`: how it ends, with a program of our own in tracebraid's place."""

import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tracebraid.jobs import up

# Its argument says what it is like. It leaves a file of that name when it is ready to be stopped.
PROGRAM = """#!{python}
import pathlib, signal, sys, time
here = pathlib.Path(__file__)
answer = {{"obedient": lambda *_: sys.exit(0), "failing": lambda *_: sys.exit(3), "deaf": signal.SIG_IGN, "vanishing": signal.SIG_DFL}}[sys.argv[1]]
signal.signal(signal.SIGTERM, answer)
(here.parent / sys.argv[1]).touch()
if sys.argv[1] == "vanishing":
    while not (here.parent / "obedient").exists():
        time.sleep(0.02)
    here.unlink()
    sys.exit(1)
time.sleep(60)
"""


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *jobs: str) -> tuple[Result, float]:
    """Run `up` over these jobs, SIGTERM once all have begun; and how long it then took to end."""
    program = tmp_path / "program"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(up, "PROGRAM", (str(program),))
    monkeypatch.setattr(up, "SUPERVISED", tuple((job,) for job in jobs))
    told_s = 0.0

    def tell() -> None:
        nonlocal told_s
        while not all((tmp_path / job).exists() for job in jobs):
            time.sleep(0.02)
        told_s = time.monotonic()
        if "vanishing" not in jobs:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    teller = threading.Thread(target=tell)
    teller.start()
    try:
        result = CliRunner().invoke(up.command, env={"TRACEBRAID_TOPICS": '[{"name": "logs"}]'})
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        teller.join()
    return result, time.monotonic() - told_s


def test_jobs_that_stop_by_themselves_are_exit_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, seconds = run(tmp_path, monkeypatch, "obedient")
    assert result.exit_code == 0, result.output
    assert seconds < 10


def test_a_job_that_had_to_be_killed_is_exit_1_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert up.STOP_WAIT_S == 25
    monkeypatch.setattr(up, "STOP_WAIT_S", 1.0)
    result, seconds = run(tmp_path, monkeypatch, "obedient", "deaf")
    assert result.exit_code == 1
    assert "deaf did not stop within 1 s and was killed" in str(result.exception)
    assert 1 <= seconds < 10


def test_a_job_that_fails_while_it_stops_is_exit_1_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = run(tmp_path, monkeypatch, "failing")
    assert result.exit_code == 1
    assert "failing ended with exit code 3 when it was stopped" in str(result.exception)


def test_a_job_that_cannot_be_started_again_is_exit_1_named_and_stops_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "BACKOFF_S", (0.1,))
    result, _ = run(tmp_path, monkeypatch, "vanishing", "obedient")
    assert result.exit_code == 1
    assert str(result.exception).startswith("vanishing cannot be started: No such file or directory. ")
