"""Drain one topic of spans from a real broker: into the lake (committed), and by an OpenTelemetry Collector into a file.

In: ../shared/peers (the spans that every measurement uses, and the Collector's build) and a broker. Out: rows of a table.
Skipped by name: the Collector where Go, or the peers' folder, is absent.
"""

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

from confluent_kafka import Producer

from benchmarks.measure import measure, parquet_bytes
from tests.brokers.kafka import Broker

PEERS = Path(__file__).parents[2] / "shared" / "peers"
PER_RECORD = (1, 20, 200, 1000)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ratio`: spans a CPU-second against the Collector's better way to a file, in the same run; None without one."""

    who: str
    per_record: int
    spans: int
    spans_per_cpu_s: int
    cpu_s: float
    wall_s: float
    peak_mib: float | None
    bytes_per_span: float
    ratio: float | None = None


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gen_spans", PEERS / "gen_spans.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def otelcol() -> Path | None:
    """The Collector, built if Go is here; None (and a line that says so) where it cannot be had."""
    if shutil.which("go") is None:
        print("skipped: the Collector (Go is absent)", file=sys.stderr)
        return None
    built = subprocess.run([str(PEERS / "build-collector.sh")], capture_output=True, text=True, check=False)
    if built.returncode:
        print(f"skipped: the Collector (its build failed: {built.stderr.strip().splitlines()[-1]})", file=sys.stderr)
        return None
    return Path(built.stdout.strip().splitlines()[-1])


def fill(broker: Broker, spans: int, per_record: int) -> str:
    """A topic of one partition with `spans` unique spans, lz4."""
    topic = broker.create_topic(broker.unique(f"bench-{per_record}"), 1, {"max.message.bytes": "10000000"})
    producer = Producer({**broker.client, "compression.type": "lz4", "linger.ms": 50, "message.max.bytes": 10_000_000, "queue.buffering.max.kbytes": 1 << 20})
    for value in generator().make(spans, per_record):
        while True:
            try:
                producer.produce(topic, value, partition=0)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()
    return topic


def drain_tracebraid(broker: Broker, topic: str, spans: int, per_record: int) -> Row:
    with tempfile.TemporaryDirectory() as directory:
        lake = Path(directory) / "lake"
        environment = {"TRACEBRAID_BOOTSTRAP_SERVERS": broker.address, "TRACEBRAID_LAKE": str(lake)}
        run = measure([sys.executable, "-m", "tracebraid", "ingest", "--topic", topic, "--encoding", "otlp_proto", "--drain", "--json"], environment)
        kept = json.loads(run.output.splitlines()[-1])["spans"]
        if kept != spans:
            raise RuntimeError(f"{kept} spans kept of {spans}")
        size = parquet_bytes(lake, "spans")
    return Row("tracebraid → lake", per_record, spans, round(spans / run.cpu_s), run.cpu_s, run.wall_s, run.peak_mib, size / spans)


def drain_collector(binary: Path, broker: Broker, topic: str, spans: int, per_record: int, *, batch: bool) -> Row:
    command = [sys.executable, str(PEERS / "measure_collector.py"), "--otelcol", str(binary), "--brokers", broker.address]
    command += ["--topic", topic, "--count", str(spans), "--to", "file-proto", *(["--batch"] if batch else [])]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    if found["count"] != spans:
        raise RuntimeError(f"the Collector accepted {found['count']} of {spans}")
    name = "Collector → file (protobuf, zstd), batch processor" if batch else "Collector → file (protobuf, zstd)"
    return Row(name, per_record, spans, found["per_cpu_s"], found["cpu_s"], found["wall_s"] or 0, None, found["bytes"] / spans)


def rows(broker: Broker, spans: int) -> Iterator[Row]:
    binary = otelcol()
    for per_record in PER_RECORD:
        topic = fill(broker, spans, per_record)
        peers = [drain_collector(binary, broker, topic, spans, per_record, batch=batch) for batch in (False, True)] if binary else []
        ours = drain_tracebraid(broker, topic, spans, per_record)
        best = max((peer.spans_per_cpu_s for peer in peers), default=0)
        broker.delete_topic(topic)
        for row in (ours, *peers):
            yield Row(**{**asdict(row), "ratio": row.spans_per_cpu_s / best if best else None})
