"""One process, measured from outside: CPU, wall time, peak memory.

In: a command. Out: a Run. Never: a figure of our own accounting; the kernel's are used (wait4).
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """cpu_s: user + system seconds of the whole process and its waited-for children; peak_mib: resident memory at its highest."""

    cpu_s: float
    wall_s: float
    peak_mib: float
    output: str


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    """Run to the end. Raises RuntimeError with the end of its output where it fails."""
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(command, env={**os.environ, **(environment or {})}, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {text[-1500:]}")
    return Run(usage.ru_utime + usage.ru_stime, wall_s, usage.ru_maxrss / 1024, text)


def parquet_bytes(lake: Path, table: str) -> int:
    return sum(path.stat().st_size for path in (lake / table).rglob("*.parquet") if "_delta_log" not in path.parts)
