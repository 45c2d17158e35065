"""`tracebraid archive`: keep windows and alerts as tables of the lake.

In: our own topics. Out: tables windows and alerts. SIGTERM and SIGINT commit what is open and exit 0.
"""

import signal
import threading

import click

from tracebraid.jobs.common import config_option, start
from tracebraid.jobs.http import serve_http
from tracebraid.pipeline.archiving import Archiving, run_archive
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import ArchiveMetrics

QUIET_S_MAX = 60.0  # a loop that has not turned for so long is not alive


@click.command()
@config_option
def command(config: str | None) -> None:
    """Keep what is measured, and every alert, as tables `windows` and `alerts` of the lake.

    Example: tracebraid archive --config tracebraid.toml
    """
    settings = start(config)
    stop, clock, metrics = threading.Event(), Clock(), ArchiveMetrics()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    turned = [clock.monotonic_s()]

    def watch(_: Archiving) -> None:
        turned[0] = clock.monotonic_s()

    def why_not() -> str:
        quiet_s = clock.monotonic_s() - turned[0]
        return f"the loop has not turned for {quiet_s:.0f} s" if quiet_s > QUIET_S_MAX else ""

    serve_http(settings.http, metrics, ready=why_not, alive=why_not)
    run_archive(settings, stop=stop, metrics=metrics, clock=clock, watch=watch)
