"""`python -m tests.fuzz`: compiled walkers against the reference decoders on very many inputs, on all cores.

    --inputs N       so many inputs (2,000,000)
    --seconds T      or until so many seconds have passed
    --seed S         another seed gives other inputs; the same gives the same
    --batch B        one batch of the seed alone, as a failure names it
    --bounds         machine code that checks every index, compiled anew and kept apart
    --mode objects   log objects in JSON
    --mode texts     lines of text, bare and in envelopes
    --mode others    the other decoders, on changed records: no second opinion, but what always holds
    --processes N    how many at once (all cores)

Exit code 1 where something does not hold: the input is printed in hex, made smaller, with the command that shows it again. A process that
dies or hangs is one, too: the batches that it was at are named. Bounds are those of arrays: a walk's tables lie in one array, and one that
runs into the next shows in its rows, not in an exception.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from tests.fuzz.run import Tally, run_batches, task

BATCHES = 20  # of one task
FIRST_BATCHES = 8  # in this process: then all that they need is compiled, once, and not in every process
FAILURES_MAX = 10


def checking_bounds(arguments: list[str]) -> int:
    """The same command in a process whose kernels check every index; numba asks the environment when it is imported."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "XDG_CACHE_HOME": cache}
        return os.spawnve(os.P_WAIT, sys.executable, [sys.executable, "-m", "tests.fuzz", *arguments], environment)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=2_000_000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--bounds", action="store_true")
    parser.add_argument("--mode", choices=("spans", "objects", "texts", "others"), default="spans")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    if given.bounds:
        return checking_bounds([each for each in sys.argv[1:] if each != "--bounds"])
    checks = os.environ.get("NUMBA_BOUNDSCHECK") == "1"
    print(f"seed {given.seed}, mode {given.mode}, {'every index checked' if checks else 'indexes as they ship'}; compiling first", flush=True)
    began_s = time.monotonic()
    if given.batch is not None:
        tally = run_batches(given.mode, given.seed, range(given.batch, given.batch + 1))
        return told(tally, time.monotonic() - began_s, given.mode, whole=False)
    tally = Tally()
    tally.add(run_batches(given.mode, given.seed, range(FIRST_BATCHES)))
    died = _run(tally, given, began_s)
    return max(told(tally, time.monotonic() - began_s, given.mode, whole=True), int(died))


def _run(tally: Tally, given: argparse.Namespace, began_s: float) -> bool:
    """Tasks in their order until there is enough. True where a process died."""
    running: dict[Future[Tally], range] = {}
    first, said_s = FIRST_BATCHES, began_s
    with ProcessPoolExecutor(given.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            while True:
                late = time.monotonic() - began_s > given.seconds
                enough = late or tally.counts["inputs"] >= given.inputs or len(tally.failures) >= FAILURES_MAX
                while not enough and len(running) < 2 * given.processes:
                    batches = range(first, first + BATCHES)
                    running[pool.submit(task, given.mode, given.seed, batches)] = batches
                    first += BATCHES
                if not running:
                    return False
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    tally.add(future.result())
                    del running[future]
                if time.monotonic() - said_s > 60:
                    said_s = time.monotonic()
                    print(f"{tally.counts['inputs']:,} inputs after {said_s - began_s:.0f} s", flush=True)
        except BrokenProcessPool:
            places = ", ".join(f"{batches.start} to {batches.stop - 1}" for batches in running.values())
            print(f"a process died, or hung, at one of the batches {places}: try each with --batch and --processes 1", flush=True)
            return True


def told(tally: Tally, took_s: float, mode: str, *, whole: bool) -> int:
    """The exit code, after the report."""
    counts, failures = tally.counts, tally.failures
    for failure in failures[:FAILURES_MAX]:
        print(failure)
    parts = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    print(f"{parts}; {took_s:.0f} s, {counts['inputs'] / took_s:,.0f} inputs a second; {len(failures)} failures")
    if mode != "others" and whole and tally.too_few_walked(mode):
        print("hardly any input was walked: that proves nothing of the walkers")
        return 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
