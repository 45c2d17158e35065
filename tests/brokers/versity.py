"""The S3 server of the tests, versitygw: built once by Go from its module, kept outside the repository.

In: a version. Out: its binary. Never: a half-built file (it arrives under another name and is renamed).
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

VERSITY_VERSION = "1.8.0"
MODULE = f"github.com/versity/versitygw/cmd/versitygw@v{VERSITY_VERSION}"
BUILD_S_MAX = 900


def missing_tool() -> str:
    """Why the server cannot be had here; '' where it can."""
    return "" if cached() or shutil.which("go") else f"no go on the path, and no server at {binary()}"


def binary() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "tracebraid" / f"versitygw-{VERSITY_VERSION}"


def cached() -> bool:
    return binary().is_file()


def server() -> Path:
    """The binary, built first where it is not there yet. Raises RuntimeError with Go's last words where it cannot be."""
    target = binary()
    if cached():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        command = ["go", "install", "-p", "2", "-ldflags", "-s -w", MODULE]
        done = subprocess.run(command, env={**os.environ, "GOBIN": scratch}, capture_output=True, text=True, timeout=BUILD_S_MAX, check=False)
        if done.returncode:
            raise RuntimeError(f"Go could not build {MODULE}: {(done.stdout + done.stderr).strip()[-500:]}")
        (Path(scratch) / "versitygw").rename(target)
    return target
