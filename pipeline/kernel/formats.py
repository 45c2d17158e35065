"""A user's own log formats: patterns for lines of text, names for fields of JSON logs.

In: settings. Out: what holds for a topic. Never: a pattern that turns out to be wrong in the middle of a batch, or slow:
RE2 takes it at start or not at all.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tracebraid.pipeline.kernel import limits

# What a pattern's groups and `fields` may fill; other groups become attributes.
FORMAT_COLUMNS = (
    *("time", "level", "message", "logger", "thread", "service", "trace_id", "span_id", "exception_type", "exception_message", "exception_stacktrace"),
    "event_name",
)


class FormatSettings(BaseModel):
    """A log format of your own, tried before tracebraid's. Give either `pattern` (lines of text) or `fields` (JSON logs)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=64, description="What `tracebraid load --explain` calls it.")
    topics: tuple[str, ...] = Field(default=(), description="Regular expressions, one of which the whole topic name must match; none for every topic.")
    pattern: str = Field(
        default="",
        description="RE2 for the whole first line of a log, with named groups: `(?P<level>…)`. A group is read as a field of that name; `message` is the body.",
    )
    fields: dict[str, str] = Field(
        default_factory=dict, description='Which field of a JSON log fills a column: `{time = "zeit", trace_id = "context.korrelation"}`.'
    )

    @field_validator("topics")
    @classmethod
    def _topics_are_patterns(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        for topic in topics:
            try:
                re.compile(topic)
            except re.error as error:
                raise ValueError(f"{topic!r} is not a regular expression: {error}") from None
        return topics

    @field_validator("pattern")
    @classmethod
    def _pattern_is_re2(cls, pattern: str) -> str:
        if not pattern:
            return pattern
        if len(pattern) > limits.format_pattern_chars_max:
            raise ValueError(f"the pattern has {len(pattern)} characters, {limits.format_pattern_chars_max} at most")
        import pyarrow as pa  # here: whoever has no formats does without, and every --help is quick
        import pyarrow.compute as pc

        try:
            groups = pc.extract_regex(pa.array([""]), pattern).type
        except pa.ArrowInvalid as error:
            said = str(error)
            hint = "; write groups that have no name as (?:…)" if "unnamed" in said else "; the syntax is RE2's, without look-around and back references"
            raise ValueError(said[:1].lower() + said[1:].removesuffix(f": {pattern}") + hint) from None
        names = [groups.field(number).name for number in range(groups.num_fields)]
        if not names:
            raise ValueError("the pattern has no named group, such as (?P<message>.*)")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the group {twice[0]} is there twice")
        return pattern

    @field_validator("fields")
    @classmethod
    def _fields_are_columns(cls, fields: dict[str, str]) -> dict[str, str]:
        for column in fields:
            if column not in FORMAT_COLUMNS:
                raise ValueError(f"{column} is no column of a format; there are {', '.join(FORMAT_COLUMNS)}")
        return fields

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if bool(self.pattern) == bool(self.fields):
            raise ValueError("give either pattern or fields")
        return self


@dataclass(frozen=True, slots=True)
class Formats:
    """The formats of one topic. patterns: name and RE2 for whole texts, in order. fields: a JSON log's field → the column that it fills, the format."""

    patterns: tuple[tuple[str, str], ...] = ()
    fields: dict[str, tuple[str, str]] = field(default_factory=dict)


def formats_of(settings: Sequence[FormatSettings], topic: str) -> Formats:
    """What holds for `topic`; of two formats that name one field, the first."""
    held = [each for each in settings if not each.topics or any(re.fullmatch(pattern, topic) for pattern in each.topics)]
    fields = {name: (column, each.name) for each in reversed(held) for column, name in each.fields.items()}
    return Formats(tuple((each.name, line_pattern(each.pattern)) for each in held if each.pattern), fields)


def line_pattern(pattern: str) -> str:
    """For a whole text of which the first line must match: a stack trace may stand behind it."""
    return rf"^(?-s:{pattern})(?s:\n.*)?$"
