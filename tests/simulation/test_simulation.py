"""A slice of the simulator: seeds that hold, mutations that are found, one seed that is the same everywhere."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.mutations import MUTATIONS, found_at
from tests.simulation.plan import EVENTS, KINDS
from tests.simulation.run import simulate

SLICE = range(200)
MUTATION_SEEDS_MAX = 500


def test_nothing_is_lost_or_doubled_whatever_fails() -> None:
    results = [simulate(seed) for seed in SLICE]
    failed = {result.seed: result.violation for result in results if result.violation}
    assert failed == {}, "python -m tests.simulation --seed N tells the story"
    faults: Counter[str] = Counter()
    for result in results:
        for (kind, step), count in result.faults.items():
            faults[step if kind == "event" else kind] += count
    assert [each for each in (*KINDS, *EVENTS) if not faults[each] and each != "produce"] == []  # a fault that never falls proves nothing


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_protocol_is_found(name: str) -> None:
    assert found_at(name, range(MUTATION_SEEDS_MAX))


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
