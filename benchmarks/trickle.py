"""`python -m benchmarks.trickle [--records R] [--partitions P]`: what ingest costs where little comes: most topics are quiet most of the time.

In: a real broker, the spans that every measurement uses, at a steady rate. Out: one JSON object: the share of a core that `tracebraid ingest` takes as it
ships, with partial windows, once it has warmed up. Never: a part timed within a process.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka import Producer

from benchmarks.latency import cpu_s
from benchmarks.loads import PEERS, generator
from tests.brokers.kafka import running_broker, unavailable
from tests.kernels import made

WARM_S = 12.0
DISTINCT_SPANS = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=float, default=300, help="records a second (default 300)")
    parser.add_argument("--per-record", type=int, default=10, help="spans in each (default 10)")
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=30, help="that are measured, after some to warm up (default 30)")
    given = parser.parse_args()
    if why := unavailable() or ("" if PEERS.is_dir() else f"the spans are made by {PEERS}, which is absent"):
        raise SystemExit(f"skipped: {why}")
    made()  # compiling is no part of it
    values = itertools.cycle(generator().make(DISTINCT_SPANS, given.per_record))
    with running_broker(heap_mib=512) as broker, tempfile.TemporaryDirectory() as directory:
        topic = broker.create_topic(broker.unique("trickle"), given.partitions)
        producer = Producer({**broker.client, "compression.type": "lz4", "linger.ms": 5})
        settings = {"TRACEBRAID_BOOTSTRAP_SERVERS": broker.address, "TRACEBRAID_LAKE": str(Path(directory) / "lake"), "TRACEBRAID_LOG__LEVEL": "warning"}
        command = [sys.executable, "-m", "tracebraid", "ingest", "--topic", topic]
        ingest = subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.DEVNULL)
        began_s, before = time.monotonic(), 0.0
        for number in itertools.count():
            due_s = number / given.records
            if due_s >= WARM_S and not before:
                before = cpu_s(ingest)
            if due_s >= WARM_S + given.seconds:
                break
            time.sleep(max(0.0, began_s + due_s - time.monotonic()))
            producer.produce(topic, next(values), partition=number % given.partitions)
            producer.poll(0)
        share = (cpu_s(ingest) - before) / given.seconds
        producer.flush()
        ingest.terminate()
        if ingest.wait(60):
            raise SystemExit("ingest failed")
    rate = given.records * given.per_record
    print(json.dumps({"spans_per_s": rate, "partitions": given.partitions, "core_share": round(share, 3), "us_per_span": round(share / rate * 1e6, 1)}))


if __name__ == "__main__":
    main()
