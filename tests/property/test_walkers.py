"""Compiled walkers against the reference decoders: the same rows from any bytes, and no record that one takes and the other refuses."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status, TracesData

from tests.batches import records_of
from tests.property.test_otlp import EDITS, SEEDS, mutated, traces
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.schemas.semconv import SPAN

# What walkers know: ids of their length, keys that have columns, values of every kind, a resource as Collectors send it.
keys = st.sampled_from([*(name for promoted in SPAN for name in promoted.names), "app.user", "ключ", ""])
texts = st.one_of(st.text(max_size=14), st.sampled_from(["200", "-1", "007", "2147483648", "-2147483648", "a" * 12, "a" * 13, "ü" * 7]))
numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([200, -1, 2**31, -(2**31), 10**11, -(10**11), 10**12]))
values = st.one_of(
    st.builds(AnyValue, string_value=texts),
    st.builds(AnyValue, int_value=numbers),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, double_value=st.floats()),
    st.builds(AnyValue),
    st.builds(AnyValue, bytes_value=st.binary(max_size=9)),
    st.lists(st.builds(AnyValue, int_value=numbers), max_size=2).map(lambda items: AnyValue(array_value={"values": items})),
)
attributes = st.lists(st.builds(KeyValue, key=keys, value=values), max_size=12, unique_by=lambda pair: pair.key)
trace_ids = st.one_of(st.binary(min_size=16, max_size=16), st.sampled_from([b"", bytes(16)]))
span_ids = st.one_of(st.binary(min_size=8, max_size=8), st.sampled_from([b"", bytes(8)]))
nanos = st.integers(0, 2**63 - 1)
events = st.builds(Span.Event, time_unix_nano=nanos, name=texts, attributes=attributes, dropped_attributes_count=st.integers(0, 2))
links = st.builds(Span.Link, trace_id=trace_ids, span_id=span_ids, trace_state=texts, attributes=attributes, flags=st.integers(0, 2**32 - 1))
spans = st.builds(
    Span,
    trace_id=trace_ids,
    span_id=span_ids,
    parent_span_id=span_ids,
    trace_state=texts,
    flags=st.integers(0, 2**32 - 1),
    name=texts,
    kind=st.integers(0, 7),
    start_time_unix_nano=nanos,
    end_time_unix_nano=nanos,
    attributes=attributes,
    dropped_attributes_count=st.integers(0, 3),
    events=st.lists(events, max_size=2),
    links=st.lists(links, max_size=2),
    status=st.builds(Status, code=st.integers(0, 3), message=texts),
)
groups = st.builds(
    ResourceSpans,
    resource=st.builds(Resource, attributes=attributes),
    scope_spans=st.lists(
        st.builds(ScopeSpans, scope=st.fixed_dictionaries({"name": texts, "version": texts}), spans=st.lists(spans, min_size=1, max_size=3), schema_url=texts),
        max_size=2,
    ),
    schema_url=texts,
)
requests = st.builds(TracesData, resource_spans=st.lists(groups, max_size=2))


def rows_of(batch_values: Sequence[bytes | None], *, kernels: bool, encoding: str = "auto") -> list[Any]:
    """Spans, logs and rejects in the order of the wire, what was counted, what was dropped."""
    records = records_of(batch_values, encoding)
    decoded = decode(records, kernels=kernels)
    found = normalize(records, decoded, now_us=1_700_000_000_000_000)
    for batch in (found.spans, found.logs):
        batch.validate(full=True)
    rows = [sorted(batch.to_pylist(), key=lambda row: (row["kafka_offset"], row["record_index"])) for batch in (found.spans, found.logs, found.rejects)]
    return [*rows, sorted(found.counted.items()), found.event_time_us, dict(decoded.dropped)]


def same(batch_values: Sequence[bytes | None], encoding: str = "auto") -> None:
    assert repr(rows_of(batch_values, kernels=True, encoding=encoding)) == repr(rows_of(batch_values, kernels=False, encoding=encoding))


def descending(message: Message) -> bytes:
    """The same message with its fields in descending order, as the Collector writes them."""
    parts = []
    for field, value in message.ListFields():
        for item in value if field.is_repeated else [value]:
            alone = type(message)()
            if field.message_type is None:
                if field.is_repeated:
                    getattr(alone, field.name).append(item)
                else:
                    setattr(alone, field.name, item)
                parts.append((field.number, alone.SerializeToString()))
                continue
            inner = descending(item)
            parts.append((field.number, bytes(_varint(field.number << 3 | 2) + _varint(len(inner))) + inner))
    return b"".join(part for _, part in sorted(parts, key=lambda part: part[0], reverse=True))


def _varint(number: int) -> list[int]:
    out = []
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return [*out, number]


@settings(max_examples=150, deadline=None)
@given(st.lists(requests, min_size=1, max_size=3), st.booleans())
def test_what_walkers_know_they_read_as_the_reference_does(messages: list[TracesData], backwards: bool) -> None:
    same([descending(message) if backwards else message.SerializeToString() for message in messages])


@settings(max_examples=100, deadline=None)
@given(st.lists(traces, min_size=1, max_size=2))
def test_what_they_do_not_know_is_the_references(messages: list[TracesData]) -> None:
    same([message.SerializeToString() for message in messages])


@settings(max_examples=250, deadline=None)
@given(st.lists(st.tuples(requests, EDITS), min_size=1, max_size=2), st.sampled_from(["auto", "otlp_proto"]))
def test_mutated_bytes_are_judged_alike(broken: list[tuple[TracesData, Any]], encoding: str) -> None:
    same([SEEDS[0], *(mutated(message.SerializeToString(), edits) for message, edits in broken), SEEDS[0]], encoding)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=80).map(lambda tail: b"\n" + tail), st.sampled_from([b"", None, *SEEDS])), min_size=1, max_size=4))
def test_any_bytes_are_judged_alike(values: list[bytes | None]) -> None:
    same(values)


def test_most_of_what_arrives_is_walked() -> None:
    span = Span(trace_id=bytes(range(16)), span_id=bytes(range(8)), name="a", start_time_unix_nano=1, end_time_unix_nano=2)
    span.attributes.add(key="http.request.method").value.string_value = "GET"
    span.attributes.add(key="ratio").value.double_value = 0.5
    span.events.add(name="before the attributes, where fields descend").attributes.add(key="ratio").value.bool_value = True
    span.links.add(trace_id=bytes(range(16))).attributes.add(key="ratio").value.bool_value = True
    message = TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[span] * 3)])])
    decoded = decode(records_of([message.SerializeToString(), descending(message)]))
    assert decoded.walked is not None
    assert (decoded.walked.num_rows, decoded.spans.num_rows) == (6, 0)
    assert decoded.walked.column("attributes").to_pylist() == [[("ratio", "0.5")]] * 6


def test_the_table_of_texts_grows() -> None:
    spans_of = [Span(trace_id=bytes(range(16)), span_id=bytes(range(8)), name=f"operation {number}", start_time_unix_nano=1) for number in range(3000)]
    same([TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans_of)])]).SerializeToString()])


def test_a_hostile_resource_costs_its_own_record() -> None:
    good = TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[Span(trace_id=bytes(range(16)), start_time_unix_nano=1)])])])
    bad = good.SerializeToString()[2:]  # the same scope beside a resource that is none
    resource = b"\x0a\x04\x0a\x02\xff\xff"
    same([good.SerializeToString(), bytes([0x0A, len(resource) + len(bad)]) + resource + bad, good.SerializeToString()])


def test_tags_and_lengths_are_as_short_as_protobuf_wants_them() -> None:
    good = TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[Span(trace_id=bytes(range(16)), start_time_unix_nano=1)])])])
    group = good.SerializeToString()[2:]
    lengths = [bytes([0x0A, len(group) | 0x80, *([0x80] * zeros), 0]) + group for zeros in range(8)]
    tags = [bytes([0x8A, *([0x80] * zeros), 0, len(group)]) + group for zeros in range(8)]
    same([good.SerializeToString(), *lengths, *tags, good.SerializeToString()])


def test_a_resource_or_scope_of_no_span_must_be_one_too() -> None:
    good = TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[Span(trace_id=bytes(range(16)), start_time_unix_nano=1)])])])
    broken = b"\x0a\x02\xff\xff"
    for behind in (b"\x0a\x04" + broken, b"\x0a\x06\x0a\x04" + broken, b"\x0a\x08\x12\x06\x0a\x04" + broken):
        same([good.SerializeToString(), good.SerializeToString() + behind, good.SerializeToString()])
