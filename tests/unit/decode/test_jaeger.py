"""Kind, status, scope, parent, links and times of Jaeger spans, as the Collector's receiver reads them."""

import base64
import json
from typing import Any

import pytest

from tests.batches import records_of
from tracebraid.pipeline.decode.jaeger_proto import _TYPES
from tracebraid.pipeline.decode.registry import choose, decode

TRACE, SPAN = bytes(range(1, 17)), bytes(range(1, 9))
Row = dict[str, Any]


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def row(*tags: Row, **fields: Any) -> Row:
    """The decoded row of one span by jaeger_json, with these tags and fields."""
    span = {"traceId": b64(TRACE), "spanId": b64(SPAN), "operationName": "op", "startTime": "2023-11-14T22:13:20.000000001Z", "duration": "0.0015s"}
    value = json.dumps(span | {"tags": list(tags)} | fields).encode()
    decoded = decode(records_of([value]))
    assert choose(value, None)[0] == "jaeger_json"
    found: Row = decoded.spans.to_pylist()[0]
    return found | {"resource": dict(decoded.resources.to_pylist()[0]["attributes"])}


def tag(key: str, value: Any) -> Row:
    if isinstance(value, bool):
        return {"key": key, "vType": "BOOL", "vBool": value}
    return {"key": key, "vType": "INT64", "vInt64": str(value)} if isinstance(value, int) else {"key": key, "vStr": value}


@pytest.mark.parametrize(
    ("tags", "status", "left"),
    [
        ({}, (0, None), {}),
        ({"error": True}, (2, None), {}),
        ({"error": False}, (0, None), {"error": "false"}),
        ({"error": "true"}, (0, None), {"error": "true"}),
        ({"error": True, "otel.status_description": "no"}, (2, "no"), {}),
        ({"error": True, "http.status_message": "no"}, (2, "no"), {"http.status_message": "no"}),
        ({"error": True, "otel.status_code": "OK"}, (2, None), {}),
        ({"otel.status_code": "ok"}, (1, None), {}),
        ({"otel.status_code": "ERROR", "otel.status_description": "no"}, (2, "no"), {}),
        ({"otel.status_code": "what"}, (0, None), {}),
        ({"otel.status_code": 2}, (0, None), {}),
        ({"http.status_code": 500}, (2, None), {"http.status_code": "500"}),
        ({"http.status_code": "503", "http.status_message": "away"}, (2, "away"), {"http.status_code": "503", "http.status_message": "away"}),
        ({"http.status_code": 404, "span.kind": "server"}, (0, None), {"http.status_code": "404"}),
        ({"http.status_code": 404, "span.kind": "client"}, (2, None), {"http.status_code": "404"}),
        ({"http.status_code": 404}, (2, None), {"http.status_code": "404"}),
        ({"http.status_code": 500, "otel.status_code": "OK"}, (1, None), {"http.status_code": "500"}),
        ({"http.status_code": "many"}, (0, None), {"http.status_code": "many"}),
    ],
)
def test_status(tags: Row, status: tuple[int, str | None], left: Row) -> None:
    found = row(*(tag(key, value) for key, value in tags.items()))
    assert ((found["status_code"], found["status_message"]), dict(found["attributes"])) == (status, left)


@pytest.mark.parametrize(
    ("kind", "number", "left"),
    [("server", 2, []), ("CLIENT", 3, []), ("producer", 4, []), ("consumer", 5, []), ("internal", 1, []), ("odd", 0, [("span.kind", "odd")])],
)
def test_kind(kind: str, number: int, left: list[tuple[str, str]]) -> None:
    found = row(tag("span.kind", kind))
    assert (found["kind"], found["attributes"]) == (number, left)


def test_scope_and_trace_state() -> None:
    found = row(tag("otel.scope.name", "net/http"), tag("otel.scope.version", "1"), tag("w3c.tracestate", "a=b"))
    assert (found["scope_name"], found["scope_version"], found["trace_state"], found["attributes"]) == ("net/http", "1", "a=b", [])
    old = row(tag("otel.library.name", "net/http"), tag("otel.library.version", "1"))
    assert (old["scope_name"], old["scope_version"], old["attributes"]) == ("net/http", "1", [])


def reference(kind: str, span: int, trace: bytes = TRACE) -> Row:
    return {"traceId": b64(trace), "spanId": b64(bytes([span] * 8)), "refType": kind}


@pytest.mark.parametrize(
    ("references", "parent", "links"),
    [
        ([], None, []),
        ([reference("CHILD_OF", 1)], "01" * 8, []),
        ([reference("FOLLOWS_FROM", 1)], "01" * 8, ["01follows_from"]),
        ([reference("FOLLOWS_FROM", 1), reference("CHILD_OF", 2)], "02" * 8, ["01follows_from"]),
        ([reference("CHILD_OF", 1), reference("CHILD_OF", 2)], "01" * 8, ["02child_of"]),
        ([reference("CHILD_OF", 1, bytes(16)[1:] + b"9")], None, ["01child_of"]),
        ([reference("CHILD_OF", 3, bytes(8) + TRACE[8:]), reference("CHILD_OF", 1)], "01" * 8, ["03child_of"]),
    ],
)
def test_references(references: list[Row], parent: str | None, links: list[str]) -> None:
    found = row(references=references)
    assert (found["parent_span_id"], [link["span_id"][:2] + dict(link["attributes"])["opentracing.ref_type"] for link in found["links"]]) == (parent, links)


def test_an_id_of_64_bits_refers_to_the_same_trace_padded() -> None:
    short = bytes(range(1, 9))
    found = row(traceId=b64(short), references=[reference("CHILD_OF", 1, bytes(8) + short)])
    assert (found["trace_id"], found["parent_span_id"], found["links"]) == (short.hex(), "01" * 8, [])


def test_what_has_no_column_is_kept() -> None:
    found = row(flags=3, warnings=["clock skew"], processId="p1")
    assert found["flags"] == 1
    assert found["attributes"] == [("jaeger.flags", "3"), ("jaeger.warnings", '["clock skew"]'), ("jaeger.process_id", "p1")]


@pytest.mark.parametrize(
    ("fields", "times", "left"),
    [
        ({}, (1_700_000_000_000_000_001, 1_700_000_000_001_500_001), []),
        ({"startTime": "2023-11-14T23:13:20+01:00", "duration": "1s"}, (1_700_000_000_000_000_000, 1_700_000_001_000_000_000), []),
        ({"duration": "-0.5s"}, (1_700_000_000_000_000_001, 1_699_999_999_500_000_001), []),
        ({"startTime": None}, (0, 0), [("tracebraid.duration_ns", "1500000")]),
        ({"startTime": "1969-12-31T23:59:59Z", "duration": "2s"}, (None, 1_000_000_000), [("tracebraid.start_unix_nano", "-1000000000")]),
        ({"startTime": "0001-01-01T00:00:00Z", "duration": ""}, (None, None), ["tracebraid.start_unix_nano", "tracebraid.end_unix_nano"]),
    ],
)
def test_times(fields: Row, times: tuple[int | None, int | None], left: list[Any]) -> None:
    found = row(**fields)
    assert (found["start_unix_nano"], found["end_unix_nano"]) == times
    assert [pair if isinstance(left[0], tuple) else pair[0] for pair in found["attributes"]] == left


def test_events() -> None:
    logs = [{"timestamp": "2023-11-14T22:13:20Z", "fields": [tag("event", "retry"), tag("n", 2)]}, {"fields": [tag("message", "m")]}]
    assert row(logs=logs)["events"] == [
        {"time_unix_nano": 1_700_000_000_000_000_000, "name": "retry", "attributes": [("n", "2")], "dropped_attributes_count": 0},
        {"time_unix_nano": 0, "name": "", "attributes": [("message", "m")], "dropped_attributes_count": 0},
    ]
    assert row(logs=[{"timestamp": "0001-01-01T00:00:00Z"}])["events"][0]["attributes"] == [("tracebraid.time_unix_nano", "-62135596800000000000")]


def test_process() -> None:
    assert row(process={"serviceName": "shop", "tags": [tag("hostname", "n1"), tag("ip", "10.0.0.1")]})["resource"] == {
        "service.name": "shop",
        "host.name": "n1",
        "ip": "10.0.0.1",
    }
    assert row(process={"serviceName": "OTLPResourceNoServiceName"})["resource"] == {}
    assert row()["resource"] == {}


def test_proto_and_json_say_the_same() -> None:
    values: list[Row] = [
        {"key": "s", "vStr": "text"},
        {"key": "b", "vType": "BOOL", "vBool": True},
        {"key": "i", "vType": "INT64", "vInt64": "-9"},
        {"key": "f", "vType": 3, "vFloat64": 2},
        {"key": "nan", "vType": "FLOAT64", "vFloat64": "NaN"},
        {"key": "y", "vType": "BINARY", "vBinary": "AP8="},
        {"key": "none", "vType": "BOOL"},
    ]
    process = {"serviceName": "shop", "tags": [tag("a", "b")]}
    as_json = {"traceId": b64(TRACE), "spanId": b64(SPAN), "operationName": "op", "startTime": "2023-11-14T22:13:20Z", "tags": values, "process": process}
    message = _TYPES["Span"](trace_id=TRACE, span_id=SPAN, operation_name="op", start_time={"seconds": 1_700_000_000})
    message.tags.add(key="s", v_str="text")
    message.tags.add(key="b", v_type=1, v_bool=True)
    message.tags.add(key="i", v_type=2, v_int64=-9)
    message.tags.add(key="f", v_type=3, v_float64=2)
    message.tags.add(key="nan", v_type=3, v_float64=float("nan"))
    message.tags.add(key="y", v_type=4, v_binary=b"\0\xff")
    message.tags.add(key="none", v_type=1)
    message.process.service_name = "shop"
    message.process.tags.add(key="a", v_str="b")
    decoded = [decode(records_of([value])) for value in (message.SerializeToString(), json.dumps(as_json).encode())]
    assert decoded[0].spans.equals(decoded[1].spans)
    assert decoded[0].resources.equals(decoded[1].resources)
    expected = [("s", "text"), ("b", "true"), ("i", "-9"), ("f", "2.0"), ("nan", "NaN"), ("y", "AP8="), ("none", "false")]
    assert decoded[0].spans.to_pylist()[0]["attributes"] == expected


def test_one_process_is_one_resource() -> None:
    message = _TYPES["Span"](trace_id=TRACE, span_id=SPAN, process={"service_name": "shop"})
    assert decode(records_of([message.SerializeToString()] * 3)).resources.num_rows == 1


@pytest.mark.parametrize("order", [1, -1])
def test_fields_in_any_order_are_seen_to_be_jaegers(order: int) -> None:
    fields = [b"\x0a\x10" + TRACE, b"\x12\x08" + SPAN, b"\x1a\x02op", b"\x32\x02\x08\x05", b"\x28\x01"]
    assert choose(b"".join(fields[::order]), None)[0] == "jaeger_proto"


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (b'{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7","operationName":"op"}', "json"),
        (b'{"operationName":"GetUser","query":"{ user }"}', "json"),
        (b'{"msg":"of \\"operationName\\""}', "json"),
        (b"2 \n\x08 a line", "text"),
    ],
)
def test_what_only_looks_like_jaeger(value: bytes, encoding: str) -> None:
    assert choose(value, None)[0] == encoding
