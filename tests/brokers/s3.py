"""A real S3 server on loopback, for tests and benchmarks: versitygw over a directory of its own.

In: nothing. Out: an S3 with an endpoint, credentials and a bucket; it can be killed and started again. Never: a server left behind (it is
ended by its process id, and by the kernel should this process die).

`python -m tests.brokers.s3` prints the variables to reach it by, and stays until it is interrupted.
"""

import http.client
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.brokers import versity
from tests.brokers.kafka import free_ports

START_S_MAX = 30.0
STOP_S_MAX = 10.0
REGION = "us-east-1"


@dataclass(slots=True)
class S3:
    """A running server. `directory`: where it keeps its data; an object is a file there, of the same path below the bucket's folder."""

    endpoint: str
    key: str
    secret: str
    bucket: str
    directory: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def options(self) -> dict[str, str]:
        """Storage options to reach it by."""
        return {
            "aws_access_key_id": self.key,
            "aws_secret_access_key": self.secret,
            "aws_region": REGION,
            "aws_endpoint_url": self.endpoint,
            "aws_allow_http": "true",
        }

    @property
    def environment(self) -> dict[str, str]:
        """The same as variables."""
        return {name.upper(): value for name, value in self.options.items()}

    def start(self) -> None:
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        command = [*guard, str(versity.server()), "--port", self.endpoint.removeprefix("http://"), "--region", REGION, "--quiet", "--keep-alive"]
        secrets = {"ROOT_ACCESS_KEY_ID": self.key, "ROOT_SECRET_ACCESS_KEY": self.secret}
        with (self.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "posix", str(self.directory / "data")], env={**os.environ, **secrets}, stdout=log, stderr=log, start_new_session=True
            )
        self.wait()

    def wait(self, timeout_s: float = START_S_MAX) -> None:
        """Until it answers. Raises RuntimeError with the end of its log where it ended, or never answers."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.process is not None and self.process.poll() is None:
            connection = http.client.HTTPConnection(self.endpoint.removeprefix("http://"), timeout=1)
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
            except OSError:
                time.sleep(0.05)
            else:
                return
            finally:
                connection.close()
        raise RuntimeError(f"the S3 server at {self.endpoint} does not answer: {(self.directory / 'server.log').read_text()[-500:]}")

    def stop(self) -> None:
        """Orderly where it heeds SIGTERM in time."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self) -> None:
        """At once, as SIGKILL does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def running_s3() -> Iterator[S3]:
    """A server of one's own, ended and removed at the end. Check `unavailable()` first."""
    directory = Path(tempfile.mkdtemp(prefix="tracebraid-s3-"))
    s3 = S3(f"http://127.0.0.1:{free_ports(1)[0]}", "tracebraid", "secret-of-the-tests", "lakes", directory)
    (directory / "data" / s3.bucket).mkdir(parents=True)  # a folder is a bucket
    try:
        s3.start()
        yield s3
    finally:
        s3.kill()
        shutil.rmtree(directory, ignore_errors=True)


def unavailable() -> str:
    """Why there is no S3 server here; '' where there is one to be had."""
    missing = versity.missing_tool()
    return f"needs an S3 server: install Go, which builds one ({missing})" if missing else ""


def serve() -> None:
    """Print how to reach it, stay until interrupted or terminated."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with running_s3() as s3:
        print("\n".join(f"export {name}={value}" for name, value in s3.environment.items()))
        print(f"export TRACEBRAID_LAKE=s3://{s3.bucket}/lake", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    serve()
