"""`python -m benchmarks.fleet.evidence`: how often the evidence of a fault's alerts names the service at fault.

In: numbers of fleets. Out: a table, or JSON. Each found fault's alerts, as the engine and the starter rules told them, are explained as the product explains
them: traces are written to a lake by its store, looked up by its queries, judged by pipeline/explain. Never: a word to explain of what is known.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from benchmarks.fleet import parameters as p
from benchmarks.fleet.__main__ import seeds_of
from benchmarks.fleet.around import MINUTE_US, Around, around, batches
from benchmarks.fleet.feed import run
from benchmarks.fleet.score import alerts, score
from benchmarks.fleet.world import KINDS, Happening, World, world
from tracebraid.pipeline.detect.told import told
from tracebraid.pipeline.detect.transitions import Transition
from tracebraid.pipeline.explain.evidence import evidence
from tracebraid.pipeline.explaining import Looking
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.query.snapshot import take
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.ledger import Cycle, Interval

OWNER = Partition("fleet", "fleet", "id", 0)
COLUMNS = {"kafka_cluster": OWNER.cluster, "kafka_topic": OWNER.topic, "kafka_topic_id": OWNER.topic_id, "kafka_partition": OWNER.number}


@dataclass(frozen=True, slots=True)
class Case:
    """An alert of a fault, the fault's first where `number` is 0."""

    world: World
    fault: Happening
    alert: Transition
    number: int


@dataclass(frozen=True, slots=True)
class Named:
    """What the evidence of an alert said. alert: the service it is about; fault: the one at fault; named: the one that the evidence names."""

    seed: int
    kind: str
    number: int
    rule: str
    series: str
    alert: str
    fault: str
    named: str
    reason: str
    traces: int

    @property
    def right(self) -> bool:
        return self.named == self.fault


def cases(worlds: Sequence[World], transitions: Sequence[Transition]) -> list[Case]:
    """Alerts of faults, as score.py has them, in order of time."""
    fired = {_key(each): each for each in transitions if each.transition == "firing" and each.reason != "more severe"}
    known = alerts(transitions)
    found = []
    for one in worlds:
        for fault in score(one, known.get(one.seed, [])).faults:
            for number, alert in enumerate(fault.alerts):
                found.append(Case(one, fault.fault, fired[alert.rule, alert.series, alert.end], number))
    return found


def _key(each: Transition) -> tuple[str, tuple[str, ...], int]:
    return each.rule.name, tuple(each.series.values()), (each.end_us - p.START_US) // MINUTE_US


def explained(found: Sequence[Case]) -> Iterator[Named]:
    """A fleet's faults are hours apart and share a lake; alerts of one fault do not: their traces are made for each."""
    for seed, number in sorted({(each.world.seed, each.number) for each in found}):
        mine = [each for each in found if (each.world.seed, each.number) == (seed, number)]
        yield from _explained(mine, [around(each.world, each.fault, each.alert) for each in mine])


def _explained(found: Sequence[Case], seen: Sequence[Around]) -> Iterator[Named]:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), seen)
        looked = Looking().look_up(take(folder), [told(each.alert) for each in seen])
    for case, one, what in zip(found, seen, looked, strict=True):
        made = evidence(told(one.alert), what)
        series = " ".join(case.alert.series.values())
        about, fault = case.alert.series["service_name"], case.world.name(case.fault.service)
        rule, traces = case.alert.rule.name, len({each.trace_id for each in what.window})
        yield Named(case.world.seed, case.fault.kind, case.number, rule, series, about, fault, made.service, made.reason, traces)


def write(folder: Path, seen: Sequence[Around]) -> None:
    """A lake of what was seen, one record a row."""
    lake = Lake.open(str(folder), {}, Clock())
    held = lake.read_ledger(OWNER)
    spans, logs = batches(seen, COLUMNS)
    rows = spans.num_rows + logs.num_rows
    times = [each["end_time"] for one in seen for each in one.spans] or [p.START_US]
    counts = {"records_in": rows, "rows_in": rows, "rows_spans": spans.num_rows, "rows_logs": logs.num_rows}
    interval = Interval(OWNER, "stored", "", 0, rows - 1, **counts, event_time_us=(min(times), max(times)), kafka_time_us=(min(times), max(times)))
    lake.commit(Cycle([spans], [logs], [], [interval], {OWNER: held.next_offset}, "fleet"))


def table(found: Sequence[Named]) -> str:
    lines = [
        "| fault | first alerts | service at fault named | share | is the alert's own service | all alerts | named | share |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(kind, [each for each in found if each.kind == kind]) for kind in KINDS]
    lines.append(_line("all", found))
    wrong = [each for each in found if not each.right and not each.number]
    lines += ["", f"First alerts, named wrongly, by rule: {dict(Counter(each.rule for each in wrong))}."]
    lines += [f"fleet {each.seed}, {each.kind}, {each.rule} {each.series}: {each.named} instead of {each.fault}: {each.reason}" for each in wrong]
    return "\n".join(lines)


def _line(name: str, found: Sequence[Named]) -> str:
    first = [each for each in found if not each.number]
    itself = sum(each.alert == each.fault for each in first)
    cells = [_share(first), f"{itself / len(first):.2f}" if first else "", _share(found)]
    return f"| {name} | {' | '.join(cells)} |"


def _share(found: Sequence[Named]) -> str:
    right = sum(each.right for each in found)
    return f"{len(found)} | {right} | {right / len(found):.2f}" if found else "0 | | "


@click.command()
@click.option("--seeds", default=f"0..{len(p.TUNED_ON)}", show_default=True, help="First and the one behind the last.")
@click.option("--together", default=50, show_default=True, help="Fleets in one engine.")
@click.option("--rules", type=click.Path(exists=True, path_type=Path), help="A file in place of the starter rules.")
@click.option("--per-fault", default=1, show_default=True, help="So many alerts of each fault are explained, the first ones.")
@click.option("--json", "as_json", is_flag=True, help="All alerts, as JSON.")
def main(seeds: str, together: int, rules: Path | None, per_fault: int, as_json: bool) -> None:
    """Run fleets through the engine, explain their faults' alerts; print how often the service at fault is named."""
    numbers, found = seeds_of(seeds), list[Named]()
    for start in range(0, len(numbers), together):
        worlds = [world(seed) for seed in numbers[start : start + together]]
        known = cases(worlds, run(worlds, rules.read_text(encoding="utf-8") if rules else ""))
        for each in explained([case for case in known if case.number < per_fault]):
            found.append(each)
            click.echo(f"fleet {each.seed}: {each.kind}: {'right' if each.right else 'wrong'}", err=True)
    click.echo(json.dumps([asdict(each) for each in found]) if as_json else table(found))


if __name__ == "__main__":
    main()
