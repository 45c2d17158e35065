"""The stage's entry: provenance, tenants, rejects, and that every row is accounted for."""

import hashlib
import sys
from datetime import UTC, date, datetime

import pytest

from tests.batches import FIRST_OFFSET, KAFKA_MS, Headers, records_of
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.spans import SPANS

SPANS_JSON = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"},{"name":"b"}]}]}]}'
LOG, BROKEN = b"plain text", b"\x0a\xff\xff"
NOW_US = 1_700_000_009_000_000


def test_rows_in_are_rows_kept_rejected_and_dropped() -> None:
    records = records_of([SPANS_JSON, LOG, BROKEN, None, SPANS_JSON])
    decoded = decode(records)
    normalized = normalize(records, decoded, now_us=NOW_US)
    assert (normalized.spans.num_rows, normalized.logs.num_rows, normalized.rejects.num_rows, decoded.dropped.total()) == (4, 1, 1, 1)
    assert decoded.rows_in == 7
    assert (normalized.spans.schema, normalized.logs.schema, normalized.rejects.schema) == (SPANS.held, LOGS.held, REJECTS.held)


def test_provenance() -> None:
    records = records_of([LOG, SPANS_JSON])
    found = normalize(records, decode(records), now_us=NOW_US).spans.to_pylist()
    place = {
        "kafka_cluster": "cluster-1",
        "kafka_topic": "telemetry",
        "kafka_topic_id": "topic-id-1",
        "kafka_partition": 3,
        "kafka_offset": FIRST_OFFSET + 1,
        "kafka_time": datetime.fromtimestamp(KAFKA_MS / 1000, UTC),
        "ingested_at": datetime.fromtimestamp(NOW_US / 1_000_000, UTC),
        "day": date(2023, 11, 14),
    }
    assert [{name: row[name] for name in place} for row in found] == [place, place]
    assert [row["record_index"] for row in found] == [0, 1]


@pytest.mark.parametrize(
    ("headers", "tenant"),
    [
        ([("team", b"red")], "red"),
        ([("team", b"red"), ("team", b"blue")], "blue"),
        ([("other", b"red")], "configured"),
        ([("team", None)], "configured"),
        ([], "configured"),
        ([("team", b"\xff")], "\ufffd"),
    ],
)
def test_tenant(headers: Headers, tenant: str) -> None:
    records = records_of([SPANS_JSON, LOG, BROKEN], headers=[headers] * 3, tenant="configured")
    normalized = normalize(records, decode(records), now_us=NOW_US, tenant_header="team")
    for batch in (normalized.spans, normalized.logs, normalized.rejects):
        assert set(batch.column("tenant").to_pylist()) == {tenant}
    without = normalize(records, decode(records), now_us=NOW_US)
    assert set(without.spans.column("tenant").to_pylist()) == {"configured"}


def test_a_reject_keeps_its_bytes() -> None:
    value = b"\x0a\xff\xff" + b"\xee" * limits.reject_value_bytes_max
    records = records_of([value], headers=[[("h", b"1"), ("none", None)]])
    row = normalize(records, decode(records), now_us=NOW_US).rejects.to_pylist()[0]
    assert row == {
        "day": date(2023, 11, 14),
        "reason": "malformed",
        "message": "neither OTLP, Jaeger, Zipkin, JSON nor text: the bytes break the structure of each",
        "encoding": "auto",
        "record_key": b"key-0",
        "record_value": value[: limits.reject_value_bytes_max],
        "record_headers": [{"key": "h", "value": b"1"}, {"key": "none", "value": None}],
        "value_bytes": len(value),
        "value_sha256": hashlib.sha256(value).hexdigest(),
        "tenant": "",
        "kafka_cluster": "cluster-1",
        "kafka_topic": "telemetry",
        "kafka_topic_id": "topic-id-1",
        "kafka_partition": 3,
        "kafka_offset": FIRST_OFFSET,
        "record_index": 0,
        "kafka_time": datetime.fromtimestamp(KAFKA_MS / 1000, UTC),
        "ingested_at": datetime.fromtimestamp(NOW_US / 1_000_000, UTC),
    }


@pytest.mark.parametrize("kafka_ms", [-1, 0, 2**62])
def test_kafka_timestamps_that_are_none(kafka_ms: int) -> None:
    records = records_of([SPANS_JSON, LOG, BROKEN], kafka_ms=kafka_ms)
    normalized = normalize(records, decode(records), now_us=NOW_US)
    days = {day for batch in (normalized.spans, normalized.logs, normalized.rejects) for day in batch.column("day").to_pylist()}
    assert days == {date(1970, 1, 1) if kafka_ms <= 0 else date(9999, 12, 31)}


def test_an_empty_batch() -> None:
    records = records_of([])
    normalized = normalize(records, decode(records), now_us=NOW_US)
    assert (normalized.spans.num_rows, normalized.logs.num_rows, normalized.rejects.num_rows, normalized.event_time_us) == (0, 0, 0, None)


def test_the_same_batch_gives_the_same_rows() -> None:
    records = records_of([SPANS_JSON, LOG, BROKEN])
    first, second = (normalize(records, decode(records), now_us=NOW_US) for _ in range(2))
    assert (first.spans, first.logs, first.rejects, first.counted) == (second.spans, second.logs, second.rejects, second.counted)


def test_one_record_looks_for_nothing_on_the_disk() -> None:
    """Arrow, given a bare Python value, searches for a module that is not installed: a third of the cost of a batch of one record."""
    sought: list[str] = []

    class Watch:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            sought.append(name)

    values = [
        SPANS_JSON,
        LOG,
        BROKEN,
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"x","attributes":[{"key":"dd.trace_id"}]}]}]}]}',
        b'{"level":3}',
    ]
    records = records_of(values)
    decoded = decode(records)
    normalize(records, decoded, now_us=NOW_US)
    sys.meta_path.insert(0, Watch)  # type: ignore[arg-type]
    try:
        normalize(records, decoded, now_us=NOW_US)
    finally:
        sys.meta_path.remove(Watch)  # type: ignore[arg-type]
    assert sought == []
