"""Settings of redaction: what of the rows is dropped, hashed or masked before anything is stored or published.

In: values. Out: frozen settings. Never: a key in a repr, an error or what is shown; a pattern that could take more than linear time.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.masking import MASK

Builtin = Literal["url_password", "token", "email", "card"]
BUILTINS: tuple[str, ...] = get_args(Builtin)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def _linear(pattern: str) -> str:
    """The pattern as RE2 takes it: no look-around, no back reference, and so linear in what it reads."""
    import pyarrow as pa  # here: the commands that only look at settings start without it
    import pyarrow.compute as pc

    if len(pattern) > limits.redact_pattern_chars_max:
        raise ValueError(f"a pattern has {len(pattern)} characters; {limits.redact_pattern_chars_max} is the limit")
    try:
        matches_nothing = pc.match_substring_regex(pa.array([""]), pattern)[0].as_py()
    except pa.ArrowInvalid as error:
        raise ValueError(f"{pattern!r} is no regular expression of RE2: {str(error).rpartition('Invalid regular expression: ')[2]}") from None
    if matches_nothing:
        raise ValueError(f"{pattern!r} matches the empty text: it would be masked everywhere")
    return pattern


def _key(key: str) -> str:
    from tracebraid.schemas.redactable import COLUMN, redactable  # here, as above

    if key.startswith(COLUMN) and not redactable(key.removeprefix(COLUMN)):
        raise ValueError(f"there is no column {key.removeprefix(COLUMN)} that could be redacted")
    if not key or len(key) > limits.redact_pattern_chars_max:
        raise ValueError(f"the key of an attribute has 1 to {limits.redact_pattern_chars_max} characters")
    return key


AttributeKey = Annotated[str, AfterValidator(_key)]


class RedactPattern(BaseModel):
    """A pattern of one's own: what it matches becomes `[redacted:NAME]`, in every text that redaction looks at."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(description="What the mask and the counter call it: a small letter, then small letters, digits, `_` and `-`, 32 at most.")
    pattern: Annotated[str, AfterValidator(_linear)] = Field(description="A regular expression of RE2; TOML's '…' quotes keep its backslashes.")

    @model_validator(mode="after")
    def _named(self) -> Self:
        if not _NAME.fullmatch(self.name) or self.name in BUILTINS:
            raise ValueError(f"{self.name!r} is no name for a pattern: a small letter, then small letters, digits, _ and -, and not {', '.join(BUILTINS)}")
        return self


class RedactSettings(BaseModel):
    """What is dropped, hashed or masked before anything is stored or published. docs/redaction.md tells where, and what it is not."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    drop: tuple[AttributeKey, ...] = Field(
        default=(), description="Keys of attributes, or `column:NAME`, that are left out; `*` and `?` stand for any letters."
    )
    hash: tuple[AttributeKey, ...] = Field(default=(), description="Keys of attributes, or `column:NAME`, whose values become `hmac:` and 32 hex digits.")
    key: SecretStr = Field(default=SecretStr(""), description="Key of these hashes (HMAC-SHA-256), 16 characters or more.")
    mask: tuple[Builtin, ...] = Field(default=(), description=f"What is looked for in every text and masked: {', '.join(f'`{name}`' for name in BUILTINS)}.")
    patterns: tuple[RedactPattern, ...] = Field(default=(), description="Patterns of one's own.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        key = self.key.get_secret_value()
        if self.hash and not key:
            raise ValueError("hash needs key: 16 characters or more, for example from `openssl rand -hex 32`")
        if key and len(key) < limits.redact_key_chars_min:
            raise ValueError(f"key has {len(key)} characters; {limits.redact_key_chars_min} are the least")
        if twice := [each for each in self.drop if each in self.hash]:
            raise ValueError(f"{twice[0]} is in drop and in hash")
        names = [each.name for each in self.patterns]
        if again := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two patterns are called {again[0]}")
        if len(self.patterns) > limits.redact_patterns_max:
            raise ValueError(f"there are {len(self.patterns)} patterns; {limits.redact_patterns_max} is the limit")
        return self

    @property
    def enabled(self) -> bool:
        return bool(self.drop or self.hash or self.mask or self.patterns)

    def masked(self) -> dict[str, Any]:
        """As plain values, the key as '***'."""
        values = self.model_dump(mode="json")
        return {**values, "key": MASK if self.key.get_secret_value() else ""}

    def warnings(self) -> Iterator[str]:
        if self.key.get_secret_value() and not self.hash:
            yield "redact.key is set, but redact.hash names nothing to hash"
