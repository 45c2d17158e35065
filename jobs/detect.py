"""`tracebraid detect`: evaluate the rules on event time, publish alerts.

In: the topic of partial windows, rules. Out: alerts. SIGTERM and SIGINT publish what is open and exit 0.
"""

import signal
import threading

import click

from tracebraid.jobs.common import config_option, start
from tracebraid.jobs.http import serve_http
from tracebraid.pipeline.detection import Detection, run_detect
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import DetectMetrics

LOOK_S = 1.0  # what is held is counted so often: that takes a look at every array
QUIET_S_MAX = 60.0  # a loop that has not turned for so long is not alive


@click.command()
@config_option
def command(config: str | None) -> None:
    """Evaluate the rules over what ingest measures, and publish alerts.

    Example: tracebraid detect --config tracebraid.toml
    """
    settings = start(config)
    stop, clock, metrics = threading.Event(), Clock(), DetectMetrics()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    turned, looked = [clock.monotonic_s()], [float("-inf")]

    def watch(detection: Detection) -> None:
        turned[0] = clock.monotonic_s()
        if turned[0] - looked[0] >= LOOK_S:
            looked[0], held = turned[0], detection.engine.stats()
            metrics.count_held(len(detection.shards), held.series, held.late, held.repeated, held.overflowed)

    def why_not() -> str:
        quiet_s = clock.monotonic_s() - turned[0]
        return f"the loop has not turned for {quiet_s:.0f} s" if quiet_s > QUIET_S_MAX else ""

    serve_http(settings.http, metrics, ready=why_not, alive=why_not)
    run_detect(settings, stop=stop, metrics=metrics, clock=clock, watch=watch)
