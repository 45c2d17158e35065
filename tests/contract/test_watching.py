"""The shipped alert rules and dashboard: every metric and label they name exists, all is explained, and rules fire when they should."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from tracebraid.pipeline.kernel.metrics import DetectMetrics, Metrics

ALERTS, DASHBOARD, DOCUMENT = "deploy/prometheus/alerts.yaml", "deploy/grafana/tracebraid.json", "docs/operations.md"
NAME = re.compile(r"\b(?:tracebraid|process)_\w+")
SELECTED = re.compile(r"(tracebraid_\w+)\{([^}]*)\}")
GROUPED = re.compile(r"by \(([^)]*)\) \((?:rate|increase|deriv)?\(?(tracebraid_\w+)")
ADDED_BY_PROMETHEUS = {"job", "instance", "le"}


def exposed() -> dict[str, set[str]]:
    """Labels by name of every series that ingest and detect expose."""
    both = Metrics(), DetectMetrics()
    labels = {str(each._name): set(each._labelnames) for metrics in both for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)}
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    families = [family for metrics in both for family in metrics.registry.collect()]
    return {family.name + suffix: labels.get(family.name, set()) for family in families for suffix in suffixes[family.type]}


def rules(root: Path) -> list[dict[str, Any]]:
    groups: dict[str, Any] = yaml.safe_load((root / ALERTS).read_text(encoding="utf-8"))
    return [rule for group in groups["groups"] for rule in group["rules"]]


def panels(root: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((root / DASHBOARD).read_text(encoding="utf-8"))["panels"]
    return found


def expressions(root: Path) -> list[str]:
    return [rule["expr"] for rule in rules(root)] + [target["expr"] for panel in panels(root) for target in panel.get("targets", ())]


def strangers(expression: str, known: dict[str, set[str]]) -> list[str]:
    """Metrics that nobody exposes, and labels that they do not have."""
    names = [name for name in NAME.findall(expression) if name not in known]
    matched = [(name, [term.split("=")[0].rstrip("!").strip() for term in terms.split(",")]) for name, terms in SELECTED.findall(expression)]
    grouped = [(name, [label.strip() for label in labels.split(",")]) for labels, name in GROUPED.findall(expression)]
    lacking = [f"{name}{{{label}}}" for name, labels in matched + grouped for label in labels if label not in known.get(name, set()) | ADDED_BY_PROMETHEUS]
    return names + lacking


def test_every_metric_and_label_exists(root: Path) -> None:
    known = exposed()
    assert {"tracebraid_rows_total", "tracebraid_stalled", "tracebraid_lake_commit_seconds_bucket", "process_resident_memory_bytes"} <= known.keys()
    found = expressions(root)
    assert len(found) > 30
    assert [stranger for expression in found for stranger in strangers(expression, known)] == []
    dashboard = json.loads((root / DASHBOARD).read_text(encoding="utf-8"))
    queries = [each["query"] for each in dashboard["templating"]["list"]]
    assert [stranger for query in queries for stranger in strangers(query, known)] == []


def test_what_does_not_exist_is_found() -> None:
    known = exposed()
    assert strangers("rate(tracebraid_rows[5m])", known) == ["tracebraid_rows"]
    assert strangers('tracebraid_rows_total{topic="a", reason!="b"}', known) == ["tracebraid_rows_total{reason}"]
    assert strangers("sum by (topic, table) (rate(tracebraid_rows_total[5m])) + process_memory", known) == ["process_memory", "tracebraid_rows_total{table}"]


def test_panels_lie_side_by_side(root: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(root):
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels(root)}) == len(panels(root))


def test_every_alert_and_every_metric_is_explained(root: Path) -> None:
    text = (root / DOCUMENT).read_text(encoding="utf-8")
    told = set(re.findall(r"`((?:tracebraid|process)_\w+)`", text))
    names = {re.sub("_(bucket|sum|count|created)$", "", name) for name in exposed() if name.startswith("tracebraid_")}
    assert sorted(names - told) == []
    assert sorted(name for name in told if name not in exposed() and f"{name}_bucket" not in exposed()) == []
    alerts = [rule["alert"] for rule in rules(root)]
    assert sorted(re.findall(r"^\| `(Tracebraid\w+)`", text, re.M)) == sorted(alerts)
    for rule in rules(root):
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["summary"]


def test_rules_fire_when_they_should(root: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool, of Prometheus")
    cases = root / "tests/contract/alerts.yaml"
    tested = {check["alertname"] for case in yaml.safe_load(cases.read_text(encoding="utf-8"))["tests"] for check in case["alert_rule_test"]}
    assert tested == {rule["alert"] for rule in rules(root)}
    result = subprocess.run([promtool, "test", "rules", str(cases)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
