"""`python -m tests.torture`: consumers of a real broker under fire, then the reader. Exit code 1 where something is missing, doubled or misplaced.

In: how many kills, a seed, a time. Out: the table of faults and what was found. Never: a broker, a process or a mount left behind.
"""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.brokers import kafka
from tests.torture.report import lines
from tests.torture.run import Plan, Torture
from tests.torture.schedule import Chance
from tests.torture.world import Disk, World


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description="Kill consumers at every step, then look for what is missing or doubled.")
    parser.add_argument("--kills", type=int, default=250, help="SIGKILLs wanted (default 250)")
    parser.add_argument("--seed", type=int, default=1, help="of the schedule (default 1)")
    parser.add_argument("--seconds", type=float, default=1500, help="end after so long at the latest (default 1500)")
    parser.add_argument("--records", type=int, default=200_000, help="records to produce (default 200,000)")
    parser.add_argument("--consumers", type=int, default=3, help="processes at a time, zombies beside them (default 3)")
    given = parser.parse_args()
    if why := kafka.unavailable():
        print(why, file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="tracebraid-torture-"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end, we leave nothing behind either
    disk = Disk(folder / "lake", mount=True)
    try:
        with kafka.running_broker() as broker:
            schedule = Chance(given.seed, given.kills, disk=disk.mounted, broker=broker.owned)
            plan = Plan(given.kills, given.seconds, given.records, given.consumers, seed=given.seed)
            outcome = Torture(World(broker, folder, disk), schedule, plan).run()
    finally:
        disk.close()
    for line in lines(outcome):
        print(line)
    if outcome.problems:
        print(f"logs are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
