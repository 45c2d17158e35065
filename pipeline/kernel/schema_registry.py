"""Settings of the Schema Registry that is told what alert messages look like, and asked what records in Avro do.

In: values. Out: frozen settings. Never: a connection; a secret in a repr or in what is shown.
"""

import base64
from collections.abc import Iterator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from tracebraid.pipeline.kernel.channels import OptionalAddress, Token
from tracebraid.pipeline.kernel.masking import MASK, without_secrets


class SchemaRegistrySettings(BaseModel):
    """Where detect registers the JSON Schema of alert messages (plain JSON with it or without), and ingest gets the schemas of records in Avro."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: OptionalAddress = Field(default="", description="The registry's address, with the path before `/subjects` where it has one; '' for none.")
    user: str = Field(default="", description="User, or API key, for Basic authentication.")
    password: SecretStr = Field(default=SecretStr(""), description="Its password, or API secret.")
    token: Token = Field(default=SecretStr(""), description="Sent as `Authorization: Bearer …`; '' for none.")
    timeout_s: float = Field(default=10.0, gt=0, le=60, description="Seconds that one attempt may take to connect, and to answer.")
    ca_file: str = Field(default="", description="Certificates (PEM) to trust instead of the system's; '' for the system's.")
    verify_tls: bool = Field(default=True, description="Whether the server's certificate is checked.")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if ":" in self.user:
            raise ValueError("user holds a colon, which Basic authentication cannot tell from the password's beginning")
        if bool(self.user) != bool(self.password.get_secret_value()):
            raise ValueError("user and password go together")
        if self.user and self.token.get_secret_value():
            raise ValueError("give either user and password or token")
        if "?" in self.url or "#" in self.url:
            raise ValueError("url must end with the path")
        return self

    @property
    def called(self) -> str:
        """What errors call it."""
        return "the schema registry"

    @property
    def headers(self) -> dict[str, SecretStr]:
        """Of each request, beside the token's."""
        if not self.user:
            return {}
        pair = f"{self.user}:{self.password.get_secret_value()}".encode()
        return {"Authorization": SecretStr(f"Basic {base64.b64encode(pair).decode()}")}  # RFC 7617

    def masked(self) -> dict[str, Any]:
        """As plain values, secrets as '***'."""
        values = self.model_dump(mode="python")
        values["url"] = without_secrets(self.url)
        return {**values, **{name: MASK if values[name].get_secret_value() else "" for name in ("password", "token")}}

    def warnings(self) -> Iterator[str]:
        if not self.verify_tls:
            yield "schema_registry.verify_tls is false: anyone can pose as the registry"
        if (self.user or self.token.get_secret_value()) and self.url.startswith("http://"):
            yield "schema_registry.url is http: its password or token crosses the network in the clear"
