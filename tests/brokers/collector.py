"""A real OpenTelemetry Collector that takes OTLP over HTTP and writes Kafka, for tests.

In: its binary, from TRACEBRAID_TEST_OTELCOL, the path, or where ../shared/peers/build-collector.sh leaves it; exporters. Out: an address for OTLP/HTTP.
Never: a Collector left behind (it is ended by its process id, and by the kernel should this process die).
"""

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.brokers.kafka import free_ports

VARIABLE = "TRACEBRAID_TEST_OTELCOL"
NEEDED = f"needs an OpenTelemetry Collector with the Kafka exporter: set {VARIABLE} to its path"
START_S_MAX = 60.0


def binary() -> str | None:
    """The Collector's path; None where there is none."""
    path = os.environ.get(VARIABLE) or shutil.which("otelcol-contrib") or str(Path.home() / ".cache" / "tracebraid" / "peers" / "otelcol")
    return path if os.access(path, os.X_OK) else None


class Collector:
    """A running Collector; `send` returns when every exporter of the signal has written, or raises with what the Collector says."""

    def __init__(self, address: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.address, self.process, self.log = address, process, log

    def send(self, signal: str, request: Mapping[str, Any]) -> None:
        """signal: traces or logs. request: OTLP as JSON."""
        body = json.dumps(request).encode()
        end = time.monotonic() + START_S_MAX
        while True:
            try:
                urllib.request.urlopen(urllib.request.Request(f"{self.address}/v1/{signal}", body, {"Content-Type": "application/json"}), timeout=60).close()
                return
            except urllib.error.HTTPError as error:
                raise RuntimeError(f"the Collector refused {signal}: {error.read().decode()[-500:]}") from None
            except urllib.error.URLError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError(f"the Collector does not answer: {self.log.read_text()[-800:]}") from None
                time.sleep(0.1)


@contextmanager
def running_collector(path: str, directory: Path, exporters: Mapping[str, Mapping[str, Any]], pipelines: Mapping[str, list[str]]) -> Iterator[Collector]:
    """exporters: by name, their settings. pipelines: signal → names of exporters."""
    (port,) = free_ports(1)
    settings = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": exporters,
        "service": {
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
            "pipelines": {signal: {"receivers": ["otlp"], "exporters": names} for signal, names in pipelines.items()},
        },
    }
    config, log = directory / "collector.yaml", directory / "collector.log"
    config.write_text(json.dumps(settings))  # JSON is YAML
    guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    with log.open("ab") as output:
        process = subprocess.Popen([*guard, path, "--config", str(config)], stdout=output, stderr=output, start_new_session=True)
    try:
        yield Collector(f"http://127.0.0.1:{port}", process, log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
