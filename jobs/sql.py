"""`tracebraid sql`: one question to the lake."""

import sys

import click

from tracebraid.jobs.common import config_option, start
from tracebraid.pipeline.kernel.errors import UsageError

TABLE_ROWS_MAX = 200


@click.command(name="sql")
@click.argument("statement")
@config_option
@click.option("--json", "form", flag_value="json", default=None, help="One JSON object a row, also at a terminal.")
@click.option("--csv", "form", flag_value="csv", help="CSV with a header.")
@click.option("--parquet", metavar="FILE", default=None, help="Write the result to a Parquet file.")
@click.option("--max-rows", default=TABLE_ROWS_MAX, show_default=True, type=click.IntRange(1), help="Rows of a table at a terminal; other forms give all.")
def command(statement: str, config: str | None, form: str | None, parquet: str | None, max_rows: int) -> None:
    """Query the lake with one SELECT; `-` reads it from standard input.

    A table at a terminal, one JSON object a row to a pipe. Views: spans, logs, rejects, intervals, traces, trace_logs, orphan_logs,
    service_edges; `tracebraid lake schema` has their columns.

    Example: tracebraid sql "SELECT service_name, count(*) FROM spans WHERE status_code = 'ERROR' GROUP BY ALL"
    """
    if form and parquet:
        raise UsageError(f"--{form} and --parquet exclude each other", "Give one")
    settings = start(config)
    # DuckDB and the Delta reader are imported only now: --help costs neither.
    from tracebraid.pipeline.query.render import print_table, write_csv, write_json
    from tracebraid.pipeline.query.snapshot import take
    from tracebraid.pipeline.query.statement import question, to_parquet

    sql = sys.stdin.read() if statement == "-" else statement
    snapshot = take(settings.lake, settings.storage_config())
    if parquet is not None:
        rows = to_parquet(snapshot, sql, parquet)
        click.echo(f"{rows} row{'s' * (rows != 1)} in {parquet}", err=True)
        return
    with question(snapshot, sql) as (names, blocks):
        if form == "csv":
            write_csv(sys.stdout.buffer, names, blocks)
        elif form == "json" or not sys.stdout.isatty():
            write_json(sys.stdout.buffer, names, blocks)
        else:
            shown: list[tuple[object, ...]] = []
            while len(shown) <= max_rows and (rows_read := next(blocks, None)):
                shown += rows_read
            print_table(names, shown[:max_rows], more=len(shown) > max_rows)
