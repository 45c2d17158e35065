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
    """cpu_s: user + system seconds of the whole process and its waited-for children; peak_mib: resident memory at its highest.

    child_peak_mib: likewise, of the largest process that it started itself; 0 where it started none.
    """

    cpu_s: float
    wall_s: float
    peak_mib: float
    output: str
    child_peak_mib: float = 0.0


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    """Run to the end. Raises RuntimeError with the end of its output where it fails.

    Python keeps what it compiles, whatever the caller's environment says: what is installed is compiled already, and 0.2 s of a start would be for that.
    """
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(command, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(environment or {})}, stdout=output, stderr=subprocess.STDOUT)
        peak_kib = child_kib = 0
        while (waited := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            peak_kib = max(peak_kib, _peak_kib(process.pid))
            child_kib = max([child_kib, *map(_peak_kib, _children(process.pid))])
            time.sleep(0.02)
        _, status, usage = waited
        wall_s = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {text[-1500:]}")
    return Run(usage.ru_utime + usage.ru_stime, wall_s, peak_kib / 1024, text, child_kib / 1024)


def _peak_kib(pid: int) -> int:
    """Its high-water mark so far. Not wait4's ru_maxrss: a process begins with that of whoever forked it, and the one that made the spans is large."""
    try:
        with open(f"/proc/{pid}/status") as status:
            return next((int(line.split()[1]) for line in status if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def parquet_bytes(lake: Path, table: str) -> int:
    return sum(path.stat().st_size for path in (lake / table).rglob("*.parquet") if "_delta_log" not in path.parts)
