"""How far another group has come, by its committed offsets.

In: client settings, the group's name, partitions. Out: offsets. Never: a member of that group, a commit, a record.
"""

from collections.abc import Collection, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException

from tracebraid.pipeline.kernel.broker import ErrorLog, client_logger, explain
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.source.cluster import Absent, Cluster


class GroupPositions:
    """Not for several threads. Raises TracebraidError where no broker answers."""

    def __init__(self, client: Mapping[str, str], group: str, clock: Clock) -> None:
        errors = ErrorLog(clock)
        given = {key: value for key, value in client.items() if key != "group.instance.id"}
        config: dict[str, Any] = {**given, "group.id": group, "enable.auto.commit": "false", "error_cb": errors}
        try:
            self.consumer = Consumer(config, logger=client_logger())
        except KafkaException as error:
            raise explain(error.args[0].name(), error.args[0].str(), client.get("bootstrap.servers", ""), "setting up a consumer") from None
        self.cluster = Cluster(self.consumer, client, clock, errors)
        try:
            self.cluster.connect()
        except BaseException:
            self.consumer.close()
            raise

    def of(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """The group's offset in each partition of this cluster; one without is left out."""
        try:
            return self.cluster.committed([each for each in partitions if each.cluster == self.cluster.id])
        except Absent:
            return {}

    def close(self) -> None:
        self.consumer.close()
