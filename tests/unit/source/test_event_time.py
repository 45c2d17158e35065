"""The time that a record of a file is stamped with."""

import base64
import json
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tracebraid.pipeline.source.event_time import event_time_ms

MS = 1_674_981_729_488


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"1674981729488335207"}]}]}]}', MS),
        (b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"0","observedTimeUnixNano":1674981729488335207}]}]}]}', MS),
        (b'{"log":"{\\"timestamp\\":\\"2001-01-01T00:00:00Z\\"}","time":"2023-01-29T08:42:09.488999999Z"}', MS),
        (b'{"@timestamp":"2023-01-29T09:42:09.488+01:00"}', MS),
        (b'{"time":"noon","ts":1674981729.488}', MS),
        (b'{"level":30,"time":1674981729488}', MS),
        (b'{"ts":1674981729488335207}', MS),
        (b'{"log":"broken "quotes"","time":"2023-01-29T08:42:09.488Z"}', MS),
        (b"2023-01-29T08:42:09.488123456Z stdout F a line", MS),
        (b"[2023-01-29 08:42:09,488] INFO a line", MS),
        (b'{"traceId":"AQ==","startTime":"2023-01-29T08:42:09.488335207Z"}', MS),
        (b'[{"traceId":"1","duration":7,"timestamp":1674981729488335}]', MS),
        (b'[{"traceId":"1","timestamp":7}]', None),
        (b'{"time":true}', None),
        (b'{"time":"1601-01-01T00:00:00Z"}', None),
        (b'{"time":1e400}', None),
        (b'{"a":1}', None),
        (b"no time", None),
        (b"2023-99-99T08:42:09 no time", None),
        (b"\n\xff\xff\xff\xff", None),
        (b"", None),
    ],
)
def test_event_time(value: bytes, expected: int | None) -> None:
    assert event_time_ms(value) == expected


def test_protobuf_logs_without_a_time_have_that_of_their_observation() -> None:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(observed_time_unix_nano=MS * 1_000_000)
    assert event_time_ms(request.SerializeToString()) == MS


@pytest.mark.shared
@pytest.mark.parametrize(
    "name", ["spans.otlp_proto", "spans.otlp_json", "logs.otlp_proto", "logs.otlp_json", "spans.otlp_proto_by_trace", "spans.jaeger_json", "spans.zipkin_json"]
)
def test_a_collectors_own_bytes(shared: Path, name: str) -> None:
    lines = (shared / f"data/wire/{name}.jsonl").read_text().splitlines()
    assert {event_time_ms(base64.b64decode(json.loads(line)["value"])) for line in lines} == {1_700_000_000_000}
