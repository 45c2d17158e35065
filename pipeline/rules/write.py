"""Rules → YAML that load_rules reads into the same rules.

In: rules. Out: text, keys in the order of the documentation, what has its default left out. Never: comments or layout of the file they came from.
"""

from collections.abc import Iterable
from typing import Any

import yaml

from tracebraid.pipeline.rules.slo import DEFAULT_PERIOD_US, DEFAULT_WINDOWS, duration
from tracebraid.pipeline.rules.text import number
from tracebraid.schemas.rule import Rule, Slo

_USUAL = Rule(name="-", on="spans", when="")
_TIMES = ("for", "keep_firing_for", "missing_for", "lateness", "adapt_after")


def to_yaml(rules: Iterable[Rule]) -> str:
    """A list of rules. Expressions are quoted where YAML needs it."""
    return yaml.safe_dump([as_mapping(rule) for rule in rules], sort_keys=False, allow_unicode=True, width=1_000_000)


def as_mapping(rule: Rule) -> dict[str, Any]:
    """The keys of a rule as they stand in YAML."""
    keys: dict[str, Any] = {"name": rule.name, "on": rule.on}
    keys |= {key: value for key, value in (("where", rule.where), ("by", list(rule.by))) if value}
    keys["window"] = duration(rule.window_us)
    if rule.every_us != rule.window_us:
        keys["every"] = duration(rule.every_us)
    keys |= {"when": rule.when} if rule.slo is None else {"slo": _slo(rule.slo)}
    keys |= {key: duration(getattr(rule, f"{key}_us")) for key in _TIMES if getattr(rule, f"{key}_us") != getattr(_USUAL, f"{key}_us")}
    others = ("consecutive", "on_missing", "timezone", "max_series", "format")
    keys |= {key: getattr(rule, key) for key in others if getattr(rule, key) != getattr(_USUAL, key)}
    return keys | {key: dict(getattr(rule, key)) for key in ("labels", "annotations") if getattr(rule, key)}


def _slo(slo: Slo) -> dict[str, Any]:
    keys: dict[str, Any] = {"objective": number(float(f"{slo.objective * 100:.12g}")), "good": slo.good, "windows": "default"}
    if slo.windows != DEFAULT_WINDOWS:
        keys["windows"] = [{"factor": each.factor, "long": duration(each.long_us), "short": duration(each.short_us)} for each in slo.windows]
    return keys | ({"period": duration(slo.period_us)} if slo.period_us != DEFAULT_PERIOD_US else {})
