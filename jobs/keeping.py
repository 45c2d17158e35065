"""What ingest does beside ingesting, once an hour: rejects whose time is over leave their table.

In: settings. Out: commits that remove files, log lines. Never: an end of ingest; what fails is a warning, and is tried again an hour later.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.store.expiry import expire

FIRST_S = 60.0  # by then there is a lake, and a drain is over
EVERY_S = 3600.0

log = structlog.get_logger()


@contextmanager
def kept(settings: Settings, clock: Clock) -> Iterator[None]:
    """While the block runs. At its end what has begun is finished: at most one commit."""
    over = threading.Event()
    thread = threading.Thread(target=_keep, args=(settings, clock, over), name="keeping")
    if settings.rejects.keep_days:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if thread.ident is not None:
            thread.join()


def _keep(settings: Settings, clock: Clock, over: threading.Event) -> None:
    wait_s = FIRST_S
    while not over.wait(wait_s):
        wait_s = EVERY_S
        try:
            gone = [
                file for files in expire(settings.lake, settings.storage_config(), clock, settings.rejects.keep_days, stopped=over.is_set) for file in files
            ]
        except TracebraidError as error:
            log.warning("expired rejects stay for now", why=error.what)
            continue
        if gone:
            log.info("rejects have expired", rows=sum(file.rows for file in gone), files=len(gone), until_day=str(max(file.day for file in gone)))
