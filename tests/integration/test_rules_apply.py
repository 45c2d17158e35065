"""`tracebraid rules apply` while ingest and detect run: taken over within seconds, in force from its window on; what is not changed goes on undisturbed."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.detecting_flow import Job, alerts_of, settings_for, span_request
from tracebraid.pipeline.detection import run_detect
from tracebraid.pipeline.flow import run_ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import DetectMetrics
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.rulebook import RuleBook
from tracebraid.pipeline.source.compacted import CompactedTopic, latest

pytestmark = pytest.mark.broker
STEADY = "- {name: steady, on: spans, by: [service_name], window: 1s, lateness: 1s, when: count() > 0}\n"
FRESH = "- {name: fresh, on: spans, by: [service_name], window: 1s, lateness: 1s, when: error_rate > 50%}\n"


def written(settings: Settings, folder: Path) -> Path:
    """The settings as a file."""
    stream = settings.stream.model_dump()
    names = [f"{key} = {json.dumps(value)}" for key, value in stream.items() if key.endswith("_topic")]
    lines = [f'bootstrap_servers = "{settings.bootstrap_servers}"', f'lake = "{settings.lake}"', "[stream]", *names]
    (folder / "tracebraid.toml").write_text("\n".join(lines), encoding="utf-8")
    return folder / "tracebraid.toml"


def rules(config: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    line = [sys.executable, "-m", "tracebraid", "rules", arguments[0], "--config", str(config), *arguments[1:]]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return done.returncode, [json.loads(each) for each in done.stdout.splitlines()], done.stderr


def live(broker: Any, topic: str) -> Callable[[threading.Event], None]:
    """Ten failing spans a second, of now."""

    def run(stop: threading.Event) -> None:
        producer, number = Producer(broker.client), 0
        while not stop.wait(0.1):
            number += 1
            producer.produce(topic, span_request("checkout", [(time.time_ns() // 1000, 5, True)], number), partition=0)
            producer.poll(0)
        producer.flush(10)

    return run


def until(look: Callable[[], Any], wait_s: float = 40) -> Any:
    deadline = time.monotonic() + wait_s
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.3)
    assert found, "it did not come"
    return found


def acks(settings: Settings) -> list[dict[str, Any]]:
    topic = CompactedTopic(settings.client_config(), settings.stream.rules_acks_topic, Clock())
    try:
        return [json.loads(change.value or b"") for change in latest(topic.read()).values()]
    finally:
        topic.close()


def test_a_rule_is_applied_while_everything_runs(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("spans"), 1)
    settings = settings_for(broker, tmp_path, STEADY, source=topic)
    config, file = written(settings, tmp_path), tmp_path / "fresh.yaml"
    file.write_text(FRESH, encoding="utf-8")

    def told(rule: str) -> list[dict[str, Any]]:
        return [each for each in alerts_of(broker, settings.stream.alerts_topic) if each["rule"] == rule]

    jobs = [
        Job(live(broker, topic)),
        Job(lambda stop: run_ingest(settings, stop=stop, rules=lambda: RuleBook(settings, Clock(), "ingest"))),
        Job(lambda stop: run_detect(settings, stop=stop, metrics=DetectMetrics(), clock=Clock(), watch=lambda _: None)),
    ]
    try:
        until(lambda: told("steady"))
        assert rules(config, "apply", "--dry-run", str(file)) == (0, [{"rule": "fresh", "change": "added", "differences": []}], "")
        code, rows, errors = rules(config, "apply", str(file))
        assert (code, errors) == (0, "")  # 0: everybody has answered within 5 s
        (since_us,) = (row["effective_from_us"] for row in rows if "effective_from_us" in row)
        assert sorted((row["who"].partition("/")[0], row["taken"]) for row in rows if "who" in row) == [("detect", ["fresh"]), ("ingest", ["fresh"])]
        first = until(lambda: told("fresh"))[0]
        assert (first["transition"], first["window"]["start_us"]) == ("firing", since_us)
        # The same again is no change, nor is another layout of it.
        file.write_text(f"# another layout\n{FRESH}", encoding="utf-8")
        assert rules(config, "apply", str(file))[:2] == (0, [{"change": "nothing", "unchanged": 1}])
        assert [row["name"] for row in rules(config, "list", "--topic")[1]] == ["fresh"]
        # What cannot be a rule is refused by both, and what was in force goes on.
        producer = Producer(broker.client)
        value = {"version": 1, "yaml": FRESH.replace("50%", "50 apples"), "effective_from_us": 0, "content_hash": "0" * 16}
        producer.produce(settings.stream.rules_topic, json.dumps(value), b"fresh")
        producer.flush(10)
        refused = until(lambda: [each for each in acks(settings) if each["error"]] if sum(bool(each["error"]) for each in acks(settings)) == 2 else [])
        assert all("apples" in each["error"] for each in refused)
        # What the files do not hold is removed only where that was asked for; the alert ends with its rule.
        assert len(told("fresh")) == 1
        file.write_text(FRESH.replace("fresh", "other"), encoding="utf-8")
        code, rows, errors = rules(config, "apply", "--prune", str(file))
        assert (code, errors) == (0, "")
        assert rows[0]["change"] == "cannot be read"
        assert [(each["transition"], each["reason"]) for each in until(lambda: told("fresh")[1:])] == [("resolved", "rule removed")]
        until(lambda: told("other"))
        assert [each["transition"] for each in told("steady")] == ["firing"]
    finally:
        for job in jobs:
            job.end()
