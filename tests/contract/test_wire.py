"""What a real OpenTelemetry Collector put on Kafka becomes the rows that were sent, field by field.

The expectation is written here from sent.*.json by the meaning of OTLP, without the code under test.
"""

import base64
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.batches import records_of
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.spans import SPANS

pytestmark = pytest.mark.shared
NOW_US = 1_700_000_100_000_000
KAFKA_MS = 1_700_000_001_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Row = dict[str, Any]
# Attribute → column, for the attributes that the capture holds.
RESOURCE_COLUMNS = {
    "service.name": "service_name",
    "service.version": "service_version",
    "host.name": "host_name",
    "deployment.environment.name": "deployment_environment_name",
}
SPAN_COLUMNS = {
    "http.request.method": "http_request_method",
    "http.route": "http_route",
    "http.response.status_code": "http_response_status_code",
    "url.path": "url_path",
    "db.system": "db_system_name",
    "messaging.system": "messaging_system",
}
KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
CODES = ["UNSET", "OK", "ERROR"]


@pytest.mark.parametrize("configured", ["auto", "named"])
@pytest.mark.parametrize("capture", ["spans.otlp_proto", "spans.otlp_proto_by_trace", "spans.otlp_json"])
def test_spans_are_what_was_sent(shared: Path, capture: str, configured: str) -> None:
    values = wire(shared, capture)
    encoding = "auto" if configured == "auto" else "otlp_json" if capture.endswith("json") else "otlp_proto"
    records = records_of(values, encoding, kafka_ms=KAFKA_MS)
    decoded = decode(records)
    normalized = normalize(records, decoded, now_us=NOW_US)
    sent = json.loads((shared / "data/wire/sent.spans.json").read_text())
    expected = [expected_span(group, scope, span) for group in sent["resourceSpans"] for scope in group["scopeSpans"] for span in scope["spans"]]
    assert in_order(without_place(rows(normalized.spans))) == in_order(expected)
    assert {"kafka_offset", "record_index"} <= set(normalized.spans.schema.names)
    assert normalized.spans.schema == SPANS.held
    assert (normalized.logs.num_rows, normalized.rejects.num_rows, decoded.dropped.total()) == (0, 0, 0)
    assert normalized.event_time_us == (1_700_000_000_001_500, 1_700_000_000_001_500)
    assert not normalized.counted


@pytest.mark.parametrize("capture", ["logs.otlp_proto", "logs.otlp_proto_by_trace", "logs.otlp_json"])
def test_logs_are_what_was_sent(shared: Path, capture: str) -> None:
    records = records_of(wire(shared, capture), kafka_ms=KAFKA_MS)
    decoded = decode(records)
    normalized = normalize(records, decoded, now_us=NOW_US)
    sent = json.loads((shared / "data/wire/sent.logs.json").read_text())
    expected = [expected_log(group, scope, log) for group in sent["resourceLogs"] for scope in group["scopeLogs"] for log in scope["logRecords"]]
    assert in_order(without_place(rows(normalized.logs))) == in_order(expected)
    assert normalized.logs.schema == LOGS.held
    assert (normalized.spans.num_rows, normalized.rejects.num_rows, decoded.dropped.total()) == (0, 0, 0)


@pytest.mark.parametrize("signal", ["spans", "logs"])
def test_every_encoding_gives_the_same_decoded_rows(shared: Path, signal: str) -> None:
    by_encoding = [
        getattr(decode(records_of(wire(shared, f"{signal}.{encoding}")), kernels=False), signal).to_pylist() for encoding in ("otlp_proto", "otlp_json")
    ]
    assert by_encoding[0] == by_encoding[1]


def test_the_place_of_a_row_is_its_record_and_its_index(shared: Path) -> None:
    records = records_of(wire(shared, "spans.otlp_proto_by_trace"))
    normalized = normalize(records, decode(records), now_us=NOW_US)
    places = list(zip(normalized.spans.column("kafka_offset").to_pylist(), normalized.spans.column("record_index").to_pylist(), strict=True))
    assert sorted(offset for offset, index in places if index == 0) == [40, 41, 42]
    assert len(set(places)) == normalized.spans.num_rows
    assert set(normalized.spans.column("kafka_partition").to_pylist()) == {3}
    assert set(normalized.spans.column("kafka_topic").to_pylist()) == {"telemetry"}


def wire(shared: Path, capture: str) -> list[bytes]:
    lines = (shared / "data/wire" / f"{capture}.jsonl").read_text().splitlines()
    return [base64.b64decode(json.loads(line)["value"]) for line in lines]


def rows(batch: Any) -> list[Row]:
    return [{name: mapped(value) for name, value in row.items()} for row in batch.to_pylist()]


def mapped(value: Any) -> Any:
    """Lists of pairs as dicts, so that the order of attributes does not count."""
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return dict(value)
    if isinstance(value, list):
        return [{name: mapped(item) for name, item in each.items()} for each in value]
    return value


def without_place(found: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name not in ("kafka_offset", "record_index")} for row in found]


def in_order(found: list[Row]) -> list[Row]:
    """Rows in one order, empty maps and lists alike."""
    return sorted((without_empty(row) for row in found), key=lambda row: (str(row["trace_id"]), str(row["span_id"]), str(row.get("body"))))


def without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_empty(item) for name, item in value.items()} or None
    return [without_empty(item) for item in value] or None if isinstance(value, list) else value


def expected_span(group: Row, scope: Row, span: Row) -> Row:
    start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    row = common(SPANS.arrow.names, group, scope) | {
        "trace_id": span["traceId"],
        "span_id": span["spanId"],
        "parent_span_id": span.get("parentSpanId"),
        "trace_state": span.get("traceState"),
        "flags": span.get("flags", 0),
        "name": span["name"],
        "kind": KINDS[span.get("kind", 0)],
        "start_time": moment(start),
        "end_time": moment(end),
        "start_unix_nano": start,
        "end_unix_nano": end,
        "duration_ns": 1_500_000,
        "status_code": CODES[span.get("status", {}).get("code", 0)],
        "status_message": span.get("status", {}).get("message"),
        "events": [expected_event(event) for event in span.get("events", [])],
        "links": [expected_link(link) for link in span.get("links", [])],
        "dropped_attributes_count": span.get("droppedAttributesCount", 0),
        "dropped_events_count": 0,
        "dropped_links_count": 0,
    }
    return placed(row, attributes(span), SPAN_COLUMNS, "attributes")


def expected_log(group: Row, scope: Row, log: Row) -> Row:
    time_ns, observed = int(log.get("timeUnixNano", 0)), int(log["observedTimeUnixNano"])
    body = text(log["body"])
    in_body = "4bf92f3577b34da6a3ce929d0e0e4736" if "trace_id" in str(body) else None  # the sender left the field empty and the body names it
    return common(LOGS.arrow.names, group, scope) | {
        "trace_id": log.get("traceId") or in_body,
        "span_id": log.get("spanId"),
        "flags": log.get("flags", 0),
        "time": moment(time_ns or observed),
        "observed_time": moment(observed),
        "time_unix_nano": time_ns or None,
        "observed_unix_nano": observed,
        "severity_number": log.get("severityNumber", 0),
        "severity_text": log.get("severityText"),
        "body": body,
        "event_name": log.get("eventName"),
        "logger": "zap",
        "trace_id_source": "otlp" if "traceId" in log else "text" if in_body else None,
        "dropped_attributes_count": 0,
        "attributes": attributes(log),
    }


def common(names: list[str], group: Row, scope: Row) -> Row:
    row = dict.fromkeys(name for name in names if name not in ("kafka_offset", "record_index")) | {
        "day": date(2023, 11, 14),
        "tenant": "",
        "scope_name": scope.get("scope", {}).get("name"),
        "scope_version": scope.get("scope", {}).get("version"),
        "scope_attributes": attributes(scope.get("scope", {})),
        "resource_schema_url": group.get("schemaUrl"),
        "kafka_cluster": "cluster-1",
        "kafka_topic": "telemetry",
        "kafka_topic_id": "topic-id-1",
        "kafka_partition": 3,
        "kafka_time": moment(KAFKA_MS * 1_000_000),
        "ingested_at": moment(NOW_US * 1000),
    }
    return placed(row, attributes(group["resource"]), RESOURCE_COLUMNS, "resource_attributes")


def placed(row: Row, found: dict[str, str | None], columns: dict[str, str], rest: str) -> Row:
    named = {columns[key]: value for key, value in found.items() if key in columns}
    if "http_response_status_code" in named:
        named["http_response_status_code"] = int(str(named["http_response_status_code"]))  # type: ignore[assignment]
    return row | named | {rest: {key: value for key, value in found.items() if key not in columns}}


def expected_event(event: Row) -> Row:
    return {
        "time_unix_nano": int(event["timeUnixNano"]),
        "name": event["name"],
        "attributes": attributes(event),
        "dropped_attributes_count": event.get("droppedAttributesCount", 0),
    }


def expected_link(link: Row) -> Row:
    return {
        "trace_id": link["traceId"],
        "span_id": link["spanId"],
        "trace_state": link.get("traceState"),
        "flags": link.get("flags", 0),
        "attributes": attributes(link),
        "dropped_attributes_count": 0,
    }


def attributes(owner: Row) -> dict[str, str | None]:
    return {item["key"]: text(item["value"]) for item in owner.get("attributes", [])}


def text(value: Row) -> str | None:
    plain_value = plain(value)
    if plain_value is None or isinstance(plain_value, str):
        return plain_value
    return json.dumps(plain_value, ensure_ascii=False, separators=(",", ":"))


def plain(value: Row) -> Any:
    """An AnyValue of the capture as a JSON value; bytes stay the base64 that they are in the file."""
    for kind, content in value.items():
        if kind == "intValue":
            return int(content)
        if kind == "arrayValue":
            return [plain(item) for item in content["values"]]
        if kind == "kvlistValue":
            return {item["key"]: plain(item["value"]) for item in content["values"]}
        return content
    return None


def moment(unix_nano: int) -> datetime:
    return EPOCH + timedelta(microseconds=unix_nano // 1000)
