"""`tracebraid load`: files onto a topic at any rate, or straight into the lake without a broker; or what would become of them.

In: files. Out: records on a topic, or rows in the lake; a summary, or an explanation. Never: a record changed, other than its timestamp.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from tracebraid.jobs.common import config_option, json_option, start
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.kernel.settings import ENCODINGS, Settings

Show = Callable[[int, int], None]


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@click.option("--topic", metavar="NAME", help="Put the records onto this topic.")
@click.option("--into-lake", is_flag=True, help="Put the records into the lake; no broker is needed.")
@click.option("--explain", is_flag=True, help="Write nothing: say what is recognized in the files, and where each column comes from.")
@click.option("--encoding", type=click.Choice(ENCODINGS), default="auto", show_default=True, help="What the records are, for --into-lake and --explain.")
@click.option("--rate", metavar="N", type=click.FloatRange(min=0, min_open=True), help="Records a second; default: as fast as it goes.")
@click.option(
    "--stamp", type=click.Choice(("event", "now")), default="event", show_default=True, help="Timestamps: the records' own times, or these shifted to end now."
)
@click.option("--partitions", metavar="N", type=click.IntRange(min=1), default=6, show_default=True, help="Partitions of the topic, where it is to be made.")
@config_option
@json_option
def command(files: tuple[Path, ...], config: str | None, as_json: bool, **options: Any) -> None:
    """Put files onto a topic, or straight into the lake; or explain them.

    Reads JSON lines, text lines and the Collector's file-exporter output, plain or compressed (gzip, zstd).

    Example: tracebraid load spans.jsonl.zst --topic otlp_spans --rate 1000
    """
    topic, rate, shift = options["topic"], options["rate"], options["stamp"] == "now"
    if bool(topic) + options["into_lake"] + options["explain"] != 1:
        raise UsageError("say where to: either --topic NAME or --into-lake, or --explain", "tracebraid load --help shows an example")
    if not topic and (rate or shift):
        raise UsageError("--rate and --stamp are for --topic", "Leave them out without --topic")
    settings = start(config)
    if options["explain"]:
        _explain(settings, files, options["encoding"], as_json)
        return
    with _progress() as show:
        if topic:
            from tracebraid.jobs.loading import Loading, load_onto_topic

            totals = load_onto_topic(settings, files, Loading(topic, options["partitions"], rate, shift), show)
        else:
            from tracebraid.pipeline.load import load_into_lake

            totals = load_into_lake(settings, files, options["encoding"], show)
    if as_json or not sys.stdout.isatty():
        click.echo(json.dumps({"files": len(files), **totals}))
    else:
        where = f"onto {topic}" if topic else f"into {settings.lake}"
        click.echo(f"{len(files)} files {where}: " + ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in totals.items()))
    if totals.get("too_large"):
        raise TracebraidError(
            f"{totals['too_large']} records are larger than topic {topic} takes", "Raise its max.message.bytes, and load the file again onto a new topic"
        )


def _explain(settings: Settings, files: tuple[Path, ...], encoding: str, as_json: bool) -> None:
    from tracebraid.jobs.load_explained import as_lines, explain

    for file in files:
        kinds = explain(settings, file, encoding)
        for line in map(json.dumps, kinds) if as_json else as_lines(kinds):
            click.echo(line)
        if not kinds and not as_json:
            click.echo(f"{file}: no records")


@contextmanager
def _progress() -> Iterator[Show]:
    """A bar at a terminal, on standard error; nothing elsewhere. Called with bytes done and bytes in all, of one file at a time."""
    columns = (TextColumn("loading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("loading", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
