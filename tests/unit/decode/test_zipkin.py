"""Kind, status, resource, scope, links, events and endpoints of Zipkin spans, v2 and v1, as the Collector's receiver reads them."""

import json
from typing import Any

import pytest

from tests.batches import records_of
from tracebraid.pipeline.decode.registry import choose, decode
from tracebraid.pipeline.decode.zipkin_proto import _TYPES

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
MICROS = 1_700_000_000_000_001
Row = dict[str, Any]


def row(**fields: Any) -> Row:
    """The decoded row of one v2 span by zipkin_json."""
    span = {"traceId": TRACE, "id": SPAN, "name": "get", "timestamp": MICROS, "duration": 1500, "localEndpoint": {"serviceName": "shop"}}
    return read([span | fields])[0]


def read(spans: list[Row]) -> list[Row]:
    value = json.dumps(spans).encode()
    assert choose(value, None)[0] == "zipkin_json"
    decoded = decode(records_of([value]))
    resources = decoded.resources.to_pylist()
    return [each | {"resource": dict(resources[each["resource"]]["attributes"]), "attributes": dict(each["attributes"])} for each in decoded.spans.to_pylist()]


@pytest.mark.parametrize(
    ("tags", "status", "left"),
    [
        ({}, (0, None), {}),
        ({"error": "true"}, (2, None), {}),
        ({"error": "refused"}, (2, None), {"error": "refused"}),
        ({"error": ""}, (2, None), {"error": ""}),
        ({"otel.status_code": "Ok"}, (1, None), {}),
        ({"otel.status_code": "STATUS_CODE_ERROR", "otel.status_description": "no"}, (2, "no"), {}),
        ({"otel.status_code": "STATUS_CODE_OK", "error": "true"}, (2, None), {}),
        ({"otel.status_code": "what", "otel.status_description": "no"}, (0, None), {"otel.status_code": "what", "otel.status_description": "no"}),
    ],
)
def test_status(tags: Row, status: tuple[int, str | None], left: Row) -> None:
    found = row(tags=tags)
    assert ((found["status_code"], found["status_message"]), found["attributes"]) == (status, left)


@pytest.mark.parametrize(
    ("fields", "kind", "left"),
    [
        ({"kind": "SERVER"}, 2, {}),
        ({"kind": "CLIENT", "tags": {"span.kind": "internal"}}, 3, {"span.kind": "internal"}),
        ({"kind": "PRODUCER"}, 4, {}),
        ({"kind": "CONSUMER"}, 5, {}),
        ({"tags": {"span.kind": "internal"}}, 1, {}),
        ({"kind": "INTERNAL"}, 0, {"zipkin.kind": "INTERNAL"}),
        ({}, 0, {}),
    ],
)
def test_kind(fields: Row, kind: int, left: Row) -> None:
    found = row(**fields)
    assert (found["kind"], found["attributes"]) == (kind, left)


def test_resource_and_scope() -> None:
    tags = {"service.version": "1", "host.name": "n", "gpu": "3", "otel.library.name": "net/http", "otel.library.version": "0.1", "w3c.tracestate": "a=b"}
    found = row(tags=tags)
    assert found["resource"] == {"service.version": "1", "host.name": "n", "service.name": "shop"}
    assert (found["scope_name"], found["scope_version"], found["trace_state"], found["attributes"]) == ("net/http", "0.1", "a=b", {"gpu": "3"})
    assert row(localEndpoint={"serviceName": "otlpresourcenoservicename"})["resource"] == {}
    assert row(tags={"otlp.service.name.source": "faas.name"})["resource"] == {"faas.name": "shop"}


def test_each_span_has_the_resource_of_its_own_tags() -> None:
    span = {"traceId": TRACE, "id": SPAN, "localEndpoint": {"serviceName": "shop"}}
    found = read([span | {"tags": {"host.name": "a"}}, span | {"tags": {"host.name": "b"}}, span | {"tags": {"host.name": "a"}}])
    assert [each["resource"]["host.name"] for each in found] == ["a", "b", "a"]


def test_endpoints() -> None:
    local = {"serviceName": "shop", "ipv4": "10.0.0.1", "ipv6": "::1", "port": 80}
    assert row(localEndpoint=local, remoteEndpoint={"serviceName": "db", "ipv4": "10.0.0.2", "port": 5432})["attributes"] == {
        "net.host.ip": "::1",
        "net.host.ipv4": "10.0.0.1",
        "net.host.port": "80",
        "peer.service": "db",
        "net.peer.ip": "10.0.0.2",
        "net.peer.port": "5432",
    }


def test_shared_and_debug_are_kept() -> None:
    assert row(shared=True, debug=True)["attributes"] == {"zipkin.debug": "true", "zipkin.shared": "true"}


@pytest.mark.parametrize(
    ("value", "name", "attributes", "dropped"),
    [
        ("retry", "retry", [], 0),
        ("a|b", "a|b", [], 0),
        ('ex|{"type":"E","n":2,"deep":{"x":[1]}}|3', "ex", [("type", "E"), ("n", "2"), ("deep", '{"x":[1]}')], 3),
        ('ex|{"text":"a|b"}|0', "ex", [("text", "a|b")], 0),
        ('ex|{"big":18446744073709551616,"nan":NaN}|0', "ex", [("big", "18446744073709551616"), ("nan", "NaN")], 0),
        ("ex|{broken}|0", "ex|{broken}|0", [], 0),
        ('ex|{"a":1}|many', 'ex|{"a":1}|many', [], 0),
        ("ex|[1]|0", "ex|[1]|0", [], 0),
    ],
)
def test_events(value: str, name: str, attributes: list[Any], dropped: int) -> None:
    event = row(annotations=[{"timestamp": MICROS, "value": value}])["events"]
    assert event == [{"time_unix_nano": MICROS * 1000, "name": name, "attributes": attributes, "dropped_attributes_count": dropped}]


def test_links() -> None:
    found = row(tags={"otlp.link.0": f'{TRACE}|{SPAN}|x=y|{{"why":"batch"}}|1', "otlp.link.1": "broken", "otlp.link.3": "behind a gap"})
    assert found["links"] == [
        {"trace_id": TRACE, "span_id": SPAN, "trace_state": "x=y", "flags": 0, "attributes": [("why", "batch")], "dropped_attributes_count": 1}
    ]
    assert found["attributes"] == {"otlp.link.1": "broken", "otlp.link.3": "behind a gap"}


@pytest.mark.parametrize(
    ("fields", "times", "left"),
    [
        ({}, (MICROS * 1000, (MICROS + 1500) * 1000), {}),
        ({"timestamp": str(MICROS), "duration": None}, (MICROS * 1000, MICROS * 1000), {}),
        ({"timestamp": None}, (0, 0), {"tracebraid.duration_ns": "1500000"}),
        ({"timestamp": 2**63}, (None, None), {"tracebraid.start_unix_nano": f"{2**63}000", "tracebraid.end_unix_nano": f"{2**63 + 1500}000"}),
    ],
)
def test_times(fields: Row, times: tuple[int | None, int | None], left: Row) -> None:
    found = row(**fields)
    assert ((found["start_unix_nano"], found["end_unix_nano"]), found["attributes"]) == (times, left)


def test_tags_that_are_no_texts() -> None:
    found = row(tags={"n": 1, "b": True, "none": None, "big": 2**64, "deep": {"a": [1.5]}})["attributes"]
    assert found == {"n": "1", "b": "true", "none": None, "big": "1.8446744073709552e+19", "deep": '{"a":[1.5]}'}


def test_ids() -> None:
    assert row(traceId="3ce929d0e0e4736", id="1", parentId="2")["trace_id"] == "03ce929d0e0e4736"
    found = row(traceId="1" + TRACE[1:31], id="1", parentId="2")
    assert (found["trace_id"], found["span_id"], found["parent_span_id"]) == ("01" + TRACE[1:31], "0" * 15 + "1", "0" * 15 + "2")
    assert row(parentId=SPAN)["parent_span_id"] is None


def v1(**fields: Any) -> Row:
    return read([{"traceId": TRACE, "id": SPAN, "name": "get", "annotations": [], "binaryAnnotations": []} | fields])[0]


def test_v1() -> None:
    here, there = {"serviceName": "shop", "ipv4": "10.0.0.1"}, {"serviceName": "db", "port": 1}
    found = v1(
        annotations=[
            {"timestamp": MICROS, "value": "cs", "endpoint": here},
            {"timestamp": MICROS + 5, "value": "retry", "endpoint": here},
            {"timestamp": MICROS + 20, "value": "cr", "endpoint": here},
        ],
        binaryAnnotations=[{"key": "sa", "value": True, "endpoint": there}, {"key": "http.path", "value": "/", "endpoint": here}],
    )
    assert (found["kind"], found["start_unix_nano"], found["end_unix_nano"]) == (3, MICROS * 1000, (MICROS + 20) * 1000)
    assert [event["name"] for event in found["events"]] == ["retry"]
    assert found["resource"] == {"service.name": "shop"}
    assert found["attributes"] == {"http.path": "/", "net.host.ip": "10.0.0.1", "peer.service": "db", "net.peer.port": "1"}
    server = v1(annotations=[{"timestamp": MICROS, "value": "sr", "endpoint": here}], timestamp=MICROS - 1, duration=9)
    assert (server["kind"], server["start_unix_nano"], server["end_unix_nano"]) == (2, (MICROS - 1) * 1000, (MICROS + 8) * 1000)
    local = v1(binaryAnnotations=[{"key": "lc", "value": "local", "endpoint": here}])
    assert (local["kind"], local["resource"], local["attributes"]) == (0, {"service.name": "shop"}, {"lc": "local", "net.host.ip": "10.0.0.1"})


def test_proto_and_json_say_the_same() -> None:
    message = _TYPES["ListOfSpans"]()
    message.spans.add(
        trace_id=bytes.fromhex(TRACE),
        id=bytes.fromhex(SPAN),
        parent_id=bytes(7) + b"\1",
        kind=2,
        name="get",
        timestamp=MICROS,
        duration=1500,
        local_endpoint={"service_name": "shop", "ipv4": bytes([10, 0, 0, 1])},
        remote_endpoint={"ipv6": bytes(15) + b"\1", "port": 9},
        annotations=[{"timestamp": MICROS, "value": "retry"}],
        tags=[{"key": "a", "value": "b"}, {"key": "error", "value": "true"}],
        shared=True,
    )
    span = {"traceId": TRACE, "id": SPAN, "parentId": "1", "kind": "SERVER", "name": "get", "timestamp": MICROS, "duration": 1500, "shared": True}
    span |= {"localEndpoint": {"serviceName": "shop", "ipv4": "10.0.0.1"}, "remoteEndpoint": {"ipv6": "::1", "port": 9}, "tags": {"a": "b", "error": "true"}}
    as_json = json.dumps([span | {"annotations": [{"timestamp": MICROS, "value": "retry"}]}]).encode()
    decoded = [decode(records_of([value])) for value in (message.SerializeToString(), as_json)]
    assert decoded[0].spans.equals(decoded[1].spans)
    assert decoded[0].resources.equals(decoded[1].resources)


@pytest.mark.parametrize("order", [1, -1])
def test_fields_in_any_order_are_seen_to_be_zipkins(order: int) -> None:
    fields = [b"\x0a\x10" + bytes.fromhex(TRACE), b"\x1a\x08" + bytes.fromhex(SPAN), b"\x2a\x02op", b"\x31" + MICROS.to_bytes(8, "little")]
    span = b"".join(fields[::order])
    assert choose(b"\x0a" + bytes([len(span)]) + span, None)[0] == "zipkin_proto"


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (b'[{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","id":"7","message":"a log","tags":{}}]', "json"),
        (b'[{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","id":"7","text":"a log"}]', "json"),
        (b'[{"traceId":"none","id":"7","tags":{}}]', "json"),
        (b'[{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","id":"7","tags":{}},{"other":1}]', "json"),
        (b'["traceId"]', "json"),
        (b"[]", "json"),
        (b"\x0a\x0c\x0a\x00\x12\x00\x1a\x06schema", "otlp_proto"),
    ],
)
def test_what_only_looks_like_zipkin(value: bytes, encoding: str) -> None:
    assert choose(value, None)[0] == encoding
