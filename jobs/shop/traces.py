"""One request through the shop: its spans, and the log lines beside them.

In: an endpoint, a start, the random generator, the pods and the fault. Out: spans and lines with ids and times. Never: a clock, bytes.
"""

from dataclasses import dataclass, field
from math import exp, log
from random import Random

from tracebraid.jobs.shop.faults import Fleet
from tracebraid.jobs.shop.model import Call, Endpoint, External, Publish, Query, Shape, Step, Together, Work
from tracebraid.jobs.shop.telemetry import Failure, Line, Pairs, Pod, Span

MS = 1_000_000  # nanoseconds
SIGMA = {Query: 0.45, Work: 0.25, External: 0.55}  # of the log-normal latencies
query_failing = 0.0003
call_refused = 0.0015  # the first attempt meets a pod that is going away; the second succeeds


@dataclass(slots=True)
class Walk:
    """Serves one request from the front door on; `spans` and `lines` fill up. `about`: what the log lines speak of."""

    rnd: Random
    fleet: Fleet
    trace_id: int
    about: dict[str, str]
    spans: list[Span] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def serve(self, endpoint: Endpoint, parent_id: int, start_ns: int, deadline_ns: int, linked_id: int = 0) -> Span:
        """The span of the endpoint, with everything below it served."""
        rnd = self.rnd
        span = self.open(endpoint.shape, self.fleet.pick(endpoint.service, start_ns, rnd), parent_id, start_ns)
        span.linked_id = linked_id
        self.say(span, start_ns + 30_000, "INFO", endpoint.says.format_map(self.about), fields=(("operation", endpoint.name),))
        now = start_ns + self.latency(endpoint.own_ms * 0.6, 0.3)
        for step in endpoint.steps:
            if step.chance < 1 and rnd.random() > step.chance:
                continue
            now, span.failure = self.step(step, span, now, deadline_ns)
            if span.failure:
                break
        span.end_ns = now + self.latency(endpoint.own_ms * 0.4, 0.3)
        if span.end_ns > deadline_ns and not span.failure:
            span.failure = Failure("DEADLINE_EXCEEDED", "the caller's deadline has passed", 4)
        span.own = self.answer(endpoint, span)
        took_ms = (span.end_ns - start_ns) / MS
        if span.failure:
            self.say(span, span.end_ns - 20_000, "ERROR", f"{endpoint.name} failed after {took_ms:.0f} ms: {span.failure.message}", failure=span.failure)
        else:
            self.say(span, span.end_ns - 20_000, "WARN" if took_ms > 2000 else "INFO", f"{endpoint.name} answered in {took_ms:.1f} ms")
        return span

    def answer(self, endpoint: Endpoint, span: Span) -> Pairs:
        failure = span.failure
        if endpoint.rpc:
            return (("rpc.grpc.status_code", failure.code or 13 if failure else 0), ("app.order.id", self.about["order"]))
        if endpoint.name.startswith("process "):
            return (("app.order.id", self.about["order"]),)
        path = endpoint.shape.name.split(" ")[1].replace("{id}", self.about["item"])
        return (("http.response.status_code", 502 if failure else 200), ("url.path", path), ("app.user.id", self.about["user"]))

    def step(self, step: Step, span: Span, now: int, deadline_ns: int) -> tuple[int, Failure | None]:
        """When the step was done, and why it failed if it did."""
        if isinstance(step, Query):
            return self.query(step, span, now)
        if isinstance(step, Call):
            return self.call(step, span, now, deadline_ns)
        if isinstance(step, External):
            return self.external(step, span, now, deadline_ns)
        if isinstance(step, Work):
            child = self.open(step.shape, span.pod, span.span_id, now)
            child.end_ns = now + self.latency(step.ms, SIGMA[Work])
            return child.end_ns, None
        if isinstance(step, Together):
            return self.together(step, span, now, deadline_ns)
        return self.publish(step, span, now), None

    def query(self, step: Query, span: Span, now: int) -> tuple[int, Failure | None]:
        child = self.open(step.shape, span.pod, span.span_id, now)
        child.end_ns = now + self.latency(step.ms, SIGMA[Query])
        if self.rnd.random() < query_failing:
            child.failure, child.raised = Failure("ConnectionReset", f"{step.system} closed the connection"), True
            return child.end_ns, child.failure
        if self.rnd.random() < 0.12:
            self.say(
                child,
                child.end_ns - 10_000,
                "DEBUG",
                f"{step.shape.name} took {(child.end_ns - now) / MS:.2f} ms",
                fields=(("rows", int(self.rnd.random() * 20)),),
            )
        return child.end_ns, None

    def call(self, step: Call, span: Span, now: int, deadline_ns: int) -> tuple[int, Failure | None]:
        if self.rnd.random() < call_refused:
            refused = self.open(step.shape, span.pod, span.span_id, now)
            failure = Failure("ConnectionRefused", f"connection to {step.endpoint.service.name} refused")
            refused.end_ns, refused.failure = now + self.latency(0.8, 0.3), failure
            self.say(span, refused.end_ns, "WARN", f"{failure.message}, trying another pod")
            now = refused.end_ns + self.latency(4.0, 0.2)
        child = self.open(step.shape, span.pod, span.span_id, now)
        away = self.latency(0.35, 0.4)
        server = self.serve(step.endpoint, child.span_id, now + away, min(deadline_ns, now + int(step.timeout_ms * MS)))
        child.end_ns = server.end_ns + away
        child.own = (("rpc.grpc.status_code", 0),) if step.endpoint.rpc else (("http.response.status_code", 200),)
        if server.failure:
            late = server.failure.type == "DEADLINE_EXCEEDED"
            name = step.endpoint.service.name
            child.failure = Failure(
                server.failure.type if late else "UNAVAILABLE", f"{name}: {server.failure.message.removeprefix(f'{name}: ')}", server.failure.code
            )
            child.own = (("rpc.grpc.status_code", 4 if late else 14),) if step.endpoint.rpc else (("http.response.status_code", 502),)
        return child.end_ns, child.failure

    def external(self, step: External, span: Span, now: int, deadline_ns: int) -> tuple[int, Failure | None]:
        slower, failing = self.fleet.fault.on(step.host, span.pod.version)
        failure: Failure | None = None
        for attempt in range(2):
            child = self.open(step.shape, span.pod, span.span_id, now)
            took = self.latency(step.ms * slower, SIGMA[External])
            allowed = min(int(step.timeout_ms * MS), max(deadline_ns - now, MS))
            again: Pairs = (("http.request.resend_count", attempt),) if attempt else ()
            failure = None
            if took > allowed:
                out_of_time = now + allowed >= deadline_ns
                failure = Failure("DEADLINE_EXCEEDED" if out_of_time else "timeout", f"{step.host} gave no answer in {allowed / MS:.0f} ms", 4)
            elif self.rnd.random() < failing:
                failure = Failure("503", f"{step.host} answered 503 Service Unavailable", 14)
            child.end_ns = now + min(took, allowed)
            child.failure, child.raised = failure, failure is not None
            code = 0 if failure and failure.code == 4 else 503 if failure else 200
            child.own = ((("http.response.status_code", code),) if code else ()) + again
            now = child.end_ns
            if not failure or failure.type == "DEADLINE_EXCEEDED":
                break
            self.say(
                child, now, "WARN", f"{failure.message}, attempt {attempt + 1} of 2", fields=(("host", step.host), ("attempt", attempt + 1)), failure=failure
            )
        return now, failure

    def together(self, step: Together, span: Span, now: int, deadline_ns: int) -> tuple[int, Failure | None]:
        done = [self.step(one, span, now, deadline_ns) for one in step.steps if one.chance >= 1 or self.rnd.random() < one.chance]
        return max((end for end, _ in done), default=now), next((failure for _, failure in done if failure), None)

    def publish(self, step: Publish, span: Span, now: int) -> int:
        child = self.open(step.shape, span.pod, span.span_id, now)
        child.end_ns = now + self.latency(1.2, 0.3)
        for consumer in step.consumers:
            begins = child.end_ns + self.latency(25.0, 0.8)
            self.serve(consumer, child.span_id, begins, begins + 10_000 * MS, linked_id=child.span_id)
        return child.end_ns

    def open(self, shape: Shape, pod: Pod, parent_id: int, start_ns: int) -> Span:
        span = Span(shape, pod, self.trace_id, self.rnd.getrandbits(64) | 1, parent_id, start_ns)
        self.spans.append(span)
        return span

    def say(self, span: Span, at: int, level: str, text: str, *, fields: Pairs = (), failure: Failure | None = None) -> None:
        service = span.pod.service
        self.lines.append(Line(span.pod, at, level, f"{service.name}.{span.shape.scope}", text, self.trace_id, span.span_id, failure, fields))

    def latency(self, median_ms: float, sigma: float) -> int:
        """Nanoseconds, log-normal around the median."""
        return int(exp(log(median_ms) + self.rnd.gauss(0.0, sigma)) * MS)
