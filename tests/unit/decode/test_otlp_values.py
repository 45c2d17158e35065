"""AnyValue as map text, and the limits of both OTLP decoders."""

import json
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from tests.batches import records_of
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.records import Decoded

ARRAY = {"values": [{"stringValue": 'a"b'}, {}, {"boolValue": True}, {"intValue": "7"}, {"doubleValue": "NaN"}, {"bytesValue": "AP8="}]}
KVLIST = {"values": [{"key": "a", "value": {"intValue": 1}}, {"key": "b"}, {"key": "a", "value": {"doubleValue": 2.5}}]}
TEXTS: list[tuple[dict[str, Any], str | None]] = [
    ({"stringValue": ""}, ""),
    ({"stringValue": "grün"}, "grün"),
    ({"boolValue": False}, "false"),
    ({"intValue": "-9223372036854775808"}, "-9223372036854775808"),
    ({"intValue": 5}, "5"),
    ({"doubleValue": 0.1}, "0.1"),
    ({"doubleValue": 3}, "3.0"),
    ({"doubleValue": 1e-7}, "1e-7"),
    ({"doubleValue": 1e16}, "1e+16"),
    ({"doubleValue": -1.5e300}, "-1.5e+300"),
    ({"arrayValue": {"values": [{"doubleValue": 1e16}]}}, "[1e+16]"),
    ({"doubleValue": "Infinity"}, "Infinity"),
    ({"doubleValue": "1.5"}, "1.5"),
    ({"bytesValue": "AP8="}, "AP8="),
    ({"bytesValue": "_-8"}, "/+8="),
    ({"arrayValue": ARRAY}, '["a\\"b",null,true,7,"NaN","AP8="]'),
    ({"arrayValue": {}}, "[]"),
    ({"kvlistValue": KVLIST}, '{"a":2.5,"b":null}'),
    ({"kvlistValue": {}}, "{}"),
    ({}, None),
    ({"stringValue": None}, None),
    ({"futureValue": 1}, None),
    ({"int_value": 8}, "8"),
]


@pytest.mark.parametrize(("value", "text"), TEXTS)
def test_text_of_an_attribute_and_of_a_body(value: dict[str, Any], text: str | None) -> None:
    log = {"timeUnixNano": "1", "body": value, "attributes": [{"key": "k", "value": value}]}
    records = records_of([json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [log]}]}]}).encode()])
    for kernels in (False, True):
        decoded = decode(records, kernels=kernels)
        assert decoded.walked_logs is None or kernels
        row = (decoded.walked_logs or decoded.logs).to_pylist()[0]
        assert (row["body"], row["attributes"]) == (text, [("k", text)])


def nested(levels: int) -> AnyValue:
    value = AnyValue(int_value=1)
    for _ in range(levels):
        value = AnyValue(array_value={"values": [value]})
    return value


def json_nested(levels: int) -> bytes:
    value = '{"arrayValue":{"values":[' * levels + '{"intValue":1}' + "]}}" * levels
    return b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":' + value.encode() + b"}]}]}]}"


def test_nesting_up_to_the_limit() -> None:
    depth = limits.nesting_depth_max
    assert decode(records_of([json_nested(depth)])).logs.column("body").to_pylist() == ["[" * depth + "1" + "]" * depth]
    assert decode(records_of([json_nested(depth + 1)])).rejects.column("reason").to_pylist() == ["too_deep"]


def test_nesting_that_the_protobuf_parser_takes() -> None:
    data = LogsData(resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=[LogRecord(time_unix_nano=1, body=nested(40))])])])
    decoded = decode(records_of([data.SerializeToString()]))
    assert decoded.walked_logs is not None
    for logs in (decoded.walked_logs, decode(records_of([data.SerializeToString()]), kernels=False).logs):
        assert logs.column("body").to_pylist() == ["[" * 40 + "1" + "]" * 40]


def span_with(**fields: Any) -> Decoded:
    span = Span(trace_id=bytes(range(16)), span_id=bytes(range(8)), start_time_unix_nano=1, **fields)
    return decode(records_of([TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])]).SerializeToString()]))


def test_attributes_beyond_the_limit_are_counted() -> None:
    most = limits.attributes_per_row_max
    many = [{"key": f"k{number}", "value": AnyValue(int_value=number)} for number in range(most + 5)]
    row = span_with(attributes=[*many, {"key": "k0", "value": AnyValue(string_value="last wins")}], dropped_attributes_count=2).spans.to_pylist()[0]
    assert (len(row["attributes"]), row["dropped_attributes_count"]) == (most, 7)
    assert row["attributes"][0] == ("k0", "last wins")


def test_the_same_attributes_in_json() -> None:
    most = limits.attributes_per_row_max
    many = [{"key": f"k{number}", "value": {"intValue": number}} for number in range(most + 5)]
    span = {"name": "a", "attributes": many, "droppedAttributesCount": 2}
    row = decode(records_of([json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()])).spans.to_pylist()[0]
    assert (len(row["attributes"]), row["dropped_attributes_count"]) == (most, 7)


def test_counts_without_a_column_stay_among_the_attributes() -> None:
    data = TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[Span(start_time_unix_nano=1)])])])
    data.resource_spans[0].resource.dropped_attributes_count = 4
    data.resource_spans[0].scope_spans[0].scope.dropped_attributes_count = 5
    decoded = decode(records_of([data.SerializeToString()]), kernels=False)
    assert decoded.resources.column("attributes").to_pylist() == [[("otel.dropped_attributes_count", "4")]]
    assert decoded.spans.column("scope_attributes").to_pylist() == [[("otel.dropped_attributes_count", "5")]]


def test_an_events_time_beyond_int64() -> None:
    row = span_with(events=[Span.Event(time_unix_nano=2**63, name="e")]).spans.to_pylist()[0]
    expected = {"time_unix_nano": None, "name": "e", "attributes": [("tracebraid.time_unix_nano", str(2**63))], "dropped_attributes_count": 0}
    assert row["events"] == [expected]


@pytest.mark.parametrize("encoding", ["otlp_proto", "otlp_json"])
def test_rows_beyond_the_limit(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.setattr(limits, "record_rows_max", 3)
    spans = {
        "otlp_json": lambda count: json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "a"}]}] * count}]}).encode(),
        "otlp_proto": lambda count: TracesData(
            resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[Span(start_time_unix_nano=1)])] * count)]
        ).SerializeToString(),
    }[encoding]
    assert decode(records_of([spans(3)], encoding), kernels=False).spans.num_rows == 3
    assert decode(records_of([spans(4)], encoding), kernels=False).rejects.column("reason").to_pylist() == ["too_large"]
