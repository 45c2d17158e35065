"""`tracebraid trace`: one trace with its logs."""

import sys

import click

from tracebraid.jobs.common import config_option, json_option, start


@click.command(name="trace")
@click.argument("trace_id")
@config_option
@json_option
@click.option("--all", "everything", is_flag=True, help="Also the repeats of equal siblings and long runs of log lines.")
@click.option("--tree", is_flag=True, help="The tree also to a pipe, without color.")
def command(trace_id: str, config: str | None, as_json: bool, everything: bool, tree: bool) -> None:
    """Show one trace: its spans as a tree, with offsets, durations and errors, and its log lines in place.

    TRACE_ID in any spelling that is read in logs: 32 or 16 hex characters, upper case, with dashes, Datadog's decimal, base64, a whole
    traceparent, b3 or uber-trace-id, X-Ray's, Google's.
    To a pipe, one JSON object a line: the trace, then its spans and log lines in order.

    Example: tracebraid trace 4bf92f3577b34da6a3ce929d0e0e4736
    """
    settings = start(config)
    from tracebraid.pipeline.query.render import to_json
    from tracebraid.pipeline.query.snapshot import take
    from tracebraid.pipeline.query.trace import find
    from tracebraid.pipeline.query.tree import as_lines, as_rows

    found = find(take(settings.lake, settings.storage_config()), trace_id)
    if as_json or not (tree or sys.stdout.isatty()):
        for row in as_rows(found):
            sys.stdout.buffer.write(to_json(row) + b"\n")
        return
    from rich.console import Console

    console = Console(highlight=False)
    for line in as_lines(found, everything):
        console.print(line, soft_wrap=True) if not console.is_terminal else console.print(line, no_wrap=True, overflow="ellipsis")
