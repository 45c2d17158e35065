"""Where partitions end now, for whoever asks how far behind the lake is.

In: client settings, partitions. Out: the offset behind each one's last record. Never: a record, a group joined, a commit.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from confluent_kafka import Consumer, KafkaException

from tracebraid.pipeline.kernel.broker import ErrorLog, client_logger, explain
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.source.cluster import Absent, Cluster


def partition_ends(client: Mapping[str, str], partitions: Collection[Partition], clock: Clock) -> dict[Partition, int]:
    """The end of each partition that is of this cluster and of the topic as it is now; a topic deleted, or made again, is left out.

    The end is the high watermark: what an open transaction holds back waits too, though nobody may read it yet. On a topic written with
    transactions the offset before it is a marker, which no consumer reads.
    Raises TracebraidError where no broker answers.
    """
    errors = ErrorLog(clock)
    config: dict[str, Any] = {**client, "group.id": "tracebraid-status", "enable.auto.commit": "false", "isolation.level": "read_uncommitted"}
    try:
        consumer = Consumer({**config, "error_cb": errors}, logger=client_logger())
    except KafkaException as error:
        raise explain(error.args[0].name(), error.args[0].str(), client.get("bootstrap.servers", ""), "setting up a consumer") from None
    try:
        cluster = Cluster(consumer, client, clock, errors)
        existing = set(cluster.connect())
        ids = cluster.topic_ids({each.topic for each in partitions if each.topic in existing})
        found = {}
        for each in partitions:
            if each.cluster == cluster.id and ids.get(each.topic) == each.topic_id:
                with suppress(Absent):
                    found[each] = cluster.watermarks(each)[1]
        return found
    finally:
        consumer.close()
