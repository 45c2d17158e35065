"""`python -m tests.simulation`: many seeds on all cores, or one seed with its whole story.

    --seed N         run one seed and tell it
    --seeds A..B     from A up to and without B (0..10000)
    --processes N    how many at once (all cores)
    --mutations N    break the protocol in each known way, and say within how many of N seeds it is found

Exit code 1 where a seed fails: its story is printed, and `--seed` tells it again, on any machine.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.mutations import MUTATIONS, found_at
from tests.simulation.plan import KINDS
from tests.simulation.run import Result, many, simulate

CHUNK = 20


def _range(text: str) -> range:
    first, _, last = text.partition("..")
    return range(int(first), int(last))


def results(seeds: range, processes: int) -> Iterator[Result]:
    """In the order of the seeds."""
    shares = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for share in pool.map(many, shares):
            yield from share


def table(faults: Counter[tuple[str, str]]) -> str:
    """How many faults of each kind fell, and before which step."""
    kinds = [kind for kind in KINDS if any(kind == each for each, _ in faults)]
    steps = sorted({step for kind, step in faults if kind in kinds})
    lines = [f"{kind:20} {sum(count for (each, _), count in faults.items() if each == kind):7}" for kind in kinds]
    lines += [f"{event:20} {count:7}" for (kind, event), count in sorted(faults.items()) if kind not in kinds]
    lines += ["", *(f"{step:28} {', '.join(f'{kind} {faults[kind, step]}' for kind in kinds if faults[kind, step])}" for step in steps)]
    return "\n".join(lines)


def run_many(seeds: range, processes: int) -> int:
    began_s = time.monotonic()
    faults: Counter[tuple[str, str]] = Counter()
    exits: Counter[str] = Counter()
    failed: list[Result] = []
    calls = records = 0
    for result in results(seeds, processes):
        faults += result.faults
        exits += result.exits
        calls, records = calls + result.points, records + result.records
        if result.violation:
            failed.append(result)
            if len(failed) == 1:
                print("\n".join(result.story[-60:]))
            print(f"seed {result.seed}: {result.violation}", flush=True)
    took_s = time.monotonic() - began_s
    print(table(faults))
    ends = ", ".join(f"{end} {count}" for end, count in exits.most_common())
    print(f"\n{len(seeds)} seeds in {took_s:.0f} s, {len(seeds) / took_s:.1f} a second; {records} records, {calls} calls into virtual parts; processes: {ends}")
    print(f"{faults.total()} faults, {len(failed)} violations" + "".join(f"\n  python -m tests.simulation --seed {each.seed}" for each in failed[:20]))
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=_range, default=range(10_000))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--mutations", type=int)
    given = parser.parse_args()
    if given.seed is not None:
        result = simulate(given.seed, telling=True)
        print("\n".join(result.story))
        print(result.violation or "all held")
        return 1 if result.violation else 0
    if given.mutations:
        missed = 0
        for name in MUTATIONS:
            at = found_at(name, range(given.mutations))
            print(f"{name}: {f'seed {at[0]}: {at[1]}' if at else 'NOT FOUND'}", flush=True)
            missed += at is None
        return 1 if missed else 0
    return run_many(given.seeds, given.processes)


if __name__ == "__main__":
    sys.exit(main())
