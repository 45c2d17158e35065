"""`tracebraid rules test`: unit tests of rules, over the code that runs in the stream.

In: YAML files of rows and the alerts that they must raise. Out: what differs. Never: Kafka, a lake.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import pyarrow as pa

from tracebraid.jobs.rules_files import files_argument, read_rules
from tracebraid.jobs.rules_replay import Replay, empty
from tracebraid.pipeline.detect.transitions import Transition
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.rules.cases import Case, Fired, Rows, Value, load_cases
from tracebraid.pipeline.rules.compile import compile_rule
from tracebraid.pipeline.rules.fields import DURATION, resolve, table_of
from tracebraid.pipeline.rules.program import Program
from tracebraid.pipeline.rules.slo import duration
from tracebraid.pipeline.rules.syntax import Name
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.windows import Watermark

BEGIN_US = 1_700_006_400_000_000  # a midnight in UTC, on which windows of every length begin
SOURCE = Partition("test", "rows", "rows", 0)
Alert = tuple[str, tuple[tuple[str, str], ...]]


@click.command()
@files_argument
def test(files: tuple[Path, ...]) -> None:
    """Run unit tests of rules: files that say which rows come, and when which alert fires. Ends with 1 where one differs.

    Example: tracebraid rules test tests/checkout.yaml
    """
    failed = count = 0
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file} cannot be read: {error}", "Name files of tests") from None
        cases = load_cases(text, str(file))
        programs = [compile_rule(rule) for rule in read_rules(tuple(_beside(file, name) for name in cases.rule_files))]
        for case in cases.cases:
            lines = differences(case, programs)
            count, failed = count + 1, failed + bool(lines)
            click.echo(f"{'FAILED' if lines else 'ok'}  {case.name}" + (f"  ({file}:{case.line})" if lines else ""))
            for line in lines:
                click.echo(f"    {line}")
    if failed:
        raise TracebraidError(f"{failed} of {count} tests failed", "'-' is what was expected, '+' what fired")


def _beside(file: Path, name: str) -> Path:
    path = file.parent / name
    if not path.exists():
        raise UsageError(f"{file} names rules in {name}, which is not there", "Paths are from the file of tests on")
    return path


def differences(case: Case, programs: Sequence[Program]) -> list[str]:
    """What was expected and did not come, what came and was not expected, by rule and series; none where all is as it was said."""
    expected: dict[Alert, Fired] = {(each.rule, each.series): each.firing for each in case.alerts}
    found = firing(run(case, programs))
    lines = []
    names = {program.rule.name for program in programs}
    for alert in sorted({*expected, *found}):
        wanted, came = expected.get(alert, ()), found.get(alert, ())
        if wanted != came:
            rule, series = alert
            lines.append(f"{rule} {{{', '.join(f'{name}: {value}' for name, value in series)}}}" + ("" if rule in names else ": there is no such rule"))
            lines += [f"  - {_told(each)}" for each in wanted if each not in came] + [f"  + {_told(each)}" for each in came if each not in wanted]
    return lines


def run(case: Case, programs: Sequence[Program]) -> list[Transition]:
    """All transitions: an interval's rows, then the watermark that closes what ends with it."""
    replay = Replay(programs)
    lateness_us = max((program.rule.lateness_us for program in programs), default=0)
    found, offset = [], 0
    for number in range(case.intervals):
        batches = {signal: _batch(signal, case, number, offset) for signal in ("spans", "logs")}
        behind = offset + max(1, sum(batch.num_rows for batch in batches.values()))
        replay.add(SOURCE, (offset, behind), batches["spans"], batches["logs"])
        offset = behind
        end_us = BEGIN_US + (number + 1) * case.interval_us
        found += replay.advance([Watermark(SOURCE.cluster, SOURCE.topic, SOURCE.topic_id, SOURCE.number, behind, end_us + lateness_us, False)])
    return found


def firing(found: Iterable[Transition]) -> dict[Alert, Fired]:
    """Alert → (from, to) since the beginning."""
    times: dict[Alert, list[tuple[int, int | None]]] = defaultdict(list)
    for each in found:
        spans, at_us = times[each.rule.name, tuple(sorted(each.series.items()))], each.end_us - BEGIN_US
        if each.transition == "firing" and not (spans and spans[-1][1] is None):
            spans.append((at_us, None))
        elif each.transition == "resolved" and spans:
            spans[-1] = (spans[-1][0], at_us)
    return {alert: tuple(spans) for alert, spans in times.items() if spans}


def _told(span: tuple[int, int | None]) -> str:
    return f"{duration(span[0])} - {'' if span[1] is None else duration(span[1])}".rstrip()


def _batch(signal: str, case: Case, number: int, offset: int) -> pa.RecordBatch:
    """The rows of one signal in one interval, spread evenly over it."""
    kinds = [(each, each.count[number]) for each in case.rows if each.signal == signal and number < len(each.count) and each.count[number]]
    if not kinds:
        return empty(signal)
    rows: list[dict[str, object]] = []
    for kind, count in kinds:
        values = kind.row | {name: listed[number] for name, listed in kind.each.items()}
        start_us, step_us = BEGIN_US + number * case.interval_us, case.interval_us // count
        rows += [_row(kind, values, start_us + place * step_us + step_us // 2, len(rows) + place + offset) for place in range(count)]
    return pa.RecordBatch.from_pylist(rows, schema=(SPANS if signal == "spans" else LOGS).arrow)


def _row(kind: Rows, values: dict[str, Value], time_us: int, number: int) -> dict[str, object]:
    columns = {column.name for column in table_of(kind.signal).columns}
    row: dict[str, object] = {"trace_id": f"{number + 1:032x}", "kafka_time": time_us, "kafka_offset": number, "record_index": 0, "attributes": {}}
    row |= {"end_time": time_us, "kind": "UNSPECIFIED", "status_code": "UNSET"} if kind.signal == "spans" else {"time": time_us, "severity_number": 0}
    attributes: dict[str, str] = {}
    for name, value in values.items():
        column = "duration_ns" if name == DURATION else resolve(kind.signal, Name(name, 0)).name
        if column in columns:
            row[column] = value
        elif value is not None:
            attributes[name] = str(value)
    row["attributes"] = attributes
    return row
