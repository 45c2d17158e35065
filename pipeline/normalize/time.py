"""Times: exact nanoseconds, Delta's microseconds, and which of them are plausible beside the Kafka timestamp and the present.

In: arrays of nanoseconds or microseconds since 1970. Out: columns and verdicts. Never: a clock; the day of a row is judged by its Kafka timestamp alone.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.event_time import measured
from tracebraid.schemas.table import DATE, TIMESTAMP

_SECOND_US = 1_000_000
_DAY_US = 86_400 * _SECOND_US


@dataclass(frozen=True, slots=True)
class Placed:
    """day: date32, the partition column. skewed: bool, the event time is implausible. event_us: microseconds since 1970. plausible: those that are so, and
    the row's own."""

    day: pa.Date32Array
    skewed: pa.BooleanArray
    event_us: npt.NDArray[np.int64]
    plausible: npt.NDArray[np.bool_]

    def range_us(self, start: int, end: int) -> tuple[int, int] | None:
        """The earliest and the latest plausible time of these rows, None without one."""
        times = self.event_us[start:end][self.plausible[start:end]]
        return (int(times.min()), int(times.max())) if len(times) else None


def exact_nanos(unix_nano: pa.UInt64Array) -> tuple[pa.Int64Array, pa.BooleanArray]:
    """uint64 nanoseconds as int64, null from 2^63 on, and which of them were beyond it."""
    signed = unix_nano.fill_null(0).to_numpy().view(np.int64)
    beyond = signed < 0
    missing = unix_nano.is_null().to_numpy(zero_copy_only=False) | beyond
    return pa.array(signed, pa.int64(), mask=missing), pa.array(beyond)


def micros(nanos: pa.Int64Array) -> pa.Int64Array:
    """int64 nanoseconds as microseconds, rounded down; null where null or 0, which OTLP uses for 'not set'."""
    plain = nanos.fill_null(0).to_numpy()
    return pa.array(plain // 1000, mask=plain == 0)


def timestamps(micros_utc: pa.Int64Array) -> pa.TimestampArray:
    """int64 microseconds as the tables' timestamp type."""
    return micros_utc.cast(TIMESTAMP)


def place(event_us: pa.Int64Array, kafka_us: pa.Int64Array, now_us: int) -> Placed:
    """Day and verdict for event times (int64 microseconds, null where there is none, within ±2^61) beside Kafka timestamps (no nulls).

    `now_us`: 0 where nobody knows it. A row without a time of its own is skewed where its Kafka timestamp lies in the future.
    The event's day counts from `partition_behind_s` before to `partition_ahead_s` after the Kafka timestamp, else the timestamp's day does.
    """
    kafka, present = kafka_us.to_numpy(), event_us.is_valid().to_numpy(zero_copy_only=False)
    event = np.where(present, event_us.fill_null(0).to_numpy(), kafka)
    ahead = event - kafka
    near = (ahead >= -limits.partition_behind_s * _SECOND_US) & (ahead <= limits.partition_ahead_s * _SECOND_US)
    day = pa.array((np.where(near, event, kafka) // _DAY_US).astype(np.int32)).view(DATE)
    _, skewed = measured(event, kafka, now_us)
    return Placed(day, pa.array(skewed), event, present & ~skewed)
