"""Rejects on their way back: the original record, and the marker that it was sent again.

In: rows of the rejects table, whole values. Out: pairs of messages for one transaction. Never: a value that is cut.

The record keeps its value, key, headers and timestamp, and gets two headers: where it was refused first, and how often it was sent again. The
headers of a record that fails again are those of its new reject, so the count is carried on; where it was refused first never changes.
"""

import json
from collections.abc import Mapping
from typing import Any

from tracebraid.pipeline.publish.producer import Message
from tracebraid.pipeline.publish.rejects import PREFIX

REDRIVE_OF = f"{PREFIX}redrive_of"
REDRIVE_ATTEMPT = f"{PREFIX}redrive_attempt"


def position(row: Mapping[str, Any]) -> str:
    """`row`: of schemas.rejects. cluster/topic id/partition/offset/index, the identity of a reject whatever lake holds it."""
    return f"{row['kafka_cluster']}/{row['kafka_topic_id']}/{row['kafka_partition']}/{row['kafka_offset']}/{row['record_index']}"


def again(row: Mapping[str, Any], value: bytes, topic: str, partition: int) -> Message:
    """The record once more. `partition` -1: by key."""
    kept = [(header["key"], header["value"]) for header in row["record_headers"] or ()]
    before = dict(kept)
    first, attempt = before.get(REDRIVE_OF), _count(before.get(REDRIVE_ATTEMPT)) + 1
    plain = [(name, content) for name, content in kept if name not in (REDRIVE_OF, REDRIVE_ATTEMPT)]
    headers = (*plain, (REDRIVE_OF, first or position(row).encode()), (REDRIVE_ATTEMPT, str(attempt).encode()))
    return Message(topic, value, row["record_key"], headers, int(row["kafka_time"].timestamp() * 1000), partition)


def marker(row: Mapping[str, Any], sent: Message, topic: str) -> Message:
    """That `sent` is on its way, by the reject's position: it is compacted by that key."""
    said = {"to": sent.topic, "attempt": _count(dict(sent.headers)[REDRIVE_ATTEMPT])}
    return Message(topic, json.dumps(said).encode(), position(row).encode())


def _count(text: bytes | None) -> int:
    return int(text) if text and text.isdigit() and len(text) < 10 else 0
