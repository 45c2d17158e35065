"""Several ingest processes on one lake, in a directory and in S3: what a commit waits for the others, and what it costs.

In: a broker, a place for the lake. Out: rows of a table. Never: a figure of a run in which a record was lost or doubled.
"""

import argparse
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, fields

from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from benchmarks.ingests import ingests, quantile_ms, total
from tests.brokers import s3
from tests.brokers.kafka import Broker, running_broker, unavailable
from tracebraid import connect

PARTITIONS = 16
RECORD = b'{"time":"2026-01-01T00:00:00Z","level":"info","service":"checkout","trace_id":"%032x","message":"order %d was taken in %d ms"}'
RATE = 400  # records a second: so few that the machine's cores are not what is measured
SESSION_MS = 10_000
PHASE_S = 10.0
BACKLOG_S_MAX = 120.0


@dataclass(frozen=True, slots=True)
class Waits:
    """A steady rate for a while. p50_ms, p99_ms: of tracebraid_lake_commit_seconds, interpolated within its buckets.

    stepped_over: commits of others that came between, a cycle; retried: attempts made again from a new snapshot.
    """

    place: str
    processes: int
    flush_age_s: float
    cycles: int
    p50_ms: float
    p99_ms: float
    stepped_over: float
    retried: int
    files: int
    kib_a_file: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """A backlog made before processes that are ready, and drained. wall_s: from then to the last commit; cpu_s: of all processes."""

    place: str
    processes: int
    records: int
    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Handover:
    """How old, at worst, the oldest record of a cycle was when it was committed, among the cycles committed after something happened."""

    place: str
    happened: str
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Place:
    """A lake that is not there yet, and the variables to reach it by."""

    name: str
    lake: str
    environment: Mapping[str, str]


def produce(producer: Producer, topic: str, first: int, last: int) -> None:
    for number in range(first, last):
        while True:
            try:
                producer.produce(topic, RECORD % (number, number, number % 997), partition=number % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
    producer.poll(0)


@contextmanager
def steady(broker: Broker, topic: str) -> Iterator[list[int]]:
    """RATE records a second onto the topic, until the end; then the list holds their number."""
    producer, stop, counted = Producer({**broker.client, "linger.ms": 20}), threading.Event(), [0]

    def keep_producing() -> None:
        began_s = time.monotonic()
        while not stop.wait(0.05):
            due = int((time.monotonic() - began_s) * RATE)
            produce(producer, topic, counted[0], due)
            counted[0] = due

    feeder = threading.Thread(target=keep_producing)
    feeder.start()
    try:
        yield counted
    finally:
        stop.set()
        feeder.join()
        producer.flush(30)


def waits(broker: Broker, place: Place, processes: int, flush_age_s: float, seconds: float) -> Waits:
    """`processes` at a steady rate for so many seconds."""
    topic = broker.create_topic(broker.unique("writers"), PARTITIONS)
    with ingests(broker, topic, place.lake, place.environment, flush_age_s) as running:
        running.start(processes)
        before = running.sums()
        with steady(broker, topic) as counted:
            time.sleep(seconds)
        time.sleep(flush_age_s + 1)
        sums = running.sums()
        sums.subtract(before)
        running.stop()
    _check(place, counted[0])
    broker.delete_topic(topic)
    cycles = total(sums, "tracebraid_lake_commit_seconds_count")
    files = total(sums, "tracebraid_files_written_total")
    return Waits(
        place=place.name,
        processes=processes,
        flush_age_s=flush_age_s,
        cycles=int(cycles),
        p50_ms=quantile_ms(sums, 0.5),
        p99_ms=quantile_ms(sums, 0.99),
        stepped_over=total(sums, "tracebraid_lake_conflicts_total", how="stepped_over") / cycles,
        retried=int(total(sums, "tracebraid_lake_conflicts_total", how="retried")),
        files=int(files),
        kib_a_file=total(sums, "tracebraid_bytes_written_total") / files / 1024,
    )


def backlog(broker: Broker, place: Place, processes: int, records: int) -> Backlog:
    """So many records at once before `processes` that wait for them."""
    topic = broker.create_topic(broker.unique("writers"), PARTITIONS)
    producer = Producer({**broker.client, "compression.type": "lz4", "linger.ms": 50})
    with ingests(broker, topic, place.lake, place.environment, 5.0) as running:
        running.start(processes)
        before = running.sums()
        began_s = time.monotonic()
        produce(producer, topic, 0, records)
        producer.flush(60)
        while (sums := running.sums()) and total(sums, "tracebraid_rows_total", verdict="logs") < records:
            if time.monotonic() - began_s > BACKLOG_S_MAX:
                raise RuntimeError("the backlog is not drained")
            time.sleep(0.2)
        wall_s = time.monotonic() - began_s
        sums.subtract(before)
        running.stop()
    _check(place, records)
    broker.delete_topic(topic)
    return Backlog(place.name, processes, records, wall_s, total(sums, "process_cpu_seconds_total"))


def handovers(broker: Broker, place: Place) -> Iterator[Handover]:
    """Two processes; then a third joins; then one leaves in order; then one is killed, and found missing after the session timeout."""
    topic = broker.create_topic(broker.unique("writers"), PARTITIONS)
    environment = {**place.environment, "TRACEBRAID_CLIENT__SESSION_TIMEOUT_MS": str(SESSION_MS)}
    happened: list[tuple[str, float]] = []
    with ingests(broker, topic, place.lake, environment, 1.0) as running:
        leaver, killed = running.start(2)
        with steady(broker, topic) as counted:
            happened.append(("nothing", time.time()))
            time.sleep(PHASE_S)
            happened.append(("a third joins", time.time()))
            running.start(1)
            time.sleep(PHASE_S)
            happened.append(("one leaves in order", time.time()))
            running.end(leaver, signal.SIGTERM)
            time.sleep(PHASE_S)
            happened.append((f"one is killed, session.timeout.ms {SESSION_MS}", time.time()))
            running.end(killed, signal.SIGKILL)
            time.sleep(PHASE_S + SESSION_MS / 1000)
        time.sleep(3)
        running.stop()
    _check(place, counted[0])
    broker.delete_topic(topic)
    ends = [at for _, at in happened[1:]] + [time.time()]
    oldest = """SELECT max(epoch_us(ingested_at) - epoch_us(kafka_time_min)) / 1e6 FROM intervals
                WHERE kind = 'stored' AND epoch(ingested_at) BETWEEN ? AND ?"""
    with connect(place.lake) as connection:
        for (what, began), ended in zip(happened, ends, strict=True):
            ((oldest_s,),) = connection.execute(oldest, [began, ended]).fetchall()
            yield Handover(place.name, what, oldest_s)


def _check(place: Place, produced: int) -> None:
    os.environ.update(place.environment)
    with connect(place.lake) as connection:
        counts = connection.execute("SELECT count(*), count(DISTINCT (kafka_partition, kafka_offset)) FROM logs").fetchall()
    if counts != [(produced, produced)]:
        raise RuntimeError(f"{produced} records, in the lake {counts}: nothing that was measured holds")


def rows(where: str, processes: int, seconds: float, records: int) -> Iterator[Waits | Backlog | Handover]:
    """`where`: directory or S3."""
    with running_broker() as broker, tempfile.TemporaryDirectory() as directory, s3.running_s3() if where == "S3" else nullcontext() as server:
        names = iter(range(100))

        def place() -> Place:
            name = f"lake-{next(names)}"
            return Place(where, f"s3://{server.bucket}/{name}", server.environment) if server else Place(where, f"{directory}/{name}", {})

        for count, flush_age_s in ((1, 1.0), (processes, 1.0), (processes, 5.0), (processes, 15.0)):
            yield waits(broker, place(), count, flush_age_s, max(seconds, 2 * flush_age_s))
        for count in (1, processes):
            yield backlog(broker, place(), count, records)
        yield from handovers(broker, place())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks writers", description=__doc__)
    parser.add_argument("--place", choices=("directory", "S3"), default="directory", help="where the lake is")
    parser.add_argument("--processes", type=int, default=8, help="against one")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a steady rate, for each row")
    parser.add_argument("--records", type=int, default=400_000, help="of the backlog")
    arguments = parser.parse_args()
    if why := unavailable() or (s3.unavailable() if arguments.place == "S3" else ""):
        raise SystemExit(f"skipped: {why}")
    tables: dict[str, Table] = {}
    for row in rows(arguments.place, arguments.processes, arguments.seconds, arguments.records):
        print(json.dumps(asdict(row)), flush=True)
        table = tables.setdefault(type(row).__name__, Table(*(field.name for field in fields(row))))
        table.add_row(*(f"{value:,.1f}" if isinstance(value, float) else str(value) for value in asdict(row).values()))
    for table in tables.values():
        Console(width=140).print(table)
