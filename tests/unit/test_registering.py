"""The schema of alert messages goes to a registry, and alerts wait for none."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.registry import Registry, registry
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.environment import load_settings
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.notify.http import Post
from tracebraid.pipeline.registering import register, register_aside

SUBJECTS = ["tracebraid.alerts-value", "tracebraid.alerts.state-value"]


def registered(to: Registry, **settings: Any) -> list[dict[str, Any]]:
    """What was logged."""
    known = Settings(schema_registry={"url": to.url, **settings})
    with capture_logs() as told:
        register(known, Post(known.schema_registry, Clock()), Clock(), threading.Event())
    return [dict(each) for each in told]


def test_both_topics_have_the_schema_once(root: Path) -> None:
    with registry() as known:
        told = [*registered(known), *registered(known, url=f"{known.url}/")]
    assert [(each["log_level"], each["subject"]) for each in told] == [("info", subject) for subject in SUBJECTS * 2]
    schema = json.loads((root / "schemas" / "alert.schema.json").read_text(encoding="utf-8"))
    schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    assert {subject: [json.loads(version) for version in versions] for subject, versions in known.subjects.items()} == {
        subject: [schema] for subject in SUBJECTS
    }


def test_topics_of_other_names_have_subjects_of_theirs() -> None:
    with registry() as known:
        settings = Settings(schema_registry={"url": known.url}, stream={"alerts_topic": "shop.alerts", "alerts_state_topic": "shop.now"})
        register(settings, Post(settings.schema_registry, Clock()), Clock(), threading.Event())
    assert list(known.subjects) == ["shop.alerts-value", "shop.now-value"]


def test_a_registry_that_is_down_is_told_of_once_and_asked_again() -> None:
    with registry(failing=[500, 503, 500]) as known:
        told = registered(known)
    assert [each["log_level"] for each in told] == ["warning", "info", "info"]
    assert "answered 500" in told[0]["why"]
    assert "alerts go on" in told[0]["event"]
    assert [status for _, status in known.asked] == [500, 503, 500, 200, 200]


@pytest.mark.parametrize(
    ("fields", "settings", "status", "hint"),
    [
        ({"closed": set(SUBJECTS)}, {}, 409, "compatibility"),
        ({"user": "detect:secret"}, {}, 401, "schema_registry.user"),
        ({"user": "detect:secret"}, {"user": "detect", "password": "wrong-secret"}, 401, "schema_registry.user"),
        ({"failing": [422, 422]}, {}, 422, "JSON Schema"),
        ({}, {"url": "/subjects"}, 404, "/subjects"),
    ],
)
def test_what_a_registry_refuses_is_said_in_one_line_and_not_repeated(fields: dict[str, Any], settings: dict[str, Any], status: int, hint: str) -> None:
    with registry(**fields) as known:
        told = registered(known, **{**settings, "url": known.url + settings.get("url", "")})
    assert [(each["log_level"], each["subject"]) for each in told] == [("error", subject) for subject in SUBJECTS]
    assert f"answered {status}" in told[0]["why"]
    assert hint in told[0]["hint"]
    assert "wrong-secret" not in str(told)
    assert [answer for _, answer in known.asked] == [status, status]


def test_one_subject_refused_is_no_hindrance_to_the_other() -> None:
    with registry(closed={SUBJECTS[0]}) as known:
        assert [each["log_level"] for each in registered(known)] == ["error", "info"]


@pytest.mark.parametrize(
    ("fields", "settings"), [({"user": "détect:se:cret"}, {"user": "détect", "password": "se:cret"}), ({"token": "abc"}, {"token": "abc"})]
)
def test_who_may_write_is_let_in(fields: dict[str, Any], settings: dict[str, Any]) -> None:
    with registry(**fields) as known:
        assert [each["log_level"] for each in registered(known, **settings)] == ["info", "info"]


def test_nobody_waits_for_a_registry(tmp_path: Path) -> None:
    stop = threading.Event()
    register_aside(Settings(), Clock(), stop)
    register_aside(Settings(schema_registry={"url": "http://127.0.0.1:1"}), Clock(), stop)
    threads = [each for each in threading.enumerate() if each.name == "schema-registry"]
    assert len(threads) == 1
    stop.set()
    threads[0].join(10)
    assert not threads[0].is_alive()
    with pytest.raises(UsageError, match="the schema registry: cannot read ca_file"):
        register_aside(Settings(schema_registry={"url": "https://127.0.0.1:1", "ca_file": str(tmp_path / "no.pem")}), Clock(), stop)


SETTINGS = {"url": "http://registry:8081/ccompat", "user": "detect", "password": "hunter2"}


def test_secrets_are_not_shown() -> None:
    settings = Settings(schema_registry=SETTINGS)
    shown = settings.masked()["schema_registry"]
    assert (shown["url"], shown["user"], shown["password"], shown["token"]) == ("http://registry:8081/ccompat", "detect", "***", "")
    assert "hunter2" not in f"{settings!r} {settings.schema_registry!r} {settings.warnings()}"
    assert [warning for warning in settings.warnings() if "schema_registry.url is http" in warning]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"password": ""}, "go together"),
        ({"user": ""}, "go together"),
        ({"token": "abc"}, "either user and password or token"),
        ({"user": "a:b"}, "a colon"),
        ({"url": "registry:8081"}, "not an address"),
        ({"url": "http://detect:hunter2@registry"}, "user name"),
        ({"url": "http://registry/?apiKey=hunter2"}, "end with the path"),
        ({"password": 222333}, "valid string"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line_without_secrets(tmp_path: Path, wrong: dict[str, Any], says: str) -> None:
    path = tmp_path / "tracebraid.toml"
    path.write_text("[schema_registry]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in {**SETTINGS, **wrong}.items()))
    with pytest.raises(UsageError, match="schema_registry") as refused:
        load_settings(path, {})
    assert says in str(refused.value)
    assert not any(secret in str(refused.value) for secret in ("hunter2", "222333"))
