"""A real Alertmanager on loopback, for tests.

In: a receiver's address, resolve_timeout. Out: its address, and what it holds. Never: one left behind.
"""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.brokers.kafka import free_ports

NAMES = ("prometheus-alertmanager", "alertmanager")  # Debian's, and that of its own releases
CONFIG = """
global: {{resolve_timeout: {resolve}}}
route: {{receiver: hook, group_by: [alertname, service_name], group_wait: 100ms, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: hook, webhook_configs: [{{url: '{url}', send_resolved: true}}]}}]
"""


def program() -> str:
    """Its path; '' where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), "")


@dataclass
class Running:
    """`url` of one that runs."""

    url: str
    process: subprocess.Popen[bytes]

    def alerts(self) -> list[Any]:
        """All that are active."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts?active=true", timeout=10) as answer:
            found: list[Any] = json.load(answer)
        return found


@contextmanager
def alertmanager(folder: Path, receiver: str, resolve: str) -> Iterator[Running]:
    """Until the end of the block; data and configuration in `folder`."""
    port = free_ports(1)[0]
    folder.mkdir(parents=True, exist_ok=True)
    text = CONFIG.format(url=receiver, resolve=resolve)
    yaml.safe_load(text)
    (folder / "alertmanager.yml").write_text(text)
    arguments = ["--config.file", str(folder / "alertmanager.yml"), "--storage.path", str(folder / "data"), "--cluster.listen-address="]
    guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    with (folder / "alertmanager.log").open("ab") as log:
        process = subprocess.Popen([*guard, program(), *arguments, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    running = Running(f"http://127.0.0.1:{port}", process)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                running.alerts()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() >= deadline:
                    raise RuntimeError(f"no answer: {(folder / 'alertmanager.log').read_text()[-2000:]}") from None
                time.sleep(0.1)
        yield running
    finally:
        process.terminate()
        process.wait(20)
