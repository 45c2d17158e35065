"""tracebraid's own topics beside the broker's: what lacks, what differs, what rights it takes.

In: settings, client settings. Out: a plan, topics made. Never: a topic deleted or changed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic  # type: ignore[attr-defined]  # exported, though not by name

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.broker import UNREACHABLE, ErrorLog, client_logger, explain
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.schemas.topics import HOUR_MS, TOPICS, Topic

CALL_S = 10.0
MOCK = "mockCluster"  # librdkafka's embedded cluster answers no admin calls and makes a topic when it is named


@dataclass(frozen=True, slots=True)
class Planned:
    """One own topic. `action`: 'create', 'keep' or 'differs'; `differences`: setting → (the broker's, ours)."""

    topic: Topic
    action: str
    differences: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Acl:
    """One right, in kafka-acls' words. `pattern`: 'literal' or 'prefixed'."""

    resource: str
    name: str
    pattern: str
    operations: tuple[str, ...]
    why: str


def own_topics(settings: Settings) -> list[Topic]:
    """The topics that these settings write; none without the stream."""
    if not settings.stream.enabled:
        return []
    stream = settings.stream
    return [
        replace(TOPICS["rejects"], name=stream.rejects_topic, retention_ms=stream.rejects_retention_hours * HOUR_MS),
        replace(TOPICS["windows"], name=stream.windows_topic),
        replace(TOPICS["alerts"], name=stream.alerts_topic),
        replace(TOPICS["alerts_state"], name=stream.alerts_state_topic),
        replace(TOPICS["alertmanager"], name=stream.alertmanager_topic),
        replace(TOPICS["alerts_dead"], name=stream.alerts_dead_topic),
        replace(TOPICS["state"], name=stream.state_topic),
        replace(TOPICS["rules"], name=stream.rules_topic),
        replace(TOPICS["rules_acks"], name=stream.rules_acks_topic),
        *([_normalized(settings)] if settings.normalized.enabled else []),
    ]


def _normalized(settings: Settings) -> Topic:
    return replace(TOPICS["normalized"], name=settings.normalized.topic, retention_ms=settings.normalized.retention_hours * HOUR_MS)


def redriven_topic(settings: Settings) -> Topic:
    """The topic of markers that a re-drive writes; not ingest's."""
    return replace(TOPICS["redriven"], name=settings.stream.redriven_topic)


def own_names(settings: Settings) -> list[str]:
    """Names of all that is tracebraid's own, and so never read by a pattern."""
    return [*(topic.name for topic in own_topics(settings)), settings.stream.redriven_topic, settings.normalized.topic]


def plan(client: Mapping[str, str], topics: Sequence[Topic]) -> list[Planned]:
    """Each of `topics` beside the broker's. Raises TracebraidError of one line where no broker answers."""
    admin = _Admin(client)
    existing = admin.existing()
    return [_compare(topic, existing.get(topic.name), admin) for topic in topics]


def apply(client: Mapping[str, str], topics: Sequence[Topic], replication_factor: int = -1) -> list[Planned]:
    """Make what lacks; what differs is left as it is. Returns the plan as it was before. Raises TracebraidError where a topic cannot be made."""
    planned = plan(client, topics)
    admin = _Admin(client)
    admin.create([each.topic for each in planned if each.action == "create"], replication_factor)
    return planned


def create(client: Mapping[str, str], topic: Topic, replication_factor: int = -1) -> None:
    """Make one topic. Raises TracebraidError where that fails."""
    _Admin(client).create([topic], replication_factor)


def retention_ms(client: Mapping[str, str], topic: str) -> int | None:
    """How long the topic keeps records; -1 for ever, None where the broker will not say."""
    found = _Admin(client).config(topic).get("retention.ms")
    return int(found) if found is not None else None


def acls(settings: Settings, group: str = "") -> list[Acl]:
    """The rights that ingest needs: to read its topics and its group; with the stream, to write its own topics in transactions."""
    reading = "read records"
    rights = [Acl("topic", *_prefix(each.name, each.pattern), ("Read", "Describe"), reading) for each in settings.topics]
    named, kind = (group, "literal") if group else ("tracebraid-", "prefixed")
    rights.append(Acl("group", named, kind, ("Read", "Describe"), "consume as a group"))
    if settings.stream.enabled:
        rights += [Acl("topic", topic.name, "literal", ("Write", "Describe", "DescribeConfigs"), "publish") for topic in own_topics(settings)]
        rights.append(Acl("transactional-id", f"tracebraid-{named}", "prefixed", ("Write", "Describe"), "publish in transactions"))
    return rights


def _prefix(name: str, pattern: str) -> tuple[str, str]:
    """(name, kind) of a right that covers a topic or all that a pattern may fit: the plain letters that the pattern begins with."""
    if name:
        return name, "literal"
    plain = re.match(r"(?:[\w-]|\\\.)*(?![*?{])", pattern)
    fixed = plain[0].replace("\\.", ".") if plain and "|" not in pattern else ""
    return (fixed, "prefixed") if fixed else ("*", "literal")


def _compare(topic: Topic, partitions: int | None, admin: "_Admin") -> Planned:
    if partitions is None:
        return Planned(topic, "create", {})
    has, wants = admin.config(topic.name), {"partitions": str(topic.partitions), **topic.config}
    has["partitions"] = str(partitions)
    differences = {name: (has[name], wants[name]) for name in wants if name in has and has[name] != wants[name]}
    return Planned(topic, "differs" if differences else "keep", differences)


class _Admin:
    def __init__(self, client: Mapping[str, str]) -> None:
        self.brokers = client.get("bootstrap.servers", "")
        self.errors = ErrorLog(Clock())
        self.mock = False  # known once existing() has asked
        config: dict[str, Any] = {**client, "error_cb": self.errors}
        try:
            self.client = AdminClient(config, logger=client_logger())
        except KafkaException as error:
            self._refuse(error, "setting up the admin client")

    def existing(self) -> dict[str, int]:
        """Number of partitions of every topic that we may see."""
        deadline = self.errors.clock.monotonic_s() + limits.broker_wait_s
        while True:
            try:
                found = self.client.list_topics(timeout=2.0)
            except KafkaException as error:
                self.client.poll(0)
                if error.args[0].name() not in UNREACHABLE or self.errors.refusal() or self.errors.clock.monotonic_s() >= deadline:
                    self._refuse(error, "connecting to Kafka")
            else:
                self.mock = (found.cluster_id or "").startswith(MOCK)
                return {name: len(topic.partitions) for name, topic in found.topics.items()}

    def config(self, topic: str) -> dict[str, str]:
        """The topic's settings; empty where the broker will not say."""
        if self.mock:
            return {}
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        try:
            found = self.client.describe_configs([resource], request_timeout=CALL_S)[resource].result()
        except KafkaException:
            return {}
        return {name: entry.value for name, entry in found.items() if entry.value is not None}

    def create(self, topics: Sequence[Topic], replication_factor: int) -> None:
        """Make them, and wait until the broker tells of them: it says that a topic is made before it knows it."""
        self.existing()
        for topic in topics:
            try:
                if self.mock:
                    self.client.list_topics(topic.name, timeout=CALL_S)
                    continue
                new = NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=replication_factor, config=topic.config)
                self.client.create_topics([new], request_timeout=CALL_S)[topic.name].result()
            except KafkaException as error:
                if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                    self._refuse(error, f"making topic {topic.name}")
        clock = self.errors.clock
        deadline = clock.monotonic_s() + limits.broker_wait_s
        while {topic.name for topic in topics} - self.existing().keys() and clock.monotonic_s() < deadline:
            clock.sleep(0.05)

    def _refuse(self, error: KafkaException, doing: str) -> NoReturn:
        failure = error.args[0]
        raise explain(*self.errors.cause(failure.name(), failure.str()), self.brokers, doing) from None
