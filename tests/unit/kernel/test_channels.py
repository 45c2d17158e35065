"""Channels' settings: what is refused, and what is never shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from tracebraid.jobs.config import as_toml
from tracebraid.pipeline.kernel.environment import load_settings
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.settings import Settings

CHANNEL = {"name": "hook", "kind": "webhook", "url": "https://hooks.example/T00/path-secret"}


def loaded(*channels: dict[str, Any]) -> Settings:
    return load_settings(environ={"TRACEBRAID_NOTIFY__CHANNELS": json.dumps(channels)})


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"url": "hooks.example"}, "not an address"),
        ({"url": ["https://a/", "https://b/"]}, "a webhook has one url"),
        ({"url": "https://user:path-secret@a/"}, "holds a user name"),
        ({"kind": "pigeon"}, "alertmanager"),
        ({"name": "a b"}, "pattern"),
        ({"kind": "alertmanager", "format": "alertmanager"}, "are a webhook's"),
        ({"kind": "alertmanager", "send": ["pending"]}, "not pending"),
        ({"format": "alertmanager", "send": ["pending"]}, "not pending"),
        ({"token": "path-secret\n"}, "holds a blank"),
        ({"hmac_secret": ["path-secret"]}, "string"),
        ({"headers": {"X Y": "path-secret"}}, "not a header"),
        ({"headers": {"X-Y": "path-secret\r\nA: b"}}, "control characters"),
    ],
)
def test_mistakes_are_one_line_without_secrets(other: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as raised:
        loaded({**CHANNEL, **other})
    assert says in str(raised.value)
    assert "TRACEBRAID_NOTIFY__CHANNELS" in str(raised.value)
    assert "path-secret" not in str(raised.value)


def test_two_channels_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="two channels are called hook"):
        loaded(CHANNEL, CHANNEL)


def test_nothing_secret_is_shown() -> None:
    settings = loaded({**CHANNEL, "token": "path-secret", "hmac_secret": "path-secret", "headers": {"X-Key": "path-secret"}})
    assert "path-secret" not in as_toml(settings) + repr(settings) + str(settings.masked()) + json.dumps(settings.masked())
    assert settings.masked()["notify"]["channels"][0]["url"] == ["https://hooks.example/***"]


def test_a_file_holds_channels(tmp_path: Path) -> None:
    path = tmp_path / "tracebraid.toml"
    path.write_text('[[notify.channels]]\nname = "am"\nkind = "alertmanager"\nurl = ["http://a:9093", "http://b:9093/"]\nonly = {severity = "critical"}\n')
    (channel,) = load_settings(path, environ={}).notify.channels
    assert (channel.url, channel.only, channel.group) == (("http://a:9093", "http://b:9093/"), {"severity": ("critical",)}, "tracebraid-notify-am")


def test_what_is_unwise_is_warned_of() -> None:
    found = loaded({**CHANNEL, "url": "http://a/", "token": "x", "verify_tls": False}).warnings()
    assert len([each for each in found if "channel hook" in each]) == 2
