"""What tests of notify need: alerts as detect publishes them, a web server that answers as it is told, topics and settings."""

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from tracebraid.pipeline.kernel.channels import ChannelSettings, NotifySettings
from tracebraid.pipeline.kernel.settings import Settings, StreamSettings
from tracebraid.pipeline.notify.labels import rfc3339
from tracebraid.pipeline.publish.alerts import alert_messages
from tracebraid.schemas.alert import Comparison, Evidence, Exemplar, TraceEvidence, Transition, Window

T0_US = 1_790_000_040_000_000
MINUTE_US = 60_000_000


def transition(change: Any = "firing", *, number: int = 1, minute: int = 0, start_us: int = T0_US, **other: Any) -> Transition:
    """Of the episode `number`, of a service of that number; the window ends `minute` minutes after `start_us`."""
    end_us = start_us + minute * MINUTE_US
    fields: dict[str, Any] = {
        "id": f"{number:032x}",
        "rule": "slow-and-failing",
        "rule_version": "0123456789abcdef",
        "severity": "critical",
        "labels": {"severity": "critical", "team": "payments"},
        "annotations": {"runbook": "look here"},
        "series": {"service_name": f"shop-{number}", "http.route": "/orders/{id}"},
        "signal": "spans",
        "transition": change,
        "reason": "recovered" if change == "resolved" else "condition",
        "started_us": start_us,
        "window": Window(start=rfc3339(end_us - MINUTE_US), end=rfc3339(end_us), start_us=end_us - MINUTE_US, end_us=end_us),
        "value": 912e6,
        "unit": "ns",
        "threshold": 5e8,
        "comparisons": [Comparison(text="p99(duration) > 500ms", unit="ns", value=912e6, threshold=5e8, holds=True)],
        "completeness": 1.0,
        "width_us": MINUTE_US,
        "exemplars": [Exemplar(trace_id="ab" * 16, value=950e6), Exemplar(trace_id="cd" * 16, value=2e6, failing=True)],
    }
    return Transition(**{**fields, **other})


def evidence(alert: Transition) -> Evidence:
    return Evidence(
        id=alert.id,
        rule=alert.rule,
        series=alert.series,
        window=alert.window,
        service="payments-db",
        reason="its own time is 30 times that of the hour before",
        traces=[TraceEvidence(trace_id="ab" * 16, duration_ns=950_000_000, error=True, path=["shop: GET /orders", "payments-db: SELECT"])],
        sql="SELECT 1",
        tables={"spans": 7},
        waited_s=1.5,
        complete=True,
    )


@dataclass
class Request:
    """What a client sent."""

    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = tuple[int, dict[str, str]] | int | float  # (status, headers), a status, or seconds to wait before the status 200


@dataclass
class Server:
    """Answers by `script`, one entry a request, then by `always`; or by `decide`, from the request."""

    url: str
    script: list[Answer] = field(default_factory=list)
    always: Answer = 200
    decide: Callable[[Request], Answer | None] = lambda _: None
    requests: list[Request] = field(default_factory=list)
    taken: list[Request] = field(default_factory=list)  # of those, what was answered with 200

    def wait_for(self, count: int, wait_s: float = 30) -> list[Any]:
        """The JSON of what was taken, once there are `count`."""
        wait_until(lambda: len(self.taken) >= count, wait_s)
        return [each.json for each in self.taken]


def wait_until(holds: Callable[[], bool], wait_s: float = 30) -> None:
    deadline = time.monotonic() + wait_s
    while not holds():
        assert time.monotonic() < deadline, f"not so after {wait_s} s"
        time.sleep(0.02)


@contextmanager
def server(certificate: tuple[str, str] | None = None, **fields: Any) -> Iterator[Server]:
    """On 127.0.0.1; with TLS where `certificate`, files of a certificate and its key, is given."""
    lock = threading.Lock()

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that was killed is no news."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = Request(self.path, dict(self.headers), self.rfile.read(int(self.headers["Content-Length"])), time.monotonic())
            with lock:
                answering.requests.append(request)
                answer = answering.decide(request)
                if answer is None:
                    answer = answering.script.pop(0) if answering.script else answering.always
            status, headers = answer if isinstance(answer, tuple) else (200, {}) if isinstance(answer, float) else (answer, {})
            if isinstance(answer, float):
                time.sleep(answer)
            elif status == 200:
                with lock:
                    answering.taken.append(request)
            try:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": "3"}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"no\n")
            except OSError:
                self.close_connection = True  # who asked has gone

        def log_message(self, format: str, *args: Any) -> None:
            """Requests are no news."""

    listening = Quiet(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        listening.socket = context.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
    answering = Server(f"{'https' if certificate else 'http'}://127.0.0.1:{listening.server_port}", **fields)
    with serving(listening):
        yield answering


@contextmanager
def serving(listening: ThreadingHTTPServer) -> Iterator[None]:
    """It answers while the block runs."""
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join(10)


def settings_for(broker: Any, *channels: ChannelSettings) -> Settings:
    """Topics of its own."""
    name = broker.unique("notify")
    stream = StreamSettings(
        rejects_topic=f"{name}.rejects",
        windows_topic=f"{name}.windows",
        alerts_topic=f"{name}.alerts",
        alerts_state_topic=f"{name}.alerts.state",
        alertmanager_topic=f"{name}.alerts.alertmanager",
        alerts_dead_topic=f"{name}.alerts.dead",
        state_topic=f"{name}.state",
        rules_topic=f"{name}.rules",
        rules_acks_topic=f"{name}.rules.acks",
    )
    broker.create_topic(stream.alerts_topic, 2)
    broker.create_topic(stream.alerts_state_topic, 2, {"cleanup.policy": "compact"})
    for topic in (stream.alerts_dead_topic, stream.windows_topic, stream.rejects_topic, stream.state_topic, stream.rules_topic, stream.rules_acks_topic):
        broker.create_topic(topic, 1)
    broker.create_topic(stream.alertmanager_topic, 1)
    return Settings(bootstrap_servers=broker.address, stream=stream, notify=NotifySettings(channels=channels))


def publish(broker: Any, settings: Settings, alerts: Sequence[Transition | Evidence | bytes]) -> None:
    """As detect and explain do: transitions on both topics."""
    producer = Producer({**broker.client, "linger.ms": "5"})
    topic = settings.stream.alerts_topic
    for alert in alerts:
        if isinstance(alert, Transition):
            for message in alert_messages(alert, settings.stream, 0):
                producer.produce(message.topic, message.value, message.key, message.partition, headers=list(message.headers))
        elif isinstance(alert, Evidence):
            producer.produce(topic, alert.model_dump_json().encode(), alert.id.encode())
        else:
            producer.produce(topic, alert, b"key")
    assert producer.flush(30) == 0


def messages_of(broker: Any, topic: str) -> list[tuple[bytes, dict[str, bytes]]]:
    """(value, headers) of all that was committed."""
    consumer = Consumer({**broker.client, "group.id": "test-reader", "isolation.level": "read_committed", "enable.partition.eof": "true"})
    try:
        numbers = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in numbers])
        ends, found = set[int](), []
        while len(ends) < len(numbers):
            message = consumer.poll(10)
            assert message is not None
            if message.error() is not None:
                ends.add(message.partition())
            else:
                found.append((message.value(), dict(message.headers() or [])))
        return found
    finally:
        consumer.close()
