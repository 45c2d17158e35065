"""What differs between two sets of rules."""

from dataclasses import replace

from tracebraid.pipeline.rules.changes import Changes, changes
from tracebraid.pipeline.rules.load import load_rules, starter_text
from tracebraid.schemas.rule import MINUTE_US, Rule

RULES = load_rules(starter_text(), "starter.yaml")


def test_each_rule_falls_into_one_class() -> None:
    kept, edited, told, removed, _ = RULES
    new = Rule(name="new", on="logs", when="count() > 5")
    after = [kept, replace(edited, for_us=5 * MINUTE_US, by=("service_name",)), replace(told, labels=()), new]
    assert changes([kept, edited, told, removed], after) == Changes(
        added=("new",),
        removed=(removed.name,),
        changed=(edited.name,),
        described=(told.name,),
        unchanged=(kept.name,),
        differences={
            edited.name: ["by: [service_name, route] → [service_name]", "for: 2m → 5m"],
            told.name: ["labels: {severity: warning} → nothing"],
        },
    )


def test_nothing_differs_from_itself() -> None:
    assert changes(RULES, reversed(RULES)) == Changes((), (), (), (), tuple(sorted(rule.name for rule in RULES)), {})
