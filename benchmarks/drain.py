"""Drain one topic of a real broker: into the lake (committed), and by an OpenTelemetry Collector into a file.

In: a load of benchmarks/loads.py, ../shared/peers (the Collector's build, and how it is measured) and a broker. Out: rows of a table.
Skipped by name: the Collector where it has not been built and Go is absent. Never: a figure of a drain that kept another number of rows; machine code
that is compiled within a measured run.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from confluent_kafka import Producer

from benchmarks.loads import PEERS, Load
from benchmarks.measure import measure, parquet_bytes
from tests.brokers.kafka import Broker

BUILT = Path.home() / ".cache" / "tracebraid" / "peers" / "otelcol"
_WARM_ROWS = 20_000
# How tracebraid is run: as it ships (rejects, watermarks and partial windows are published beside the lake), and with parts of that switched off.
OURS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("tracebraid → lake", {"TRACEBRAID_STREAM__ENABLED": "false"}),
    ("tracebraid → lake, and windows", {}),
    ("tracebraid → lake, reference decoders", {"TRACEBRAID_STREAM__ENABLED": "false", "TRACEBRAID_INGEST__KERNELS": "false"}),
)
# How the Collector is run: (name, where to, with its batch processor). The first two are what ratios are to.
THEIRS = (
    ("Collector → file (protobuf, zstd)", "file-proto", False),
    ("Collector → file (protobuf, zstd), batch processor", "file-proto", True),
    ("Collector → file (JSON, zstd)", "file-json", False),
    ("Collector → file (JSON, zstd), batch processor", "file-json", True),
    ("Collector → nop", "nop", False),
)
_RATIO_TO = frozenset(name for name, to, _ in THEIRS if to == "file-proto")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. rows: spans or logs. `ratio`: rows a CPU-second against the Collector's better way to a protobuf file, in the same run."""

    who: str
    load: str
    rows: int
    per_cpu_s: int
    cpu_s: float
    wall_s: float
    peak_mib: float
    bytes_per_row: float
    ratio: float | None = None


def otelcol() -> Path | None:
    """The Collector, built if Go is here; None (and a line that says so) where it cannot be had."""
    if os.access(BUILT, os.X_OK):
        return BUILT
    if shutil.which("go") is None:
        print("skipped: the Collector (Go is absent)", file=sys.stderr)
        return None
    built = subprocess.run([str(PEERS / "build-collector.sh")], capture_output=True, text=True, check=False)
    if built.returncode:
        print(f"skipped: the Collector (its build failed: {built.stderr.strip().splitlines()[-1]})", file=sys.stderr)
        return None
    return Path(built.stdout.strip().splitlines()[-1])


@dataclass(frozen=True, slots=True)
class Filled:
    """A topic of one partition with `rows` rows of a load."""

    broker: Broker
    topic: str
    load: Load
    rows: int


@contextmanager
def filled(broker: Broker, load: Load, rows: int) -> Iterator[Filled]:
    """lz4; `rows`, or a few more where the last record holds more. Gone at the end."""
    topic = broker.create_topic(broker.unique("bench"), 1, {"max.message.bytes": "10000000"})
    yield Filled(broker, topic, load, fill(broker, topic, load.make(rows)))
    broker.delete_topic(topic)


def fill(broker: Broker, topic: str, records: Iterable[tuple[bytes, int]]) -> int:
    """How many rows were put onto the topic's first partition."""
    producer = Producer({**broker.client, "compression.type": "lz4", "linger.ms": 50, "message.max.bytes": 10_000_000, "queue.buffering.max.kbytes": 1 << 18})
    made = 0
    for value, size in records:
        made += size
        while True:
            try:
                producer.produce(topic, value, partition=0)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()
    return made


def drain_tracebraid(on: Filled, how: tuple[str, Mapping[str, str]], before: Sequence[str] = ()) -> Row:
    """`before`: a command that starts another."""
    name, environment = how
    with tempfile.TemporaryDirectory() as directory:
        lake = Path(directory) / "lake"
        variables = {"TRACEBRAID_BOOTSTRAP_SERVERS": on.broker.address, "TRACEBRAID_LAKE": str(lake), "TRACEBRAID_LOG__LEVEL": "warning", **environment}
        command = [*before, sys.executable, "-m", "tracebraid", "ingest", "--topic", on.topic, "--encoding", on.load.encoding, "--drain", "--json"]
        run = measure(command, variables)
        kept = json.loads(run.output.splitlines()[-1])[on.load.table]
        if kept != on.rows:
            raise RuntimeError(f"{name}: {kept} rows kept of {on.rows}")
        size = parquet_bytes(lake, on.load.table)
    return Row(name, on.load.name, on.rows, round(on.rows / run.cpu_s), run.cpu_s, run.wall_s, run.peak_mib, size / max(on.rows, 1))


def drain_collector(binary: Path, on: Filled, how: tuple[str, str, bool]) -> Row:
    name, to, batch = how
    command = [sys.executable, str(PEERS / "measure_collector.py"), "--otelcol", str(binary), "--brokers", on.broker.address, "--limit-s", "900"]
    command += ["--topic", on.topic, "--count", str(on.rows), "--to", to, *(["--batch"] if batch else [])]
    command += ["--signal", "traces" if on.load.table == "spans" else "logs", "--encoding", on.load.peer_encoding]
    run = measure(command)
    found = json.loads(run.output.splitlines()[-1])
    if found["count"] != on.rows:
        raise RuntimeError(f"{name} accepted {found['count']} of {on.rows}")
    return Row(name, on.load.name, on.rows, found["per_cpu_s"], found["cpu_s"], found["wall_s"] or 0, run.child_peak_mib, found["bytes"] / on.rows)


def warm(broker: Broker, load: Load) -> None:
    """One small drain that is not measured: what kernels it needs are compiled then, and kept on disk."""
    with filled(broker, load, _WARM_ROWS) as on:
        drain_tracebraid(on, ("warm", {}))


def rows(broker: Broker, loads: Sequence[Load], count: int) -> Iterator[Row]:
    """Of one load after the other: everybody on the same topic, one at a time."""
    binary = otelcol()
    for load in loads:
        warm(broker, load)
        with filled(broker, load, count) as on:
            found = [drain_collector(binary, on, how) for how in THEIRS] if binary else []
            best = max((row.per_cpu_s for row in found if row.who in _RATIO_TO), default=0)
            found = [*(drain_tracebraid(on, how) for how in OURS), *found]
        for row in found:
            yield replace(row, ratio=row.per_cpu_s / best if best else None)


def pinned(broker: Broker, load: Load, count: int) -> Iterator[Row]:
    """tracebraid on one core, then on two; ratio: of its wall time. The broker has no cores of its own: on two, the consumer shares one with it."""
    warm(broker, load)
    with filled(broker, load, count) as on:
        one = drain_tracebraid(on, ("tracebraid → lake, one core", OURS[0][1]), ("taskset", "-c", "0"))
        two = drain_tracebraid(on, ("tracebraid → lake, two cores", OURS[0][1]), ("taskset", "-c", "0,1"))
    yield replace(one, ratio=1.0)
    yield replace(two, ratio=one.wall_s / two.wall_s)
