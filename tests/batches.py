"""Records for tests, as a source would hand them over."""

from collections.abc import Sequence

import pyarrow as pa

from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.schemas.records import RECORDS

PARTITION = Partition("cluster-1", "telemetry", "topic-id-1", 3)
FIRST_OFFSET = 40
KAFKA_MS = 1_700_000_000_123
Headers = Sequence[tuple[str, bytes | None]]


def records_of(
    values: Sequence[bytes | None],
    encoding: str = "auto",
    *,
    kafka_ms: int = KAFKA_MS,
    headers: Sequence[Headers] | None = None,
    tenant: str = "",
) -> Records:
    """One batch of PARTITION with these values at successive offsets from FIRST_OFFSET."""
    count = len(values)
    named = [[{"key": key, "value": value} for key, value in row] for row in headers] if headers else [None] * count
    columns = [
        pa.array(range(FIRST_OFFSET, FIRST_OFFSET + count), pa.int64()),
        pa.array([kafka_ms] * count, pa.int64()),
        pa.array([b"key-%d" % number for number in range(count)], pa.binary()),
        _as_it_comes(pa.array(values, pa.binary())),
        pa.array(named, RECORDS.field("headers").type),
    ]
    return Records(PARTITION, pa.record_batch(columns, schema=RECORDS), encoding, tenant)


def _as_it_comes(values: pa.BinaryArray) -> pa.BinaryArray:
    """In memory that may not be written, as Kafka's: to kernels another kind of array, which would be compiled for these tests alone."""
    buffers = [each and pa.py_buffer(each.to_pybytes()) for each in values.buffers()]
    return pa.BinaryArray.from_buffers(pa.binary(), len(values), buffers)
