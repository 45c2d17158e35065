"""`tracebraid up`: all jobs of one machine in one command, each a process of its own, restarted when it fails.

In: the settings. Out: the jobs' own output. SIGTERM and SIGINT stop them all, and wait until each has finished its cycle.
"""

import signal
import subprocess
import sys
import threading

import click
import structlog

from tracebraid.jobs.common import config_option, start
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import UsageError

SUPERVISED = (("ingest",),)  # arguments of each process; later jobs join here
BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
HEALTHY_S = 60.0  # a process that lived so long starts its backoff anew
STOP_WAIT_S = 30.0

log = structlog.get_logger()


@click.command()
@config_option
def command(config: str | None) -> None:
    """Run every job on this machine until stopped; a job that fails is started again after a pause.

    Example: tracebraid up --config tracebraid.toml
    """
    settings = start(config)
    if not settings.topics:
        raise UsageError("no topic to read", "List [[topics]] in the settings file, or set TRACEBRAID_TOPICS")
    stop, clock = threading.Event(), Clock()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    misused: list[str] = []
    threads = [threading.Thread(target=_supervise, args=(arguments, config, stop, clock, misused), name=arguments[0]) for arguments in SUPERVISED]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if misused:
        raise UsageError(f"{', '.join(misused)} cannot run with these settings", "Its line is above; `tracebraid config check` repeats it")


def _supervise(arguments: tuple[str, ...], config: str | None, stop: threading.Event, clock: Clock, misused: list[str]) -> None:
    failures = 0
    while not stop.is_set():
        began_s = clock.monotonic_s()
        # A session of its own: Ctrl-C reaches us alone, and we pass on SIGTERM.
        process = subprocess.Popen([sys.executable, "-m", "tracebraid", *arguments, *(("--config", config) if config else ())], start_new_session=True)
        while process.poll() is None and not stop.wait(0.2):
            pass
        if stop.is_set():
            process.terminate()
            try:
                process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                log.error("did not stop in time; killed", job=arguments[0], seconds=STOP_WAIT_S)
                process.kill()
            return
        if process.returncode == UsageError.exit_code:
            misused.append(arguments[0])  # starting it again would say the same
            stop.set()
            return
        failures = 0 if clock.monotonic_s() - began_s > HEALTHY_S else failures + 1
        pause_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
        log.error("job ended; starting it again", job=arguments[0], exit_code=process.returncode, seconds=pause_s)
        stop.wait(pause_s)
