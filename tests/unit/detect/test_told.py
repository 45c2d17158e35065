"""What must be told where the state topic says what is not the case."""

from typing import Any

from tests.notifying import transition
from tracebraid.pipeline.detect.told import corrections, key_of
from tracebraid.schemas.alert import Transition

KEY = key_of(transition())
VERSIONS = {"slow-and-failing": {"0123456789abcdef"}}


def found(*state: Transition, active: Any = (), dropped: Any = (), spoken: Any = (), versions: Any = None) -> list[tuple[str, str, str]]:
    made = corrections(state, {KEY: set(active)}, {key_of(each): each for each in dropped}, set(spoken), VERSIONS if versions is None else versions)
    return [(each.transition, each.reason, each.id) for each in made]


def test_what_is_the_case_is_not_told_again() -> None:
    alert = transition()
    assert found(alert, active=[alert.id], dropped=[alert]) == []
    assert found(transition("resolved"), transition("cancelled", number=2)) == []
    assert found(alert, spoken=[KEY]) == []  # what was told after the replay holds


def test_what_nobody_holds_any_more_ends_and_says_why() -> None:
    alert = transition()
    assert found(alert) == [("resolved", "state lost", alert.id)]
    assert found(transition("pending")) == [("cancelled", "state lost", alert.id)]
    assert found(alert, versions={}) == [("resolved", "rule removed", alert.id)]
    assert found(alert, versions={"slow-and-failing": {"other"}}) == [("resolved", "rule changed", alert.id)]


def test_what_a_replay_began_and_nobody_was_told_of_is_told() -> None:
    new, old = transition(id="ab" * 16), transition()
    assert found(old, active=[new.id], dropped=[new]) == [("resolved", "state lost", old.id), ("firing", "condition", new.id)]
    assert found(transition("pending"), active=[old.id], dropped=[old]) == [("firing", "condition", old.id)]
    assert found(active=[], dropped=[new]) == []  # it ended since


def test_an_end_is_of_the_window_that_was_told_last() -> None:
    (end,) = corrections([transition(minute=3)], {}, {}, set(), VERSIONS)
    assert (end.window, end.started_us, end.exemplars) == (transition(minute=3).window, transition().started_us, [])
