"""`python -m benchmarks.detect_job`: a minute's evaluation and its transaction, and a new start, of the job itself: 100,000 series, 20 rules.

In: a broker. Out: one JSON object. The partial windows are those of benchmarks/detect.py, written as ingest writes them; the job's own metrics and the
kernel's account tell what it took. Never: ingest.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
from confluent_kafka import Consumer, Producer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.detect import MINUTE_US, RULES, SHARDS, T0_US, Fleet
from benchmarks.latency import cpu_s
from tests.brokers.kafka import Broker, free_ports, running_broker, unavailable
from tracebraid.pipeline.rules.compile import compile_rule
from tracebraid.pipeline.rules.load import load_rules
from tracebraid.pipeline.rules.measures import Measure, merge_measures
from tracebraid.schemas.windows import KIND_HEADER, SOURCE_HEADER, VERSION, VERSION_HEADER, Watermark

SOURCE = ("kafka", "spans", "id", 0)
TOPIC = "tracebraid.windows"
WAIT_S = 120.0


class Feeder:
    """What ingest would write: partial windows to their shards, then watermarks to all."""

    def __init__(self, broker: Broker, series: int) -> None:
        config = {**broker.client, "compression.type": "zstd", "linger.ms": 50, "message.max.bytes": 10_000_000, "queue.buffering.max.kbytes": 1 << 20}
        self.producer, self.fleet = Producer(config), Fleet.of(series)
        self.measures: list[Measure] = merge_measures(measure for rule in load_rules(RULES, "benchmark") for measure in compile_rule(rule).measures)

    def minute(self, minute: int) -> None:
        shard = self.fleet.hashes % np.uint64(SHARDS)
        for number in range(SHARDS):
            rows = np.flatnonzero(shard == number)
            for part, measure in enumerate(self.measures):
                self._partials(number, minute, part, self.fleet.batch(measure, rows, minute, number))
        self.producer.flush(60)

    def _partials(self, shard: int, minute: int, part: int, batch: pa.RecordBatch) -> None:
        names = ("cluster", "topic", "topic_id", "partition")
        source = dict(zip(names, SOURCE, strict=True)) | {"first_offset": minute, "next_offset": minute + 1, "part": part}
        headers = [(KIND_HEADER, b"partials"), (VERSION_HEADER, str(VERSION).encode()), (SOURCE_HEADER, json.dumps(source).encode())]
        self.producer.produce(TOPIC, batch.serialize().to_pybytes(), partition=shard, headers=headers)

    def watermark(self, minute: int) -> None:
        told = Watermark(*SOURCE, minute + 1, T0_US + (minute + 1) * MINUTE_US + 10_000_000, False)
        value = json.dumps({"kind": "watermarks", "version": VERSION, "sources": [asdict(told)]}).encode()
        for shard in range(SHARDS):
            self.producer.produce(TOPIC, value, partition=shard)
        self.producer.flush(60)


class Job:
    """One `tracebraid detect`."""

    def __init__(self, broker: Broker, config: Path) -> None:
        self.config, self.port = config, free_ports(1)[0]
        self.consumer = Consumer({**broker.client, "group.id": f"tracebraid-detect-{TOPIC}"})
        self.places = [TopicPartition(TOPIC, number) for number in range(SHARDS)]

    def start(self) -> None:
        command = [sys.executable, "-m", "tracebraid", "detect", "--config", str(self.config)]
        with self.config.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def end(self) -> float:
        """Orderly; seconds."""
        began_s = time.monotonic()
        self.process.terminate()
        if code := self.process.wait(120):
            raise RuntimeError(f"detect ended with {code}: {self.config.with_suffix('.log').read_text()[-1500:]}")
        return time.monotonic() - began_s

    def caught_up(self) -> None:
        """Wait until its group stands at the end of every shard. Raises RuntimeError where it does not."""
        ends = {each.partition: self.consumer.get_watermark_offsets(each, timeout=10)[1] for each in self.places}
        deadline_s = time.monotonic() + WAIT_S
        while any(each.offset < ends[each.partition] for each in self.consumer.committed(self.places, timeout=10)):
            if time.monotonic() > deadline_s or self.process.poll() is not None:
                raise RuntimeError(f"detect does not come to the end: {self.config.with_suffix('.log').read_text()[-1500:]}")
            time.sleep(0.02)

    def metrics(self) -> Counter[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            sums: Counter[str] = Counter()
            for family in text_string_to_metric_families(answer.read().decode()):
                for sample in family.samples:
                    sums[sample.name] += sample.value
            return sums

    def ready(self) -> None:
        deadline_s = time.monotonic() + WAIT_S
        while time.monotonic() < deadline_s:
            try:
                if self.metrics()["tracebraid_detect_shards"] == SHARDS:
                    return
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.05)
        raise RuntimeError(f"detect does not get its shards: {self.config.with_suffix('.log').read_text()[-1500:]}")


def settings(broker: Broker, directory: Path, port: int) -> None:
    (directory / "rules.yaml").write_text(RULES)
    lines = [f'bootstrap_servers = "{broker.address}"', f'lake = "{directory / "lake"}"', "[rules]", "starter = false"]
    lines += [f'files = ["{directory / "rules.yaml"}"]', "[http]", 'host = "127.0.0.1"', f"port = {port}", "[log]", 'level = "warning"']
    (directory / "tracebraid.toml").write_text("\n".join(lines) + "\n")


def tick(job: Job, feeder: Feeder, minute: int) -> dict[str, float]:
    """Seconds of one minute: merged (processor), and from the watermark's message to the committed transaction, by the wall and by the processor."""
    before = cpu_s(job.process)
    feeder.minute(minute)
    job.caught_up()
    merged, began_s = cpu_s(job.process), time.monotonic()
    old = job.metrics()
    feeder.watermark(minute)
    job.caught_up()
    wall_s, new = time.monotonic() - began_s, job.metrics()
    inside = sum(new[name] - old[name] for name in ("tracebraid_detect_tick_seconds_sum", "tracebraid_detect_transaction_seconds_sum"))
    return {"merge_cpu_s": merged - before, "wall_s": wall_s, "tick_and_transaction_s": inside, "cpu_s": cpu_s(job.process) - merged}


@click.command()
@click.option("--series", default=100_000, show_default=True)
@click.option("--minutes", default=12, show_default=True, help="Windows evaluated; the second half is told of.")
def main(series: int, minutes: int) -> None:
    """Feed a detect minute by minute, end it, start it again."""
    if why := unavailable():
        raise SystemExit(f"skipped: {why}")
    with running_broker(heap_mib=1024) as broker, tempfile.TemporaryDirectory(prefix="tracebraid-detect-") as directory:
        broker.create_topic(TOPIC, SHARDS, {"max.message.bytes": "10000000"})
        job, feeder, found = Job(broker, Path(directory) / "tracebraid.toml"), Feeder(broker, series), list[dict[str, float]]()
        settings(broker, Path(directory), job.port)
        job.start()
        try:
            job.ready()
            for minute in range(minutes):
                found.append(tick(job, feeder, minute))
                click.echo(f"minute {minute}: { ({name: round(value, 2) for name, value in found[-1].items()}) }", err=True)
            held = job.metrics()
            ended_s, began_s = job.end(), time.monotonic()
            job.start()
            job.ready()
            assigned_s = time.monotonic() - began_s
            tick(job, feeder, minutes)
            again_s, series_again = time.monotonic() - began_s, job.metrics()["tracebraid_detect_series"]
        finally:
            if job.process.poll() is None:
                job.process.kill()
                job.process.wait()
    late = found[minutes // 2 :]
    told: dict[str, Any] = {name: round(float(np.median([each[name] for each in late])), 2) for name in late[0]}
    told |= {
        "wall_s_max": round(max(each["wall_s"] for each in late), 2),
        "series": int(held["tracebraid_detect_series"]),
        "series_after_restart": int(series_again),
    }
    told |= {"resident_mib": round(held["process_resident_memory_bytes"] / 2**20), "end_s": round(ended_s, 1)}
    click.echo(json.dumps({**told, "restart_to_shards_s": round(assigned_s, 1), "restart_and_next_tick_s": round(again_s, 1)}))


if __name__ == "__main__":
    main()
