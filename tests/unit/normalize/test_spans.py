"""What becomes of a span's ids, words, times and links."""

from typing import Any

import pyarrow as pa

from tests.batches import records_of
from tracebraid.pipeline.decode.rows import Rows
from tracebraid.pipeline.kernel.records import Normalized
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.schemas.spans import SPANS

TRACE_ID, SPAN_ID, NANOS = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1_700_000_000_000_000_000


def normalized(*spans: dict[str, Any]) -> Normalized:
    rows = Rows()
    resource = rows.resource({"service.name": "shop", "k8s.container.name": "main", "x": "1"})
    for index, span in enumerate(spans):
        base = {"record": 0, "record_index": index, "resource": resource, "kind": 0, "status_code": 0, "trace_id": TRACE_ID, "span_id": SPAN_ID}
        rows.spans.append({**base, "start_unix_nano": NANOS, "end_unix_nano": NANOS + 1000, **span})
    return normalize(records_of([b"x"]), rows.finish(), now_us=NANOS // 1000)


def picked(found: Normalized, *names: str) -> list[Any]:
    rows = found.spans.select(list(names)).to_pylist()
    return [row[names[0]] if len(names) == 1 else tuple(row[name] for name in names) for row in rows]


def test_ids() -> None:
    spans = [{"trace_id": trace_id} for trace_id in (TRACE_ID, TRACE_ID.upper(), TRACE_ID[16:], "0" * 32, "xyz", None)]
    found = normalized(*spans)
    assert picked(found, "trace_id") == [TRACE_ID, TRACE_ID, "0" * 16 + TRACE_ID[16:], None, None, None]
    assert picked(found, "attributes") == [[], [], [], [("tracebraid.invalid_trace_id", "0" * 32)], [("tracebraid.invalid_trace_id", "xyz")], []]
    assert dict(found.counted) == {("invalid_trace_id", "shop"): 2}


def test_parents() -> None:
    found = normalized(*({"parent_span_id": parent} for parent in (SPAN_ID, "0" * 16, "", None, "abc")))
    assert picked(found, "parent_span_id") == [SPAN_ID, None, None, None, None]
    assert picked(found, "attributes") == [[], [], [], [], [("tracebraid.invalid_parent_span_id", "abc")]]
    assert dict(found.counted) == {("invalid_parent_span_id", "shop"): 1}


def test_words() -> None:
    found = normalized({"kind": 2, "status_code": 2}, {"kind": 6, "status_code": -1}, {"kind": None, "status_code": 1})
    assert picked(found, "kind", "status_code") == [("SERVER", "ERROR"), ("UNSPECIFIED", "UNSET"), ("UNSPECIFIED", "OK")]
    assert picked(found, "attributes") == [[], [("tracebraid.kind", "6"), ("tracebraid.status_code", "-1")], []]


def test_times() -> None:
    pairs = [(NANOS, NANOS + 5), (NANOS + 5, NANOS), (0, NANOS), (NANOS, 0), (2**63, 2**64 - 1), (None, None)]
    found = normalized(*({"start_unix_nano": start, "end_unix_nano": end} for start, end in pairs))
    assert picked(found, "duration_ns") == [5, -5, None, None, None, None]
    assert picked(found, "start_unix_nano") == [NANOS, NANOS + 5, 0, NANOS, None, None]
    assert [time is None for time in picked(found, "start_time")] == [False, False, True, False, True, True]
    assert [time is None for time in picked(found, "end_time")] == [False, False, False, True, True, True]
    assert picked(found, "attributes")[4] == [("tracebraid.start_unix_nano", str(2**63)), ("tracebraid.end_unix_nano", str(2**64 - 1))]
    assert found.event_time_us == (NANOS // 1000, NANOS // 1000)


def test_the_event_time_is_the_end_else_the_start() -> None:
    late = NANOS + 3600 * 10**9
    assert dict(normalized({"end_unix_nano": late}).counted) == {("clock_skew", "shop"): 1}
    assert dict(normalized({"start_unix_nano": late, "end_unix_nano": 0}).counted) == {("clock_skew", "shop"): 1}
    assert normalized({"start_unix_nano": NANOS - 10**12}).event_time_us == (NANOS // 1000 + 1, NANOS // 1000 + 1)


def test_links() -> None:
    link = {"trace_id": TRACE_ID[16:], "span_id": "bad", "trace_state": None, "flags": 0, "attributes": [("a", "1")], "dropped_attributes_count": 0}
    found = normalized({}, {"links": [link, {**link, "span_id": SPAN_ID}]}, {})
    padded = {**link, "trace_id": "0" * 16 + TRACE_ID[16:]}
    broken = {**padded, "span_id": None, "attributes": [("a", "1"), ("tracebraid.invalid_span_id", "bad")]}
    assert picked(found, "links") == [[], [broken, {**padded, "span_id": SPAN_ID}], []]


def test_resource_columns() -> None:
    found = normalized({}, {"attributes": {"service.name": "not the resource's"}})
    assert picked(found, "service_name", "container_name", "resource_attributes") == [("shop", "main", [("x", "1")])] * 2
    assert picked(found, "attributes") == [[], [("service.name", "not the resource's")]]


def test_the_schema_is_the_tables() -> None:
    for found in (normalized(), normalized({})):
        assert found.spans.schema.equals(SPANS.held, check_metadata=True)
        found.spans.validate(full=True)
        assert isinstance(found.spans, pa.RecordBatch)
