"""schemas/alert.schema.json: what detect and explain publish fits it, and what does not fit is found; tests/tidy holds it to the models."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.detecting import MINUTE, SECOND, T0, Bench, Row
from tests.detecting import told as mark
from tests.notifying import transition
from tracebraid.pipeline.detect.told import told
from tracebraid.pipeline.explain.evidence import Found, Line, evidence
from tracebraid.pipeline.explain.own import Span
from tracebraid.pipeline.kernel.settings import StreamSettings
from tracebraid.pipeline.publish.alerts import alert_messages

RULES = """
- {name: slow, on: spans, by: [service_name], when: max(duration) > 1s and error_rate > 10%, for: 1m, missing_for: 3m, annotations: {runbook: look here}}
- {name: unusual, on: spans, by: [service_name], when: "max(duration) > baseline(max(duration), min_count: 1)"}
- {name: drift, on: records, by: [device], when: temp > 72, consecutive: 2}
"""


@pytest.fixture(scope="module", params=["2020-12", "draft-07"])
def schema(root: Path, request: pytest.FixtureRequest) -> Any:
    """By the draft that the file names, and by the one under which registries get it: it must say the same in both."""
    text = json.loads((root / "schemas" / "alert.schema.json").read_text(encoding="utf-8"))
    assert text["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    validator = jsonschema.Draft202012Validator if request.param == "2020-12" else jsonschema.Draft7Validator
    validator.check_schema(text)
    return validator(text)


@pytest.fixture(scope="module")
def transitions() -> list[dict[str, Any]]:
    """Of an hour that learns, five minutes that are slow, and what comes of it; as they are on the topic."""
    bench, found = Bench(RULES), []
    for minute in range(70):
        slow, start_us = 60 <= minute < 65, T0 + minute * MINUTE
        rows = [Row(start_us + n, duration=(3e9 if slow else 40e6) + n, error=slow, trace_id=f"{minute * 10 + n + 1:032x}") for n in range(5)]
        devices = [Row(start_us + n, labels=("a1",), signal="logs", offset=minute * 5 + n, true=slow) for n in range(5)]
        bench.feed([*rows, *devices])
        bench.engine.watermark(0, [mark(0, start_us + MINUTE + 10 * SECOND)])
        found += bench.engine.tick()
    return [json.loads(message.value or b"") for each in found for message in alert_messages(told(each), StreamSettings(), 0)]


def test_what_detect_publishes_fits(schema: Any, transitions: list[dict[str, Any]]) -> None:
    for each in transitions:
        schema.validate(each)
    seen = {(each["rule"], each["transition"]) for each in transitions}
    assert seen >= {("slow", "pending"), ("slow", "firing"), ("slow", "resolved"), ("unusual", "firing"), ("drift", "firing")}
    assert any(each["band"] for each in transitions)
    assert any(each["exemplars"] for each in transitions)


def test_what_explain_publishes_fits(schema: Any) -> None:
    alert = transition()
    (slow, failing) = (each.trace_id for each in alert.exemplars)
    spans = [
        Span(slow, "1", None, "shop", "GET /", 0, 900, False),
        Span(failing, "1", None, "shop", "GET /", 0, 20, True),
        Span(slow, "2", "1", "db", "q", 5, 890, True),
    ]
    line = Line(slow, "2026-11-21T10:00:00Z", "db", 17, "ERROR", "no answer")
    found = Found(exemplars=spans, window=spans, before=spans[1:2], lines=[line], sql="SELECT 1", tables={"spans": 7}, waited_s=1.5, complete=True)
    full = evidence(alert, found)
    assert (len(full.traces), len(full.logs), len(full.suspects) > 0) == (2, 1, True)
    for each in (full, evidence(alert, Found())):
        schema.validate(json.loads(each.model_dump_json()))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 2),
        ("kind", "evidence"),
        ("id", "not an id"),
        ("transition", "acknowledged"),
        ("completeness", 1.5),
        ("value", "912 ms"),
        ("series", {"pod": None}),
        ("window", {"start_us": 1}),
        ("more", 1),
        *((name, None) for name in ("version", "kind", "id", "rule", "started_us", "window", "labels")),
    ],
)
def test_what_is_no_message_does_not_fit(schema: Any, transitions: list[dict[str, Any]], field: str, value: Any) -> None:
    """`value` None: without the field."""
    message = deepcopy(transitions[0])
    assert schema.is_valid(message)
    if value is None:
        del message[field]
    else:
        message[field] = value
    assert not schema.is_valid(message)
