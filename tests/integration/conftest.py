"""One broker for all tests that need one."""

from collections.abc import Iterator

import pytest

from tests.brokers.kafka import Broker, running_broker, unavailable


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A real broker: from the environment, in a container, or from Kafka's own jars; the test is skipped, by name, where none can be had."""
    if reason := unavailable():
        pytest.skip(reason)
    with running_broker() as running:
        yield running
