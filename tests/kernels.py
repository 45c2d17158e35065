"""Compiles the kernels, by using them: so that no test that waits for something waits for that.

In: nothing. Out: machine code in the user's cache, where the tests and the commands they start find it. Never: twice, of processes that ask at once.

`python -m tests.kernels` does it before others ask.
"""

import fcntl
from contextlib import nullcontext
from functools import cache

from tests.batches import records_of
from tests.secret_records import corpus
from tracebraid.pipeline.kernel.compiled import kept_at
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.store.parquet import encode_rows
from tracebraid.pipeline.transform import Transform
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.spans import SPANS

_LINE = b"2026-01-01T00:00:00.5Z INFO [main] a.B - done trace_id=4bf92f3577b34da6a3ce929d0e0e4736"


@cache
def made() -> None:
    """Spans and logs as protobuf, log objects, and all the others, from their bytes to Parquet.

    All of it by one process: what two kernels call is compiled with each of them in two."""
    place = kept_at()
    with (place / "tests").open("wb") if place else nullcontext() as lock:
        if lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
        _use()


def _use() -> None:
    values = [each.value for each in corpus(8) if each.encoding not in ("avro", "")]
    lines = [b'{"log":"%s\\n","stream":"stdout","time":"2026-01-01T00:00:00Z"}' % _LINE, _LINE, b"n=1 m=2 trace_id=" + _LINE[-32:], b"\tat a.B"]
    for batch in (values, lines * 100, *([value] * 200 for value in values[:4])):
        for piece in Transform(Settings()).pieces(records_of(batch), 0):
            encode_rows(SPANS, [piece.rows.spans])
            encode_rows(LOGS, [piece.rows.logs])


if __name__ == "__main__":
    made()
