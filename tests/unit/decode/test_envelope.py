"""Envelopes taken off: what is left of the log, and what they say of its resource."""

import json
from typing import Any

import pytest

from tracebraid.pipeline.decode.json_logs import decode_json
from tracebraid.pipeline.decode.rows import DecodeError, Rows
from tracebraid.pipeline.kernel import limits


def read(*objects: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What is set of the rows, and the resources, of one record an object."""
    rows = Rows()
    for record, item in enumerate(objects):
        decode_json(json.dumps(item).encode(), record, rows)
    decoded = rows.finish()
    names = ("form", "body", "attributes", "envelope", "envelope_time", "resource")
    logs = [{**{name: row[name] for name in names}, "attributes": dict(row["attributes"])} for row in decoded.logs.to_pylist()]
    return logs, [dict(resource["attributes"]) for resource in decoded.resources.to_pylist()]


def test_docker_with_text_and_with_json() -> None:
    envelope = {"stream": "stderr", "time": "2026-01-01T00:00:00.123456789Z"}
    logs, resources = read({"log": "hello\n", **envelope}, {"log": '{"msg":"hello","time":"t"}\n', **envelope})
    shared = {"envelope": "docker", "envelope_time": "2026-01-01T00:00:00.123456789Z", "resource": 0}
    assert logs == [
        {"form": "text", "body": "hello", "attributes": {"log.iostream": "stderr"}, **shared},
        {"form": "json", "body": None, "attributes": {"msg": "hello", "time": "t", "log.iostream": "stderr"}, **shared},
    ]
    assert resources == [{}]


def test_fluent_bit_gives_kubernetes_facts_and_a_service() -> None:
    kubernetes = {
        "pod_name": "shop-1",
        "namespace_name": "prod",
        "container_name": "server",
        "host": "node-7",
        "pod_id": "u-1",
        "labels": {"app": "shop", "tier": "web"},
        "annotations": {"a/b": "c"},
        "mood": "fine",
    }
    logs, resources = read({"log": "x\n", "date": 1767225600.5, "kubernetes": kubernetes}, {"log": "y", "time": "t", "kubernetes": kubernetes, "tag": "kube.x"})
    assert [(log["envelope"], log["envelope_time"], log["resource"], log["attributes"]) for log in logs] == [
        ("fluent-bit", "1767225600.5", 0, {}),
        ("fluent-bit", "t", 0, {"tag": "kube.x"}),
    ]
    assert resources == [
        {
            "k8s.pod.name": "shop-1",
            "k8s.namespace.name": "prod",
            "container.name": "server",
            "k8s.node.name": "node-7",
            "k8s.pod.uid": "u-1",
            "k8s.pod.label.app": "shop",
            "k8s.pod.label.tier": "web",
            "k8s.pod.annotation.a/b": "c",
            "kubernetes.mood": "fine",
            "service.name": "shop",
        }
    ]


def test_the_service_is_the_recommended_label_else_app_else_the_container() -> None:
    for kubernetes, service in (
        ({"container_name": "c", "labels": {"app": "a", "app.kubernetes.io/name": "n"}}, "n"),
        ({"container_name": "c", "labels": {"app": "a"}}, "a"),
        ({"container_name": "c", "labels": {}}, "c"),
        ({"pod_name": "p"}, None),
    ):
        assert read({"log": "x", "kubernetes": kubernetes})[1][0].get("service.name") == service


def test_fluent_bit_that_merged_the_log_keeps_the_fields_and_gives_up_the_facts() -> None:
    logs, resources = read({"time": "t", "level": "info", "message": "hi", "stream": "stdout", "kubernetes": {"pod_name": "p"}})
    assert logs == [
        {
            "form": "json",
            "body": None,
            "attributes": {"time": "t", "level": "info", "message": "hi", "log.iostream": "stdout"},
            "envelope": "kubernetes",
            "envelope_time": None,
            "resource": 0,
        }
    ]
    assert resources == [{"k8s.pod.name": "p"}]


def test_filebeat() -> None:
    logs, resources = read(
        {
            "@timestamp": "2026-01-01T00:00:00.000Z",
            "message": '{"msg":"hi"}',
            "agent": {"type": "filebeat"},
            "host": {"name": "h"},
            "container": {"id": "c1"},
            "fields": {"team": "x"},
            "kubernetes": {"pod": {"name": "p", "uid": "u"}, "namespace": "n", "node": {"name": "k"}, "container": {"name": "c"}, "labels": {"app": "a"}},
        }
    )
    assert logs == [
        {
            "form": "json",
            "body": None,
            "attributes": {"msg": "hi", "agent.type": "filebeat", "fields.team": "x"},
            "envelope": "filebeat",
            "envelope_time": "2026-01-01T00:00:00.000Z",
            "resource": 0,
        }
    ]
    assert resources == [
        {
            "container.id": "c1",
            "host.name": "h",
            "k8s.pod.name": "p",
            "k8s.namespace.name": "n",
            "container.name": "c",
            "k8s.node.name": "k",
            "k8s.pod.uid": "u",
            "k8s.pod.label.app": "a",
            "service.name": "a",
        }
    ]


def test_vector_and_cri_inside_docker() -> None:
    logs, resources = read(
        {"message": "hi", "timestamp": "t1", "source_type": "file", "host": "h", "file": "/x"},
        {"log": "2026-01-01T00:00:00.5Z stderr F inner\n", "time": "t2"},
    )
    assert [(log["body"], log["envelope"], log["envelope_time"], log["attributes"]) for log in logs] == [
        ("hi", "vector", "t1", {"source_type": "file", "file": "/x"}),
        ("inner", "cri", "2026-01-01T00:00:00.5Z", {"log.iostream": "stderr"}),
    ]
    assert resources == [{"host.name": "h"}, {}]


def test_an_application_s_own_fields_are_no_envelope() -> None:
    logs, _ = read(
        {"log": "x", "message": "hi", "time": "t"}, {"log": {"level": "info"}}, {"log": "alone"}, {"@timestamp": "t", "message": "ecs", "ecs.version": "1"}
    )
    assert [(log["form"], log["envelope"]) for log in logs] == [("json", None)] * 4


def test_envelopes_nest_up_to_a_limit() -> None:
    value: Any = "end"
    for _ in range(20):
        value = json.dumps({"log": value, "stream": "stdout"})
    logs, _ = read(json.loads(value))
    assert len(logs) == 1
    assert (logs[0]["form"], logs[0]["envelope"]) == ("json", "docker")


def test_a_resource_of_a_record_that_is_rolled_back_is_forgotten() -> None:
    rows = Rows()
    mark = rows.mark()
    decode_json(b'{"log":"x","kubernetes":{"pod_name":"p"}}', 0, rows)
    rows.rollback(mark)
    decode_json(b'{"log":"x","kubernetes":{"pod_name":"p"}}', 1, rows)
    decoded = rows.finish()
    assert (decoded.logs.column("resource").to_pylist(), decoded.resources.num_rows) == ([0], 1)


EVENTS = {
    "messageType": "DATA_MESSAGE",
    "owner": "123456789123",
    "logGroup": "/aws/lambda/checkout",
    "logStream": "2026/01/01/[$LATEST]ab",
    "subscriptionFilters": ["all"],
    "logEvents": [
        {"id": "1", "timestamp": 1767225600001, "message": "START RequestId: r\n"},
        {"id": "2", "timestamp": 1767225600002, "message": '{"level":"warn","msg":"slow","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}'},
    ],
}
LAMBDA = {
    "aws.log.group.names": "/aws/lambda/checkout",
    "aws.log.stream.names": "2026/01/01/[$LATEST]ab",
    "cloud.account.id": "123456789123",
    "cloudwatch.messageType": "DATA_MESSAGE",
    "cloudwatch.subscriptionFilters": '["all"]',
    "faas.name": "checkout",
    "service.name": "checkout",
}


def test_a_message_of_cloudwatch_is_its_events() -> None:
    logs, resources = read(EVENTS)
    shared = {"envelope": "cloudwatch", "resource": 0}
    fields = {"level": "warn", "msg": "slow", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "id": "2"}
    assert logs == [
        {"form": "text", "body": "START RequestId: r", "attributes": {"id": "1"}, "envelope_time": "1767225600001", **shared},
        {"form": "json", "body": None, "attributes": fields, "envelope_time": "1767225600002", **shared},
    ]
    assert resources == [LAMBDA]


def test_cloudwatch_without_events_and_with_odd_ones() -> None:
    assert read({**EVENTS, "logEvents": []})[0] == []
    assert [log["body"] for log in read({**EVENTS, "logEvents": ["text", 7]})[0]] == ["text", "7"]
    assert [log["form"] for log in read({"logEvents": [{"a": 1}], "msg": "a log of its own"})[0]] == ["json"]


def test_events_of_cloudwatch_that_would_repeat_a_large_message_are_too_large() -> None:
    large = {"logGroup": "g", "more": "x" * 20_000}
    for message in (
        {**large, "logEvents": [{}] * 5_000},
        {**large, "logEvents": [{"message": "m", "timestamp": 1}] * 5_000},
        [{**large, "logEvents": [{}] * 500}] * 10,
    ):
        with pytest.raises(DecodeError, match="5000 logs would repeat"):
            read(message)
    assert len(read({**large, "logEvents": [{"message": "m"}] * limits.repetition_ratio_max})[0]) == limits.repetition_ratio_max
    assert len(read({"logGroup": "g", "logStream": "s", "messageType": "DATA_MESSAGE", "logEvents": [{"message": "an ordinary line"}] * 5_000})[0]) == 5_000


def test_an_event_of_cloudwatch_alone() -> None:
    logs, resources = read({"message": "m", "timestamp": 1767225600001, "logGroup": "g", "logStream": "s"})
    assert (logs[0]["body"], logs[0]["envelope"], resources) == ("m", "cloudwatch", [{"aws.log.group.names": "g", "aws.log.stream.names": "s"}])


ENTRY = {
    "insertId": "i",
    "logName": "projects/p/logs/stderr",
    "resource": {"type": "k8s_container", "labels": {"project_id": "p", "location": "europe-west1", "container_name": "server", "odd": "1"}},
    "timestamp": "2026-01-01T00:00:00.5Z",
    "severity": "ERROR",
    "trace": "projects/p/traces/06796866738c859f2f19b7cfb3214824",
    "spanId": "000000000000004a",
}


def test_google_cloud_logging_with_text_and_with_json() -> None:
    logs, resources = read({**ENTRY, "textPayload": "boom\n"}, {**ENTRY, "jsonPayload": {"message": "boom", "severity": "own", "deep": {"a": 1}}})
    kept = {name: ENTRY[name] for name in ("insertId", "logName", "severity", "trace", "spanId")}
    shared = {"envelope": "gcp", "envelope_time": "2026-01-01T00:00:00.5Z", "resource": 0}
    fields = {"message": "boom", "severity": "own", "deep.a": "1", **kept, "gcp.severity": "ERROR"} | {"severity": "own"}
    assert logs == [
        {"form": "text", "body": "boom", "attributes": kept, **shared},
        {"form": "json", "body": None, "attributes": fields, **shared},
    ]
    assert resources == [
        {
            "gcp.resource.type": "k8s_container",
            "cloud.account.id": "p",
            "cloud.region": "europe-west1",
            "container.name": "server",
            "gcp.resource.labels.odd": "1",
            "service.name": "server",
        }
    ]
