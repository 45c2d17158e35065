"""Alerts that are over are forgotten a day later, but for those that began again."""

from tests.notifying import MINUTE_US, T0_US, transition
from tracebraid.pipeline.detect.over import AT_ONCE, KEPT_US, Over
from tracebraid.pipeline.detect.told import key_of


def test_a_day_after_its_end_an_alert_is_forgotten_once() -> None:
    over, ended = Over(), transition("resolved", minute=3)
    over.note(transition())
    over.note(ended)
    assert over.take(ended.window.end_us + KEPT_US - 1) == []
    assert over.take(ended.window.end_us + KEPT_US) == [key_of(ended)]
    assert over.take(ended.window.end_us + 2 * KEPT_US) == []


def test_what_began_again_meanwhile_is_kept_until_a_day_after_its_own_end() -> None:
    over, first, last = Over(), transition("cancelled", minute=3), transition("resolved", minute=90)
    over.note(first)
    over.note(transition("pending", minute=80))
    assert over.take(first.window.end_us + KEPT_US) == []
    over.note(last)
    assert over.take(last.window.end_us + KEPT_US - 1) == []
    assert over.take(last.window.end_us + KEPT_US) == [key_of(last)]


def test_a_storm_is_forgotten_in_pieces() -> None:
    over = Over()
    for number in range(AT_ONCE + 5):
        over.note(transition("resolved", number=number))
    late_us = T0_US + 10 * MINUTE_US + KEPT_US
    assert [len(over.take(late_us)) for _ in range(3)] == [AT_ONCE, 5, 0]
