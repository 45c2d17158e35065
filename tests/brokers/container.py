"""Kafka in a container, where a Docker engine answers.

In: a free port. Out: a broker on it. Never: a pull or a start where no engine answers.
"""

import shutil
import subprocess
import warnings
from functools import cache
from typing import Any

from tests.brokers.jars import KAFKA_VERSION

ENGINE_S_MAX = 10
SETTINGS = {
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_NUM_PARTITIONS": "3",
    "KAFKA_LOG_RETENTION_MS": "-1",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
    "KAFKA_BROKER_SESSION_TIMEOUT_MS": "2000",
    "KAFKA_BROKER_HEARTBEAT_INTERVAL_MS": "500",
}


@cache
def engine_answers() -> bool:
    """Whether the docker command finds its engine; it is asked rather than the library, which leaves sockets open when it fails."""
    if not shutil.which("docker"):
        return False
    try:
        asked = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, timeout=ENGINE_S_MAX, check=False)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


class ContainerBroker:
    """The Kafka project's own image on one loopback port; killed and started again it keeps its data, as the container stays."""

    def __init__(self, port: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library warns of itself when it is imported
            from testcontainers.core.container import DockerContainer
        self.address = f"localhost:{port}"
        image = DockerContainer(f"apache/kafka:{KAFKA_VERSION}").with_bind_ports(9092, port)
        for name, value in {**SETTINGS, "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{self.address}"}.items():
            image = image.with_env(name, value)
        self.image = image
        self.made: Any = None

    def start(self) -> None:
        if self.made is None:
            self.image.start()
            self.made = self.image.get_wrapped_container()
        else:
            self.made.start()

    def stop(self) -> None:
        if self.made is not None:
            self.made.stop()

    def kill(self) -> None:
        if self.made is not None:
            self.made.kill()

    def remove(self) -> None:
        if self.made is not None:
            self.image.stop()
