"""`python -m benchmarks [--spans N] [--quick]`: every row measured in the same run on the same topic, ratio first.

    --only WORD...   loads whose names begin so ("spans, 200", "logs of zap"); all without it
    --cores          the wall time on two cores against one instead
    --json           one JSON object a row

`python -m benchmarks writers` is another measurement: several processes on one lake.
"""

import argparse
import json
import shutil
import sys
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from benchmarks import drain, writers
from benchmarks.loads import LOADS, PEERS
from tests.brokers.kafka import running_broker, unavailable

QUICK = 200_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=2_000_000, help="spans, or logs, a topic")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,}: what starting costs is then a large part of it")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD")
    parser.add_argument("--cores", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    count = QUICK if arguments.quick else arguments.spans
    loads = [load for load in LOADS if not arguments.only or load.name.startswith(tuple(arguments.only))]
    if why := unavailable() or ("" if PEERS.is_dir() else f"the benchmark's spans are made by {PEERS}, which is absent"):
        raise SystemExit(f"skipped: {why}")
    if arguments.cores and shutil.which("taskset") is None:
        raise SystemExit("skipped: taskset, of util-linux, is absent")
    print("a small drain of each load comes first, unmeasured: kernels are compiled then", file=sys.stderr)
    table = Table("ratio", "load", "who", "a CPU-s", "CPU s", "wall s", "peak MiB", "bytes each")
    with running_broker(heap_mib=1024) as broker:
        found = (row for load in loads for row in drain.pinned(broker, load, count)) if arguments.cores else drain.rows(broker, loads, count)
        for row in found:
            if arguments.json:
                print(json.dumps(asdict(row)), flush=True)
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            figures = (f"{row.per_cpu_s:,}", f"{row.cpu_s:.2f}", f"{row.wall_s:.2f}", f"{row.peak_mib:.0f}", f"{row.bytes_per_row:.0f}")
            table.add_row(ratio, row.load, row.who, *figures)
    if not arguments.json:
        Console(width=160).print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["writers"]:
        del sys.argv[1]
        writers.main()
    else:
        main()
