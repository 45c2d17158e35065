"""The open cycle's account of a partition."""

from dataclasses import replace

import pyarrow as pa
import pytest

from tests.unit.store.build import P, rows
from tracebraid.pipeline.kernel.records import Decoded, Normalized, Records
from tracebraid.pipeline.store import cycle as store_cycle
from tracebraid.pipeline.store.cycle import OpenCycle
from tracebraid.pipeline.store.ledger import Held, interval_rows
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
    cycle.add(records, decoded.dropped, normalized, Held(5, {(5, 0): "logs", (6, 0): "logs", (7, 0): "spans"}, 8), 5)
    (interval,) = cycle.close("group", 1).intervals
    assert (interval.first_offset, interval.last_offset, interval.records_in) == (5, 8, 2)
    assert (interval.rows_logs, interval.rows_spans, interval.rows_in) == (3, 1, 4)
    assert [batch["kafka_offset"].to_pylist() for batch in cycle.close("group", 1).logs] == [[8]]


def test_what_fails_has_taken_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(P, pa.RecordBatch.from_pylist([{"kafka_offset": offset, "kafka_time_ms": 1} for offset in (5, 6)], schema=RECORDS))
    decoded = Decoded(empty(DECODED_SPANS), empty(DECODED_LOGS), empty(RESOURCES), empty(DECODED_REJECTS))
    normalized = Normalized(rows(SPANS, P, [5]), rows(LOGS, P, [6]), rows(REJECTS, P, []))
    torn = Held(5, {(5, 0): "spans"}, 6)
    cycle, expected = OpenCycle(), OpenCycle()
    cycle.add(records, decoded.dropped, normalized, torn, 5)
    expected.add(records, decoded.dropped, normalized, torn, 5)
    again = replace(records, batch=records.batch.set_column(0, RECORDS.field("kafka_offset"), pa.array([7, 8])))
    for broken in ("take_rows", "kafka_micros", "_widen"):
        with monkeypatch.context() as patch:
            patch.setattr(store_cycle, broken, lambda *_: 1 // 0)
            for one in (cycle, empty_one := OpenCycle()):
                with pytest.raises(ZeroDivisionError):
                    one.add(again, decoded.dropped, normalized, torn, 5)
            assert (empty_one.close("g", 1).intervals, empty_one.records, empty_one.bytes) == ([], 0, 0)
    assert (cycle.records, cycle.bytes, cycle.next_offsets()) == (expected.records, expected.bytes, expected.next_offsets())
    assert cycle.close("g", 1) == expected.close("g", 1)


@pytest.mark.parametrize(("ms", "expected_us"), [(-(2**63), 0), (-1, 0), (2**63 - 1, 253_402_300_799_999_000), (253_402_300_800_000, 253_402_300_799_999_000)])
def test_a_timestamp_beyond_every_calendar_is_brought_into_it(ms: int, expected_us: int) -> None:
    """Its producer may write any number there; the interval's day was none, and the commit ended `ingest` at each start anew."""
    records = Records(P, pa.RecordBatch.from_pylist([{"kafka_offset": 5, "kafka_time_ms": ms}], schema=RECORDS))
    decoded = Decoded(empty(DECODED_SPANS), empty(DECODED_LOGS), empty(RESOURCES), empty(DECODED_REJECTS))
    cycle = OpenCycle()
    cycle.add(records, decoded.dropped, Normalized(rows(SPANS, P, []), rows(LOGS, P, [5]), rows(REJECTS, P, [])), Held(5), 5)
    (interval,) = cycle.close("group", 1).intervals
    assert interval.kafka_time_us == (expected_us, expected_us)
    assert interval_rows([interval], "group", 0).num_rows == 1
