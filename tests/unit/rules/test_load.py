"""Rules from YAML: those of the documentation, one broken file a mistake, and what tells two rules apart."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.rules.compile import compile_rule
from tracebraid.pipeline.rules.errors import RuleError
from tracebraid.pipeline.rules.load import KEYS, load_rules, starter_text
from tracebraid.pipeline.rules.slo import DEFAULT_PERIOD_US, DEFAULT_WINDOWS
from tracebraid.pipeline.rules.write import to_yaml
from tracebraid.schemas.rule import HOUR_US, MINUTE_US, Rule, Slo

REPOSITORY = Path(__file__).parents[3]
INVALID = REPOSITORY / "tests" / "data" / "invalid" / "rules"
FULL = """
- name: full
  on: spans
  where: kind='SERVER'   AND name LIKE 'GET: %'
  by: service_name
  window: 5m
  every: 1m
  when: >-
    p99(duration) > 0.5s
    or count() >= 10
  for: 3m
  keep_firing_for: 2m
  missing_for: 1h
  on_missing: resolve
  lateness: 30s
  adapt_after: 2h
  timezone: Europe/Berlin
  labels: {severity: critical}
  annotations: {summary: "slow: very"}
  max_series: 500
  format: alertmanager
"""


def documented() -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", (REPOSITORY / "docs/rules.md").read_text(encoding="utf-8"), re.M | re.S)


def test_every_key_is_read() -> None:
    assert load_rules(FULL, "full.yaml") == [
        Rule(
            name="full",
            on="spans",
            where="kind = 'SERVER' and name like 'GET: %'",
            by=("service_name",),
            window_us=5 * MINUTE_US,
            every_us=MINUTE_US,
            when="p99(duration) > 500ms or count() >= 10",
            for_us=3 * MINUTE_US,
            keep_firing_for_us=2 * MINUTE_US,
            missing_for_us=HOUR_US,
            on_missing="resolve",
            lateness_us=30_000_000,
            adapt_after_us=2 * HOUR_US,
            timezone="Europe/Berlin",
            labels=(("severity", "critical"),),
            annotations=(("summary", "slow: very"),),
            max_series=500,
            format="alertmanager",
        )
    ]


def test_documented_rules_compile_and_read_back() -> None:
    texts = documented()
    assert len(texts) == 3
    for text in [*texts, starter_text(), FULL]:
        rules = load_rules(text, "rules.md")
        assert load_rules(to_yaml(rules), "written.yaml") == rules
        for rule in rules:
            assert compile_rule(rule).inputs


def test_every_key_is_documented() -> None:
    keys = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", (REPOSITORY / "docs/rules.md").read_text(encoding="utf-8"), re.M))))
    assert set(KEYS) <= keys


def test_slo_of_the_documentation() -> None:
    (rule,) = [rule for rule in load_rules(documented()[0], "rules.md") if rule.slo]
    assert rule.slo == Slo(0.999, "status_code <> 'ERROR' and duration < 300ms", DEFAULT_WINDOWS, DEFAULT_PERIOD_US)
    assert rule.when == ""


@pytest.mark.parametrize("name", sorted(path.stem for path in INVALID.glob("*.yaml")))
def test_each_mistake_is_told_in_one_line(name: str) -> None:
    with pytest.raises(RuleError) as told:
        load_rules((INVALID / f"{name}.yaml").read_text(encoding="utf-8"), f"{name}.yaml")
    assert str(told.value) + "\n" == (INVALID / f"{name}.error").read_text(encoding="utf-8")


def test_several_mistakes_are_told_at_once() -> None:
    lines = [
        "- name: a",
        "  on: spans",
        "  by: [servise_name]",
        "  where: knd = 'SERVER' and duration > 5",
        "  when: cuont() > 5 or p99(durations) > 500ms and error_rate > 5",
        "  for: 3",
    ]
    with pytest.raises(RuleError) as told:
        load_rules("\n".join(lines), "a.yaml")
    places = [line.split(" ")[0] for line in told.value.lines]
    assert places == ["a.yaml:3:8:", "a.yaml:4:10:", "a.yaml:4:38:", "a.yaml:5:9:", "a.yaml:5:28:", "a.yaml:5:62:", "a.yaml:6:8:"]


def test_layout_and_order_of_keys_change_nothing() -> None:
    one = "- name: a\n  on: spans\n  by: [service_name]\n  when: p99( duration )>0.5s AND error_rate>5 %\n"
    other = '- {"when": "p99(duration) > 500ms and error_rate > 5%", "window": 60s, "by": "service_name", "on": spans, "name": a}\n'
    (first,), (second,) = load_rules(one, "1"), load_rules(other, "2")
    assert first == second
    assert first.content_hash == second.content_hash == "7af6b844b0e72aee"


def test_hash_is_of_what_a_rule_does() -> None:
    (rule,) = load_rules(FULL, "full.yaml")
    for same in (replace(rule, labels=()), replace(rule, annotations=()), replace(rule, format="tracebraid")):
        assert same.content_hash == rule.content_hash
    others = [replace(rule, name="b"), replace(rule, for_us=0), replace(rule, when="count() > 1"), replace(rule, by=()), replace(rule, max_series=1)]
    assert len({rule.content_hash, *(other.content_hash for other in others)}) == 6


def test_bounds_of_a_file() -> None:
    with pytest.raises(RuleError, match="it may have"):
        load_rules("#" * (limits.rule_file_bytes_max + 1), "a.yaml")
    many = "".join(f"- {{name: r{n}, on: spans, when: count() > 1}}\n" for n in range(limits.rules_max + 1))
    with pytest.raises(RuleError, match="1001 rules"):
        load_rules(many, "a.yaml")
    assert load_rules("", "empty.yaml") == []
    assert load_rules("rules: []", "empty.yaml") == []


@pytest.mark.parametrize("line", [r'labels: {team: "\ud83d\ude00"}', r'annotations: {text: "\udfff"}', r'where: "name = \ud800"', r'"\ud800": 1'])
def test_half_a_character_is_refused(line: str) -> None:
    with pytest.raises(RuleError, match=r"a.yaml:\d:\d+: half a character") as error:
        load_rules(f"- name: a\n  on: spans\n  when: count() > 1\n  {line}\n", "a.yaml")
    assert str(error.value).isascii()


def test_rule_that_was_not_checked_is_refused() -> None:
    with pytest.raises(RuleError, match="rule r:1:12: when: no share passes 5"):
        compile_rule(Rule(name="r", on="spans", when="error_rate > 5"))
    with pytest.raises(RuleError, match="ends too early"):
        compile_rule(Rule(name="r", on="spans", when="error_rate >"))
