"""Which time a row counts at: its own, where that is plausible beside its Kafka timestamp and the present, else one that is.

In: times of rows as arrays. Out: the times they are measured at, and which were not plausible. Never: a clock; the present is the rows' `ingested_at`.

A Kafka timestamp may be its producer's, and so as wrong as the row's own: both in the next year agree with each other. A watermark that believed them would
stand there, and let nothing be detected until then. So nothing counts later than `plausible_ahead_s` after the present.
"""

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.kernel import limits

Ints = npt.NDArray[np.int64]
_AHEAD_US, _BEHIND_US = limits.plausible_ahead_s * 1_000_000, limits.plausible_behind_s * 1_000_000
_FOREVER_US = (1 << 62) - _AHEAD_US
_YEAR_10000_MS = 253_402_300_800_000


def kafka_micros(milliseconds: Ints) -> Ints:
    """Kafka timestamps in microseconds since 1970, brought into the years 1970 to 9999: a producer may write any 64 bits, and no calendar goes on."""
    found: Ints = np.clip(milliseconds, 0, _YEAR_10000_MS - 1) * 1000
    return found


def measured(own_us: Ints, kafka_us: Ints, now_us: Ints | int) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """(time each row counts at, bool: its own is not plausible), microseconds since 1970, within ±2^61; Kafka timestamps not before 1970.

    own_us: the Kafka timestamp where a row has no time of its own. now_us: 0 where nobody knows it: then nothing is in the future.
    """
    now = np.where(np.asarray(now_us) > 0, now_us, _FOREVER_US)
    known = np.where(kafka_us <= now + _AHEAD_US, kafka_us, now)
    plausible = (own_us <= np.minimum(known, now) + _AHEAD_US) & (own_us >= np.maximum(known - _BEHIND_US, 0))
    times: Ints = np.where(plausible, own_us, known)
    return times, ~plausible
