"""Fixtures that many tests share: the captures beside the repository, and one real broker and one S3 server for the whole run."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.brokers.kafka import Broker
    from tests.brokers.s3 import S3

ROOT = Path(__file__).resolve().parent.parent
settings.register_profile("tests", deadline=None)  # machines are shared: how long an example takes says little
settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    """Where several workers will run the tests, one process compiles the kernels meanwhile, if nobody has: a worker that needs them sooner waits for it."""
    if getattr(config.option, "numprocesses", None):
        command = [sys.executable, "-m", "tests.kernels"]
        compiling = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        config.add_cleanup(lambda: (compiling.kill(), compiling.wait()))


@pytest.fixture(scope="session", autouse=True)
def _without_a_users_settings() -> Iterator[None]:
    """Settings in the environment of whoever runs the tests do not reach them, nor the commands they start."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("TRACEBRAID_", "AWS_")) and not name.startswith("TRACEBRAID_TEST_"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the repository, with the captures; skipped by name where it is absent."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs the captures: there is no folder ../shared/data beside the repository")
    return folder


@pytest.fixture(scope="session")
def broker() -> "Iterator[Broker]":
    """A real Kafka broker, one for the whole run; skipped by name where none can be had. Tests make topics of their own in it."""
    from tests.brokers import kafka

    if why := kafka.unavailable():
        pytest.skip(why)
    with kafka.running_broker() as running:
        yield running


@pytest.fixture(scope="session")
def s3() -> "Iterator[S3]":
    """A real S3 server, one for the whole run; skipped by name where none can be had. Tests take prefixes of their own in its bucket."""
    from tests.brokers import s3 as servers

    if why := servers.unavailable():
        pytest.skip(why)
    with servers.running_s3() as running:
        yield running
