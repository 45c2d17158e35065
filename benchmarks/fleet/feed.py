"""Fleets → the engine as it ships, with the starter rules as they ship; minute after minute, event time alone.

In: worlds. Out: the transitions. Never: rows one by one: partial windows are made from counts, with the histogram that ingest has, all fleets side by side in
one engine. No series of one fleet bears on one of another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from benchmarks.fleet import parameters as p
from benchmarks.fleet.traffic import Counted, Ints, counted, requests
from benchmarks.fleet.world import TOTAL, World
from tracebraid.pipeline.detect.build import EngineSettings
from tracebraid.pipeline.detect.engine import Engine
from tracebraid.pipeline.detect.transitions import Transition
from tracebraid.pipeline.kernel.series import series_hash
from tracebraid.pipeline.rules.compile import compile_rule
from tracebraid.pipeline.rules.load import load_rules, starter_text
from tracebraid.pipeline.rules.measures import Measure, merge_measures
from tracebraid.pipeline.rules.program import Program
from tracebraid.schemas.windows import COLUMN, EXEMPLAR, OBSERVATION, PARTIALS, Watermark

MINUTE_US = 60_000_000
BLOCK = 60  # minutes made at once
SOURCE = ("kafka", "fleet", "id", 0)
BY_ROUTE = ("service_name", "route")


@dataclass(frozen=True)
class Labeled:
    """Series of one `by`, of all fleets: hashes and labels; starts: where each fleet's begin."""

    hashes: "np.ndarray[tuple[int], np.dtype[np.uint64]]"
    labels: pa.ListArray
    starts: Ints

    @classmethod
    def of(cls, by: tuple[str, ...], labels: Sequence[Sequence[tuple[str, ...]]]) -> "Labeled":
        flat = [each for fleet in labels for each in fleet]
        hashes = np.array([series_hash(by, each) for each in flat], np.uint64)
        return cls(hashes, pa.array([list(each) for each in flat], pa.list_(pa.string())), np.cumsum([0, *map(len, labels)]))


def labeled(worlds: Sequence[World]) -> dict[tuple[str, ...], Labeled]:
    """By what rules group by: all series of all fleets, those of one fleet together."""
    routes = [[(each.name(int(service)), f"/r{number}") for number, service in enumerate(each.service)] for each in worlds]
    services = [[(each.name(service),) for service in range(each.services)] for each in worlds]
    return {BY_ROUTE: Labeled.of(BY_ROUTE, routes), BY_ROUTE[:1]: Labeled.of(BY_ROUTE[:1], services)}


def batch(measure: Measure, names: Labeled, worlds: Sequence[World], blocks: Sequence[Counted], minute: int) -> pa.RecordBatch:
    """PARTIALS of one measure and minute, which is in the blocks. What no starter rule asks of a column is null."""
    place = minute % BLOCK
    counts, rows = _counts(measure, worlds, blocks, place)
    size = len(rows)
    arrays = [
        pa.array(np.full(size, measure.id, np.uint64)),
        pa.array(names.hashes[rows]),
        names.labels.take(pa.array(rows)),
        pa.array(np.full(size, p.START_US + minute * MINUTE_US)),
        pa.ListArray.from_arrays(pa.array(np.arange(size + 1) * counts.shape[1], pa.int32()), pa.array(counts.reshape(-1))),
        _columns(names, blocks, rows, counts[:, 0], place) if measure.columns else _none(size, COLUMN),
        _none(size, EXEMPLAR),
        _none(size, OBSERVATION),
    ]
    return pa.record_batch([array.cast(kind) for array, kind in zip(arrays, PARTIALS.types, strict=True)], schema=PARTIALS)


def _counts(measure: Measure, worlds: Sequence[World], blocks: Sequence[Counted], place: int) -> tuple[Ints, Ints]:
    """(counts of the series that have rows, their numbers)."""
    if measure.signal == "logs":
        lines, missing, failed = (np.concatenate([getattr(each, name)[place] for each in blocks]) for name in ("lines", "lines_missing", "lines_failed"))
        found = np.column_stack((lines, failed, missing, *([failed] if measure.conditions else [])))
    else:
        found = np.column_stack([_spans(each, world, measure, place) for each, world in zip(blocks, worlds, strict=True)]).T
    rows = np.flatnonzero(found[:, 0])
    return found[rows], rows


def _spans(block: Counted, world: World, measure: Measure, place: int) -> Ints:
    """[3, series]: rows, errors, and none without a trace id."""
    found = np.zeros((3, len(world.service)), np.int64)
    found[0], found[1] = block.rows[place], block.errors[place]
    if measure.by == BY_ROUTE:
        return found
    return np.stack([np.bincount(world.service, each, world.services).astype(np.int64) for each in found])


def _none(size: int, kind: pa.DataType) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(np.zeros(size + 1), pa.int32()), pa.array([], kind))


def _columns(names: Labeled, blocks: Sequence[Counted], rows: Ints, n: Ints, place: int) -> pa.ListArray:
    spans = [slice(int(each.edges[place]), int(each.edges[place + 1])) for each in blocks]
    route = np.concatenate([each.route[span] + start for each, span, start in zip(blocks, spans, names.starts, strict=False)])
    bucket, bucket_n = (np.concatenate([getattr(each, name)[span] for each, span in zip(blocks, spans, strict=True)]) for name in ("bucket", "n"))
    edges = pa.array(np.append(np.searchsorted(route, rows), len(route)), pa.int32())
    lists = [pa.ListArray.from_arrays(edges, pa.array(bucket, pa.int32())), pa.ListArray.from_arrays(edges, pa.array(bucket_n, pa.int64()))]
    unasked = [pa.nulls(len(rows), each.type) for each in list(COLUMN)[1:6]]
    numbers = pa.StructArray.from_arrays([pa.array(n), *unasked, *lists], fields=list(COLUMN))
    return pa.ListArray.from_arrays(pa.array(np.arange(len(rows) + 1), pa.int32()), numbers)


def starter(rules: str = "") -> list[Program]:
    """rules: text in place of the starter rules that ship."""
    return [compile_rule(rule) for rule in load_rules(rules or starter_text(), "starter.yaml")]


def run(worlds: Sequence[World], rules: str = "", *, say: Callable[[int], None] = lambda minute: None, total: int = TOTAL) -> list[Transition]:
    """All that the engine told, of `total` minutes."""
    programs = starter(rules)
    measures = merge_measures(measure for program in programs for measure in program.measures)
    engine, names = Engine(programs, EngineSettings(shards=1)), labeled(worlds)
    found: list[Transition] = []
    blocks: list[Counted] = []
    for minute in range(total):
        if minute % BLOCK == 0:
            blocks = [counted(each, requests(each, minute, min(BLOCK, TOTAL - minute)), min(BLOCK, TOTAL - minute)) for each in worlds]
            say(minute)
        parts = [batch(each, names[each.by], worlds, blocks, minute) for each in measures]
        engine.merge(0, SOURCE, minute, minute + 1, pa.Table.from_batches(parts).combine_chunks().to_batches()[0])
        engine.watermark(0, [Watermark(*SOURCE, minute + 1, p.START_US + (minute + 1) * MINUTE_US + 10_000_000, False)])
        found += engine.tick()
    return found
