"""What one tick of detect costs: 100,000 series, 20 rules, p99 histograms, baselines and all.

In: nothing; a made-up fleet, always the same. Out: processor seconds to merge a minute's partial windows and to evaluate the window that they
end, and bytes a series. Never: Kafka: its transaction is measured where the job is.
"""

import resource
from dataclasses import dataclass

import click
import numpy as np
import pyarrow as pa

from tracebraid.pipeline.detect.build import EngineSettings
from tracebraid.pipeline.detect.engine import Engine
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.series import series_hash
from tracebraid.pipeline.rules.compile import compile_rule
from tracebraid.pipeline.rules.load import load_rules
from tracebraid.pipeline.rules.measures import Measure, merge_measures
from tracebraid.pipeline.rules.program import Program
from tracebraid.schemas.windows import COLUMN, EXEMPLAR, OBSERVATION, PARTIALS, Watermark

MINUTE_US = 60_000_000
T0_US = 1_700_000_040_000_000
SHARDS = 32
SPANS = 30  # of a series in a minute
BUCKETS = 12  # that they fall into
BY = ("service_name", "route")
BASELINES = 3
RULES = "\n".join(
    [
        *(f"- {{name: slow-{n}, on: spans, by: [service_name, route], when: p99(duration) > {n}s and error_rate > 5%, for: 3m}}" for n in range(1, 8)),
        *(
            f'- {{name: odd-{n}, on: spans, by: [service_name, route], when: "p99(duration) > baseline(p99(duration), sensitivity: {n + 4}, min_count: 20)"}}'
            for n in range(BASELINES)
        ),
        *(f"- {{name: errors-{n}, on: spans, by: [service_name, route], when: errors > {n * 10}, keep_firing_for: 2m}}" for n in range(1, 6)),
        *(f"- {{name: missing-{n}, on: spans, by: [service_name, route], when: missing_trace_id_rate > {n * 10}%}}" for n in range(1, 4)),
        '- {name: rate, on: spans, by: [service_name, route], when: "rate() > 100 or count() < 1"}',
        '- {name: change, on: spans, by: [service_name, route], when: "change(count(), 10m) < -90%"}',
    ]
)


@dataclass(frozen=True)
class Fleet:
    """Series of one measure each minute: the same labels, other numbers."""

    hashes: np.ndarray
    labels: pa.ListArray

    @classmethod
    def of(cls, series: int) -> "Fleet":
        services = pa.array([f"service-{n % 500}" for n in range(series)])
        routes = pa.array([f"/api/v1/resource-{n // 500}/{{id}}" for n in range(series)])
        items = pa.array(np.arange(2 * series)).to_numpy()
        both = pa.concat_arrays([services, routes]).take(pa.array((items % 2) * series + items // 2))
        hashes = np.array([series_hash(BY, each) for each in zip(services.to_pylist(), routes.to_pylist(), strict=True)], np.uint64)
        return cls(hashes, pa.ListArray.from_arrays(pa.array(np.arange(series + 1) * 2, pa.int32()), both))

    def batch(self, measure: Measure, rows: np.ndarray, minute: int, seed: int) -> pa.RecordBatch:
        chance = np.random.default_rng((minute, seed))
        count = len(rows)
        wide = 3 + len(measure.conditions)
        counts = np.zeros((count, wide), np.int64)
        counts[:, 0] = SPANS
        counts[:, 1] = chance.random(count) < 0.01
        columns = len(measure.columns)
        entries = count * columns
        first = chance.integers(900, 920, entries)
        bucket = (first[:, None] + np.arange(BUCKETS) * 3).astype(np.int32).reshape(-1)
        bucket_n = np.full((entries, BUCKETS), SPANS // BUCKETS, np.int64)
        bucket_n[:, 0] += SPANS % BUCKETS
        at = pa.array(np.arange(entries + 1) * BUCKETS, pa.int32())
        number = pa.array(np.full(entries, 1e7))
        fields = [pa.array(np.full(entries, SPANS)), number, number, number, number, pa.array(np.full(entries, T0_US))]
        lists = [pa.ListArray.from_arrays(at, pa.array(bucket)), pa.ListArray.from_arrays(at, pa.array(bucket_n.reshape(-1)))]
        numbers = pa.StructArray.from_arrays([*fields, *lists], fields=list(COLUMN))
        exemplar = pa.StructArray.from_arrays(
            [pa.array([f"{n:032x}" for n in rows.tolist()]), pa.array(np.full(count, 1e7)), pa.array(np.zeros(count, bool))], fields=list(EXEMPLAR)
        )
        none = pa.ListArray.from_arrays(pa.array(np.zeros(count + 1), pa.int32()), pa.array([], OBSERVATION))
        arrays = [
            pa.array(np.full(count, measure.id, np.uint64)),
            pa.array(self.hashes[rows]),
            self.labels.take(pa.array(rows)),
            pa.array(np.full(count, T0_US + minute * MINUTE_US)),
            pa.ListArray.from_arrays(pa.array(np.arange(count + 1) * wide, pa.int32()), pa.array(counts.reshape(-1))),
            pa.ListArray.from_arrays(pa.array(np.arange(count + 1) * columns, pa.int32()), numbers),
            pa.ListArray.from_arrays(pa.array(np.arange(count + 1), pa.int32()), exemplar),
            none,
        ]
        return pa.record_batch([array.cast(kind) for array, kind in zip(arrays, PARTIALS.types, strict=True)], schema=PARTIALS)


def fed(engine: Engine, fleet: Fleet, measures: list[Measure], minute: int) -> None:
    """A minute's partial windows of all shards."""
    shard = fleet.hashes % np.uint64(SHARDS)
    for number in range(SHARDS):
        rows = np.flatnonzero(shard == number)
        batch = pa.Table.from_batches([fleet.batch(each, rows, minute, number) for each in measures]).combine_chunks().to_batches()[0]
        engine.merge(number, ("kafka", "spans", "id", 0), minute, minute + 1, batch)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def spent_s() -> float:
    """Of the processor, by this process: others on the machine do not count."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@click.command()
@click.option("--series", default=100_000, show_default=True)
@click.option("--minutes", default=12, show_default=True, help="Windows evaluated; the first ones fill the memory.")
def main(series: int, minutes: int) -> None:
    """Merge and evaluate minute after minute, then save one shard and restore it."""
    clock = Clock()
    programs: list[Program] = [compile_rule(rule) for rule in load_rules(RULES, "benchmark")]
    measures = merge_measures(measure for program in programs for measure in program.measures)
    fleet = Fleet.of(series)
    engine = Engine(programs, EngineSettings(shards=SHARDS))
    click.echo(f"{series} series, {len(programs)} rules on {len(measures)} measures, {SPANS} spans a series and minute in {BUCKETS} buckets")
    ticks = []
    for minute in range(minutes):
        fed(engine, fleet, measures, minute)
        start = spent_s()
        engine.tick()
        merged, began = spent_s(), clock.monotonic_s()
        told = [Watermark("kafka", "spans", "id", 0, minute + 1, T0_US + (minute + 1) * MINUTE_US + 10_000_000, False)]
        for shard in range(SHARDS):
            engine.watermark(shard, told)
        found = engine.tick()
        ticks.append(spent_s() - merged)
        wall_s = clock.monotonic_s() - began
        click.echo(f"minute {minute}: merge {merged - start:.2f} s, evaluate {ticks[-1]:.2f} s ({wall_s:.2f} s by the wall), {len(found)} transitions")
    held = engine.stats().bytes / series
    click.echo(
        f"evaluate, median of the second half: {np.median(ticks[minutes // 2 :]):.2f} s; {held:.0f} bytes a series, process {peak_mib():.0f} MiB at most"
    )
    start = spent_s()
    saved = [engine.snapshot(shard) for shard in range(SHARDS)]
    done = spent_s()
    size = sum(len(value) for parts in saved for _, value in parts)
    fresh = Engine(programs, EngineSettings(shards=SHARDS))
    for shard, parts in enumerate(saved):
        fresh.restore(shard, parts)
    click.echo(f"snapshot {done - start:.1f} s, {size / series:.0f} bytes a series in {sum(map(len, saved))} chunks; restore {spent_s() - done:.1f} s")


if __name__ == "__main__":
    main()
