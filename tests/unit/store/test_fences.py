"""Two writers of one partition whose decoders differ, each for a while in its own table: neither adds its rows to the other's."""

import pytest

from tests.unit.store.build import P, Place, cycle, opened, visible
from tracebraid.pipeline.kernel.errors import OwnershipLost
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.ledger import Cycle


class Crash(Exception):
    """Stands for the end of the process."""


def dies(lake: Lake, step: str, last: Cycle) -> None:
    def after_step(name: str) -> None:
        if name == step:
            raise Crash(name)

    lake.after_step = after_step
    with pytest.raises(Crash):
        lake.commit(last)


@pytest.mark.parametrize("step", ["written", "committed spans"])
@pytest.mark.parametrize("died", ["fenced", "committed logs"])
def test_a_new_owner_fences_every_table_before_its_first_rows(place: Place, step: str, died: str) -> None:
    """The old one has fenced them for itself, and skips tables without rows: it never looks at the one in which the new one began."""
    old = opened(place)
    old.commit(cycle(P, 0, 5, None, spans=[1]))

    def another_comes(name: str) -> None:
        if name == step:
            old.after_step = lambda name: None
            held = opened(place).read_ledger(P).ahead
            dies(opened(place), died, cycle(P, 5, 10, 5, logs=[6] if (6, 0) not in held else [7], spans=[8]))

    old.after_step = another_comes
    with pytest.raises(OwnershipLost):
        old.commit(cycle(P, 5, 10, 5, spans=[6]))
    at = {"written": 6, "committed spans": 7}[step]
    assert visible(place) == {"spans": [1, 6] if step == "committed spans" else [1], "logs": [at] if died == "committed logs" else [], "rejects": []}


def test_a_ledger_that_a_torn_cycle_left_ahead_tells_its_next_owners_apart(place: Place) -> None:
    """It stays where it is while they finish that cycle: by its offset alone, the one that comes late would not know of the other."""
    opened(place).commit(cycle(P, 0, 5, None))
    dies(opened(place), "fenced", cycle(P, 5, 10, 5, spans=[6]))
    late, first = opened(place), opened(place)
    dies(first, "committed spans", cycle(P, 5, 10, 5, spans=[6]))
    with pytest.raises(OwnershipLost):
        late.commit(cycle(P, 5, 10, 5, logs=[6]))
    assert visible(place) == {"spans": [6], "logs": [], "rejects": []}
