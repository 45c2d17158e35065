"""`tracebraid verify`: is every position in the lake once? Says what is not.

In: the lake, its topics. Out: findings, a line each; exit code 0 (nothing wrong), 1 (findings), 2 (wrong use). Never: a write anywhere.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.console import Console

from tracebraid.jobs.common import config_option, json_option, start

if TYPE_CHECKING:
    from tracebraid.pipeline.verify.report import Finding, Report

FINDINGS_MAX = 200  # shown at a terminal


@click.command(name="verify")
@config_option
@json_option
@click.option("--topic", "topics", multiple=True, metavar="NAME", help="Only this topic; may be repeated.  [default: all that the lake knows]")
@click.option("--no-broker", is_flag=True, help="Check the lake alone.")
@click.pass_context
def command(ctx: click.Context, config: str | None, as_json: bool, topics: tuple[str, ...], no_broker: bool) -> None:
    """Read topics and tables anew, and report every position that is missing, doubled or misplaced.

    It shares no code with what writes the lake: it reads the log of each table, every file and every topic itself. Exit code 1 where it finds
    anything. What retention has taken from the brokers since is checked in the lake alone, and said so. To a pipe: one JSON object a
    finding, then one of kind summary.

    Example: tracebraid verify
    """
    settings = start(config)
    from tracebraid.pipeline.verify.reader import Options, examine

    console = Console(stderr=True)
    with console.status("reading") as status:
        options = Options(
            storage=settings.storage_config(),
            rejects_topic=settings.stream.rejects_topic if settings.stream.enabled else "",
            told=lambda line: status.update(f"reading {line}"),
        )
        report = examine(settings.lake, None if no_broker else settings.client_config(), topics, options)
    if as_json or not sys.stdout.isatty():
        sys.stdout.writelines(_json_lines(report))
    else:
        _print(report, settings.lake)
    if report.findings:
        ctx.exit(1)


def _json_lines(report: "Report") -> Iterator[str]:
    for finding in report.findings:
        yield json.dumps(asdict(finding)) + "\n"
    yield json.dumps({"kind": "summary", **report.summary, "notes": report.notes}) + "\n"


def _print(report: "Report", lake: str) -> None:
    from tracebraid.pipeline.query.render import visible
    from tracebraid.pipeline.verify.report import KINDS

    for found in report.findings[:FINDINGS_MAX]:
        click.echo(visible(_line(found)))
    if len(report.findings) > FINDINGS_MAX:
        click.echo(f"… and {len(report.findings) - FINDINGS_MAX:,} more; --json gives all")
    for kind in sorted({each.kind for each in report.findings}):
        click.echo(f"{kind}: {KINDS[kind]}")
    for note in report.notes:
        click.echo(visible(note))
    verdict = f"{len(report.findings):,} finding{'s' * (len(report.findings) != 1)}" if report.findings else "nothing missing, nothing doubled"
    click.echo(
        f"{visible(lake)}: {report.rows:,} rows in {report.files:,} files, {report.partitions:,} partitions, {report.intervals:,} intervals,"
        f" {report.records:,} records of topics, {report.rejects:,} published rejects: {verdict}"
    )


def _line(found: "Finding") -> str:
    """Kind, position as TOPIC:PARTITION:OFFSET-LAST:INDEX, file, what there is to say. Lines, not a table: paths and sentences do not fit one."""
    offsets = f"{found.offset}" if found.last_offset in (None, found.offset) else f"{found.offset}-{found.last_offset}"
    place = "" if found.partition is None else f"{found.topic or found.topic_id}:{found.partition}:{offsets}{'' if found.index is None else f':{found.index}'}"
    many = f"{found.count:,} positions" if found.count > 1 else ""
    return "  ".join(part for part in (f"{found.kind:<14}", place, many, "/".join(filter(None, (found.table, found.file))), found.detail) if part)
