"""Settings of `notify`: the channels that alerts go to.

In: values. Out: frozen settings. Never: a connection; a secret in a repr or in what is shown: of a webhook's address the path is one, for many services
put their token there.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from tracebraid.pipeline.kernel.masking import MASK, without_secrets

Kind = Literal["alertmanager", "webhook"]
What = Literal["pending", "firing", "resolved", "evidence"]


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or any(letter <= " " for letter in url):
        raise ValueError("not an address such as https://host:9093/path")
    if parts.username is not None:
        raise ValueError("holds a user name; give token, or headers with Authorization, instead")
    return url


def _one_line(token: SecretStr) -> SecretStr:
    if any(not 32 < ord(letter) < 127 for letter in token.get_secret_value()):
        raise ValueError("holds a blank, or a letter that no header may have")
    return token


OptionalAddress = Annotated[str, AfterValidator(lambda url: url and _address(url))]
Token = Annotated[SecretStr, AfterValidator(_one_line)]
Addresses = Annotated[tuple[Annotated[str, AfterValidator(_address)], ...], BeforeValidator(_one_or_more)]
Choice = Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]


class ChannelSettings(BaseModel):
    """One channel: where alerts go, which of them, and how long that is tried."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(pattern=r"^[a-zA-Z0-9._-]{1,100}$", description="Its name, also in metrics and in its consumer group `tracebraid-notify-` and the name.")
    kind: Kind = Field(description="`alertmanager`: Alertmanager's v2 API; `webhook`: a POST of JSON for each alert.")
    url: Addresses = Field(min_length=1, description="Where to. Several, as an array, for the members of an Alertmanager cluster: each is sent everything.")
    format: Literal["tracebraid", "alertmanager"] = Field(
        default="tracebraid", description="What a webhook is sent: the alert message as it is, or Alertmanager's webhook JSON, version 4."
    )
    only: dict[str, Choice] = Field(
        default_factory=dict, description='Labels of the rule that an alert must have, as in `{severity = "critical", team = ["a", "b"]}`; empty for all.'
    )
    send: tuple[What, ...] = Field(
        default=("firing", "resolved", "evidence"), min_length=1, description="What is sent. `pending` holds what was cancelled before it fired as well."
    )
    timeout_s: float = Field(default=10.0, gt=0, le=60, description="Seconds that one attempt may take to connect, and to answer.")
    give_up_s: float = Field(default=900.0, ge=0, le=7 * 86_400, description="Seconds after which what cannot be delivered goes to the dead-letter topic.")
    resend_s: float = Field(
        default=60.0, ge=0.1, le=3600, description="Seconds after which Alertmanager is told again what fires, as good for three times as long."
    )
    token: Token = Field(default=SecretStr(""), description="Sent as `Authorization: Bearer …`; '' for none.")
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="More headers of each request, by name.")
    hmac_secret: SecretStr = Field(
        default=SecretStr(""), description="A webhook's requests are signed with it, SHA-256, in `X-Tracebraid-Signature`; '' for none."
    )
    ca_file: str = Field(default="", description="Certificates (PEM) to trust instead of the system's; '' for the system's.")
    verify_tls: bool = Field(default=True, description="Whether the server's certificate is checked.")

    @field_validator("headers")
    @classmethod
    def _header_lines(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"{name!r} is not a header's name")
            if any(ord(letter) < 32 or ord(letter) == 127 for letter in value.get_secret_value()):
                raise ValueError(f"the value of {name} holds control characters")
        return headers

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if self.kind == "webhook" and len(self.url) > 1:
            raise ValueError("a webhook has one url; make a channel of each")
        if self.kind == "alertmanager" and (self.format != "tracebraid" or self.hmac_secret.get_secret_value()):
            raise ValueError("format and hmac_secret are a webhook's")
        if "pending" in self.send and self.alertmanager_shape:
            raise ValueError("Alertmanager's shapes know firing and resolved, not pending; take it out of send")
        return self

    @property
    def alertmanager_shape(self) -> bool:
        """Whether what is sent is made from labels and annotations as Alertmanager has them."""
        return self.kind == "alertmanager" or self.format == "alertmanager"

    @property
    def called(self) -> str:
        """What errors call it."""
        return f"channel {self.name}"

    @property
    def group(self) -> str:
        """Its consumer group."""
        return f"tracebraid-notify-{self.name}"

    def masked(self) -> dict[str, Any]:
        """As plain values, secrets and the paths of a webhook's address as '***'."""
        values = self.model_dump(mode="python")
        values["url"] = [_shown(url, whole=self.kind == "alertmanager") for url in self.url]
        values["only"] = {name: list(choice) for name, choice in self.only.items()}
        values["send"] = list(self.send)
        values["headers"] = dict.fromkeys(self.headers, MASK)
        return {**values, **{name: MASK if values[name].get_secret_value() else "" for name in ("token", "hmac_secret")}}

    def warnings(self) -> Iterator[str]:
        if not self.verify_tls:
            yield f"{self.called} does not verify certificates: anyone can pose as its server"
        secret = self.token.get_secret_value() or self.headers
        if secret and any(url.startswith("http://") for url in self.url):
            yield f"{self.called} sends its token or headers over http, in the clear"


def _shown(url: str, *, whole: bool) -> str:
    parts = urlsplit(url)
    return without_secrets(url) if whole or parts.path in ("", "/") else f"{parts.scheme}://{parts.netloc}/{MASK}"


class NotifySettings(BaseModel):
    """Where alerts are sent. Without a channel `notify` has nothing to do, and `up` does not start it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: tuple[ChannelSettings, ...] = Field(default=(), description="See `[[notify.channels]]`.")
    link: str = Field(default="", description="An address for people, with `{id}`, `{rule}` and `{trace_id}` where they are to stand; '' for none.")

    @field_validator("channels")
    @classmethod
    def _names_differ(cls, channels: tuple[ChannelSettings, ...]) -> tuple[ChannelSettings, ...]:
        names = [channel.name for channel in channels]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two channels are called {twice[0]}")
        return channels
