"""All settings: one TOML file, then `TRACEBRAID_…` environment variables over it, validated at start.

In: a path, the environment. Out: a frozen Settings. Never: a connection; `warnings()` tells what is allowed but unwise.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from tracebraid.pipeline.kernel.errors import UsageError

ENV_PREFIX = "TRACEBRAID_"
CONFIG_VARIABLE = "TRACEBRAID_CONFIG"
ENCODINGS = ("auto", "otlp_proto", "otlp_json", "json", "text")
Encoding = Literal["auto", "otlp_proto", "otlp_json", "json", "text"]
SECRET_NAME = re.compile(r"password|secret|token|\.pem$|sasl\.jaas|access_key|credential|account_key|sasl\.oauthbearer\.config", re.I)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _regular_expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


class TopicSettings(_Section):
    """One topic, or every topic that matches a pattern (a regular expression, anchored at both ends)."""

    name: str = ""
    pattern: Annotated[str, AfterValidator(_regular_expression)] = ""
    encoding: Encoding = "auto"
    tenant: str = ""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if bool(self.name) == bool(self.pattern):
            raise ValueError("give either name or pattern")
        return self


class IngestSettings(_Section):
    """How ingest reads and when it commits to the lake: by bytes or by age, whichever comes first."""

    group: str = ""  # default: tracebraid-<lake id>
    start: str = "earliest"  # earliest, latest, or an ISO 8601 time: where a partition without a ledger starts
    flush_mib: int = Field(default=64, ge=1, le=1024)
    flush_age_s: float = Field(default=15.0, gt=0, le=3600)
    flush_records: int = Field(default=0, ge=0)  # 0: no bound by records
    tenant_header: str = ""  # a record header whose value is the tenant

    @model_validator(mode="after")
    def _start_is_a_place(self) -> Self:
        from datetime import datetime

        if self.start not in ("earliest", "latest"):
            try:
                datetime.fromisoformat(self.start)
            except ValueError:
                raise ValueError(f"start is {self.start!r}: say earliest, latest or an ISO 8601 time") from None
        return self


class StreamSettings(_Section):
    """What ingest publishes. Without it, ingest needs read rights alone."""

    enabled: bool = True
    flush_ms: int = Field(default=500, ge=50, le=60_000)
    rejects_topic: str = "tracebraid.rejects"
    replication_factor: int = Field(default=-1, ge=-1)  # -1: the broker's default
    rejects_retention_hours: int = Field(default=14 * 24, ge=1)


class HttpSettings(_Section):
    """Where ingest serves /metrics, /healthz and /readyz. Port 0: nowhere."""

    host: str = "0.0.0.0"
    port: int = Field(default=0, ge=0, le=65535)


class LogSettings(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Environment(EnvSettingsSource):
    """`TRACEBRAID_CLIENT__SASL_PASSWORD` is client."sasl.password": librdkafka's names have dots, variables cannot."""

    def __call__(self) -> dict[str, Any]:
        values = super().__call__()
        for section, separator in (("client", "."), ("storage_options", "_")):
            prefix = f"{ENV_PREFIX}{section}__".upper()
            found = {name[len(prefix) :]: value for name, value in os.environ.items() if name.upper().startswith(prefix)}
            if found:
                values[section] = {name.lower().replace("_", separator): value for name, value in found.items()}
        return values


def _as_text(value: Any) -> Any:
    return {key: ("true" if item is True else "false" if item is False else str(item)) for key, item in value.items()} if isinstance(value, Mapping) else value


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=ENV_PREFIX, env_nested_delimiter="__")

    bootstrap_servers: str = "localhost:9092"
    lake: str = "lake"
    tenant: str = ""
    client: Annotated[dict[str, SecretStr], BeforeValidator(_as_text)] = Field(default_factory=dict)
    storage_options: Annotated[dict[str, SecretStr], BeforeValidator(_as_text)] = Field(default_factory=dict)
    topics: tuple[TopicSettings, ...] = ()
    ingest: IngestSettings = IngestSettings()
    stream: StreamSettings = StreamSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (Environment(settings_cls), init_settings)  # the environment wins over the file

    def client_config(self) -> dict[str, str]:
        """librdkafka's settings, as the user gave them, unmasked."""
        return {"bootstrap.servers": self.bootstrap_servers, **{key: value.get_secret_value() for key, value in self.client.items()}}

    def storage_config(self) -> dict[str, str]:
        return {key: value.get_secret_value() for key, value in self.storage_options.items()}

    def warnings(self) -> list[str]:
        """What is allowed but unwise; each a line."""
        found = []
        client = self.client_config()
        if client.get("isolation.level", "read_committed") != "read_committed":
            found.append("client.isolation.level is overridden: records of aborted transactions would be stored; ingest keeps read_committed")
        if client.get("security.protocol", "plaintext").lower() == "sasl_plaintext":
            found.append("client.security.protocol is SASL_PLAINTEXT: the password crosses the network unencrypted; use SASL_SSL")
        if self.ingest.flush_age_s < 2:
            found.append(f"ingest.flush_age_s is {self.ingest.flush_age_s:g}: that makes many small files; 15 s is the default")
        return found + [f"client.{key} is tracebraid's own and is ignored" for key in sorted(OWN_CLIENT_KEYS & client.keys())]

    def masked(self) -> dict[str, Any]:
        """All settings as plain values, secrets as '***'."""
        values = self.model_dump()
        for section in ("client", "storage_options"):
            values[section] = {key: "***" if SECRET_NAME.search(key) else value.get_secret_value() for key, value in sorted(getattr(self, section).items())}
        return values


# What the guarantee rests on; a user's value would break it.
OWN_CLIENT_KEYS = frozenset(
    {
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "enable.partition.eof",
        "group.id",
        "transactional.id",
        "isolation.level",
        "partition.assignment.strategy",
    }
)


def load_settings(path: str | Path | None = None, **overrides: Any) -> Settings:
    """Settings from the file at `path` (else the one that TRACEBRAID_CONFIG names, else none), the environment, then `overrides`.

    Raises UsageError with one line for the first mistake and how many others there are.
    """
    source = path or os.environ.get(CONFIG_VARIABLE)
    values: dict[str, Any] = {}
    if source:
        try:
            values = tomllib.loads(Path(source).read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"cannot read the settings file {source}: {error.strerror}", "Give --config another path, or unset TRACEBRAID_CONFIG") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{source} is not TOML: {error}", "Mend that line") from None
    try:
        settings = Settings(**values)
        return settings.model_validate({**_raw(settings), **overrides}) if overrides else settings
    except ValidationError as error:
        raise _explain(error, str(source) if source else "the environment") from None


def _raw(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in type(settings).model_fields}


def _explain(error: ValidationError, where: str) -> UsageError:
    first, *others = error.errors(include_url=False, include_input=False)
    name = ".".join(str(part) for part in first["loc"]) or "settings"
    unknown = first["type"] == "extra_forbidden"
    hint = "There is no such setting; `tracebraid config show` lists all" if unknown else "Mend it; `tracebraid config show` prints the present values"
    more = f" ({len(others)} more)" if others else ""
    return UsageError(f"{name} in {where}: {first['msg'].removeprefix('Value error, ')}{more}", hint)
