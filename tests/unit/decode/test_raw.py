"""Bodies alone: whatever the bytes are, one row with the body that OTLP would have had."""

from pathlib import Path

import pytest

from tests.batches import KAFKA_MS, records_of
from tests.contract.test_wire import NOW_US, wire
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.normalize.batch import normalize


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (b'"payment declined\\nsecond line"', "payment declined\nsecond line"),
        (b'""', ""),
        (b'"half \\ud83d of a pair"', "half \ufffd of a pair"),
        (b'"broken', '"broken'),
        (b'"a" and "b"', '"a" and "b"'),
        (b'{"event":"cart.updated","items":3}', '{"event":"cart.updated","items":3}'),
        (b'"{\\"level\\":\\"warn\\"}"', '{"level":"warn"}'),
        (b'["a",true]', '["a",true]'),
        (b"42", "42"),
        (b"plain\ntext", "plain\ntext"),
        (b"2026-01-01T00:00:00Z stdout F in a line of CRI", "2026-01-01T00:00:00Z stdout F in a line of CRI"),
        (b"\0\0\0\0\x07{}", "\0\0\0\0\x07{}"),
        (b"\x00\xfe", "AP4="),
        (b"\xef\xbb\xbfx", "\ufeffx"),
    ],
)
def test_body(value: bytes, body: str) -> None:
    decoded = decode(records_of([value], "raw"))
    assert [(row["form"], row["body"], row["attributes"]) for row in decoded.logs.to_pylist()] == [("text", body, [])]
    assert decoded.rows_in == 1


@pytest.mark.shared
def test_raw_bodies_are_the_bodies_of_otlp(shared: Path) -> None:
    found = {}
    for capture, encoding in (("logs.raw", "raw"), ("logs.otlp_proto", "otlp_proto")):
        records = records_of(wire(shared, capture), encoding, kafka_ms=KAFKA_MS)
        found[encoding] = normalize(records, decode(records), now_us=NOW_US).logs.column("body").to_pylist()
    assert found["raw"] == [body for body in found["otlp_proto"] if body is not None]


@pytest.mark.shared
def test_auto_reads_what_lies_in_raw_bodies(shared: Path) -> None:
    """Of a topic of raw logs that nobody has named: a bytes body is no text, all others are rows, and JSON in a string has its fields."""
    records = records_of(wire(shared, "logs.raw"), kafka_ms=KAFKA_MS)
    normalized = normalize(records, decode(records), now_us=NOW_US)
    assert (normalized.logs.num_rows, normalized.rejects.column("reason").to_pylist()) == (7, ["malformed"])
    row = next(row for row in normalized.logs.to_pylist() if row["severity_text"] == "warn")
    assert (row["body"], row["trace_id"]) == ("json in a string", "4bf92f3577b34da6a3ce929d0e0e4736")
