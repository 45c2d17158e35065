"""What a poll brought of several partitions gives each of them the rows that its records give alone: in the sinks, too, which get slices then."""

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from tests.batches import KAFKA_MS, records_of
from tracebraid.pipeline import transform
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.held import held_bytes, plain
from tracebraid.pipeline.kernel.records import Records
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.store.cycle import Progress
from tracebraid.pipeline.store.ledger import Held
from tracebraid.pipeline.store.parquet import encode_rows
from tracebraid.pipeline.transform import Transform, Transformed
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.spans import SPANS

NOW_US = KAFKA_MS * 1000
NANOS = KAFKA_MS * 1_000_000
IDS = st.binary(min_size=16, max_size=16).filter(any)
Draw = Callable[[Any], Any]


def attributes(draw: Draw) -> list[KeyValue]:
    return [KeyValue(key=f"k{number}", value=AnyValue(string_value=draw(st.text(max_size=5)))) for number in range(draw(st.integers(0, 2)))]


@st.composite
def spans(draw: Draw) -> bytes:
    made = [
        Span(
            trace_id=draw(IDS),
            span_id=b"\x01" * 8,
            name=draw(st.sampled_from(["a", "b", ""])),
            start_time_unix_nano=NANOS - draw(st.integers(0, 10**9)),
            end_time_unix_nano=NANOS,
            attributes=attributes(draw),
            events=[Span.Event(time_unix_nano=NANOS, name="e", attributes=attributes(draw))] * draw(st.integers(0, 2)),
            links=[Span.Link(trace_id=draw(IDS), span_id=b"\x02" * 8)] * draw(st.integers(0, 1)),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]
    return TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=made)])]).SerializeToString()


@st.composite
def logs(draw: Draw) -> bytes:
    made = [LogRecord(time_unix_nano=NANOS, trace_id=draw(IDS), body=AnyValue(string_value=draw(st.text(max_size=9)))) for _ in range(draw(st.integers(1, 3)))]
    return LogsData(resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=made)])]).SerializeToString()


@st.composite
def log_objects(draw: Draw) -> bytes:
    return json.dumps({"time": "2023-11-14T22:13:20Z", "level": "info", "msg": draw(st.text(max_size=9)), "n": draw(st.integers(0, 3))}).encode()


ODD: tuple[bytes | None, ...] = (
    b"",
    None,
    b"\xff\xfe",
    b'{"msg":"cut',
    b"plain\n\tat a.B",
    b"2026-01-01T00:00:00Z stdout P be",
    b"2026-01-01T00:00:00Z stdout F gun",
)
ALIKE = st.one_of(spans(), logs(), log_objects())
PARTS = st.lists(st.lists(st.one_of(ALIKE, ALIKE, ALIKE, ALIKE, st.sampled_from(ODD)), min_size=1, max_size=4), min_size=2, max_size=4)
UNUSUAL_IS_RARE = st.one_of(st.lists(st.lists(ALIKE, min_size=1, max_size=4), min_size=2, max_size=4), PARTS)


def found_of(parts: Sequence[Sequence[bytes | None]]) -> list[Records]:
    """In the order in which they came, not that of their numbers."""
    made = [(records_of(values), number) for number, values in enumerate(parts)]
    return [replace(records, partition=replace(records.partition, number=number)) for records, number in reversed(made)]


def rows_of(made: Sequence[Transformed]) -> list[Any]:
    """All that sinks see of each piece; written and read again, too."""
    found = []
    for each in made:
        tables = [(SPANS, each.rows.spans), (LOGS, each.rows.logs)]
        files = [pq.read_table(pa.BufferReader(one.data)).to_pylist() for table, rows in tables for one in encode_rows(table, [rows])]
        rows = [
            [dict(zip(rows.schema.names, values, strict=True)) for values in zip(*(plain(column).to_pylist() for column in rows.columns), strict=True)]
            for _, rows in tables
        ]
        found.append(
            [each.records.partition, each.rows_in, each.dropped, rows, each.rows.rejects.to_pylist(), each.rows.counted, each.rows.event_time_us, files]
        )
    return found


@pytest.mark.parametrize("bytes_min", [0, limits.kernel_bytes_min])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(UNUSUAL_IS_RARE)
def test_each_partition_has_the_rows_that_it_has_alone(monkeypatch: pytest.MonkeyPatch, bytes_min: int, parts: list[list[bytes | None]]) -> None:
    monkeypatch.setattr(limits, "kernel_bytes_min", bytes_min)
    found = found_of(parts)
    alone = [made for records in found for made in Transform(Settings()).pieces(records, NOW_US)]
    at_once = Transform(Settings())
    assert at_once.together(found) is found
    assert rows_of([made for records in found for made in at_once.pieces(records, NOW_US)]) == rows_of(alone)


def value_of(trace: int) -> bytes:
    span = Span(trace_id=bytes([trace]) * 16, span_id=b"\x01" * 8, start_time_unix_nano=NANOS, end_time_unix_nano=NANOS)
    return TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[span] * 40)])]).SerializeToString()


def poll_of(numbers: int) -> list[Records]:
    """The first traces last, in each partition the same."""
    return found_of([[value_of(trace) for trace in range(20, 0, -1)]] * numbers)


def test_slices_have_no_texts_of_other_partitions_where_these_are_many() -> None:
    def value(place: int) -> bytes:
        named = KeyValue(key=f"key-{place}", value=AnyValue(string_value="v"))
        made = Span(
            trace_id=b"\x01" * 16, span_id=b"\x02" * 8, name=f"GET /orders/{place}", start_time_unix_nano=NANOS, end_time_unix_nano=NANOS, attributes=[named]
        )
        return TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[made])])]).SerializeToString()

    found = found_of([[value(1000 * part + record) for record in range(200)] for part in range(8)])
    at_once = Transform(Settings())
    at_once.together(found)
    assert len(at_once._groups) == len(found)
    held = [made.rows.spans for records in found for made in at_once.pieces(records, NOW_US)]
    alone = [made.rows.spans for records in found for made in Transform(Settings()).pieces(records, NOW_US)]
    assert sum(map(held_bytes, held)) < 1.05 * sum(map(held_bytes, alone))
    assert all(rows.get_total_buffer_size() / 2 < held_bytes(rows) <= rows.get_total_buffer_size() < rows.nbytes for rows in alone)
    assert [[plain(column).to_pylist() for column in rows.columns] for rows in held] == [
        [plain(column).to_pylist() for column in rows.columns] for rows in alone
    ]
    assert {len(rows.column("name").dictionary) for rows in held} == {200}


def test_a_poll_of_several_partitions_is_decoded_once_and_each_of_its_batches_is_handed_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    decode = transform.decode

    def counted(records: Records, **how: Any) -> Any:
        decoded.append(records.batch.num_rows)
        return decode(records, **how)

    monkeypatch.setattr(transform, "decode", counted)
    made_by, found = Transform(Settings()), poll_of(3)
    made_by.together(found)
    for records in found:
        assert [made.rows.spans.num_rows for made in made_by.pieces(records, NOW_US)] == [800]
    assert decoded == [60]
    next(made_by.pieces(found[0], NOW_US))  # a second time it is made anew
    cut = replace(found[1], batch=found[1].batch.slice(1))
    made_by.together(found)
    assert [made.rows.spans.num_rows for made in made_by.pieces(cut, NOW_US)] == [760]  # nor is what is cut what was made
    assert decoded == [60, 20, 60, 19]


def test_what_a_sink_refuses_is_made_anew_record_by_record(monkeypatch: pytest.MonkeyPatch) -> None:
    made_by, found = Transform(Settings()), poll_of(2)
    made_by.together(found)
    refused = found[0].first_offset + 7

    def into(made: Transformed) -> None:
        if refused in made.rows.spans.column("kafka_offset").to_pylist():
            raise ValueError("not this one")

    pieces = list(made_by.pieces(found[0], NOW_US, into))
    assert sum(made.rows.spans.num_rows for made in pieces) == 19 * 40
    assert [made.rows.rejects.column("kafka_offset").to_pylist() for made in pieces if made.rows.rejects.num_rows] == [[refused]]


def test_a_topic_whose_records_need_the_reference_is_left_apart_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr(limits, "apart_polls", 3)
    monkeypatch.setattr(Transform, "_together", lambda self, parts, records, now_us: tried.append(len(parts)) or [])
    made_by = Transform(Settings())
    for _ in range(7):
        made_by.together(found := poll_of(2))
        assert [made.rows.spans.num_rows for records in found for made in made_by.pieces(records, NOW_US)] == [800, 800]
    assert tried == [2, 2, 2]


def test_what_a_sink_holds_already_and_what_a_registry_has_given_schemas_for_is_made_apart() -> None:
    made_by, found = Transform(Settings()), poll_of(4)
    behind = found[0].next_offset
    places = [(behind, 0), (0, behind), (0, 0), (0, found[0].first_offset)]  # in the lake, in the stream, in neither
    progress = {each.partition: Progress(Held(lake), lake, stream) for each, (lake, stream) in zip(found, places, strict=True)}
    made_by.together(found, progress)
    assert set(made_by._groups) == {each.partition for each in found[2:]}
    made_by.together(found, {each.partition: progress[each.partition] for each in found[3:]})
    assert not made_by._groups  # the others have gone
    made_by.together(found)
    assert made_by._of_together(replace(found[0], schemas={1: "{}"}), NOW_US) is None
    assert made_by._of_together(found[1], NOW_US) is not None


def test_no_more_is_decoded_at_once_than_of_one_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    decode = transform.decode
    monkeypatch.setattr(transform, "decode", lambda records, **how: decoded.append(records.batch.num_rows) or decode(records, **how))
    packed = gzip.compress(b'{"msg":"' + b"a" * 100_000 + b'"}')
    monkeypatch.setattr(limits, "decode_bytes_max", 40 * limits.inflated_ratio_usual * len(packed))
    made_by, found = Transform(Settings()), found_of([[packed] * 15] * 4)
    made_by.together(found)
    assert [len([*made_by.pieces(records, NOW_US)]) for records in found] == [1] * 4
    assert decoded == [15] * 4


def test_as_many_are_made_at_once_as_have_the_bytes_that_make_it_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    decode = transform.decode
    monkeypatch.setattr(transform, "decode", lambda records, **how: decoded.append(records.batch.num_rows) or decode(records, **how))
    made_by, found = Transform(Settings()), poll_of(7)
    monkeypatch.setattr(limits, "together_bytes_max", 3 * found[0].batch.nbytes)
    made_by.together(found)
    for number, records in enumerate(found):
        assert [made.rows.spans.num_rows for made in made_by.pieces(records, NOW_US)] == [800]
        assert len(made_by._made) == (2, 1, 0, 2, 1, 0, 0)[number]  # of one group only
    assert decoded == [60, 60, 20]
