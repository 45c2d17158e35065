"""`tracebraid demo`: a simulated shop on an embedded broker, through the same stages as ingest, ending in a summary.

In: nothing but options. Out: a lake in a temporary directory, and what was found in it. Never: a container, a JVM or a connection off this machine.
"""

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from tracebraid.jobs.common import json_option
from tracebraid.jobs.demo_run import run_shop
from tracebraid.jobs.shop import Plan
from tracebraid.jobs.summary import summarize
from tracebraid.jobs.summary_text import show
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import UsageError


@click.command()
@json_option
@click.option("--minutes", type=click.IntRange(2, 600), default=60, show_default=True, help="How much of the shop's history to make, ending now.")
@click.option("--seed", type=int, default=7, show_default=True, help="The same seed makes the same shop.")
@click.option("--lake", "lake", type=click.Path(file_okay=False, path_type=Path), default=None, help="Put the lake into this directory, and keep it.")
@click.option("--keep", is_flag=True, help="Keep the lake, and say how to query it.")
def command(as_json: bool, minutes: int, seed: int, lake: Path | None, keep: bool) -> None:
    """Run a simulated shop of twelve services on an embedded broker, ingest what it sends, and find the failing service in SQL.

    Example: tracebraid demo --keep
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the temporary lake goes away
    with _place(lake, keep) as place:
        clock = Clock()
        plan = Plan(clock.unix_nano() // 1_000_000_000 * 1_000_000_000 - (minutes * 60 + 30) * 1_000_000_000, seed, minutes)
        console = Console(stderr=True, quiet=not sys.stderr.isatty())
        with console.status("Opening the shop and a broker …") as status:
            ran = run_shop(plan, place, clock, lambda read, sent: status.update(f"{read:,} of {sent:,} records are read …"))
        summary = summarize(ran, minutes, 1 - plan.fault_at, plan.fault.begins_ns // 1000)
        show(summary, as_json=as_json, kept=keep or lake is not None)


@contextmanager
def _place(lake: Path | None, keep: bool) -> Iterator[Path]:
    """An empty directory for the lake; a temporary one goes away unless it is to be kept."""
    if lake is not None:
        if lake.exists() and any(lake.iterdir()):
            raise UsageError(f"{lake} is not empty", "Give --lake a new directory: the demo begins a lake of its own")
        yield lake
        return
    temporary = Path(tempfile.mkdtemp(prefix="tracebraid-demo-"))
    try:
        yield temporary
    finally:
        if not keep:
            shutil.rmtree(temporary, ignore_errors=True)
