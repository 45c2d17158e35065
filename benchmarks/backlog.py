"""`python -m benchmarks.backlog [--spans N]`: a consumer that comes to a long backlog: does its memory hold?

In: a real broker, the spans that every measurement uses (repeated: their ids do not matter here). Out: one JSON object. Peak memory is
that of the whole `tracebraid ingest` process, by the kernel's account.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from confluent_kafka import Producer

from benchmarks.loads import PEERS, generator
from benchmarks.measure import measure, parquet_bytes
from tests.brokers.kafka import Broker, running_broker, unavailable

PER_RECORD = 200
DISTINCT_SPANS = 100_000


def fill(broker: Broker, topic: str, spans: int) -> int:
    """The number of spans that were put onto the topic's partitions in turn: `spans`, or a little more."""
    values = generator().make(DISTINCT_SPANS, PER_RECORD)
    records = -(-spans // PER_RECORD)
    producer = Producer({**broker.client, "compression.type": "lz4", "linger.ms": 50, "queue.buffering.max.kbytes": 1 << 18})
    for number in range(records):
        while True:
            try:
                producer.produce(topic, values[number % len(values)], partition=number % 6)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()
    return records * PER_RECORD


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=10_000_000)
    arguments = parser.parse_args()
    if why := unavailable() or ("" if PEERS.is_dir() else f"the spans are made by {PEERS}, which is absent"):
        raise SystemExit(f"skipped: {why}")
    with running_broker(heap_mib=1024) as broker, tempfile.TemporaryDirectory() as directory:
        topic = broker.create_topic(broker.unique("backlog"), 6)
        spans = fill(broker, topic, arguments.spans)
        environment = {"TRACEBRAID_BOOTSTRAP_SERVERS": broker.address, "TRACEBRAID_LAKE": str(Path(directory) / "lake"), "TRACEBRAID_LOG__LEVEL": "warning"}
        run = measure([sys.executable, "-m", "tracebraid", "ingest", "--topic", topic, "--drain", "--json"], environment)
        totals = json.loads(run.output.splitlines()[-1])
        if totals["spans"] != spans:
            raise SystemExit(f"{totals['spans']} spans kept of {spans}")
        size = parquet_bytes(Path(directory) / "lake", "spans")
    figures = {"spans": spans, "peak_mib": round(run.peak_mib), "cpu_s": round(run.cpu_s, 1), "wall_s": round(run.wall_s, 1), "commits": totals["cycles"]}
    print(json.dumps({**figures, "spans_per_cpu_s": round(spans / run.cpu_s), "bytes_per_span": round(size / spans, 1)}))


if __name__ == "__main__":
    main()
