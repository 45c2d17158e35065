"""Rejects as the table holds them: the original bytes, with the reason.

In: schemas.records.DECODED_REJECTS. Out: a batch of schemas.rejects.REJECTS. Never: more than the first `reject_value_bytes_max` bytes of a
value; its size and hash are of the whole.
"""

import hashlib

import pyarrow as pa

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.held import as_held
from tracebraid.pipeline.normalize.context import Context
from tracebraid.pipeline.normalize.time import place
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.table import BINARY, INT64, STRING


def normalize_rejects(rejects: pa.RecordBatch, context: Context) -> pa.RecordBatch:
    """One row a reject, in their order; its day is that of the Kafka timestamp."""
    record, batch = rejects.column("record"), context.records.batch
    numbers = record.to_pylist()
    heads: dict[int, tuple[bytes, int, str]] = {}
    for number in set(numbers):
        value = batch.column("value")[number].as_py() or b""
        heads[number] = value[: limits.reject_value_bytes_max], len(value), hashlib.sha256(value).hexdigest()
    columns = {
        **context.provenance(record, rejects.column("record_index")),
        "day": place(pa.nulls(len(numbers), INT64), context.row_kafka_us(record), context.now_us).day,
        "reason": rejects.column("reason"),
        "message": pa.array([message[: limits.reject_message_chars_max] for message in rejects.column("message").to_pylist()], STRING),
        "encoding": rejects.column("encoding"),
        "record_key": batch.column("key").take(record),
        "record_value": pa.array([heads[number][0] for number in numbers], BINARY),
        "record_headers": batch.column("headers").take(record),
        "value_bytes": pa.array([heads[number][1] for number in numbers], INT64),
        "value_sha256": pa.array([heads[number][2] for number in numbers], STRING),
    }
    return pa.record_batch([as_held(columns[field.name], field.type) for field in REJECTS.held], schema=REJECTS.held)
