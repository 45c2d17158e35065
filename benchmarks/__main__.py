"""`python -m benchmarks [--spans N]`: every row measured in the same run on the same topic, ratio first.

`python -m benchmarks writers` is another measurement: several processes on one lake.
"""

import argparse
import json
import sys
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from benchmarks import drain, writers
from tests.brokers.kafka import running_broker, unavailable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=200_000, help="spans a topic")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    arguments = parser.parse_args()
    if why := unavailable():
        raise SystemExit(f"skipped: {why}")
    if not drain.PEERS.is_dir():
        raise SystemExit(f"skipped: the benchmark's spans are made by {drain.PEERS}, which is absent")
    table = Table("ratio", "spans/record", "who", "spans/CPU-s", "CPU s", "wall s", "peak MiB", "bytes/span")
    with running_broker(heap_mib=1024) as broker:
        for row in drain.rows(broker, arguments.spans):
            if arguments.json:
                print(json.dumps(asdict(row)), flush=True)
            peak = "" if row.peak_mib is None else f"{row.peak_mib:.0f}"
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
            figures = (f"{row.spans_per_cpu_s:,}", f"{row.cpu_s:.2f}", f"{row.wall_s:.2f}", peak, f"{row.bytes_per_span:.0f}")
            table.add_row(ratio, str(row.per_record), row.who, *figures)
    if not arguments.json:
        Console(width=140).print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["writers"]:
        del sys.argv[1]
        writers.main()
    else:
        main()
