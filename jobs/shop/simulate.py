"""The shop at work: traffic over time, as the Kafka records that its Collector and its log shippers would send.

In: a Plan. Out: Messages in the order of their event time, each stamped with it. Spans and OTLP logs come in batches of one service, of several
pods, so no record holds a whole trace; other log lines come one a record. Never: a clock; the same plan gives the same bytes.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import pi, sin
from random import Random
from typing import NamedTuple

from tracebraid.jobs.shop import encode
from tracebraid.jobs.shop.batches import log_batches, span_batches
from tracebraid.jobs.shop.faults import Fault, Fleet
from tracebraid.jobs.shop.logs import APP_LOGS, write
from tracebraid.jobs.shop.services import SERVICES, TRAFFIC
from tracebraid.jobs.shop.telemetry import Line, Pod, Span
from tracebraid.jobs.shop.traces import Walk

SPANS_TOPIC = "otlp_spans"
LOGS_TOPIC = "otlp_logs"
SECOND = 1_000_000_000
slot_ns = 10 * SECOND  # the Collector sends a service's batch this often
garbage_slots = 60  # every so many slots come records that are none


class Message(NamedTuple):
    """One Kafka record."""

    topic: str
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How much, from when, and when it breaks. `fault_at`: the share of the time after which the fault begins."""

    start_unix_nano: int
    seed: int = 7
    minutes: float = 60
    traces_per_minute: float = 80
    fault_at: float = 0.75

    @property
    def end_unix_nano(self) -> int:
        return self.start_unix_nano + int(self.minutes * 60 * SECOND)

    @property
    def fault(self) -> Fault:
        length = self.end_unix_nano - self.start_unix_nano
        return Fault(self.start_unix_nano + int(length * self.fault_at), rollout_ns=min(20 * SECOND, length // 60))


def simulate(plan: Plan) -> Iterator[Message]:
    """All records of the plan."""
    rnd = Random(plan.seed)
    fleet = _fleet(rnd, plan.fault)
    endpoints, weights = zip(*TRAFFIC, strict=True)
    spans: defaultdict[int, list[Span]] = defaultdict(list)  # by the slot in which they end
    lines: defaultdict[int, list[Line]] = defaultdict(list)
    now = float(plan.start_unix_nano)
    slot = first_slot = plan.start_unix_nano // slot_ns
    for pod in (pod for pods in fleet.before.values() for pod in pods):
        lines[slot].append(_aside(pod, plan.start_unix_nano, "configuration loaded"))
    _rollout(fleet, lines)
    while True:
        now += rnd.expovariate(_per_ns(plan, now))
        while slot < int(now) // slot_ns and slot <= plan.end_unix_nano // slot_ns:
            broken = rnd if slot % garbage_slots == (first_slot + 3) % garbage_slots else None
            yield from _send(spans.pop(slot, []), lines.pop(slot, []), broken)
            slot += 1
        if now >= plan.end_unix_nano:
            break
        walk = Walk(rnd, fleet, rnd.getrandbits(128) | 1 << 96, _about(rnd))
        walk.serve(rnd.choices(endpoints, weights)[0], 0, int(now), int(now) + 30 * SECOND)
        for span in walk.spans:
            spans[span.end_ns // slot_ns].append(span)
        for line in walk.lines:
            if rnd.random() < 0.002:
                line.trace_id = line.span_id = 0  # some code path lost the context
            lines[line.time_ns // slot_ns].append(line)
    for slot in sorted(spans.keys() | lines.keys()):
        yield from _send(spans[slot], lines[slot], None)


def _per_ns(plan: Plan, now_ns: float) -> float:
    """Requests a nanosecond: more in the evening than before dawn, and never quite even."""
    day = sin(2 * pi * (now_ns / (86_400 * SECOND) - 0.4))
    minute = sin(now_ns / (170 * SECOND)) + sin(now_ns / (47 * SECOND))
    return plan.traces_per_minute * (1 + 0.25 * day + 0.07 * minute) / (60 * SECOND)


def _about(rnd: Random) -> dict[str, str]:
    word = rnd.choice(("lamp", "kettle", "bicycle", "blanket", "notebook", "garden hose", "tea, green", "mug «Äpfel»"))
    return {"item": f"P-{rnd.getrandbits(13):05d}", "user": f"u-{rnd.getrandbits(16)}", "order": f"o-{rnd.getrandbits(40):010x}", "query": word}


def _fleet(rnd: Random, fault: Fault) -> Fleet:
    def pods(version_of: dict[str, str]) -> dict[str, tuple[Pod, ...]]:
        found = {}
        for service in SERVICES:
            replica_set = f"{rnd.getrandbits(36):09x}"
            version = version_of.get(service.name, service.version)
            found[service.name] = tuple(Pod(service, f"{service.name}-{replica_set}-{rnd.getrandbits(20):05x}", version) for _ in range(service.pods))
        return found

    return Fleet(pods({}), pods({fault.service: fault.version}), fault)


def _rollout(fleet: Fleet, lines: defaultdict[int, list[Line]]) -> None:
    fault = fleet.fault
    for number, (old, new) in enumerate(zip(fleet.before[fault.service], fleet.after[fault.service], strict=True)):
        at = fault.begins_ns + number * fault.rollout_ns
        for pod, text in ((new, f"starting {fault.service} {fault.version}"), (old, f"stopping {fault.service} {old.version}: SIGTERM")):
            lines[at // slot_ns].append(_aside(pod, at, text))


def _aside(pod: Pod, at: int, text: str) -> Line:
    return Line(pod, at, "INFO", f"{pod.service.name}.main", text)


def _send(spans: list[Span], lines: list[Line], broken: Random | None) -> Iterator[Message]:
    """The records of one slot, by their time; with `broken`, some that are none among them."""
    found: list[Message] = []
    found.extend(Message(SPANS_TOPIC, None, value, (), last_ns // 1_000_000) for value, last_ns in span_batches(spans))
    batched = [line for line in lines if line.pod.service.library == "otlp"]
    found.extend(Message(LOGS_TOPIC, None, value, (), last_ns // 1_000_000) for value, last_ns in log_batches(batched))
    for line in lines:
        if line.pod.service.library != "otlp":
            topic, value = write(line)
            found.append(Message(topic, None, value, (), line.time_ns // 1_000_000))
    if broken and found:
        found.extend(_garbage(found, broken))
    found.sort(key=lambda message: message.timestamp_ms)
    yield from found


def _garbage(found: list[Message], rnd: Random) -> Iterator[Message]:
    """A few records that are none: cut off, not JSON, or metrics on the wrong topic."""
    at = found[-1].timestamp_ms
    spans = next((message.value for message in found if message.topic == SPANS_TOPIC), b"")
    yield Message(SPANS_TOPIC, None, spans[: len(spans) * 2 // 3], (), at)
    yield Message(APP_LOGS, None, b'{"level":"info","ts":17', (), at)
    yield Message(APP_LOGS, None, b"\xff" + rnd.randbytes(48), (), at)
    # ExportMetricsServiceRequest{ResourceMetrics{ScopeMetrics{Metric{name, sum{data point}}}}}
    point = encode.message(1, b"\x19" + (at * 1_000_000).to_bytes(8, "little") + b"\x31" + (42).to_bytes(8, "little"))
    metric = encode.message(1, b"http.server.requests") + encode.message(7, point)
    yield Message(SPANS_TOPIC, None, encode.message(1, encode.message(2, encode.message(2, metric))), (), at)
