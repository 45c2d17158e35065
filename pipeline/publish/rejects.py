"""Rejects on their way to the topic: the original bytes as value and key, the facts in headers.

In: Arrow batches of schemas.rejects. Out: messages, and the next offset of every partition they account for. Never: a large message:
value, key and headers are cut by kernel.limits, and say so.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.pipeline.publish.producer import Message

PREFIX = "tracebraid."
GROUP = "group"  # whose reject it is: several lakes may share one rejects topic
# Header → column of the table. Values are text; kafka_time in ISO 8601, UTC.
FACTS = {
    "reason": "reason",
    "message": "message",
    "encoding": "encoding",
    "tenant": "tenant",
    "cluster": "kafka_cluster",
    "topic": "kafka_topic",
    "topic_id": "kafka_topic_id",
    "partition": "kafka_partition",
    "offset": "kafka_offset",
    "index": "record_index",
    "kafka_time": "kafka_time",
    "value_bytes": "value_bytes",
    "value_sha256": "value_sha256",
}


def to_message(row: Mapping[str, Any], topic: str, group: str) -> Message:
    """`row`: one row of schemas.rejects. `group`: the consumer group that read it.

    The message keeps the original headers with their names after the facts, whose names begin with PREFIX.
    """
    facts = {name: row[column].isoformat() if name == "kafka_time" else str(row[column]) for name, column in FACTS.items()}
    facts[GROUP] = group
    key, value = row["record_key"], row["record_value"]
    if value is None:
        facts["value_left_out"] = "rejects.keep is hash"
    if key is not None and len(key) > limits.reject_key_bytes_max:
        facts["key_bytes"], key = str(len(key)), None
    kept: list[tuple[str, bytes | None]] = []
    room = limits.reject_headers_bytes_max
    for header in row["record_headers"] or ():
        room -= len(header["key"].encode()) + len(header["value"] or b"")
        if room < 0:
            facts["headers_left_out"] = str(len(row["record_headers"]) - len(kept))
            break
        kept.append((header["key"], header["value"]))
    headers = (*((PREFIX + name, fact.encode()) for name, fact in facts.items()), *kept)
    return Message(topic, value[: limits.reject_value_bytes_max] if value is not None else None, key, headers)


class OpenRejects:
    """Rejects since the last transaction, and how far each partition is accounted for, whether it had rejects or not."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.next_offsets: dict[Partition, int] = {}
        self._batches: list[tuple[Partition, pa.RecordBatch]] = []

    def add(self, records: Records, rejects: pa.RecordBatch) -> None:
        """`rejects`: of schemas.rejects, from these records."""
        self.next_offsets[records.partition] = records.next_offset
        if rejects.num_rows:
            self._batches.append((records.partition, rejects))

    def forget(self, partition: Partition) -> None:
        self.next_offsets.pop(partition, None)
        self._batches = [(owner, batch) for owner, batch in self._batches if owner != partition]

    def messages(self, topic: str) -> list[Message]:
        """In the order of the records of each partition."""
        return [to_message(row, topic, self.group) for _, batch in self._batches for row in batch.to_pylist()]
