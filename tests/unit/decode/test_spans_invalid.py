"""One broken file of Jaeger or Zipkin per mistake: each becomes the reject or the row that it should, and its neighbors stay as they were."""

from pathlib import Path
from typing import Any

import pytest

from tests.batches import KAFKA_MS, records_of
from tests.unit.decode.test_otlp_invalid import NEIGHBOR, PLAIN, SPAN_ID, broken
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.schemas.rejects import REASONS

REJECTS = {
    "jaeger_proto-truncated.bin": "malformed",
    "jaeger_proto-length-beyond-the-end.bin": "malformed",
    "jaeger_proto-group-wire-type.bin": "malformed",
    "jaeger_proto-name-not-utf8.bin": "invalid_utf8",
    "jaeger_json-truncated.json": "malformed",
    "jaeger_json-trace-id-not-base64.json": "malformed",
    "jaeger_json-time-as-number.json": "malformed",
    "jaeger_json-time-as-words.json": "malformed",
    "jaeger_json-month-of-13.json": "malformed",
    "jaeger_json-duration-without-unit.json": "malformed",
    "jaeger_json-an-array.json": "not_an_object",
    "jaeger_json-int64-beyond.json": "malformed",
    "jaeger_json-type-unknown.json": "malformed",
    "jaeger_json-tags-an-object.json": "malformed",
    "jaeger_json-process-a-string.json": "malformed",
    "jaeger_json-not-a-span.json": "malformed",
    "zipkin_proto-truncated.bin": "malformed",
    "zipkin_proto-length-beyond-its-parent.bin": "malformed",
    "zipkin_proto-second-span-broken.bin": "malformed",
    "zipkin_proto-name-not-utf8.bin": "invalid_utf8",
    "zipkin_json-truncated.json": "malformed",
    "zipkin_json-an-object.json": "malformed",
    "zipkin_json-span-null.json": "not_an_object",
    "zipkin_json-without-an-id.json": "malformed",
    "zipkin_json-id-number.json": "malformed",
    "zipkin_json-time-as-words.json": "malformed",
    "zipkin_json-time-negative.json": "malformed",
    "zipkin_json-tags-an-array.json": "malformed",
    "zipkin_json-endpoint-a-string.json": "malformed",
    "zipkin_json-shared-a-string.json": "malformed",
    "zipkin_thrift-truncated.bin": "malformed",
    "zipkin_thrift-count-beyond-the-end.bin": "malformed",
    "zipkin_thrift-name-not-utf8.bin": "invalid_utf8",
    "zipkin_thrift-nested-unknown-field.bin": "malformed",
    "zipkin_thrift-list-of-numbers.bin": "malformed",
    "zipkin_thrift-name-as-number.bin": "malformed",
    "zipkin_thrift-bytes-behind.bin": "malformed",
}
TRACE, SPAN = bytes(range(1, 17)).hex(), SPAN_ID
# What a row has that differs from the plain span of the same file; 'noticed' is the counter.
ROWS: dict[str, dict[str, Any]] = {
    "jaeger_proto-trace-id-of-15-bytes.bin": {
        "trace_id": None,
        "attributes": [("tracebraid.invalid_trace_id", TRACE[:30])],
        "noticed": ("invalid_trace_id", "shop"),
    },
    "jaeger_proto-trace-id-of-zeros.bin": {
        "trace_id": None,
        "attributes": [("tracebraid.invalid_trace_id", "0" * 32)],
        "noticed": ("invalid_trace_id", "shop"),
    },
    "jaeger_proto-span-id-of-7-bytes.bin": {
        "span_id": None,
        "attributes": [("tracebraid.invalid_span_id", SPAN[:14])],
        "noticed": ("invalid_span_id", "shop"),
    },
    "jaeger_proto-start-before-1970.bin": {
        "start_unix_nano": None,
        "end_unix_nano": None,
        "duration_ns": None,
        "attributes": [("tracebraid.start_unix_nano", "-1000000000"), ("tracebraid.end_unix_nano", "-999999000")],
    },
    "jaeger_proto-start-beyond-64-bits.bin": {
        "start_unix_nano": None,
        "end_unix_nano": None,
        "duration_ns": None,
        "attributes": [("tracebraid.start_unix_nano", f"{2**62}000000000"), ("tracebraid.end_unix_nano", f"{2**62}000001000")],
    },
    "jaeger_proto-tag-type-unknown.bin": {"attributes": [("odd", "kept")]},
    "jaeger_proto-tag-twice.bin": {},
    "jaeger_proto-parent-of-zeros.bin": {},
    "jaeger_json-trace-id-in-hex.json": {"trace_id": None, "noticed": ("invalid_trace_id", "shop")},
    "jaeger_json-snake-case.json": {},
    "jaeger_json-nulls.json": {},
    "zipkin_proto-trace-id-of-15-bytes.bin": {
        "trace_id": None,
        "attributes": [("tracebraid.invalid_trace_id", TRACE[:30])],
        "noticed": ("invalid_trace_id", "shop"),
    },
    "zipkin_proto-address-of-5-bytes.bin": {},
    "zipkin_proto-parent-of-zeros.bin": {},
    "zipkin_proto-time-beyond-64-bits.bin": {
        "start_unix_nano": None,
        "end_unix_nano": None,
        "duration_ns": None,
        "attributes": [("tracebraid.start_unix_nano", f"{2**64 - 1}000"), ("tracebraid.end_unix_nano", f"{2**64}000")],
    },
    "zipkin_json-trace-id-not-hex.json": {
        "trace_id": None,
        "attributes": [("tracebraid.invalid_trace_id", "not-a-trace-id")],
        "noticed": ("invalid_trace_id", "shop"),
    },
    "zipkin_json-trace-id-upper-case.json": {},
    "zipkin_json-tag-a-number.json": {"attributes": [("n", "1"), ("deep", '{"a":[1]}')]},
    "zipkin_json-nulls.json": {},
}


def test_every_file_has_its_verdict(root: Path) -> None:
    folder = root / "tests/data/invalid"
    found = {path.name for prefix in ("jaeger", "zipkin") for path in folder.glob(f"{prefix}_*")}
    assert found == REJECTS.keys() | ROWS.keys()
    assert set(REJECTS.values()) <= REASONS.keys()


@pytest.mark.parametrize("name", sorted(REJECTS))
def test_reject(root: Path, name: str) -> None:
    value, encoding = broken(root, name)
    decoded = decode(records_of([value], encoding))
    assert [(row["reason"], row["encoding"]) for row in decoded.rejects.to_pylist()] == [(REJECTS[name], encoding)]
    assert decoded.rows_in == 1


@pytest.mark.parametrize("name", sorted(ROWS))
def test_row(root: Path, name: str) -> None:
    value, encoding = broken(root, name)
    expected = dict(ROWS[name])
    noticed = expected.pop("noticed", None)
    records = records_of([value], encoding)
    normalized = normalize(records, decode(records), now_us=KAFKA_MS * 1000)
    rows = [{column: row[column] for column in PLAIN} for row in normalized.spans.to_pylist()]
    if "attributes" not in expected and noticed:
        expected["attributes"] = rows[0]["attributes"]
    assert rows == [PLAIN | {"trace_id": TRACE} | expected]
    assert dict(normalized.counted) == ({noticed: 1} if noticed else {})
    assert normalized.rejects.num_rows == 0


@pytest.mark.parametrize("name", sorted(REJECTS.keys() | ROWS.keys()))
def test_neighbors_stay(root: Path, name: str) -> None:
    value, _ = broken(root, name)
    decoded = decode(records_of([NEIGHBOR, value, NEIGHBOR]))
    rows = [row for row in decoded.spans.to_pylist() if row["record"] != 1]
    assert [(row["record"], row["record_index"], row["name"]) for row in rows] == [(0, 0, "n"), (2, 0, "n")]
    assert decoded.rows_in >= 3
