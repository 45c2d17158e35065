"""`tracebraid lake`: what lies in the lake, and what its columns mean."""

import sys
from collections.abc import Sequence
from typing import Any

import click

from tracebraid.jobs.common import config_option, json_option, start
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError


@click.group(name="lake", invoke_without_command=True)
@click.pass_context
@config_option
@json_option
def command(context: click.Context, config: str | None, as_json: bool) -> None:
    """Describe the lake: its tables, their versions, files, rows, bytes and days.

    Example: tracebraid lake
    """
    if context.invoked_subcommand is not None:
        return
    settings = start(config)
    from tracebraid.pipeline.query.snapshot import take

    snapshot = take(settings.lake, settings.storage_config())
    names = ["table", "version", "schema_version", "files", "rows", "bytes", "first_day", "last_day", "days"]
    rows = []
    for table in snapshot:
        days = table.days
        counts = (len(table.files), sum(file.rows or 0 for file in table.files), sum(file.bytes for file in table.files))
        rows.append((table.table.name, table.version, table.schema_version or None, *counts, days[0] if days else None, days[-1] if days else None, len(days)))
    _print(names, rows, as_json)


@command.command(name="schema")
@click.argument("table", required=False)
@json_option
def schema(table: str | None, as_json: bool) -> None:
    """Show the columns of the tables, with their types and what they mean. It needs no lake.

    Example: tracebraid lake schema spans
    """
    from tracebraid.pipeline.query.connection import sql_type
    from tracebraid.pipeline.query.snapshot import IN_ORDER, KEPT, TABLES

    by_name = {each.name: each for each in (*TABLES, *KEPT)}
    if table is not None and table not in by_name:
        raise UsageError(f"there is no table {table!r}", f"There are {', '.join(sorted(by_name))}")
    chosen = [by_name[table]] if table else [by_name[name] for name in IN_ORDER]
    rows = [(each.name, column.name, sql_type(column.type), not column.required, column.comment) for each in chosen for column in each.columns]
    _print(["table", "column", "type", "nullable", "comment"], rows, as_json)


@command.command(name="sweep")
@config_option
@json_option
@click.option("--dry-run", is_flag=True, help="Name them only.")
def sweep(config: str | None, as_json: bool, dry_run: bool) -> None:
    """Remove files that were written a day ago or earlier and that no version of their table names; ingest may run meanwhile.

    A crash between writing and committing leaves such files. They cost space alone: nobody reads them.

    Example: tracebraid lake sweep --dry-run
    """
    settings = start(config)
    from tracebraid.pipeline.store.sweep import sweep as orphans

    names = ["table", "file", "bytes", "written_at", "removed"]
    found = list(orphans(settings.lake, settings.storage_config(), Clock(), dry_run=dry_run))
    _print(names, [(each.table, each.path, each.bytes, each.written_at, each.removed) for each in found], as_json)
    kept = [] if dry_run else [each for each in found if not each.removed]
    if kept:
        raise TracebraidError(
            f"{len(kept)} of {len(found)} orphans could not be removed, {kept[0].table}/{kept[0].path} among them", "Give the right to delete"
        )
    click.echo(f"{len(found)} orphan{'s' * (len(found) != 1)}{' would be' * dry_run} removed, {sum(each.bytes for each in found) / 1e6:.1f} MB", err=True)


def _print(names: Sequence[str], rows: list[tuple[Any, ...]], as_json: bool) -> None:
    from tracebraid.pipeline.query.render import print_table, write_json

    if as_json or not sys.stdout.isatty():
        write_json(sys.stdout.buffer, names, iter([rows]))
    else:
        print_table(names, rows, more=False, wide=True)
