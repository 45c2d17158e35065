"""A real Kafka broker on loopback, for tests and benchmarks.

In: nothing, or TRACEBRAID_TEST_BOOTSTRAP_SERVERS. Out: a Broker with an address; topics; a broker that can be killed and started again.
Never: a broker left behind (it is ended by its process id, and by the kernel should this process die).

`python -m tests.brokers.kafka` prints the address and stays until it is interrupted.
"""

import base64
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.brokers import container, jars

ADDRESS_VARIABLE = "TRACEBRAID_TEST_BOOTSTRAP_SERVERS"
START_S_MAX = 180.0  # a busy machine, a log to recover
STOP_S_MAX = 20.0
C1_ALONE = ("-XX:TieredStopAtLevel=1",)
# Old captures must stay (no retention), a lone broker must do (factors of one), groups must not wait for members that never come,
# and a broker that was killed must be taken back soon (session timeout).
PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={directory}/data
num.partitions=3
auto.create.topics.enable=false
log.retention.ms=-1
log.cleaner.dedupe.buffer.size=16777216
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""


class Process(Protocol):
    """A broker that can be started and ended: Kafka from its jars, or in a container."""

    address: str

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def remove(self) -> None: ...


class JarBroker:
    """One node in KRaft mode, broker and controller at once, with data in a directory of its own."""

    def __init__(self, heap_mib: int = 384) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="tracebraid-kafka-"))
        self.port, controller = free_ports(2)
        self.address = f"127.0.0.1:{self.port}"
        self.properties = self.directory / "server.properties"
        self.properties.write_text(PROPERTIES.format(port=self.port, controller=controller, directory=self.directory))
        # The kernel ends the broker with us, however we end.
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        # It lives for minutes: the second compiler takes a third of all its processor time, and is never paid back.
        self.java = [*guard, "java", f"-Xms{heap_mib}m", f"-Xmx{heap_mib}m", "-XX:+UseSerialGC", *C1_ALONE, "-cp", f"{jars.kafka_jars()}/*"]
        self.process: subprocess.Popen[bytes] | None = None
        self._run_tool("kafka.tools.StorageTool", "format", "--cluster-id", cluster_id(), "--config", str(self.properties))

    def _run_tool(self, *arguments: str) -> None:
        done = subprocess.run([*self.java, *arguments], capture_output=True, text=True, timeout=START_S_MAX, check=False)
        if done.returncode:
            raise RuntimeError(f"{arguments[0]} failed: {(done.stdout + done.stderr).strip()[-500:]}")

    def start(self) -> None:
        with (self.directory / "broker.log").open("ab") as log:
            self.process = subprocess.Popen([*self.java, "kafka.Kafka", str(self.properties)], stdout=log, stderr=log, start_new_session=True)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


class Broker:
    """A running broker. `owned`: it is ours to kill and to start again; a broker from the environment is not."""

    def __init__(self, address: str, process: Process | None = None) -> None:
        self.address = address
        self.process = process

    @property
    def owned(self) -> bool:
        return self.process is not None

    @property
    def client(self) -> dict[str, str]:
        """librdkafka's settings to reach it."""
        return {"bootstrap.servers": self.address}

    def start(self) -> None:
        if self.process is not None:
            self.process.start()
        self.wait()

    def stop(self) -> None:
        """Orderly, as SIGTERM does."""
        if self.process is not None:
            self.process.stop()

    def kill(self) -> None:
        """At once, as SIGKILL does."""
        if self.process is not None:
            self.process.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def wait(self, timeout_s: float = START_S_MAX) -> None:
        """Until it answers. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                self.admin().list_topics(timeout=1)
            except KafkaException:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError(f"no answer from the broker at {self.address} in {timeout_s:g} s")

    def admin(self) -> AdminClient:
        return AdminClient({**self.client, "log_level": 0})

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Make the topic, wait until it can be used, give its name back."""
        admin = self.admin()
        admin.create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config or {}))])[name].result(30)
        self._wait_for(admin, name, present=True)
        return name

    def delete_topic(self, name: str) -> None:
        admin = self.admin()
        admin.delete_topics([name])[name].result(30)
        self._wait_for(admin, name, present=False)

    def delete_records(self, topic: str, before: int, partition: int = 0) -> None:
        """As retention does: the log begins at offset `before`."""
        admin, place = self.admin(), TopicPartition(topic, partition, before)
        admin.delete_records([place])[place].result(30)

    def unique(self, name: str) -> str:
        """A topic or group name that no other test uses."""
        return f"{name}-{uuid.uuid4().hex[:8]}"

    def _wait_for(self, admin: AdminClient, name: str, *, present: bool) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            topic = admin.list_topics(timeout=5).topics.get(name)
            if (topic is not None and bool(topic.partitions) and all(p.leader >= 0 for p in topic.partitions.values())) == present:
                return
            time.sleep(0.05)
        raise TimeoutError(f"topic {name} is {'not there' if present else 'still there'} after 30 s")


@contextmanager
def running_broker(heap_mib: int = 384) -> Iterator[Broker]:
    """A broker of one's own, or the one that the environment names; ended and removed at the end. Check `unavailable()` first."""
    if address := os.environ.get(ADDRESS_VARIABLE):
        yield Broker(address)
        return
    process: Process = container.ContainerBroker(free_ports(1)[0]) if container.engine_answers() else JarBroker(heap_mib)
    broker = Broker(process.address, process)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
        process.remove()


def unavailable() -> str:
    """Why there is no broker here; '' where there is one to be had."""
    if os.environ.get(ADDRESS_VARIABLE) or container.engine_answers():
        return ""
    missing = jars.missing_tool()
    return f"needs a Kafka broker: set {ADDRESS_VARIABLE}, or run a Docker engine, or install Java 17 and Maven ({missing})" if missing else ""


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on just now.

    Below those that systems give to clients: a broker that is down for a moment would find its port taken by one.
    """
    sockets: list[socket.socket] = []
    try:
        while len(sockets) < count:
            each = socket.socket()
            try:
                each.bind(("127.0.0.1", random.randrange(15_000, 32_000)))
            except OSError:
                each.close()
            else:
                sockets.append(each)
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def cluster_id() -> str:
    """22 characters of URL-safe base64 that do not begin with a dash, as Kafka wants a cluster's id."""
    return "t" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]


def serve() -> None:
    """Print the address, stay until interrupted or terminated."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with running_broker(heap_mib=1024) as broker:
        print(broker.address, flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    serve()
