"""What a shop is made of: services, their endpoints, and the steps that serve a request.

In: nothing. Out: frozen shapes. Never: a draw of the dice; traces.py walks these and does that.
"""

from dataclasses import dataclass
from functools import cached_property

INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5  # opentelemetry.proto.trace.v1.Span.SpanKind
Attributes = tuple[tuple[str, str | int | bool], ...]


@dataclass(frozen=True, slots=True)
class Service:
    """One deployable. `library`: the name of its log library, a key of logs.FORMATS. `pods`: how many run."""

    name: str
    language: str
    library: str
    version: str
    pods: int = 3


@dataclass(frozen=True)
class Shape:
    """What all spans of one operation share. The encoder builds its bytes once."""

    name: str
    kind: int
    scope: str
    attributes: Attributes = ()
    remote_parent: bool = False


@dataclass(frozen=True)
class Query:
    """A database call. `ms`: median latency. `chance`: how often it happens. `system`: semantic conventions' db.system.name."""

    system: str
    operation: str
    collection: str
    ms: float
    chance: float = 1.0

    @cached_property
    def shape(self) -> Shape:
        summary = f"{self.operation} {self.collection}"
        attributes: Attributes = (
            ("db.system.name", self.system),
            ("db.operation.name", self.operation),
            ("db.collection.name", self.collection),
            ("db.query.summary", summary),
            ("server.address", f"{self.system}.shop.internal"),
        )
        return Shape(summary, CLIENT, self.system, attributes)


@dataclass(frozen=True)
class Work:
    """A computation with a span of its own."""

    name: str
    ms: float
    chance: float = 1.0

    @cached_property
    def shape(self) -> Shape:
        return Shape(self.name, INTERNAL, "app")


@dataclass(frozen=True)
class External:
    """An HTTP call to somebody else's API, which sends us no spans. Given up after `timeout_ms` and tried once more."""

    host: str
    method: str
    template: str
    ms: float
    timeout_ms: float = 2500
    chance: float = 1.0

    @cached_property
    def shape(self) -> Shape:
        attributes: Attributes = (("http.request.method", self.method), ("server.address", self.host), ("server.port", 443), ("url.template", self.template))
        return Shape(f"{self.method} {self.template}", CLIENT, "http", attributes)


@dataclass(frozen=True)
class Call:
    """A call to an endpoint of another service, with a deadline that travels along."""

    endpoint: "Endpoint"
    timeout_ms: float = 10_000
    chance: float = 1.0

    @cached_property
    def shape(self) -> Shape:
        endpoint = self.endpoint
        address: Attributes = (("server.address", endpoint.service.name), ("server.port", 8080))
        if endpoint.rpc:
            return Shape(endpoint.name, CLIENT, "grpc", endpoint.protocol_attributes + address)
        return Shape(endpoint.name.split(" ")[0], CLIENT, "http", (("http.request.method", endpoint.name.split(" ")[0]), *address))


@dataclass(frozen=True)
class Publish:
    """A message, and the endpoints that consume it, each some time later."""

    topic: str
    consumers: tuple["Endpoint", ...]
    chance: float = 1.0

    @cached_property
    def shape(self) -> Shape:
        return Shape(f"send {self.topic}", PRODUCER, "kafka", messaging(self.topic, "send"))


@dataclass(frozen=True)
class Together:
    """Steps that run at the same time."""

    steps: tuple[Call | Query, ...]
    chance: float = 1.0


Step = Query | Work | External | Call | Publish | Together


@dataclass(frozen=True)
class Endpoint:
    """What a service answers: 'GET /route', or an RPC ('shop.Payment/Charge'), or messages of a topic ('process orders').

    says: the log line of its start; {item}, {user}, {order}, {query} are the trace's. own_ms: median of its own work, beside the steps.
    """

    service: Service
    name: str
    says: str
    own_ms: float
    steps: tuple[Step, ...] = ()

    @property
    def rpc(self) -> bool:
        return self.name.startswith("shop.")

    @cached_property
    def protocol_attributes(self) -> Attributes:
        service, _, method = self.name.partition("/")
        return (("rpc.system", "grpc"), ("rpc.service", service), ("rpc.method", method))

    @cached_property
    def shape(self) -> Shape:
        verb, _, rest = self.name.partition(" ")
        if self.rpc:
            return Shape(self.name, SERVER, "grpc", self.protocol_attributes, remote_parent=True)
        if verb == "process":
            return Shape(self.name, CONSUMER, "kafka", (*messaging(rest, "process"), ("messaging.consumer.group.name", self.service.name)), remote_parent=True)
        return Shape(self.name, SERVER, "http", (("http.request.method", verb), ("http.route", rest), ("url.scheme", "http")), remote_parent=True)


def messaging(topic: str, operation: str) -> Attributes:
    names: Attributes = (("messaging.system", "kafka"), ("messaging.destination.name", topic))
    return (*names, ("messaging.operation.name", operation), ("messaging.operation.type", operation))
