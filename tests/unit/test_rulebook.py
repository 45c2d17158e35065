"""Rules from the topic: from which window each holds, also for a process that starts after it was told."""

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.settings import RulesSettings, Settings
from tracebraid.pipeline.rulebook import RuleBook
from tracebraid.pipeline.rules.load import load_rules
from tracebraid.pipeline.rules.wire import AHEAD_US, boundary_us, encode
from tracebraid.pipeline.source.compacted import Change

MINUTE_US = 60_000_000
NOW_US = 1_700_000_040_000_000  # a whole minute
AHEAD_OF_CLOCKS_US = limits.plausible_ahead_s * 1_000_000
FEW = "- {name: few, on: spans, by: [service_name], when: count() < 5, annotations: {summary: NOTE}}"


def book() -> RuleBook:
    return RuleBook(Settings(rules=RulesSettings(starter=False)), Clock(unix_nano=lambda: NOW_US * 1000), "detect", topic=False)


def applied(since_us: int, text: str = FEW) -> Change:
    key, value = encode(load_rules(text, "rules.yaml")[0], since_us)
    return Change(0, 0, key, value, (), NOW_US // 1000)


def removed(told_us: int) -> Change:
    return Change(0, 1, b"few", None, (), told_us // 1000)


def test_what_was_applied_before_a_start_holds_from_its_window_on() -> None:
    rules = book()
    rules.take(applied(NOW_US + MINUTE_US))
    assert rules.since_us == {"few": NOW_US + MINUTE_US}
    rules.take(applied(NOW_US + 2 * MINUTE_US, FEW.replace("NOTE", "other words")))  # the same condition: it held all the while
    assert rules.since_us == {"few": NOW_US + MINUTE_US}
    rules.take(applied(NOW_US + 3 * MINUTE_US, FEW.replace("5", "6")))
    assert rules.since_us == {"few": NOW_US + 3 * MINUTE_US}
    rules.take(removed(NOW_US))
    assert rules.since_us == {}
    assert [since_us for _, since_us in rules.changes()] == [NOW_US + (1 + each) * MINUTE_US for each in range(3)] + [NOW_US + MINUTE_US]


def test_a_removal_whose_kafka_timestamp_lies_in_the_future_takes_effect_now() -> None:
    for told_us, since_us in (
        (NOW_US + 365 * 1440 * MINUTE_US, NOW_US + MINUTE_US),
        (NOW_US + AHEAD_OF_CLOCKS_US, NOW_US + AHEAD_OF_CLOCKS_US + MINUTE_US),
        (NOW_US - 5 * MINUTE_US, NOW_US - 4 * MINUTE_US),
    ):
        rules = book()
        rules.take(applied(NOW_US))
        rules.take(removed(told_us))
        assert rules.changes()[-1] == ([], since_us)


def test_a_rule_that_would_hold_from_a_time_far_ahead_holds_at_once() -> None:
    assert boundary_us(NOW_US, MINUTE_US) == NOW_US + MINUTE_US
    soon_us = NOW_US + AHEAD_OF_CLOCKS_US + AHEAD_US
    for told_us, since_us in ((NOW_US + 365 * 1440 * MINUTE_US, NOW_US + MINUTE_US), (soon_us, soon_us)):
        rules = book()
        rules.take(applied(told_us))
        assert (rules.since_us, rules.changes()[-1][1]) == ({"few": since_us}, since_us)
