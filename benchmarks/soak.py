"""`python -m benchmarks.soak [--minutes N]`: one ingest process at a steady rate, watched from outside: does anything grow?

In: a real broker with a topic of spans and one of logs, 1 % of them damaged. Out: one JSON object; every sample as CSV. Ingest runs with its own
defaults; it is measured by the kernel's account (/proc), its /metrics and the files of the lake. At the end it is terminated under load and started
again to drain what is left; then `tracebraid verify` reads all. Exit code 1 if one of BOUNDS is broken. Linux alone.
"""

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.loads import PEERS
from benchmarks.traffic import PARTITIONS, PER_RECORD, RETENTION_MS, Rates, Traffic, flowing
from tests.brokers.kafka import Broker, free_ports, running_broker, unavailable

EVERY_S = 10.0
WARM_UP_MINUTES = 10.0
FLUSH_AGE_S = 15.0  # the default of ingest.flush_age_s: a cycle is that, and the time of its commit
EXIT_S_MAX = 20.0
TABLES = ("spans", "logs", "rejects", "intervals")
MIB = 1 << 20

# What is asked of a run, after the warm-up. A figure's name, what it must hold, and that in words.
BOUNDS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("retained_bytes_per_million_rows", lambda found: found <= 2 * MIB, "at most 2 bytes of resident memory stay for a row"),
    ("rss_max_mib", lambda found: found < 512, "less than 512 MiB resident at any sample"),
    ("threads_more", lambda found: found <= 1, "no more threads at rest in the last third than in the first"),
    ("descriptors_more", lambda found: found <= 1, "no more open descriptors at rest in the last third than in the first"),
    ("commits_ratio", lambda found: 0.85 <= min(found.values()) <= max(found.values()) <= 1.02, "a commit a table each 15 s, and the time that it takes"),
    ("files_more_than_commits", lambda found: set(found.values()) <= {0, 1}, "one file a commit; one more in the cycle over midnight"),
    ("lag_s_max", lambda found: found <= 60, "never a minute behind"),
    ("lost_offsets", lambda found: found == 0, "retention took nothing unread"),
    ("exit_code", lambda found: found == 0, "SIGTERM under load ends in order"),
    ("exit_s", lambda found: found <= EXIT_S_MAX, "within 20 s"),
    ("records_twice_or_never", lambda found: found == 0, "both processes' records are what the broker took"),
    ("findings", lambda found: found == 0, "verify finds nothing"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One look from outside. Bytes, seconds, counts; lag in offsets over all partitions; files and commits of each table since it was made."""

    at_s: float
    rss: int
    pss: int
    anonymous: int
    threads: int
    descriptors: int
    cpu_s: float
    records: int
    rows: int
    lag: int
    lost: int
    arrow: int
    buffered: int
    cycles: int
    commit_s: float
    series: int
    files_spans: int
    files_logs: int
    files_rejects: int
    files_intervals: int
    commits_spans: int
    commits_logs: int
    commits_rejects: int
    commits_intervals: int


class Watched:
    """One `tracebraid ingest`, and the lake that it fills."""

    def __init__(self, config: Path, port: int, lake: Path, log: Path) -> None:
        self.port, self.lake = port, lake
        self.command = [sys.executable, "-m", "tracebraid", "ingest", "--config", str(config), "--json"]
        self.output, self.log = log.with_suffix(".json"), log
        with self.output.open("wb") as output, log.open("ab") as errors:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=errors, env={**os.environ, "TRACEBRAID_HTTP__PORT": str(port)})
        self.began_s = time.monotonic()

    def sample(self) -> Sample:
        """Raises RuntimeError where it has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"ingest ended with {self.process.returncode}: {self.log.read_text()[-1500:]}")
        process = Path("/proc") / str(self.process.pid)
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        rollup = dict(line.split(":", 1) for line in (process / "smaps_rollup").read_text().splitlines()[1:])
        times = (process / "stat").read_text().rpartition(")")[2].split()
        sums, series = self.metrics()
        return Sample(
            at_s=round(time.monotonic() - self.began_s, 1),
            rss=kib(status["VmRSS"]),
            pss=kib(rollup["Pss"]),
            anonymous=kib(status["RssAnon"]),
            threads=int(status["Threads"]),
            descriptors=len(list((process / "fd").iterdir())),
            cpu_s=(int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"),
            records=int(sums["tracebraid_records_in_total"]),
            rows=int(sums["tracebraid_rows_total"]),
            lag=int(sums["tracebraid_lag_offsets"]),
            lost=int(sums["tracebraid_lost_offsets_total"]),
            arrow=int(sums["tracebraid_arrow_bytes"]),
            buffered=int(sums["tracebraid_buffered_bytes"]),
            cycles=int(sums["tracebraid_lake_commit_seconds_count"]),
            commit_s=round(sums["tracebraid_lake_commit_seconds_sum"], 3),
            series=series,
            **{f"files_{table}": len(data_files(self.lake / table)) for table in TABLES},
            **{f"commits_{table}": len(list((self.lake / table / "_delta_log").glob("*.json"))) for table in TABLES},
        )

    def metrics(self) -> tuple[Counter[str], int]:
        """Every metric, summed over its labels; and how many series there are."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            samples = [each for family in text_string_to_metric_families(answer.read().decode()) for each in family.samples]
        sums: Counter[str] = Counter()
        for each in samples:
            sums[each.name] += each.value
        return sums, len(samples)

    def terminate(self) -> tuple[int, float, dict[str, Any]]:
        """Its exit code, how long that took, and what it says that it did."""
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(120)
        return code, time.monotonic() - began_s, json.loads(self.output.read_text().splitlines()[-1])

    def drain(self) -> dict[str, Any]:
        """Another one, to the end; what it says that it did."""
        return json.loads(subprocess.run([*self.command, "--drain"], capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def kib(text: str) -> int:
    """Bytes, of the kernel's '… kB'."""
    return int(text.split(maxsplit=1)[0]) * 1024


def data_files(table: Path) -> list[Path]:
    return [path for path in table.rglob("*.parquet") if "_delta_log" not in path.parts]


@contextmanager
def watched(broker: Broker, directory: Path, topics: Sequence[str]) -> Iterator[Watched]:
    """An ingest of both topics, ready; killed if it is still there at the end."""
    config, lake = directory / "tracebraid.toml", directory / "lake"
    settings = {"bootstrap_servers": broker.address, "lake": str(lake)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    lines += ["[http]", 'host = "127.0.0.1"', "[stream]", f'rejects_topic = "{topics[0]}.rejects"']
    for topic, encoding in zip(topics, ("otlp_proto", "json"), strict=True):
        lines += ["[[topics]]", f'name = "{topic}"', f'encoding = "{encoding}"']
    config.write_text("\n".join(lines) + "\n")
    ingest = Watched(config, free_ports(1)[0], lake, directory / "ingest.log")
    try:
        yield ingest
    finally:
        if ingest.process.poll() is None:
            ingest.process.kill()
            ingest.process.wait()


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """The median of the slopes between all pairs (Theil and Sen): outliers, up to a good quarter of all, do not move it."""
    first, second = np.triu_indices(len(x), 1)
    run = x[second] - x[first]
    return float(np.median((y[second] - y[first])[run > 0] / run[run > 0]))


def median_mib(samples: Sequence[Sample], of_s: float, to_s: float) -> float:
    return round(float(np.median([each.rss for each in samples if of_s <= each.at_s <= to_s])) / MIB, 1)


def growth(samples: Sequence[Sample], name: str) -> int:
    """The least of the last third less that of the first: what each commit takes for a moment (delta-rs reads its log with many threads) is no growth."""
    values, third = [getattr(each, name) for each in samples], max(1, len(samples) // 3)
    return int(min(values[-third:]) - min(values[:third]))


def at_rest(samples: Sequence[Sample]) -> list[Sample]:
    """Of each minute the sample with the least resident memory: a cycle of 15 s that has just been committed holds next to nothing."""
    minutes: dict[int, Sample] = {}
    for each in samples:
        minutes[int(each.at_s // 60)] = min(minutes.get(int(each.at_s // 60), each), each, key=lambda sample: sample.rss)
    return list(minutes.values())


def figures(samples: Sequence[Sample], warm_up_s: float, rates: Rates) -> dict[str, Any]:
    """What the samples say, those of the warm-up left out."""
    warm = [each for each in samples if each.at_s >= warm_up_s]
    first, last = warm[0], warm[-1]
    seconds, rows, rest = last.at_s - first.at_s, np.array([each.rows for each in warm]) / 1e6, at_rest(warm)
    records, rss = np.array([each.records for each in warm]) / 1e6, np.array([each.rss for each in warm])
    commits = {table: getattr(last, f"commits_{table}") - getattr(first, f"commits_{table}") for table in TABLES}
    return {
        "seconds_after_warm_up": round(seconds),
        "samples": len(warm),
        "records": last.records,
        "rows": last.rows,
        "rows_per_s": round((last.rows - first.rows) / seconds),
        "rows_per_cpu_s": round((last.rows - first.rows) / (last.cpu_s - first.cpu_s)),
        "cpu_cores": round((last.cpu_s - first.cpu_s) / seconds, 3),
        "retained_bytes_per_million_rows": round(slope(rows, rss)),
        "retained_bytes_per_million_records": round(slope(records, rss)),
        "retained_anonymous_bytes_per_million_records": round(slope(records, np.array([each.anonymous for each in warm]))),
        "retained_at_rest_bytes_per_million_rows": round(slope(np.array([each.rows for each in rest]) / 1e6, np.array([each.rss for each in rest]))),
        "rss_begin_mib": median_mib(warm, first.at_s, first.at_s + 120),
        "rss_end_mib": median_mib(warm, last.at_s - 120, last.at_s),
        "rss_at_rest_mib": [round(float(np.median([each.rss for each in part])) / MIB, 1) for part in (rest[:10], rest[-10:])],
        "rss_min_mib": round(min(each.rss for each in warm) / MIB, 1),
        "rss_max_mib": round(max(each.rss for each in samples) / MIB, 1),
        "pss_end_mib": round(last.pss / MIB, 1),
        "threads": [min(each.threads for each in warm), max(each.threads for each in warm)],
        "threads_more": growth(warm, "threads"),
        "descriptors": [min(each.descriptors for each in warm), max(each.descriptors for each in warm)],
        "descriptors_more": growth(warm, "descriptors"),
        "series": [first.series, last.series],
        "commits": commits,
        "commits_ratio": {table: round(count * FLUSH_AGE_S / seconds, 3) for table, count in commits.items()},
        "commit_ms_mean": round(1000 * (last.commit_s - first.commit_s) / (last.cycles - first.cycles)),
        "lag_max": max(each.lag for each in warm),
        "lag_s_max": round(max(each.lag for each in warm) / (rates.spans / PER_RECORD + rates.logs), 1),
        "lost_offsets": last.lost,
    }


def added(table: Path) -> tuple[int, int]:
    """Commits that brought rows, and the files that they brought, by the table's log."""
    actions = [[json.loads(line) for line in path.read_text().splitlines()] for path in sorted((table / "_delta_log").glob("*.json"))]
    files = [sum("add" in action for action in each) for each in actions]
    return sum(map(bool, files)), sum(files)


def verify(ingest: Watched, config: Path) -> dict[str, Any]:
    """What `tracebraid verify` finds, and its summary."""
    done = subprocess.run([sys.executable, "-m", "tracebraid", "verify", "--config", str(config), "--json"], capture_output=True, text=True, check=False)
    if done.returncode > 1 or not done.stdout:
        raise RuntimeError(f"verify failed: {done.stderr[-1500:]}")
    *findings, summary = map(json.loads, done.stdout.splitlines())
    return {"findings": len(findings), "first_findings": findings[:5], "verify": summary}


def soak(broker: Broker, directory: Path, minutes: float, rates: Rates, keep: Callable[[Sample], None]) -> dict[str, Any]:
    """All of it."""
    config = {"retention.ms": str(RETENTION_MS), "segment.bytes": str(16 * MIB), "file.delete.delay.ms": "1000"}
    topics = [broker.create_topic(broker.unique(f"soak-{name}"), PARTITIONS, config) for name in ("spans", "logs")]
    traffic, samples = Traffic(broker, topics[0], topics[1], rates), list[Sample]()
    with watched(broker, directory, topics) as ingest:
        with flowing(traffic):
            time.sleep(EVERY_S)
            while time.monotonic() - ingest.began_s < minutes * 60:
                samples.append(ingest.sample())
                keep(samples[-1])
                time.sleep(EVERY_S - (time.monotonic() - ingest.began_s) % EVERY_S)
            code, exit_s, totals = ingest.terminate()
        rest = ingest.drain()
        found = figures(samples, min(WARM_UP_MINUTES, minutes / 3) * 60, rates)
        files = {table: added(ingest.lake / table) for table in TABLES}
        return {
            "minutes": minutes,
            **found,
            "files": {table: count for table, (_, count) in files.items()},
            "files_more_than_commits": {table: count - commits for table, (commits, count) in files.items()},
            "lake_mib": round(sum(path.stat().st_size for path in ingest.lake.rglob("*") if path.is_file()) / MIB, 1),
            "exit_code": code,
            "exit_s": round(exit_s, 2),
            "sent": traffic.taken,
            "totals": totals,
            "after_restart": rest,
            "records_twice_or_never": totals["records"] + rest["records"] - traffic.taken,
            **verify(ingest, directory / "tracebraid.toml"),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--spans", type=int, default=4_000, help="spans a second")
    parser.add_argument("--logs", type=int, default=400, help="logs a second")
    parser.add_argument("--samples", type=Path, default=Path(os.devnull), help="where every sample goes, as CSV")
    arguments = parser.parse_args()
    if why := unavailable() or ("" if PEERS.is_dir() else f"the spans are made by {PEERS}, which is absent"):
        raise SystemExit(f"skipped: {why}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing is left behind, however we end
    with arguments.samples.open("w", newline="", buffering=1) as file, tempfile.TemporaryDirectory(prefix="tracebraid-soak-") as directory:
        table = csv.DictWriter(file, [field.name for field in fields(Sample)])
        table.writeheader()
        with running_broker(heap_mib=512) as broker:
            rates = Rates(arguments.spans, arguments.logs)
            found = soak(broker, Path(directory), arguments.minutes, rates, lambda sample: table.writerow(asdict(sample)))
    broken = [f"{name}: {words}" for name, holds, words in BOUNDS if not holds(found[name])]
    print(json.dumps({**found, "broken": broken}))
    raise SystemExit(bool(broken))


if __name__ == "__main__":
    main()
