"""Consumers as processes: each slot holds one, with orders for its present life; zombies beside it wait for their end.

In: settings, orders. Out: processes, how they ended. Never: a process left behind (`end` kills what is still there, each by its own id).
"""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.worker import STEP_BYTES, Orders

ROOT = Path(__file__).resolve().parent.parent.parent
TERM_S_MAX = 20.0  # within which a consumer that is asked to stop has done so


@dataclass
class Life:
    """One process. `ends_s`: when it is ended from outside, by `how`. `joined`: another joins once it has partitions. When it was asked to stop:
    `term_s`; stopped: `stopped_s`; woken: `woken_s`.
    `sent`: how far its topics had come when it was stopped, as check.stored."""

    process: subprocess.Popen[bytes]
    orders: Orders
    log: Path
    out: Path
    ends_s: float = 0.0
    how: str = ""
    term_s: float = 0.0
    stopped_s: float = 0.0
    joined: bool = False
    woken_s: float = 0.0
    sent: dict[tuple[str, int], int] = field(default_factory=dict)

    def signal(self, number: int) -> None:
        """To our own child, which is there until we wait for it."""
        self.process.send_signal(number)

    def last_step(self) -> str:
        """The step that it passed last; '' before the first."""
        path = Path(self.orders.last_step)
        return path.read_bytes()[:STEP_BYTES].decode().strip() if path.exists() else ""

    def assigned(self) -> bool:
        """Whether it was given partitions."""
        return b"partition assigned" in self.log.read_bytes()

    def said(self) -> str:
        """The last line of its log."""
        lines = self.log.read_bytes()[-4000:].decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


class Consumers:
    """Starts processes that all read the same topics into the same lake."""

    def __init__(self, folder: Path, environment: dict[str, str], topics: list[str]) -> None:
        self.folder, self.topics = folder, topics
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRACEBRAID_")}
        self.environment = {**inherited, **environment}
        self.started = 0

    def orders(self, slot: str, **named: object) -> Orders:
        self.started += 1
        return Orders(slot, str(self.folder / "faults"), str(self.folder / f"step-{self.started}"), **named)  # type: ignore[arg-type]

    def start(self, orders: Orders, *, instance: str = "", arguments: tuple[str, ...] = ()) -> Life:
        """`instance`: a static member of the group; '' for a dynamic one."""
        environment = {**self.environment, **orders.environment()}
        if instance:
            environment["TRACEBRAID_CLIENT__GROUP_INSTANCE_ID"] = instance
        command = [sys.executable, "-m", "tests.torture.worker", *(f"--topic={topic}" for topic in self.topics), "--json", *arguments]
        number = orders.last_step.rpartition("-")[2]
        paths = self.folder / f"log-{number}", self.folder / f"out-{number}"
        with paths[0].open("wb") as log, paths[1].open("wb") as out:
            process = subprocess.Popen(command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=log)
        return Life(process, orders, *paths)


def end(life: Life) -> None:
    """Kill it, whatever it does, and take its exit."""
    if life.process.poll() is None:
        life.signal(signal.SIGKILL)
    life.process.wait()
