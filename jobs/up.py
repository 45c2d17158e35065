"""`tracebraid up`: all jobs of one machine in one command, each a process of its own, restarted when it fails.

In: the settings. Out: the jobs' own output. SIGTERM and SIGINT stop them all, and wait until each has finished its cycle.
Exit code 1 where one could not be started, or did not stop by itself in time.
"""

import signal
import subprocess
import sys
import threading

import click
import structlog

from tracebraid.jobs.common import config_option, start
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError

PROGRAM = (sys.executable, "-m", "tracebraid")
SUPERVISED = (("ingest",), ("detect",), ("explain",), ("archive",))  # arguments of each process; later jobs join here
BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
HEALTHY_S = 60.0  # a process that lived so long starts its backoff anew
STOP_WAIT_S = 25.0  # ingest takes 20 at most; Kubernetes gives 30 to all of us

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
    jobs = [Job(arguments, config) for arguments in (*SUPERVISED, *((("notify",),) if settings.notify.channels else ()))]
    threads = [threading.Thread(target=job.supervise, args=(stop, clock), name=job.name) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if misused := [job.name for job in jobs if job.misused]:
        raise UsageError(f"{', '.join(misused)} cannot run with these settings", "Its line is above; `tracebraid config check` repeats it")
    if broken := [job.broken for job in jobs if job.broken]:
        raise TracebraidError("; ".join(broken), "Nothing is lost: what was not committed is read again at the next start")


class Job:
    """One job and its process. `misused`: its settings are no good. `broken`: why it did not end as it should."""

    def __init__(self, arguments: tuple[str, ...], config: str | None) -> None:
        self.name = arguments[0]
        self.command = [*PROGRAM, *arguments, *(("--config", config) if config else ())]
        self.misused, self.broken = False, ""

    def supervise(self, stop: threading.Event, clock: Clock) -> None:
        """Until `stop` is set; it is set where starting the job again would change nothing."""
        failures = 0
        while not stop.is_set():
            began_s = clock.monotonic_s()
            try:
                process = subprocess.Popen(self.command, start_new_session=True)  # a session of its own: Ctrl-C reaches us alone, and we pass on SIGTERM
            except OSError as error:
                self.broken = f"{self.name} cannot be started: {error.strerror or error}"
                stop.set()
                return
            while process.poll() is None and not stop.wait(0.2):
                pass
            if stop.is_set():
                self._end(process)
                return
            if process.returncode == UsageError.exit_code:
                self.misused = True  # starting it again would say the same
                stop.set()
                return
            failures = 0 if clock.monotonic_s() - began_s > HEALTHY_S else failures + 1
            pause_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
            log.error("job ended; starting it again", job=self.name, exit_code=process.returncode, seconds=pause_s)
            stop.wait(pause_s)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """SIGTERM, time to finish its cycle, SIGKILL."""
        process.terminate()
        try:
            process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            self.broken = f"{self.name} did not stop within {STOP_WAIT_S:g} s and was killed"
            process.kill()
            process.wait()
        else:
            if process.returncode not in (0, -signal.SIGTERM):  # by the signal itself: it had not come as far as to catch it
                self.broken = f"{self.name} ended with exit code {process.returncode} when it was stopped"
