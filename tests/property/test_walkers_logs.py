"""Compiled walkers of OTLP logs against the reference decoder, alone and beside spans; and the search for ids, which looks only where some may be."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from tests.batches import records_of
from tests.property.test_logs_never_lost import LINES
from tests.property.test_otlp import EDITS, SEEDS, log_data, mutated
from tests.property.test_walkers import attributes, descending, nanos, requests, same, span_ids, texts, trace_ids, values
from tracebraid.pipeline.decode.any_value import DROPPED_KEY
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.decode.walkers.spelled import within
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.pipeline.normalize.log_text import MAY_HOLD_IDS, ids_in
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.table import STRING

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
# Bodies and attributes in which the search for ids finds some, or nearly does.
told = st.sampled_from(
    [
        *(f"trace_id={TRACE} span_id=00f067aa0ba902b7", f"TraceID: {TRACE.upper()}", f"00-{TRACE}-00f067aa0ba902b7-01 done", f"x 00-{TRACE}-00f067aa0ba902b7"),
        *(f"INFO [shop,{TRACE},00f067aa0ba902b7,true] a", "INFO [shop,00f067aa0ba902b7,00f067aa0ba902b7] a", f"[{TRACE}-00f067aa0ba902b7]", "trace_id=none"),
        *("Root=1-67891233-abcdef012345678912345678", "1-67891233-abcdef012345678912345678", "TRACE nothing", f"TID: {TRACE}", "order 42 paid"),
    ]
)
bodies = st.one_of(st.none(), values, st.builds(AnyValue, string_value=told))
id_keys = st.sampled_from(["trace_id", "traceparent", "dd.trace_id", "span_id", "trace_flags", "trace", "otelTraceSampled", "Trace-Id", "mdc.trace_id"])
id_values = st.one_of(values, st.builds(AnyValue, string_value=st.one_of(told, st.sampled_from([TRACE, "00f067aa0ba902b7", "01", "true", "", " ", "5"]))))
own_keys = st.sampled_from(
    ["exception.type", "exception.message", "exception.stacktrace", "thread.name", "log.logger", "logger_name", "tracebraid.invalid_trace_id", DROPPED_KEY]
)
log_attributes = st.one_of(
    attributes,
    st.lists(
        st.one_of(st.builds(KeyValue, key=id_keys, value=id_values), st.builds(KeyValue, key=own_keys, value=values)),
        max_size=6,
        unique_by=lambda pair: pair.key,
    ),
)
logs = st.builds(
    LogRecord,
    time_unix_nano=st.one_of(nanos, st.sampled_from([0, 2**63, 2**64 - 1])),
    observed_time_unix_nano=st.one_of(nanos, st.sampled_from([0, 2**63])),
    severity_number=st.integers(0, 24),
    severity_text=texts,
    body=bodies,
    attributes=log_attributes,
    dropped_attributes_count=st.integers(0, 3),
    flags=st.integers(0, 2**32 - 1),
    trace_id=trace_ids,
    span_id=span_ids,
    event_name=texts,
)
groups = st.builds(
    ResourceLogs,
    resource=st.builds(Resource, attributes=attributes),
    scope_logs=st.lists(
        st.builds(
            ScopeLogs, scope=st.fixed_dictionaries({"name": texts, "version": texts}), log_records=st.lists(logs, min_size=1, max_size=3), schema_url=texts
        ),
        max_size=2,
    ),
    schema_url=texts,
)
messages = st.builds(LogsData, resource_logs=st.lists(groups, max_size=2))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(messages, requests), min_size=1, max_size=4), st.booleans())
def test_what_walkers_know_they_read_as_the_reference_does(found: list[LogsData | TracesData], backwards: bool) -> None:
    same([descending(message) if backwards else message.SerializeToString() for message in found])


@settings(max_examples=100, deadline=None)
@given(st.lists(log_data, min_size=1, max_size=2))
def test_what_they_do_not_know_is_the_references(found: list[LogsData]) -> None:
    same([message.SerializeToString() for message in found])


@settings(max_examples=250, deadline=None)
@given(st.lists(st.tuples(messages, EDITS), min_size=1, max_size=2), st.sampled_from(["auto", "otlp_proto"]))
def test_mutated_bytes_are_judged_alike(broken: list[tuple[LogsData, Any]], encoding: str) -> None:
    same([SEEDS[0], SEEDS[1], *(mutated(message.SerializeToString(), edits) for message, edits in broken), SEEDS[1]], encoding)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(told, LINES, st.sampled_from(["İ", "K", "\n", "TİD: ", "[", ","])), max_size=4).map("".join))
def test_a_text_in_which_no_id_may_be_has_none(text: str) -> None:
    if not pc.match_substring_regex(pa.array([text], STRING), MAY_HOLD_IDS)[0].as_py():
        assert ids_in(text) is None


def as_record(log: bytes) -> bytes:
    """A record of this log alone."""
    return within(0x0A, within(0x12, within(0x12, log)))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4), st.integers(0, 3))
def test_any_bytes_are_judged_alike(tails: list[bytes], levels: int) -> None:
    timed = b"\x09" + bytes(range(8))
    deep = (lambda tail: tail, lambda tail: b"\x0a" + tail, lambda tail: within(0x0A, within(0x12, tail)), lambda tail: as_record(timed + tail))
    same([SEEDS[1], *map(deep[levels], tails), SEEDS[0]])


def one(**fields: Any) -> bytes:
    return as_record(LogRecord(**fields).SerializeToString())


def test_most_of_what_arrives_is_walked() -> None:
    pairs = [KeyValue(key=key, value=AnyValue(string_value=key)) for key in ("thread.name", "exception.type", "a")]
    full = LogRecord(
        time_unix_nano=5, severity_number=9, severity_text="INFO", body=AnyValue(string_value="hello"), attributes=pairs, trace_id=bytes(range(16)), flags=1
    )
    message = LogsData(resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=[full] * 3)])])
    records = records_of([message.SerializeToString(), SEEDS[0], descending(message), one(time_unix_nano=5)])
    decoded = decode(records)
    assert decoded.walked is not None
    assert decoded.walked_logs is not None
    assert (decoded.walked.num_rows, decoded.walked_logs.num_rows, decoded.logs.num_rows) == (2, 7, 0)
    normalized = normalize(records, decoded, now_us=1_700_000_000_000_000)
    assert normalized.logs.schema == LOGS.held
    assert normalized.logs.column("thread").to_pylist() == [*["thread.name"] * 6, None]
    assert normalized.logs.column("attributes").to_pylist() == [*[[("a", "a")]] * 6, []]


def test_logs_that_nothing_tells_from_spans_are_the_references() -> None:
    values = [one(body=AnyValue(string_value="a")), one(event_name="a"), one(severity_text="INFO"), one(trace_id=bytes(range(16)), span_id=bytes(range(8)))]
    assert decode(records_of(values)).walked_logs is None
    same(values)


def test_bodies_of_every_kind() -> None:
    found = [
        *(AnyValue(int_value=-(2**63)), AnyValue(bool_value=False), AnyValue(double_value=0.1), AnyValue(double_value=float("nan")), AnyValue(string_value="")),
        *(AnyValue(bytes_value=b"\xff"), AnyValue(string_value="ü" * 3000), AnyValue(), AnyValue(array_value={"values": [AnyValue(int_value=1)]})),
        AnyValue(kvlist_value={"values": [KeyValue(key="a", value=AnyValue(string_value='"'))]}),
    ]
    records = records_of([one(time_unix_nano=5, body=value) for value in found])
    walked = decode(records).walked_logs
    assert walked is not None
    expected = ["-9223372036854775808", "false", "0.1", "NaN", "", "/w==", "ü" * 3000, None, "[1]", '{"a":"\\""}']
    assert walked.column("body").to_pylist() == expected
    same([one(time_unix_nano=5, body=value) for value in found])


def test_a_second_body_is_merged_by_the_reference() -> None:
    log = LogRecord(time_unix_nano=5, body=AnyValue(array_value={"values": [AnyValue(int_value=1)]})).SerializeToString()
    again = LogRecord(body=AnyValue(array_value={"values": [AnyValue(int_value=2)]})).SerializeToString()
    same([as_record(log + again)])
    assert decode(records_of([as_record(log + again)])).logs.column("body").to_pylist() == ["[1,2]"]


def test_levels_are_counted_from_the_record_on() -> None:
    """Protobuf's parser refuses 100 levels, and a value that is parsed by itself has fewer above it."""
    values = []
    for levels in range(44, 54):
        nested = b""
        for _ in range(levels):
            nested = within(0x2A, within(0x0A, nested))
        pair = within(0x0A, b"k") + within(0x12, nested)
        timed = b"\x39" + bytes(8)
        values += [as_record(b"\x09" + bytes(8) + within(0x2A, nested)), as_record(b"\x09" + bytes(8) + within(0x32, pair))]
        values += [as_record(timed + within(0x4A, pair)), as_record(timed + within(0x5A, within(0x1A, pair)))]
        values.append(within(0x0A, within(0x0A, within(0x0A, pair)) + within(0x12, within(0x12, timed))))
        values.append(within(0x0A, within(0x12, within(0x0A, within(0x1A, pair)) + within(0x12, timed))))
    for value in values:
        same([value])


def test_a_list_of_zipkin_s_that_could_be_a_group_is_zipkin_s() -> None:
    scope = within(0x12, within(0x12, b"\x39" + bytes(8) + b"\x8a\x02\x02ab"))
    group = within(0x0A, within(0x32, b"abcdef")) + scope + within(0x1A, b"abcdefgh") + b"\x20\x01"
    same([within(0x0A, group)])


def test_hostile_resources_cost_their_own_record() -> None:
    good = LogsData(resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=[LogRecord(time_unix_nano=1, body=AnyValue(double_value=1.5))])])])
    bad = good.SerializeToString()[2:]
    resource = b"\x0a\x04\x0a\x02\xff\xff"
    same([good.SerializeToString(), bytes([0x0A, len(resource) + len(bad)]) + resource + bad, good.SerializeToString()])


def test_a_head_without_rows_is_judged_too() -> None:
    rows = within(0x0A, within(0x12, within(0x12, b"\x09" + bytes(8))))
    for head in (within(0x0A, b"\xff"), within(0x12, within(0x0A, b"\xff"))):
        same([rows + within(0x0A, head)])
        assert decode(records_of([rows + within(0x0A, head)])).rejects.num_rows == 1


def test_spans_and_logs_of_one_batch_keep_their_resources() -> None:
    def resource(name: str) -> Resource:
        return Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value=name))])

    spans = TracesData(resource_spans=[ResourceSpans(resource=resource("a"), scope_spans=[ScopeSpans(spans=[Span(start_time_unix_nano=1)])])])
    mine = LogsData(resource_logs=[ResourceLogs(resource=resource("b"), scope_logs=[ScopeLogs(log_records=[LogRecord(time_unix_nano=1)])])])
    records = records_of([spans.SerializeToString(), mine.SerializeToString(), b'{"message":"x","service.name":"c"}'])
    found = normalize(records, decode(records), now_us=1)
    assert found.spans.column("service_name").to_pylist() == ["a"]
    assert sorted(found.logs.column("service_name").to_pylist()) == ["b", "c"]
