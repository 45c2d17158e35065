"""`tracebraid notify`: send alerts to their channels.

In: the topics of alerts. Out: requests to Alertmanager and webhooks; dead letters. SIGTERM and SIGINT commit what was delivered and exit 0.
"""

import signal
import threading

import click

from tracebraid.jobs.common import config_option, start
from tracebraid.jobs.http import serve_http
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import NotifyMetrics
from tracebraid.pipeline.notifying import Delivery, run_notify

QUIET_S_MAX = 180.0  # a loop that has not turned for so long is not alive: connecting and waiting for an answer take 60 s each at most


@click.command()
@config_option
def command(config: str | None) -> None:
    """Send alerts to the channels of the settings: Alertmanager and webhooks.

    Example: tracebraid notify --config tracebraid.toml
    """
    settings = start(config)
    stop, clock, metrics = threading.Event(), Clock(), NotifyMetrics()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    turned: dict[str, float] = {}

    def watch(delivery: Delivery) -> None:
        turned[delivery.channel.name] = clock.monotonic_s()

    def why_not() -> str:
        quiet = {name: clock.monotonic_s() - turned_s for name, turned_s in list(turned.items())}
        return "; ".join(f"channel {name} has not turned for {quiet_s:.0f} s" for name, quiet_s in sorted(quiet.items()) if quiet_s > QUIET_S_MAX)

    serve_http(settings.http, metrics, ready=why_not, alive=why_not)
    run_notify(settings, stop=stop, metrics=metrics, clock=clock, watch=watch)
