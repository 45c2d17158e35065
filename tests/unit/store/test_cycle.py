"""The open cycle's account of a partition."""

import pyarrow as pa

from tests.unit.store.build import P, rows
from tracebraid.pipeline.kernel.records import Decoded, Normalized, Records
from tracebraid.pipeline.store.cycle import OpenCycle
from tracebraid.pipeline.store.ledger import Held
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.records import DECODED_LOGS, DECODED_REJECTS, DECODED_SPANS, RECORDS, RESOURCES
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.spans import SPANS


def empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def test_rows_of_a_torn_cycle_count_though_their_record_is_gone_from_the_topic() -> None:
    """Compaction took offsets 5 and 7 after a table had taken their rows."""
    records = Records(P, pa.RecordBatch.from_pylist([{"kafka_offset": offset, "kafka_time_ms": 1} for offset in (6, 8)], schema=RECORDS))
    decoded = Decoded(empty(DECODED_SPANS), empty(DECODED_LOGS), empty(RESOURCES), empty(DECODED_REJECTS))
    normalized = Normalized(rows(SPANS, P, []), rows(LOGS, P, [6, 8]), rows(REJECTS, P, []))
    cycle = OpenCycle()
    cycle.add(records, decoded, normalized, Held(5, {(5, 0): "logs", (6, 0): "logs", (7, 0): "spans"}, 8), 5)
    (interval,) = cycle.close("group", 1).intervals
    assert (interval.first_offset, interval.last_offset, interval.records_in) == (5, 8, 2)
    assert (interval.rows_logs, interval.rows_spans, interval.rows_in) == (3, 1, 4)
    assert [batch["kafka_offset"].to_pylist() for batch in cycle.close("group", 1).logs] == [[8]]
