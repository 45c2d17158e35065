"""tracebraid's own topics: what each holds, and how it is to be made."""

from dataclasses import dataclass

HOUR_MS = 3_600_000
# The segment that is written to is never compacted: with Kafka's own sizes a start would read up to 1 GiB, or a week, of each partition.
CLEANED = {"segment.bytes": str(64 << 20), "segment.ms": str(HOUR_MS), "min.cleanable.dirty.ratio": "0.1"}


@dataclass(frozen=True, slots=True)
class Topic:
    """`retention_ms` -1: for ever. `compacted`: the last message of a key is kept. `max_message_bytes`: 0 leaves the broker's default."""

    name: str
    partitions: int
    retention_ms: int
    compacted: bool
    comment: str
    max_message_bytes: int = 0

    @property
    def config(self) -> dict[str, str]:
        """Kafka's settings of the topic, as texts."""
        sized = {"max.message.bytes": str(self.max_message_bytes)} if self.max_message_bytes else {}
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": str(self.retention_ms),
            **sized,
            **(CLEANED if self.compacted else {}),
        }


# Names and retention are defaults; the settings of the stage that writes the topic may say otherwise.
TOPICS = {
    "rejects": Topic("tracebraid.rejects", 6, 14 * 24 * HOUR_MS, False, "What could not be decoded: the original bytes, the facts in headers."),
    "windows": Topic("tracebraid.windows", 32, 24 * HOUR_MS, False, "What ingest tells detect: how far each source partition has come."),
    "normalized": Topic("tracebraid.normalized", 32, 24 * HOUR_MS, False, "Every row of spans and logs as JSON, where that is wanted."),
    "alerts": Topic("tracebraid.alerts", 32, 30 * 24 * HOUR_MS, False, "Every transition of every alert, and what explain found behind it."),
    "alerts_state": Topic("tracebraid.alerts.state", 32, -1, True, "The present alert of each rule and series."),
    "alertmanager": Topic(
        "tracebraid.alerts.alertmanager", 32, 30 * 24 * HOUR_MS, False, "Alerts of rules that ask for it, as JSON of Alertmanager's webhook."
    ),
    "alerts_dead": Topic("tracebraid.alerts.dead", 1, 30 * 24 * HOUR_MS, False, "Alerts that a channel did not take, as they were; the reason in headers."),
    "state": Topic("tracebraid.state", 32, -1, True, "Snapshots of detect, in pieces: shard/name."),
    "rules": Topic("tracebraid.rules", 1, -1, True, "Rules that were applied, by name."),
    "rules_acks": Topic("tracebraid.rules.acks", 1, 24 * HOUR_MS, False, "Which consumer has taken over which rule."),
    "redriven": Topic("tracebraid.rejects.redriven", 1, -1, True, "Which rejects were sent again: the position as key, when and whereto as JSON."),
}
