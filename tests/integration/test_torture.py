"""Torture in small: each point of the protocol once; and the test of the test: a product that is broken is found out.

`make torture` runs it at length, by chance. Whatever a script waits for may take its time: on a busy machine it lasts longer, and finds the same.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.torture.report import lines
from tests.torture.run import Outcome, Plan, Torture
from tests.torture.schedule import Chance, Fate, Script
from tests.torture.steps import STEPS
from tests.torture.world import Disk, World

pytestmark = [pytest.mark.broker, pytest.mark.timeout(900)]
SECONDS_MAX = 400


def torture(broker: Any, folder: Path, script: Script, *, records: int = 6_000, broken: str = "") -> Outcome:
    plan = Plan(kills=len(script.fates), seconds=SECONDS_MAX, records=records, consumers=1, session_ms=1500, broken=broken)
    outcome = Torture(World(broker, folder, Disk(folder / "lake", mount=False)), script, plan).run()
    print(*lines(outcome), sep="\n")
    return outcome


def kill(step: str, nth: int = 1) -> Fate:
    """Of a static member, which comes back at once."""
    return Fate("kill", step, nth, static=True)


def test_each_step_of_a_lone_consumer_once(broker: Any, tmp_path: Path) -> None:
    """SIGKILL at every step that needs no other member; a topic made again, partitions added, retention, a broker that dies."""
    rare = ["start pinned", "loss written"]
    steps = [step for step in STEPS if step not in (*rare, "lost", "revoking", "revoked")]
    world = [(0.3, "topic made again"), (0.5, "partition added"), (0.8, "retention overtook")]
    if broker.owned:
        world.insert(2, (0.6, "broker killed and restarted"))
    outcome = torture(broker, tmp_path, Script([kill(step) for step in steps], world, rare))
    assert outcome.problems == []
    assert [step for step in (*rare, *steps) if not outcome.fallen["kill", step]] == []
    assert sum(outcome.world.values()) == (4 if broker.owned else 3)


def test_rebalances_and_zombies(broker: Any, tmp_path: Path) -> None:
    """SIGKILL while partitions are taken away; consumers that are stopped until another has their partitions, and then go on."""
    joined = [Fate("kill", "revoking", joined=True), Fate("kill", "revoked", joined=True)]
    zombies = [Fate("stop", "committed rejects"), Fate("stop", "sent offsets")]
    script = Script([Fate("stop", "written", also=("lost",)), *joined, *zombies])
    outcome = torture(broker, tmp_path, script)
    assert outcome.problems == []
    assert [wanted for wanted in script.wanted if not outcome.fallen[wanted]] == []


@pytest.mark.parametrize(
    ("broken", "fate", "found"),
    [
        ("swapped", kill("committed intervals", 3), "missing"),
        ("unchecked", Fate("stop", "written", 3), "doubled"),
        ("reader", kill("committed logs", 3), "doubled"),
    ],
)
def test_a_broken_product_is_found_out(broker: Any, tmp_path: Path, broken: str, fate: Fate, found: str) -> None:
    """swapped: intervals are committed before rows; unchecked: no ledger is compared; reader: rows that a torn cycle left are written again."""
    outcome = torture(broker, tmp_path, Script([fate]), broken=broken)
    assert [problem for problem in outcome.problems if problem.startswith(f"{found}:")], outcome.problems
    assert [problem for problem in outcome.problems if problem.startswith("verify:") and found in problem], outcome.problems


def test_a_schedule_is_its_seeds() -> None:
    def fates(seed: int) -> list[Fate]:
        schedule, fallen = Chance(seed, 200, disk=True, broker=True), Outcome().fallen
        return [schedule.next_fate(fallen) for _ in range(50)]

    assert fates(1) == fates(1) != fates(2)
