"""The world around the consumers, and what befalls it: broker, topics, retention, the lake's disk.

In: a broker. Out: topics and a lake, faults of theirs. Never: a mount left behind (`close`).
"""

import os
import subprocess
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import NewPartitions  # type: ignore[attr-defined]  # exported, though not by name

from tests.torture.workload import Topic, Workload, careless, steady

MIB = 1024 * 1024
DISK_MIB = 1024


class Disk:
    """The lake's place; a file system of its own where we may mount one (as root), so that it can be full."""

    def __init__(self, folder: Path, *, mount: bool) -> None:
        self.folder = folder
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tracebraid-torture", str(folder)]
        self.mounted = mount and os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0

    def fill(self) -> None:
        """Nothing more has room, but a few pages."""
        status = os.statvfs(self.folder)
        used = (status.f_blocks - status.f_bfree) * status.f_frsize
        self._resize(f"{used + 64 * 1024}")

    def empty(self) -> None:
        self._resize(f"{DISK_MIB}m")

    def _resize(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.folder)], check=True, capture_output=True)

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", str(self.folder)], check=False, capture_output=True)


class World:
    """Three topics: `steady` and `plain`, of which every record must come through; `side`, that is made again and loses records to retention."""

    def __init__(self, broker: Any, folder: Path, disk: Disk, partitions: int = 6) -> None:
        self.broker, self.folder, self.disk = broker, folder, disk
        self.workload = Workload()
        names = [broker.create_topic(broker.unique(name), count) for name, count in (("torture", partitions), ("torture-side", 2), ("torture-plain", 3))]
        self.steady = Topic(names[0], self.topic_id(names[0]), partitions, steady(broker.client))
        self.side = Topic(names[1], self.topic_id(names[1]), 2, careless(broker.client))
        self.plain = Topic(names[2], self.topic_id(names[2]), 3, steady(broker.client), plain=True)
        self.rejects_topic = broker.create_topic(broker.unique("torture-rejects"), 2)

    @property
    def lake(self) -> str:
        return str(self.disk.folder)

    @property
    def topics(self) -> list[Topic]:
        return [self.steady, self.side, self.plain]

    def topic_id(self, name: str) -> str:
        admin = self.broker.admin()  # it must live as long as the question
        described = admin.describe_topics(TopicCollection([name]), request_timeout=10)[name].result()
        return str(described.topic_id).replace("+", "-").replace("/", "_")

    def produce(self, count: int) -> int:
        """One in ten goes to the side; half as many more are plain. How many were taken, of the former."""
        side = count // 10
        self.workload.produce(self.plain, count // 2)
        return self.workload.produce(self.steady, count - side) + self.workload.produce(self.side, side)

    def settle(self) -> None:
        """Until every record that is under way has arrived, or has failed."""
        for topic in self.topics:
            if topic.producer.flush(60):
                raise TimeoutError(f"records for {topic.name} are still under way")

    # Faults.

    def restart_broker(self) -> None:
        """SIGKILL, and up again."""
        assert self.broker.process
        self.broker.process.kill()
        self.broker.start()

    def add_partition(self, topic: Topic) -> None:
        admin = self.broker.admin()
        admin.create_partitions([NewPartitions(topic.name, topic.partitions + 1)])[topic.name].result(30)
        topic.partitions += 1

    def remake_side(self) -> None:
        """Delete the topic and make it again while records for it are under way."""
        self.workload.produce(self.side, 200)
        self.side.id = ""  # what arrives now may be in either
        self.broker.delete_topic(self.side.name)
        self.side.partitions, self.side.next_partition = 2, 0
        self.workload.produce(self.side, 100)
        self.broker.create_topic(self.side.name, 2)
        self.side.id = self.topic_id(self.side.name)
        self.workload.produce(self.side, 200)

    def overtake(self) -> None:
        """Retention takes all but the last records of the side."""
        self.workload.produce(self.side, 300)
        self.side.producer.flush(10)
        for partition, (low, high) in self.watermarks(self.side).items():
            if high - 20 > low:
                self.broker.delete_records(self.side.name, high - 20, partition)

    def watermarks(self, topic: Topic) -> dict[int, tuple[int, int]]:
        consumer = Consumer({**self.broker.client, "group.id": "torture-watermarks", "log_level": 0})
        try:
            found = {}
            for partition in range(topic.partitions):
                try:
                    found[partition] = consumer.get_watermark_offsets(TopicPartition(topic.name, partition), timeout=10)
                except KafkaException:
                    continue  # not led yet
            return found
        finally:
            consumer.close()
