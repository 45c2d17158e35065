"""One broken OTLP file per mistake: each becomes the reject or the row that it should, and its neighbors stay as they were."""

from pathlib import Path
from typing import Any

import pytest

from tests.batches import FIRST_OFFSET, KAFKA_MS, records_of
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.schemas.rejects import REASONS

TRACE_ID, SPAN_ID, NANOS = "0102030405060708090a0b0c0d0e0f10", "0102030405060708", 1_700_000_000_000_000_000
REJECTS = {
    "otlp_proto-truncated.bin": "malformed",
    "otlp_proto-truncated-varint.bin": "malformed",
    "otlp_proto-varint-of-eleven-bytes.bin": "malformed",
    "otlp_proto-length-beyond-its-parent.bin": "malformed",
    "otlp_proto-length-of-4-gib.bin": "malformed",
    "otlp_proto-group-wire-type.bin": "malformed",
    "otlp_proto-field-number-zero.bin": "malformed",
    "otlp_proto-broken-behind-the-first-span.bin": "malformed",
    "otlp_proto-name-not-utf8.bin": "invalid_utf8",
    "otlp_proto-too-deep.bin": "too_deep",
    "otlp_proto-metrics.bin": "otlp_metrics",
    "otlp_proto-spans-without-fields.bin": "ambiguous",
    "otlp_json-truncated.json": "malformed",
    "otlp_json-name-not-utf8.json": "invalid_utf8",
    "otlp_json-too-deep.json": "too_deep",
    "otlp_json-too-deep-for-the-parser.json": "too_deep",
    "otlp_json-trace-id-number.json": "malformed",
    "otlp_json-time-beyond-uint64.json": "malformed",
    "otlp_json-time-negative.json": "malformed",
    "otlp_json-time-as-words.json": "malformed",
    "otlp_json-int64-beyond.json": "malformed",
    "otlp_json-bytes-not-base64.json": "malformed",
    "otlp_json-attribute-bare.json": "malformed",
    "otlp_json-attributes-an-object.json": "malformed",
    "otlp_json-enum-name-unknown.json": "malformed",
    "otlp_json-spans-an-object.json": "malformed",
    "otlp_json-span-null.json": "malformed",
    "otlp_json-an-array.json": "not_an_object",
    "otlp_json-metrics.json": "otlp_metrics",
    "otlp_json-neither-spans-nor-logs.json": "malformed",
    "otlp_json-second-document-broken.json": "malformed",
    "otlp_json-garbage-behind.json": "malformed",
}
# What a row has that differs from the plain span of the same file; 'noticed' is the counter.
ROWS: dict[str, dict[str, Any]] = {
    "otlp_proto-time-as-varint.bin": {"kind": "UNSPECIFIED", "start_unix_nano": 0, "end_unix_nano": 0, "duration_ns": None},
    "otlp_proto-trace-id-of-15-bytes.bin": {
        "trace_id": None,
        "attributes": [("tracebraid.invalid_trace_id", TRACE_ID[:30])],
        "noticed": ("invalid_trace_id", "shop"),
    },
    "otlp_proto-trace-id-of-17-bytes.bin": {
        "trace_id": None,
        "attributes": [("tracebraid.invalid_trace_id", TRACE_ID + "11")],
        "noticed": ("invalid_trace_id", "shop"),
    },
    "otlp_proto-trace-id-absent.bin": {"trace_id": None},
    "otlp_proto-trace-id-of-zeros.bin": {
        "trace_id": None,
        "attributes": [("tracebraid.invalid_trace_id", "0" * 32)],
        "noticed": ("invalid_trace_id", "shop"),
    },
    "otlp_proto-trace-id-of-8-bytes.bin": {"trace_id": "0" * 16 + TRACE_ID[:16]},
    "otlp_proto-span-id-of-7-bytes.bin": {
        "span_id": None,
        "attributes": [("tracebraid.invalid_span_id", SPAN_ID[:14])],
        "noticed": ("invalid_span_id", "shop"),
    },
    "otlp_proto-parent-of-zeros.bin": {},
    "otlp_proto-end-before-start.bin": {"end_unix_nano": NANOS - 5000, "duration_ns": -5000},
    "otlp_proto-times-of-zero.bin": {"start_unix_nano": 0, "end_unix_nano": 0, "duration_ns": None},
    "otlp_proto-times-beyond-int64.bin": {
        "start_unix_nano": None,
        "end_unix_nano": None,
        "duration_ns": None,
        "attributes": [("tracebraid.start_unix_nano", str(2**63)), ("tracebraid.end_unix_nano", str(2**64 - 1))],
    },
    "otlp_proto-time-in-2262.bin": {"start_unix_nano": 2**63 - 1, "end_unix_nano": 2**63 - 1, "duration_ns": 0, "noticed": ("clock_skew", "shop")},
    "otlp_proto-kind-unknown.bin": {"kind": "UNSPECIFIED", "attributes": [("tracebraid.kind", "77"), ("tracebraid.status_code", "9")]},
    "otlp_proto-fields-twice.bin": {"name": "again", "end_unix_nano": NANOS + 2000, "duration_ns": 2000},
    "otlp_proto-number-nan.bin": {"attributes": [("nan", "NaN"), ("inf", "-Infinity")]},
    "otlp_proto-key-twice.bin": {"attributes": [("k", "last")]},
    "otlp_proto-unknown-fields.bin": {},
    "otlp_json-nan-literal.json": {"attributes": [("k", "NaN")]},
    "otlp_json-nan-text.json": {"attributes": [("k", "-Infinity")]},
    "otlp_json-trace-id-not-hex.json": {
        "trace_id": None,
        "attributes": [("tracebraid.invalid_trace_id", "not-an-id")],
        "noticed": ("invalid_trace_id", "shop"),
    },
    "otlp_json-trace-id-upper-case.json": {},
    "otlp_json-time-as-number.json": {},
    "otlp_json-times-beyond-int64.json": {
        "start_unix_nano": None,
        "end_unix_nano": None,
        "duration_ns": None,
        "attributes": [("tracebraid.start_unix_nano", str(2**63)), ("tracebraid.end_unix_nano", str(2**64 - 1))],
    },
    "otlp_json-enum-names.json": {"kind": "CONSUMER", "status_code": "ERROR"},
    "otlp_json-snake-case.json": {"kind": "UNSPECIFIED", "service_name": None},
    "otlp_json-byte-order-mark.json": {},
    "otlp_json-lone-surrogate.json": {"name": "\ufffd"},
    "otlp_json-key-twice.json": {},
    "otlp_json-unknown-fields.json": {},
}
OTHERS = {"otlp_proto-resource-alone.bin", "otlp_json-spans-null.json", "otlp_json-two-documents.json", "otlp_json-metrics-beside-spans.json"}
PLAIN = {
    "trace_id": TRACE_ID,
    "span_id": SPAN_ID,
    "parent_span_id": None,
    "name": "op",
    "kind": "SERVER",
    "status_code": "UNSET",
    "start_unix_nano": NANOS,
    "end_unix_nano": NANOS + 1000,
    "duration_ns": 1000,
    "service_name": "shop",
    "attributes": [],
}
NEIGHBOR = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","name":"n"}]}]}]}'


def broken(root: Path, name: str) -> tuple[bytes, str]:
    return (root / "tests/data/invalid" / name).read_bytes(), name.partition("-")[0]


def test_every_file_has_its_verdict(root: Path) -> None:
    found = {path.name for path in (root / "tests/data/invalid").glob("otlp_*")}
    assert found == REJECTS.keys() | ROWS.keys() | OTHERS
    assert set(REJECTS.values()) <= REASONS.keys()


@pytest.mark.parametrize("name", sorted(REJECTS))
def test_reject(root: Path, name: str) -> None:
    value, encoding = broken(root, name)
    records = records_of([value], encoding)
    decoded = decode(records)
    assert [(row["reason"], row["encoding"]) for row in decoded.rejects.to_pylist()] == [(REJECTS[name], encoding)]
    assert (decoded.spans.num_rows, decoded.logs.num_rows, decoded.dropped.total()) == (0, 0, 0)
    row = normalize(records, decoded, now_us=KAFKA_MS * 1000).rejects.to_pylist()[0]
    assert (row["record_value"], row["kafka_offset"]) == (value, FIRST_OFFSET)
    assert "\n" not in row["message"]


@pytest.mark.parametrize("name", sorted(ROWS))
def test_row(root: Path, name: str) -> None:
    value, encoding = broken(root, name)
    expected = dict(ROWS[name])
    noticed = expected.pop("noticed", None)
    records = records_of([value], encoding)
    normalized = normalize(records, decode(records), now_us=KAFKA_MS * 1000)
    assert [{column: row[column] for column in PLAIN} for row in normalized.spans.to_pylist()] == [PLAIN | expected]
    assert dict(normalized.counted) == ({noticed: 1} if noticed else {})
    assert normalized.rejects.num_rows == 0


@pytest.mark.parametrize("name", sorted(REJECTS.keys() | ROWS.keys() | OTHERS))
def test_neighbors_stay(root: Path, name: str) -> None:
    value, _ = broken(root, name)
    decoded = decode(records_of([NEIGHBOR, value, NEIGHBOR]))
    rows = [row for row in decoded.spans.to_pylist() if row["record"] != 1]
    assert [(row["record"], row["record_index"], row["name"]) for row in rows] == [(0, 0, "n"), (2, 0, "n")]
    assert decoded.rows_in >= 3


def test_an_empty_message_is_dropped(root: Path) -> None:
    for name in ("otlp_proto-resource-alone.bin", "otlp_json-spans-null.json"):
        value, encoding = broken(root, name)
        decoded = decode(records_of([value], encoding))
        assert (dict(decoded.dropped), decoded.rows_in) == ({"empty": 1}, 1)


def test_documents_on_lines_are_one_record(root: Path) -> None:
    value, encoding = broken(root, "otlp_json-two-documents.json")
    spans = decode(records_of([value], encoding)).spans.to_pylist()
    assert [(row["record_index"], row["name"]) for row in spans] == [(0, "op"), (1, "second")]


def test_metrics_beside_spans_are_a_reject_of_their_own(root: Path) -> None:
    value, encoding = broken(root, "otlp_json-metrics-beside-spans.json")
    decoded = decode(records_of([value], encoding))
    assert [row["name"] for row in decoded.spans.to_pylist()] == ["op"]
    assert [(row["record_index"], row["reason"]) for row in decoded.rejects.to_pylist()] == [(1, "otlp_metrics")]
