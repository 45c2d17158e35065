"""A live Collector writes every encoding of its Kafka exporter, keyed and unkeyed, to a real broker; each topic gives the rows that were sent.

What an encoding cannot carry is in tests/carried.py, a rule an encoding, and in docs/encodings.md; everything else is compared, column by column.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.brokers import collector
from tests.carried import carried
from tests.contract.test_wire import expected_log, expected_span, in_order, rows
from tracebraid import connect
from tracebraid.pipeline.flow import run_ingest
from tracebraid.pipeline.kernel.settings import IngestSettings, Settings, StreamSettings, TopicSettings

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]
Row = dict[str, Any]
SPANS = ("otlp_proto", "otlp_json", "jaeger_proto", "jaeger_json", "zipkin_proto", "zipkin_json")
LOGS = ("otlp_proto", "otlp_json", "raw")
START, END = "1700000000000000000", "1700000000001500000"
TRACES = ("4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c", "0000000000000000a3ce929d0e0e4736")
PLACE = ("kafka_offset", "record_index", "kafka_cluster", "kafka_topic", "kafka_topic_id", "kafka_partition", "kafka_time", "ingested_at", "day")


def attribute(key: str, **value: Any) -> Row:
    return {"key": key, "value": value}


def text(key: str, value: str) -> Row:
    return attribute(key, stringValue=value)


RESOURCE = {
    "attributes": [
        text("service.name", "Checkout"),
        text("service.version", "1.4.2"),
        text("host.name", "node-7"),
        text("process.runtime.name", "go"),
        attribute("gpu", intValue="3"),
        attribute("nested", kvlistValue={"values": [attribute("a", intValue="1"), attribute("b", arrayValue={"values": [{"boolValue": True}, {}]})]}),
    ]
}
SCOPE = {"name": "net/http", "version": "0.49.0", "attributes": [text("k", "v")]}


def span(number: int, **fields: Any) -> Row:
    plain = {"traceId": TRACES[0], "spanId": f"{number:016x}", "name": f"Span {number}", "startTimeUnixNano": START, "endTimeUnixNano": END}
    return plain | fields


FULL = span(
    1,
    kind=2,
    traceState="vendor=a,b=c",
    flags=257,
    status={"code": 2, "message": "upstream timed out"},
    droppedAttributesCount=2,
    attributes=[
        text("http.request.method", "POST"),
        text("http.route", "/checkout/{id}"),
        attribute("http.response.status_code", intValue="500"),
        text("url.path", "/checkout/42"),
        attribute("ok", boolValue=False),
        attribute("ratio", doubleValue=0.25),
        attribute("big", intValue=str(-(2**63))),
        attribute("blob", bytesValue="AQI="),
        text("empty", ""),
        text("unicode", "订单 ✓ \U0001f600"),
        attribute("list", arrayValue={"values": [{"doubleValue": 0.5}, {"stringValue": "x"}]}),
    ],
    events=[
        {
            "timeUnixNano": "1700000000000001010",
            "name": "exception",
            "attributes": [text("exception.type", "TimeoutError"), text("exception.stacktrace", "at a\n at b|c")],
            "droppedAttributesCount": 1,
        },
        {"timeUnixNano": "1700000000000002020", "name": "retry"},
    ],
    links=[{"traceId": TRACES[1], "spanId": "b7ad6b7169203331", "traceState": "x=y", "flags": 1, "attributes": [text("why", "batch")]}],
)
SENT_SPANS = [
    {
        "resource": RESOURCE,
        "schemaUrl": "https://opentelemetry.io/schemas/1.26.0",
        "scopeSpans": [
            {
                "scope": SCOPE,
                "spans": [
                    FULL,
                    span(2, kind=3, parentSpanId=f"{1:016x}", status={"code": 1}, attributes=[text("db.system", "postgresql"), text("db.statement", "SELECT")]),
                    span(3, kind=1, parentSpanId=f"{1:016x}"),
                    span(4, kind=4, traceId=TRACES[1], attributes=[text("messaging.system", "kafka")]),
                    span(5, kind=5, traceId=TRACES[2]),
                ],
            }
        ],
    },
    {"resource": {}, "scopeSpans": [{"spans": [span(6, traceId=TRACES[1])]}]},
]


def log(body: Row, **fields: Any) -> Row:
    return {"timeUnixNano": "1700000000000000005", "observedTimeUnixNano": "1700000000000000009", "body": body} | fields


FULL_LOG = log(
    {"stringValue": "payment declined\nsecond line"},
    severityNumber=17,
    severityText="ERROR",
    traceId=TRACES[0],
    spanId=f"{1:016x}",
    flags=1,
    attributes=[text("user.id", "u-1"), attribute("amount", doubleValue=12.5), attribute("tags", arrayValue={"values": [{"stringValue": "a"}]})],
)
SENT_LOGS = [
    {
        "resource": {"attributes": RESOURCE["attributes"][:3]},
        "scopeLogs": [
            {
                "scope": {"name": "zap", "version": "1.27"},
                "logRecords": [
                    FULL_LOG,
                    log({"kvlistValue": {"values": [attribute("event", stringValue="cart.updated")]}}, severityNumber=9, traceId=TRACES[1]),
                    log({"intValue": "42"}),
                    log({"stringValue": f"trace_id={TRACES[0]} in the text"}),
                ],
            }
        ],
    }
]


@pytest.fixture(scope="module")
def topics(broker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[str, str, bool]]]:
    """Topic → (signal, encoding, keyed), after a Collector has written all telemetry to each."""
    path = collector.binary()
    if path is None:
        pytest.skip(collector.NEEDED)
    found, exporters, pipelines = {}, {}, {"traces": [], "logs": []}
    for signal, encodings in (("traces", SPANS), ("logs", LOGS)):
        for encoding in encodings:
            for keyed in (False, True):
                topic = broker.create_topic(broker.unique(f"{signal}-{encoding}-{'keyed' if keyed else 'unkeyed'}"), 3)
                found[topic] = signal, encoding, keyed
                flag = "partition_traces_by_id" if signal == "traces" else "partition_logs_by_trace_id"
                exporters[f"kafka/{topic}"] = {
                    "brokers": [broker.address],
                    signal: {"topic": topic, "encoding": encoding},
                    flag: keyed,
                    "producer": {"required_acks": -1},
                    "sending_queue": {"enabled": False},  # so that an answer means written
                }
                pipelines[signal].append(f"kafka/{topic}")
    with collector.running_collector(path, tmp_path_factory.mktemp("collector"), exporters, pipelines) as running:
        running.send("traces", {"resourceSpans": SENT_SPANS})
        running.send("logs", {"resourceLogs": SENT_LOGS})
        yield found


@pytest.fixture(scope="module", params=["auto", "named"])
def lake(request: pytest.FixtureRequest, broker: Any, topics: dict[str, tuple[str, str, bool]], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A lake into which ingest has drained all topics, with their encodings named or not."""
    settings = Settings(
        bootstrap_servers=broker.address,
        lake=str(tmp_path_factory.mktemp("lake") / "lake"),
        topics=tuple(TopicSettings(name=topic, encoding=encoding if request.param == "named" else "auto") for topic, (_, encoding, _) in topics.items()),
        ingest=IngestSettings(group=broker.unique("group")),
        stream=StreamSettings(enabled=False),
    )
    run_ingest(settings, drain=True)
    return connect(settings.lake)


def held(lake: Any, table: str, topic: str) -> list[Row]:
    return rows(lake.sql(f"select * from {table} where kafka_topic = ?", params=[topic]).to_arrow_table())


def without_place(found: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name not in PLACE} for row in found]


def test_spans(lake: Any, topics: dict[str, tuple[str, str, bool]]) -> None:
    sent = [expected_span(group, scope, span) for group in SENT_SPANS for scope in group["scopeSpans"] for span in scope["spans"]]
    for topic, (signal, encoding, _) in topics.items():
        if signal == "traces":
            assert in_order(without_place(held(lake, "spans", topic))) == in_order(without_place([carried(encoding, row) for row in sent])), topic


def test_logs(lake: Any, topics: dict[str, tuple[str, str, bool]]) -> None:
    sent = without_place([expected_log(group, scope, log) for group in SENT_LOGS for scope in group["scopeLogs"] for log in scope["logRecords"]])
    for topic, (signal, encoding, _) in topics.items():
        if signal != "logs":
            continue
        found = without_place(held(lake, "logs", topic))
        if encoding == "raw":
            assert len(found) == len(sent), topic
        else:
            assert in_order(found) == in_order(sent), topic


def test_raw_bodies_are_bodies(lake: Any, topics: dict[str, tuple[str, str, bool]], request: pytest.FixtureRequest) -> None:
    """Named raw, bodies are those of OTLP; by auto, a JSON object gives its fields, of which one is the message."""
    bodies = ["42", "payment declined\nsecond line", f"trace_id={TRACES[0]} in the text", '{"event":"cart.updated"}']
    expected = bodies if request.node.callspec.params["lake"] == "named" else [*bodies[:3], "cart.updated"]
    for topic, (_, encoding, _) in topics.items():
        if encoding == "raw":
            found = held(lake, "logs", topic)
            assert Counter(row["body"] for row in found) == Counter(expected), topic
            assert [row["trace_id"] for row in found if row["trace_id"]] == [TRACES[0]]


def test_nothing_is_refused_and_keys_change_records_only(lake: Any, topics: dict[str, tuple[str, str, bool]]) -> None:
    assert lake.execute("select kafka_topic, reason, message from rejects").fetchall() == []
    assert lake.execute("select sum(rows_dropped) from intervals").fetchone() == (0,)
    records = dict(lake.execute("select kafka_topic, sum(records_in)::int from intervals group by all").fetchall())
    for topic, (signal, encoding, keyed) in topics.items():
        a_key = 4 if signal == "traces" else 3  # of each resource, a trace's spans; logs without a trace id together
        one_each = {"jaeger_proto": 6, "jaeger_json": 6, "raw": 4}
        assert records[topic] == one_each.get(encoding, a_key if keyed else 1), topic
