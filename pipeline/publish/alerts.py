"""Alerts as messages: every transition on one topic, the present one of each rule and series on another, and there none once it is long over.

In: schemas.alert.Transition. Out: messages. Never: a message of more than a broker takes: exemplars and comparisons go first.
"""

import json

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.settings import StreamSettings
from tracebraid.pipeline.publish.producer import Message
from tracebraid.schemas.alert import VERSION, Transition

CONTENT = (("content-type", b"application/json"),)
HEADERS = (("tracebraid.version", str(VERSION).encode()), *CONTENT)


def state_key(rule: str, series: dict[str, str]) -> bytes:
    """The key on the compacted topic: the same for the same rule and series."""
    return json.dumps([rule, sorted(series.items())], ensure_ascii=False).encode()


def alert_messages(alert: Transition, settings: StreamSettings, shard: int) -> list[Message]:
    """`shard`: the partition of the state topic, which has as many as the windows topic, so that a shard's owner finds its own there."""
    value = alert.model_dump_json().encode()
    if len(value) > limits.alert_bytes_max:
        value = alert.model_copy(update={"exemplars": [], "comparisons": [], "annotations": {}}).model_dump_json().encode()
    key = state_key(alert.rule, alert.series)
    return [
        Message(settings.alerts_topic, value, alert.id.encode(), HEADERS),
        Message(settings.alerts_state_topic, value, key, HEADERS, partition=shard),
    ]


def forgotten(rule: str, series: dict[str, str], settings: StreamSettings, shard: int) -> Message:
    """The tombstone of what has been over for long: without it the state topic would hold all series that ever alerted."""
    return Message(settings.alerts_state_topic, None, state_key(rule, series), partition=shard)
