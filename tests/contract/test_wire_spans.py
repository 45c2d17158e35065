"""What a real Collector put on Kafka as Jaeger and Zipkin becomes the rows that were sent, but for what those encodings cannot carry."""

import json
from pathlib import Path

import pytest

from tests.batches import records_of
from tests.carried import carried
from tests.contract.test_wire import KAFKA_MS, NOW_US, expected_span, in_order, rows, wire, without_place
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.normalize.batch import normalize

pytestmark = pytest.mark.shared
ENCODINGS = ["jaeger_proto", "jaeger_json", "zipkin_proto", "zipkin_json"]


@pytest.mark.parametrize("configured", ["auto", "named"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_spans_are_what_was_sent(shared: Path, encoding: str, configured: str) -> None:
    records = records_of(wire(shared, f"spans.{encoding}"), "auto" if configured == "auto" else encoding, kafka_ms=KAFKA_MS)
    decoded = decode(records)
    normalized = normalize(records, decoded, now_us=NOW_US)
    sent = json.loads((shared / "data/wire/sent.spans.json").read_text())
    expected = [
        carried(encoding, expected_span(group, scope, span)) for group in sent["resourceSpans"] for scope in group["scopeSpans"] for span in scope["spans"]
    ]
    assert in_order(without_place(rows(normalized.spans))) == in_order(expected)
    assert (normalized.logs.num_rows, normalized.rejects.num_rows, decoded.dropped.total()) == (0, 0, 0)
    assert not normalized.counted


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_frame_of_the_schema_registry_is_taken_off(shared: Path, encoding: str) -> None:
    values = wire(shared, f"spans.{encoding}")
    frame = b"\0\0\0\0\x07" + (b"\0" if encoding.endswith("_proto") else b"")
    for configured in ("auto", encoding):
        assert decode(records_of([frame + value for value in values], configured)).spans.equals(decode(records_of(values)).spans)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_byte_more_or_less_costs_its_own_record(shared: Path, encoding: str) -> None:
    """Each cut of a record, between whole ones, as `auto` sees it: rows or a reject of its own, and its neighbors stay."""
    values = wire(shared, f"spans.{encoding}")
    whole = max(values, key=len)
    cuts = [whole[:size] for size in range(8, len(whole), 7)]
    for configured in ("auto", encoding):
        decoded = decode(records_of([value for cut in cuts for value in (whole, cut)], configured))
        spans = decoded.spans.column("record").to_pylist()
        assert [record for record in spans if not record % 2] == [record for record in range(0, 2 * len(cuts), 2) for _ in range(_rows(whole))]
        rest = {*spans, *decoded.logs.column("record").to_pylist(), *decoded.rejects.column("record").to_pylist()}
        assert rest == set(range(2 * len(cuts)))
        assert "decoder_error" not in decoded.rejects.column("reason").to_pylist()


def _rows(value: bytes) -> int:
    return int(decode(records_of([value])).spans.num_rows)
