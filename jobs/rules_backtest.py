"""`tracebraid rules backtest`: what rules would have told of the past, over the code that runs in the stream.

In: rules, rows of the lake. Out: alerts that would have fired, and how they differ from those of other rules. Never: a message, a write.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
import pyarrow as pa

from tracebraid.jobs.common import config_option, json_option
from tracebraid.jobs.rules_files import files_argument, read_rules
from tracebraid.jobs.rules_replay import Replay
from tracebraid.pipeline.detect.told import iso
from tracebraid.pipeline.detect.transitions import Transition
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.measure.rows import event_times
from tracebraid.pipeline.query.history import hours
from tracebraid.pipeline.rules.compile import compile_rule
from tracebraid.pipeline.rules.program import Program
from tracebraid.schemas.table import INT64
from tracebraid.schemas.windows import Watermark

MINUTE_US, SECOND_US = 60_000_000, 1_000_000
PAST = Partition("lake", "rows", "rows", 0)  # by event time there are no sources


@click.command()
@config_option
@json_option
@click.option("--from", "since", required=True, metavar="TIME", help="ISO 8601; UTC unless it says another zone.")
@click.option("--to", "until", required=True, metavar="TIME", help="ISO 8601.")
@click.option("--against", type=click.Path(exists=True, path_type=Path), help="Rules as they are: only what differs from them is shown.")
@click.option("--as-it-arrived", "arrived", is_flag=True, help="In the order of Kafka's timestamps, with what came too late left out; else by event time.")
@files_argument
def backtest(*, config: str | None, as_json: bool, since: str, until: str, against: Path | None, arrived: bool, files: tuple[Path, ...]) -> None:
    """Show what rules would have told of a range of the lake, and with --against what they would tell otherwise than others.

    Example: tracebraid rules backtest --from 2026-01-01T00:00 --to 2026-01-02T00:00 --against old.yaml new.yaml
    """
    start_us, end_us = _microseconds(since, "--from"), _microseconds(until, "--to")
    if end_us <= start_us:
        raise UsageError("--to is not after --from", "Swap them")
    new = [compile_rule(rule) for rule in read_rules(files)]
    old = [compile_rule(rule) for rule in read_rules((against,))] if against else []
    found = run(config, new, (start_us, end_us), arrived=arrived)
    before = run(config, old, (start_us, end_us), arrived=arrived) if against else []
    known, told = {_key(each) for each in before}, {_key(each) for each in found}
    rows = [("+" if against else "", each) for each in found if _key(each) not in known] + [("-", each) for each in before if _key(each) not in told]
    for sign, each in sorted(rows, key=lambda row: (row[1].end_us, row[1].rule.name, row[0])):
        _show(sign, each, as_json or not sys.stdout.isatty())


def run(config: str | None, programs: Sequence[Program], within_us: tuple[int, int], *, arrived: bool) -> list[Transition]:
    """All transitions of the range, in the order in which they would have been told."""
    replay, found = Replay(programs), list[Transition]()
    lateness_us = max((program.rule.lateness_us for program in programs), default=0)
    offset, latest = 0, dict[Partition, Watermark]()
    for spans, logs in hours(config, *within_us, arrived=arrived):
        for end_us, pair in _steps(spans, logs, arrived):
            offset += 1  # not Kafka's: timestamps need not rise with those
            if not arrived:
                replay.add(PAST, (offset, offset + 1), *pair)
                found += replay.advance([Watermark(PAST.cluster, PAST.topic, PAST.topic_id, 0, offset + 1, end_us + lateness_us, False)])
                continue
            for partition, rows in _by_source(*pair):
                _note(latest, partition, rows, offset + 1)
                replay.add(partition, (offset, offset + 1), *rows)
            found += replay.advance(latest.values())
    if not arrived:
        found += replay.advance([Watermark(PAST.cluster, PAST.topic, PAST.topic_id, 0, offset + 1, within_us[1] + lateness_us, False)])
    return found


def _steps(spans: pa.RecordBatch, logs: pa.RecordBatch, arrived: bool) -> Iterator[tuple[int, tuple[pa.RecordBatch, pa.RecordBatch]]]:
    """(end of the step, its rows): a second by Kafka's time, or a minute by event time."""
    step_us = SECOND_US if arrived else MINUTE_US
    steps = [(batch.column("kafka_time").cast(INT64).to_numpy() if arrived else event_times(batch)) // step_us for batch in (spans, logs)]
    for step in np.unique(np.concatenate(steps)).tolist():
        yield (step + 1) * step_us, (spans.filter(pa.array(steps[0] == step)), logs.filter(pa.array(steps[1] == step)))


def _by_source(spans: pa.RecordBatch, logs: pa.RecordBatch) -> Iterator[tuple[Partition, tuple[pa.RecordBatch, pa.RecordBatch]]]:
    sources = [list(zip(batch.column("kafka_topic").to_pylist(), batch.column("kafka_partition").to_pylist(), strict=True)) for batch in (spans, logs)]
    for topic, number in sorted({*sources[0], *sources[1]}):
        chosen = [pa.array([each == (topic, number) for each in listed], pa.bool_()) for listed in sources]
        yield Partition("lake", topic, topic, number), (spans.filter(chosen[0]), logs.filter(chosen[1]))


def _note(latest: dict[Partition, Watermark], partition: Partition, rows: tuple[pa.RecordBatch, pa.RecordBatch], behind: int) -> None:
    time_us = max(int(event_times(batch).max()) for batch in rows if batch.num_rows)
    if partition in latest:
        time_us = max(time_us, latest[partition].event_time_us or 0)
    latest[partition] = Watermark(partition.cluster, partition.topic, partition.topic_id, partition.number, behind, time_us, False)


def _key(each: Transition) -> tuple[str, str, int]:
    """What makes two alerts the same: the id holds rule, series and beginning."""
    return each.id, each.transition, each.end_us


def _show(sign: str, each: Transition, as_json: bool) -> None:
    row: dict[str, object] = {
        "rule": each.rule.name,
        "series": each.series,
        "transition": each.transition,
        "reason": each.reason,
        "window_end": iso(each.end_us),
    }
    row |= {"id": each.id, "value": each.value, "threshold": each.threshold, "unit": each.unit}
    if as_json:
        click.echo(json.dumps(({"differs": sign} if sign else {}) | row, ensure_ascii=False))
        return
    series = ", ".join(f"{name}: {value}" for name, value in each.series.items())
    click.echo(f"{sign + ' ' if sign else ''}{row['window_end']}  {each.rule.name} {{{series}}}  {each.transition}: {each.reason}")


def _microseconds(text: str, option: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} cannot be {text}", "Write an ISO 8601 time, as 2026-01-01T00:00") from None
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1e6)
