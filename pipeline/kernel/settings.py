"""All settings: their shapes, defaults and limits, and what is allowed but unwise.

In: values (pipeline/kernel/environment.py finds them in a TOML file, the environment and a command's options). Out: a frozen Settings.
Never: a connection, a file, the environment; a secret in a repr, an error or a warning.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, SecretStr, field_validator, model_validator

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.channels import NotifySettings
from tracebraid.pipeline.kernel.formats import FormatSettings
from tracebraid.pipeline.kernel.masking import MASK, is_secret, without_secrets
from tracebraid.pipeline.kernel.redaction import RedactSettings
from tracebraid.pipeline.kernel.schema_registry import SchemaRegistrySettings

Encoding = Literal["auto", "otlp_proto", "otlp_json", "jaeger_proto", "jaeger_json", "zipkin_proto", "zipkin_json", "zipkin_thrift", "raw", "json", "text"]
ENCODINGS: tuple[str, ...] = get_args(Encoding)
# What the guarantee rests on: a user's value would break it, so it is dropped, with a warning.
OWN_CLIENT_KEYS = frozenset(
    {
        "acks",
        "auto.offset.reset",
        "check.crcs",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "isolation.level",
        "partition.assignment.strategy",
        "request.required.acks",
        "transaction.timeout.ms",
        "transactional.id",
    }
)
# While an object store does not answer, a request gives up after so much, and the flow pauses; its client's own 180 s would end in a rebalance.
STORAGE_DEFAULTS = {"max_retries": "5", "retry_timeout": "20s"}
_TOPIC_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_SERVER = re.compile(r"([a-z_0-9]+://)?(\[[0-9a-f:.]+\]|[^\s:/\[\]]+)(:\d{1,5})?", re.I)


def _regular_expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


def _topic_name(name: str) -> str:
    if name and (name in (".", "..") or not _TOPIC_NAME.fullmatch(name)):
        raise ValueError("not a topic's name: letters, digits, '.', '_' and '-', 249 at most (a regular expression goes in `pattern`)")
    return name


def _flat(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Texts by dotted name: TOML reads a bare `sasl.password = …` as a table `sasl`, which is the same setting."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, (*path, str(key)))
    elif isinstance(value, SecretStr):
        yield ".".join(path), value.get_secret_value()
    elif isinstance(value, bool):
        yield ".".join(path), str(value).lower()
    elif isinstance(value, str | int | float):
        yield ".".join(path), str(value)
    else:
        raise ValueError(f"{'.'.join(path)} must be a text, a number or a boolean")


def texts(value: Any) -> Any:
    """`value` with every leaf of a mapping as text under its dotted name, as librdkafka and object stores want them."""
    return dict(_flat(value)) if isinstance(value, Mapping) else value


TopicName = Annotated[str, AfterValidator(_topic_name)]
Secrets = Annotated[dict[str, SecretStr], BeforeValidator(texts)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TopicSettings(_Section):
    """One topic, or every topic that matches a pattern. With `topics` empty, `ingest` needs `--topic`."""

    name: TopicName = Field(default="", description="The topic's name; or give `pattern`.")
    pattern: Annotated[str, AfterValidator(_regular_expression)] = Field(default="", description="A regular expression that the whole name must match.")
    encoding: Encoding = Field(default="auto", description="What its records are: `auto` looks at each record.")
    tenant: str = Field(default="", description="Tenant of its rows; '' for the one above.")

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if bool(self.name) == bool(self.pattern):
            raise ValueError("give either name or pattern")
        return self


class IngestSettings(_Section):
    """How ingest reads, and when it commits to the lake: by bytes, age or records, whichever comes first."""

    group: str = Field(default="", description="Consumer group; '' for `tracebraid-` and the lake's id.")
    start: str = Field(default="earliest", description="Where a partition without a ledger starts: `earliest`, `latest` or an ISO 8601 time.")
    flush_mib: int = Field(
        default=20,
        ge=1,
        le=limits.buffered_bytes_max // limits.MIB,
        description="Commit when the open cycle holds this many MiB; the one before is in memory beside it while it is encoded.",
    )
    flush_age_s: float = Field(default=15.0, gt=0, le=3600, description="Commit when the open cycle is this many seconds old.")
    flush_records: int = Field(default=0, ge=0, description="Commit when the open cycle holds this many records; 0 for no such bound.")
    tenant_header: str = Field(default="", description="Record header whose value is the tenant; '' for none.")
    kernels: bool = Field(default=True, description="Decode by compiled kernels where they can; false for the reference decoders, which read the same, slower.")

    @field_validator("start")
    @classmethod
    def _start_is_a_place(cls, start: str) -> str:
        if start not in ("earliest", "latest"):
            try:
                datetime.fromisoformat(start)
            except ValueError:
                raise ValueError("say earliest, latest or an ISO 8601 time") from None
        return start


class StreamSettings(_Section):
    """What ingest publishes. Without it, ingest needs read rights alone."""

    enabled: bool = Field(default=True, description="Publish rejects to their topic.")
    flush_ms: int = Field(default=500, ge=50, le=limits.transaction_timeout_ms // 2, description="Milliseconds between two transactions.")
    rejects_topic: TopicName = Field(default="tracebraid.rejects", min_length=1, description="Where rejects go.")
    windows_topic: TopicName = Field(default="tracebraid.windows", min_length=1, description="Where watermarks go, for detect.")
    replication_factor: int = Field(default=-1, ge=-1, description="Of our own topics; -1 for the broker's default.")
    alerts_topic: TopicName = Field(default="tracebraid.alerts", min_length=1, description="Where every transition of an alert goes, and its evidence.")
    alerts_state_topic: TopicName = Field(default="tracebraid.alerts.state", min_length=1, description="The present alert of each rule and series, compacted.")
    alertmanager_topic: TopicName = Field(
        default="tracebraid.alerts.alertmanager", min_length=1, description="Where rules with `format: alertmanager` are told in that form as well."
    )
    alerts_dead_topic: TopicName = Field(default="tracebraid.alerts.dead", min_length=1, description="Where alerts go that a channel did not take.")
    state_topic: TopicName = Field(default="tracebraid.state", min_length=1, description="Where detect keeps its snapshots, compacted.")
    rules_topic: TopicName = Field(default="tracebraid.rules", min_length=1, description="Rules that were applied, compacted.")
    rules_acks_topic: TopicName = Field(default="tracebraid.rules.acks", min_length=1, description="Who has taken over which rule.")
    rejects_retention_hours: int = Field(default=14 * 24, ge=1, description="How long the rejects topic keeps them.")

    @property
    def redriven_topic(self) -> str:
        """Where `tracebraid rejects redrive` marks what it has sent."""
        return f"{self.rejects_topic}.redriven"

    @field_validator("replication_factor")
    @classmethod
    def _not_zero(cls, factor: int) -> int:
        if factor == 0:
            raise ValueError("give -1 for the broker's default, or 1 and more")
        return factor


class NormalizedSettings(_Section):
    """Kept rows as JSON on a topic as well, in the stream's transactions: docs/normalized.md. Of use with `stream.enabled` alone."""

    enabled: bool = Field(default=False, description="Publish every row of spans and logs.")
    topic: TopicName = Field(default="tracebraid.normalized", min_length=1, description="Where they go, keyed by trace id.")
    retention_hours: int = Field(default=24, ge=1, description="How long the topic keeps them.")


class RejectsSettings(_Section):
    """What is kept of records that could not be decoded, and how long in the lake. The topic's own retention is `stream.rejects_retention_hours`."""

    keep: Literal["bytes", "hash"] = Field(default="bytes", description="`hash`: size, SHA-256 and reason alone, without bytes, key, headers and message.")
    keep_days: int = Field(default=14, ge=0, le=36_500, description="Days that table `rejects` keeps a row after it came in; 0 for ever.")


class RulesSettings(_Section):
    """Which rules hold before any is applied on their topic."""

    starter: bool = Field(default=True, description="The rules that work on any telemetry: latency, errors, missing trace ids, error logs, silence.")
    files: tuple[str, ...] = Field(default=(), description="YAML files of rules; patterns such as `rules/*.yaml` may stand here.")


class DetectSettings(_Section):
    """How detect evaluates rules."""

    group: str = Field(default="", description="Consumer group; '' for `tracebraid-detect-` and the windows topic's name.")
    hold_max_s: float = Field(default=300.0, ge=1, description="How long windows wait for a source that stands still.")
    snapshot_s: float = Field(default=600.0, ge=1, description="Seconds between two snapshots of a shard: how much a restart has to read again.")


class ExplainSettings(_Section):
    """How explain looks for what stands behind an alert."""

    group: str = Field(default="", description="Consumer group; '' for `tracebraid-explain-` and the alerts topic's name.")
    wait_s: float = Field(default=30.0, ge=0, le=600, description="How long it waits, at most, for the lake to hold what the alert was made from.")


class ArchiveSettings(_Section):
    """How windows and alerts are kept as tables."""

    group: str = Field(default="", description="Consumer group; '' for `tracebraid-archive-` and the alerts topic's name.")
    flush_age_s: float = Field(default=60.0, gt=0, le=3600, description="Commit a table's rows at least so often.")
    flush_mib: int = Field(default=64, ge=1, le=limits.buffered_bytes_max // limits.MIB, description="Commit when so many MiB wait for a table.")


class HttpSettings(_Section):
    """Where ingest serves /metrics, /healthz and /readyz."""

    host: str = Field(default="", description="Address to listen on; empty for all that IPv4 has.")
    port: int = Field(default=0, ge=0, le=65535, description="Port; 0 for no server.")


class LogSettings(_Section):
    """tracebraid's own log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least severe level that is written.")
    format: Literal["auto", "console", "json"] = Field(default="auto", description="`auto`: console at a terminal, JSON lines elsewhere.")


class Settings(BaseModel):
    """Everything that can be set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str = Field(default="localhost:9092", description="Kafka brokers to start from, as host:port with commas between them.")
    lake: str = Field(default="lake", min_length=1, description="The lake's place: a directory, or a URL of an object store.")
    tenant: str = Field(default="", description="Tenant of rows that neither a header nor a topic gives one.")
    client: Secrets = Field(default_factory=dict, description="Settings of librdkafka, handed through by their own names.")
    storage_options: Secrets = Field(default_factory=dict, description="Options of the object store, in lower case.")
    topics: tuple[TopicSettings, ...] = Field(default=(), description="Which topics to read.")
    formats: tuple[FormatSettings, ...] = Field(default=(), description="Log formats of your own.")
    ingest: IngestSettings = IngestSettings()
    stream: StreamSettings = StreamSettings()
    rules: RulesSettings = RulesSettings()
    detect: DetectSettings = DetectSettings()
    explain: ExplainSettings = ExplainSettings()
    archive: ArchiveSettings = ArchiveSettings()
    notify: NotifySettings = NotifySettings()
    schema_registry: SchemaRegistrySettings = SchemaRegistrySettings()
    normalized: NormalizedSettings = NormalizedSettings()
    rejects: RejectsSettings = RejectsSettings()
    redact: RedactSettings = RedactSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _notes: tuple[str, ...] = PrivateAttr(default=())

    @field_validator("bootstrap_servers")
    @classmethod
    def _servers(cls, servers: str) -> str:
        for server in servers.split(","):
            if not _SERVER.fullmatch(server.strip()):
                raise ValueError(f"{without_secrets(server.strip())!r} is not host:port")
        return servers

    @field_validator("client")
    @classmethod
    def _no_second_servers(cls, client: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if twice := {"bootstrap.servers", "metadata.broker.list"} & client.keys():
            raise ValueError(f"{twice.pop()} is the setting bootstrap_servers, beside client, not in it")
        return client

    @field_validator("storage_options")
    @classmethod
    def _lower_case(cls, options: dict[str, SecretStr]) -> dict[str, SecretStr]:
        return {name.lower(): value for name, value in options.items()}

    @model_validator(mode="after")
    def _topics_apart(self) -> Self:
        names = [topic.name or topic.pattern for topic in self.topics]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"topics names {twice[0]} twice")
        if own := {self.stream.rejects_topic, self.stream.redriven_topic} & set(names):
            raise ValueError(f"topics names {own.pop()}, which is stream.rejects_topic or its markers: tracebraid would read what it writes")
        if self.normalized.topic in names:
            raise ValueError(f"topics names {self.normalized.topic}, which is normalized.topic: tracebraid would read what it writes")
        return self

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield from self.masked().items()

    def client_config(self) -> dict[str, str]:
        """librdkafka's settings as the user gave them, unmasked, without those that are tracebraid's own."""
        given = {name: value.get_secret_value() for name, value in self.client.items() if name not in OWN_CLIENT_KEYS}
        return {"bootstrap.servers": self.bootstrap_servers, **given}

    def storage_config(self) -> dict[str, str]:
        """The object store's options, unmasked; those of a lake in a directory are as given."""
        given = {name: value.get_secret_value() for name, value in self.storage_options.items()}
        return {**STORAGE_DEFAULTS, **given} if "://" in self.lake and not self.lake.startswith("file:") else given

    def origin(self, name: str) -> str:
        """Where the value of a setting comes from: `default`, `option`, a variable's name or the settings file's path."""
        return self._origins.get(name) or self._origins.get(name.partition(".")[0]) or "default"

    def warnings(self) -> list[str]:
        """What is allowed but unwise; each a line."""
        return [*self._notes, *_warnings(self)]

    def masked(self) -> dict[str, Any]:
        """All settings as plain values, secrets as '***'."""
        values: dict[str, Any] = _shown(self.model_dump(mode="python", exclude={"client", "storage_options", "notify", "schema_registry", "redact"}))
        values["schema_registry"], values["redact"] = self.schema_registry.masked(), self.redact.masked()
        values["notify"] = {"channels": [channel.masked() for channel in self.notify.channels], "link": self.notify.link}
        for section in ("client", "storage_options"):
            secrets: dict[str, SecretStr] = getattr(self, section)
            values[section] = {name: MASK if is_secret(section, name) else without_secrets(value.get_secret_value()) for name, value in sorted(secrets.items())}
        return {name: values[name] for name in type(self).model_fields}


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return without_secrets(value) if isinstance(value, str) else value


def _warnings(settings: Settings) -> Iterator[str]:
    client = {name: value.get_secret_value() for name, value in settings.client.items()}
    for name in sorted(OWN_CLIENT_KEYS & client.keys()):
        yield f"client.{name} is tracebraid's own, since the guarantee rests on it; the value given is not used"
    protocol = client.get("security.protocol", "plaintext").lower()
    if protocol == "sasl_plaintext":
        yield "client.security.protocol is SASL_PLAINTEXT: credentials cross the network in the clear; SASL_SSL hides them"
    if any(name.startswith("sasl.") for name in client) and not protocol.startswith("sasl"):
        yield f"client.sasl.* is set, but client.security.protocol is {protocol}, so it is not used; set it to SASL_SSL"
    mechanism = client.get("sasl.mechanism", client.get("sasl.mechanisms", "")).upper()
    if mechanism == "OAUTHBEARER" and client.get("sasl.oauthbearer.method", "default").lower() != "oidc":
        yield "client.sasl.mechanism is OAUTHBEARER without client.sasl.oauthbearer.method = oidc: only unsecured tokens can be made, which brokers refuse"
    if client.get("enable.ssl.certificate.verification", "true").lower() == "false":
        yield "client.enable.ssl.certificate.verification is false: anyone can pose as the broker"
    if client.get("ssl.endpoint.identification.algorithm", "https").lower() == "none":
        yield "client.ssl.endpoint.identification.algorithm is none: any host with a valid certificate can pose as the broker"
    if settings.ingest.flush_age_s < 2:
        yield f"ingest.flush_age_s is {settings.ingest.flush_age_s:g}: that makes many small files; 15 is the default"
    if settings.ingest.start not in ("earliest", "latest") and datetime.fromisoformat(settings.ingest.start).tzinfo is None:
        yield f"ingest.start is {settings.ingest.start}, without a zone: it is taken as UTC"
    for channel in settings.notify.channels:
        yield from channel.warnings()
    yield from settings.schema_registry.warnings()
    yield from settings.redact.warnings()
    if settings.normalized.enabled and not settings.stream.enabled:
        yield "normalized.enabled is true, but stream.enabled is false: nothing is published"
    for topic in settings.topics:
        if topic.pattern and re.fullmatch(topic.pattern, settings.stream.rejects_topic):
            yield f"the pattern {topic.pattern} in topics also matches {settings.stream.rejects_topic}, which tracebraid writes; narrow it"
