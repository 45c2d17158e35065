"""A slice of the simulator: seeds that hold, mutations that are found, one seed that is the same everywhere."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.mutations import MUTATIONS, found_at
from tests.simulation.plan import EVENTS, KINDS, NO_AIM
from tests.simulation.run import simulate

SLICE = range(40)
AIMS = [{kind: step} for kind, step in KINDS.items()] + [
    {event: ""} for event in EVENTS if event != "produce"
]  # so that each falls, whatever the dice make of it after a change
MUTATION_SEEDS_MAX = 300


def test_nothing_is_lost_or_doubled_whatever_fails() -> None:
    faults: Counter[str] = Counter()
    for seed, aim in [*((seed, NO_AIM) for seed in SLICE), *enumerate(AIMS * 2)]:
        result = simulate(seed, aim=aim)
        assert result.violation == "", f"seed {seed}, aim {aim}:\n" + "\n".join(result.story)
        for (kind, step), count in result.faults.items():
            faults[step if kind == "event" else kind] += count
    assert [each for aim in AIMS for each in aim if not faults[each]] == []  # a fault that never falls proves nothing


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_protocol_is_found(name: str) -> None:
    """The first seed is one that finds it; where a change has moved it, others do."""
    assert found_at(name, (MUTATIONS[name].seed, *range(MUTATION_SEEDS_MAX)))


def test_a_seed_is_one_story_in_every_process(root: Path) -> None:
    told = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "7"],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert told[0].endswith("all held\n")
