"""`tracebraid topics` on a real broker."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka.admin import AdminClient

from tests.brokers.kafka import Broker
from tracebraid.jobs.main import tracebraid
from tracebraid.pipeline.kernel.errors import TracebraidError

pytestmark = pytest.mark.broker


def run(*arguments: str) -> list[dict[str, object]]:
    result = CliRunner().invoke(tracebraid, ["topics", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return [json.loads(line) for line in result.stdout.splitlines()]


def config(tmp_path: Path, text: str) -> str:
    path = tmp_path / "tracebraid.toml"
    path.write_text(text)
    return str(path)


def test_plan_then_apply_then_nothing_is_left_to_do(broker: Broker, tmp_path: Path) -> None:
    name = broker.unique("rejects")
    path = config(tmp_path, f'bootstrap_servers = "{broker.address}"\n[stream]\nrejects_topic = "{name}"\nrejects_retention_hours = 2\n')
    expected = {"kind": "topic", "topic": name, "partitions": 6, "cleanup.policy": "delete", "retention.ms": "7200000", "differences": ""}
    assert run("plan", "--config", path)[0] == {**expected, "action": "create"}
    assert name not in AdminClient(broker.client).list_topics(timeout=5).topics
    assert run("apply", "--config", path)[0] == {**expected, "action": "created"}
    assert len(AdminClient(broker.client).list_topics(timeout=5).topics[name].partitions) == 6
    assert run("plan", "--config", path)[0] == {**expected, "action": "keep"}
    assert {row["action"] for row in run("apply", "--config", path)} == {"kept"}


def test_a_topic_that_differs_is_told_and_left(broker: Broker, tmp_path: Path) -> None:
    name = broker.create_topic(broker.unique("rejects"), 2, {"retention.ms": "1000"})
    path = config(tmp_path, f'bootstrap_servers = "{broker.address}"\n[stream]\nrejects_topic = "{name}"\nrejects_retention_hours = 1\n')
    row = run("apply", "--config", path)[0]
    assert (row["action"], row["differences"]) == ("differs", "partitions is 2, ours 6; retention.ms is 1000, ours 3600000")
    assert len(AdminClient(broker.client).list_topics(timeout=5).topics[name].partitions) == 2


def test_without_the_stream_read_rights_are_enough(broker: Broker, tmp_path: Path) -> None:
    topics = '[[topics]]\nname = "otlp_spans"\n[[topics]]\npattern = "app-logs-.*"\n'
    path = config(tmp_path, f'bootstrap_servers = "{broker.address}"\n[stream]\nenabled = false\n{topics}')
    rights = {(row["kind"], row["resource"], row["name"], row["pattern"], *row["operations"]) for row in run("plan", "--config", path)}  # type: ignore[misc]
    assert rights == {
        ("acl", "topic", "otlp_spans", "literal", "Read", "Describe"),
        ("acl", "topic", "app-logs-", "prefixed", "Read", "Describe"),
        ("acl", "group", "tracebraid-", "prefixed", "Read", "Describe"),
    }


def test_a_topic_that_cannot_be_made_is_one_line(broker: Broker, tmp_path: Path) -> None:
    name = broker.unique("rejects")
    path = config(tmp_path, f'bootstrap_servers = "{broker.address}"\n[stream]\nrejects_topic = "{name}"\nreplication_factor = 99\n')
    with pytest.raises(TracebraidError, match=f"making topic {name}: "):
        run("apply", "--config", path)
