"""`tracebraid explain`: publish what stands behind each alert.

In: the topic of alerts, the lake. Out: evidence, on the same topic. SIGTERM and SIGINT publish what is ready and exit 0.
"""

import signal
import threading

import click

from tracebraid.jobs.common import config_option, start
from tracebraid.jobs.http import serve_http
from tracebraid.pipeline.explaining import Explaining, run_explain
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import ExplainMetrics

QUIET_S_MAX = 60.0  # a loop that has not turned for so long is not alive


@click.command()
@config_option
def command(config: str | None) -> None:
    """Look up what stands behind each alert that fires, and publish it beside the alert: service at fault, failing path, log lines, SQL.

    Example: tracebraid explain --config tracebraid.toml
    """
    settings = start(config)
    stop, clock, metrics = threading.Event(), Clock(), ExplainMetrics()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    turned = [clock.monotonic_s()]

    def watch(_: Explaining) -> None:
        turned[0] = clock.monotonic_s()

    def why_not() -> str:
        quiet_s = clock.monotonic_s() - turned[0]
        return f"the loop has not turned for {quiet_s:.0f} s" if quiet_s > QUIET_S_MAX else ""

    serve_http(settings.http, metrics, ready=why_not, alive=why_not)
    run_explain(settings, stop=stop, metrics=metrics, clock=clock, watch=watch)
