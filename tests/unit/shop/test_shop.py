"""The simulated shop: the same seed gives the same bytes, and what it sends is what real services would."""

import json
import re
from collections import defaultdict
from functools import cache

import pytest
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tracebraid.jobs.shop import Message, Plan, simulate
from tracebraid.jobs.shop.services import SERVICES

PLAN = Plan(start_unix_nano=1_750_000_000_000_000_000, seed=7, minutes=12)
Owned = tuple[Span, dict[str, str]]


@cache
def messages() -> tuple[Message, ...]:
    return tuple(simulate(PLAN))


def requests(topic: str) -> list[ExportTraceServiceRequest]:
    found = []
    for message in messages():
        if message.topic == topic:
            try:
                request = ExportTraceServiceRequest.FromString(message.value)
            except DecodeError:
                continue  # one of the broken ones
            if request.resource_spans[0].resource.attributes:
                found.append(request)
    return found


@cache
def spans() -> dict[bytes, Owned]:
    """Every span with its resource, by span id."""
    found = {}
    for request in requests("otlp_spans"):
        for of_pod in request.resource_spans:
            resource = {pair.key: pair.value.string_value for pair in of_pod.resource.attributes}
            for of_scope in of_pod.scope_spans:
                found.update({span.span_id: (span, resource) for span in of_scope.spans})
    return found


@cache
def lines() -> list[dict[str, object]]:
    """The JSON log records of app-logs and, out of their envelope, container-logs."""
    found = []
    for message in messages():
        if message.topic in ("app-logs", "container-logs"):
            try:
                found.append({"topic": message.topic, **json.loads(message.value)})
            except ValueError:
                continue
    return found


def test_same_seed_same_bytes_and_another_seed_others() -> None:
    assert tuple(simulate(PLAN)) == messages()
    other = Plan(PLAN.start_unix_nano, seed=8, minutes=1)
    assert [message.value for message in simulate(other)] != [message.value for message in messages()[: len(list(simulate(other)))]]


def test_records_are_stamped_with_their_event_time_and_nearly_in_its_order() -> None:
    stamps = [message.timestamp_ms for message in messages()]
    assert min(stamps) >= PLAN.start_unix_nano // 1_000_000
    assert max(stamps) < PLAN.end_unix_nano // 1_000_000 + 40_000
    assert stamps == sorted(stamps)


def test_each_record_is_one_service_of_several_pods_and_no_trace_is_in_one_record() -> None:
    pods = set()
    records_of_trace: defaultdict[bytes, set[int]] = defaultdict(set)
    for number, request in enumerate(requests("otlp_spans")):
        resources = [{pair.key: pair.value.string_value for pair in of_pod.resource.attributes} for of_pod in request.resource_spans]
        assert len({resource["service.name"] for resource in resources}) == 1
        assert all(resource["service.version"] and resource["k8s.pod.name"].startswith(resource["service.name"]) for resource in resources)
        pods.update(resource["k8s.pod.name"] for resource in resources)
        for of_pod in request.resource_spans:
            for of_scope in of_pod.scope_spans:
                for span in of_scope.spans:
                    records_of_trace[span.trace_id].add(number)
    assert len(pods) > 2 * len(SERVICES)
    assert all(len(records) > 1 for records in records_of_trace.values())


def test_traces_are_whole_trees_over_several_services() -> None:
    by_trace: defaultdict[bytes, list[Owned]] = defaultdict(list)
    for span, resource in spans().values():
        by_trace[span.trace_id].append((span, resource))
        parent = spans().get(span.parent_span_id)
        assert not span.parent_span_id or (
            parent is not None and parent[0].trace_id == span.trace_id and parent[0].start_time_unix_nano <= span.start_time_unix_nano
        )
        assert span.end_time_unix_nano > span.start_time_unix_nano
    assert len(by_trace) > 300
    for owned in by_trace.values():
        assert sum(not span.parent_span_id for span, _ in owned) == 1
        assert 5 <= len(owned) <= 50
        assert len({resource["service.name"] for _, resource in owned}) >= 2
    assert {span.kind for span, _ in spans().values()} == {
        Span.SPAN_KIND_INTERNAL,
        Span.SPAN_KIND_SERVER,
        Span.SPAN_KIND_CLIENT,
        Span.SPAN_KIND_PRODUCER,
        Span.SPAN_KIND_CONSUMER,
    }
    assert {resource["service.name"] for _, resource in spans().values()} == {service.name for service in SERVICES}


def test_hand_made_bytes_say_what_the_protocol_says() -> None:
    # Parsed, stripped of unknown fields and written again the size stays: no field is unknown, doubled or longer than it must be.
    for message in messages():
        if message.topic == "otlp_logs":
            request = ExportLogsServiceRequest.FromString(message.value)
            request.DiscardUnknownFields()
            assert request.ByteSize() == len(message.value)
    charge = next(span for span, _ in spans().values() if span.name == "shop.Payment/Charge" and span.kind == Span.SPAN_KIND_SERVER)
    attributes = {pair.key: pair.value.string_value or pair.value.int_value for pair in charge.attributes}
    assert {"rpc.system": "grpc", "rpc.service": "shop.Payment", "rpc.method": "Charge", "rpc.grpc.status_code": 0}.items() <= attributes.items()
    assert charge.flags == 0x301
    consumers = [span for span, _ in spans().values() if span.kind == Span.SPAN_KIND_CONSUMER]
    assert all([link.span_id for link in span.links] == [span.parent_span_id] for span in consumers)


def test_log_ids_are_those_of_spans_in_every_spelling() -> None:
    spelled = {
        "trace_id": r"[0-9a-f]{32}|[0-9a-f-]{36}",
        "traceId": r"[0-9a-f]{32}",
        "trace.id": r"[0-9a-f]{32}",
        "dd.trace_id": r"[0-9a-f]{32}",
        "traceparent": r"00-[0-9a-f]{32}-[0-9a-f]{16}-01",
    }
    traces = {span.trace_id.hex() for span, _ in spans().values()}
    low_halves = {int(trace[16:], 16) for trace in traces}
    seen: defaultdict[str, int] = defaultdict(int)
    for line in lines():
        for name, pattern in spelled.items():
            if name in line:
                text = str(line[name])
                assert re.fullmatch(pattern, text)
                assert text.removeprefix("00-").replace("-", "")[:32] in traces
                seen[name + " UUID" * (len(text) == 36)] += 1
        text = str(line.get("log", ""))
        if found := re.search(r"(TraceID: |traceID=)([0-9a-f]{32}) (SpanID: |spanID=)([0-9a-f]{16})", text):
            assert found[2] in traces
            assert spans()[bytes.fromhex(found[4])][0].trace_id.hex() == found[2]
            seen[found[1]] += 1
        elif text.startswith("{") and "dd" in (inner := json.loads(text)):
            assert int(inner["dd"]["trace_id"]) in low_halves
            seen["decimal"] += 1
    assert set(seen) == {*spelled, "trace_id UUID", "TraceID: ", "traceID=", "decimal"}
    assert min(seen.values()) > 20


def test_otlp_logs_carry_the_ids_of_spans() -> None:
    found = 0
    for message in messages():
        if message.topic == "otlp_logs":
            for of_pod in ExportLogsServiceRequest.FromString(message.value).resource_logs:
                for record in of_pod.scope_logs[0].log_records:
                    assert not record.span_id or spans()[record.span_id][0].trace_id == record.trace_id
                    found += 1
    assert found > 100


def test_a_few_lines_have_no_ids_and_a_few_records_are_none() -> None:
    without = [line for line in lines() if line["topic"] == "app-logs" and not any("trace" in name for name in line)]
    assert 10 < len(without) < len(lines()) / 20
    broken = [message for message in messages() if message.topic == "app-logs" and not message.value.endswith(b"}")]
    assert len(broken) == 4


@pytest.mark.parametrize("service", ["payment", "gateway", "checkout"])
def test_the_fault_shows_in_own_time_of_payment_alone(service: str) -> None:
    before, after = own_ms_and_errors(service, late=False), own_ms_and_errors(service, late=True)
    if service == "payment":
        assert after[0] > 5 * before[0]
        assert after[1] > 5
        assert {resource["service.version"] for span, resource in spans().values() if resource["service.name"] == "payment"} == {"2.3.4", "2.4.0"}
    else:
        assert after[0] < 1.5 * before[0]
        assert after[1] <= 3
        assert sum(span.status.code == Status.STATUS_CODE_ERROR for span, resource in spans().values() if resource["service.name"] == service) > 3  # it spreads


def own_ms_and_errors(service: str, *, late: bool) -> tuple[float, int]:
    """Mean own time of the service's spans in a trace that has any, and its errors that no child explains."""
    children: defaultdict[bytes, list[Span]] = defaultdict(list)
    for span, _ in spans().values():
        children[span.parent_span_id].append(span)
    own: defaultdict[bytes, float] = defaultdict(float)
    errors = 0
    for span, resource in spans().values():
        if resource["service.name"] != service or (span.start_time_unix_nano >= PLAN.fault.begins_ns + 60_000_000_000) != late:
            continue
        below = sorted((child.start_time_unix_nano, min(child.end_time_unix_nano, span.end_time_unix_nano)) for child in children[span.span_id])
        busy, until = 0, span.start_time_unix_nano
        for start, end in below:
            busy += max(0, end - max(start, until))
            until = max(until, end)
        own[span.trace_id] += (span.end_time_unix_nano - span.start_time_unix_nano - busy) / 1e6
        failed = span.status.code == Status.STATUS_CODE_ERROR
        errors += failed and not any(child.status.code == Status.STATUS_CODE_ERROR for child in children[span.span_id])
    return sum(own.values()) / len(own), errors
