"""`tracebraid status`: how far ingest has come, and how complete the lake is."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tracebraid.jobs.common import config_option, json_option, start
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.settings import Settings

if TYPE_CHECKING:
    from tracebraid.pipeline.kernel.records import Partition
    from tracebraid.pipeline.query.status import LakeStatus


@click.command(name="status")
@config_option
@json_option
@click.option("--no-broker", is_flag=True, help="Do not ask the brokers where partitions end: lag is then not known.")
def command(config: str | None, as_json: bool, no_broker: bool) -> None:
    """Show position, lag and completeness of each partition, and how fresh the lake is.

    Complete: every offset since the first is accounted for once, as spans, logs, rejects or records that hold nothing, and none was lost to
    retention. To a pipe: one JSON object for the lake, then one a partition.

    Example: tracebraid status
    """
    settings = start(config)
    from tracebraid.pipeline.query.snapshot import take
    from tracebraid.pipeline.query.status import status

    def watermarks(partitions: "Collection[Partition]") -> "Mapping[Partition, int]":
        return _watermarks(settings, partitions)

    found = status(take(settings.lake, settings.storage_config()), Clock(), None if no_broker else watermarks)
    if as_json or not sys.stdout.isatty():
        _print_json(found)
    else:
        _print_table(found)


def _watermarks(settings: Settings, partitions: "Collection[Partition]") -> "Mapping[Partition, int]":
    from tracebraid.pipeline.source.ends import partition_ends

    try:
        return partition_ends(settings.client_config(), partitions, Clock())
    except TracebraidError as error:
        click.echo(f"tracebraid: warning: lag is not known: {error}", err=True)
        return {}


def _print_json(found: "LakeStatus") -> None:
    from tracebraid.pipeline.query.render import to_json

    whole = {name: value for name, value in asdict(found).items() if name != "partitions"}
    rows = [{"kind": "lake", **whole, "complete": found.complete}]
    rows += [{"kind": "partition", **asdict(each), "complete": each.complete} for each in found.partitions]
    sys.stdout.buffer.write(b"".join(to_json(row) + b"\n" for row in rows))


def _print_table(found: "LakeStatus") -> None:
    from tracebraid.pipeline.query.render import print_table

    age = "never" if found.commit_age_s is None else f"{found.commit_age_s:,.0f} s ago"
    click.echo(f"{found.lake}: last commit {age}, newest event {found.newest_event or 'none'}, {'complete' if found.complete else 'NOT complete'}")
    for name, rows in found.rows.items():
        why = "older ones have expired" if name == "rejects" and rows < found.accounted[name] else "a cycle is being committed, or was cut short"
        note = f" ({found.accounted[name]:,} accounted for: {why})" if rows != found.accounted[name] else ""
        click.echo(f"  {name}: {rows:,} rows{note}")
    names = ["topic", "partition", "next offset", "lag", "spans", "logs", "rejected", "dropped", "skewed", "lost", "gaps", "overlaps", "newest event"]
    rows_shown = [
        (
            *(each.topic, each.partition, each.next_offset, "unknown" if each.lag is None else each.lag, each.spans, each.logs, each.rejected),
            *(each.dropped, each.clock_skewed, each.lost, each.gaps, each.overlaps, each.newest_event),
        )
        for each in found.partitions
    ]
    print_table(names, rows_shown, more=False, wide=True)
