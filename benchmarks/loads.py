"""What is put onto topics to be drained: the same records for everybody who is measured.

In: how many rows. Out: records, made while they are sent: a whole load does not fit into memory. Never: the same ids twice in a load.
"""

import base64
import importlib.util
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from types import ModuleType
from typing import Any

import zstandard
from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

SHARED = Path(__file__).parents[2] / "shared"
PEERS = SHARED / "peers"
TRAINTICKET = SHARED / "data" / "trainticket"
PER_RECORD = (1, 20, 200, 1000)
LOGS_PER_RECORD = 200
_IDS = ("traceId", "spanId", "parentSpanId")
_AT_ONCE = 400_000  # spans that the generator holds; then it begins again with another seed: other ids, and other pods


@dataclass(frozen=True, slots=True)
class Load:
    """A kind of record. table: where its rows go. peer_encoding: what the Collector's receiver is told to read: `raw` leaves logs unparsed.

    make: rows → records, each with how many rows it holds.
    """

    name: str
    table: str
    encoding: str
    peer_encoding: str
    make: Callable[[int], Iterator[tuple[bytes, int]]]


def generator() -> ModuleType:
    """The spans that every measurement uses."""
    spec = importlib.util.spec_from_file_location("gen_spans", PEERS / "gen_spans.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def spans(rows: int, per_record: int) -> Iterator[tuple[bytes, int]]:
    """gen_spans.py's."""
    make, at_once = generator().make, _AT_ONCE // per_record * per_record
    for part in range(-(-rows // at_once)):
        left = min(at_once, rows - part * at_once)
        for value in make(left, per_record, seed=7 + part):
            yield value, min(per_record, left)
            left -= per_record


def trainticket_spans(rows: int) -> Iterator[tuple[bytes, int]]:
    """The capture's spans as protobuf, again and again with other ids, until there are enough; the last record may have a few too many."""
    with (TRAINTICKET / "spans.otlp.jsonl.zst").open("rb") as compressed:
        lines = zstandard.ZstdDecompressor().stream_reader(compressed).read().splitlines()
    messages: list[TracesData] = []
    made = 0
    for repetition in count():
        key = random.Random(repetition).getrandbits(128) if repetition else 0
        for place, line in enumerate(lines):
            if made >= rows:
                return
            if not repetition:
                messages.append(_message(json.loads(line)))
            value, size = _renewed(messages[place], key)
            made += size
            yield value, size


def _message(document: dict[str, Any]) -> TracesData:
    """Of OTLP's JSON, whose ids are hex, where protobuf's own has base64."""
    found: TracesData = ParseDict(_without_ids(document), TracesData(), ignore_unknown_fields=True)
    sources = (span for group in document["resourceSpans"] for scope in group["scopeSpans"] for span in scope["spans"])
    spans_of = (span for group in found.resource_spans for scope in group.scope_spans for span in scope.spans)
    for span, source in zip(spans_of, sources, strict=True):
        span.trace_id, span.span_id, span.parent_span_id = (bytes.fromhex(source.get(name, "")) for name in _IDS)
    return found


def _without_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: _without_ids(item) for name, item in value.items() if name not in _IDS}


def _renewed(message: TracesData, key: int) -> tuple[bytes, int]:
    """Ids changed by `key`, the same way everywhere, so that parents stay parents; and how many spans it has."""
    renewed, size = TracesData.FromString(message.SerializeToString()), 0
    for group in renewed.resource_spans:
        for scope in group.scope_spans:
            size += len(scope.spans)
            for span in scope.spans:
                span.trace_id, span.span_id, span.parent_span_id = (_changed(each, key) for each in (span.trace_id, span.span_id, span.parent_span_id))
    return renewed.SerializeToString(), size


def _changed(identifier: bytes, key: int) -> bytes:
    return (int.from_bytes(identifier, "big") ^ key % (1 << 8 * len(identifier))).to_bytes(len(identifier), "big") if identifier else b""


def otlp_logs(rows: int) -> Iterator[tuple[bytes, int]]:
    """Log records as an SDK sends them, 200 a record: a body, a trace, four attributes, a resource of its service."""
    chance, now = random.Random(7), time.time_ns()
    for first in range(0, rows, LOGS_PER_RECORD):
        message, size = LogsData(), min(LOGS_PER_RECORD, rows - first)
        for number in range(4):
            group = message.resource_logs.add()
            group.resource.attributes.add(key="service.name").value.string_value = f"svc-{chance.randrange(40):02d}"
            scope = group.scope_logs.add()
            scope.scope.name = "app"
            for place in range(size * number // 4, size * (number + 1) // 4):
                _log(scope.log_records.add(), chance, now + first + place)
        yield message.SerializeToString(), size


def as_json(kind: Any, records: Iterator[tuple[bytes, int]]) -> Iterator[tuple[bytes, int]]:
    """The same records as OTLP/JSON, compact, as the Collector writes them."""
    for value, size in records:
        document = _with_ids(MessageToDict(kind.FromString(value), use_integers_for_enums=True))
        yield json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode(), size


def _with_ids(value: Any) -> Any:
    """protobuf's JSON of OTLP, whose ids are in base64, as OTLP's own."""
    if isinstance(value, list):
        return [_with_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: base64.b64decode(item).hex() if name in _IDS else _with_ids(item) for name, item in value.items()}


def _log(log: Any, chance: random.Random, nanos: int) -> None:
    level = chance.choice((9, 9, 9, 13, 17))
    log.time_unix_nano, log.severity_number, log.severity_text = nanos, level, {9: "INFO", 13: "WARN", 17: "ERROR"}[level]
    log.body.string_value = f"order {chance.getrandbits(48):012x} was taken in {chance.randrange(2000)} ms"
    log.trace_id, log.span_id = chance.randbytes(16), chance.randbytes(8)
    log.attributes.add(key="app.user.id").value.string_value = f"u-{chance.randrange(10**6)}"
    log.attributes.add(key="http.route").value.string_value = chance.choice(("/orders/{id}", "/users/{id}", "/carts/{id}"))
    log.attributes.add(key="app.items").value.int_value = chance.randrange(30)
    log.attributes.add(key="app.cache.hit").value.bool_value = chance.random() < 0.5


def zap_logs(rows: int) -> Iterator[tuple[bytes, int]]:
    """Lines as zap's production encoder writes them, a line a record."""
    chance, now = random.Random(7), time.time()
    for number in range(rows):
        line = {
            "level": chance.choice(("info", "info", "info", "warn", "error")),
            "ts": round(now + number / 1e4, 7),
            "caller": f"orders/handler.go:{chance.randrange(400)}",
            "msg": f"order {chance.getrandbits(48):012x} was taken",
            "trace_id": f"{chance.getrandbits(128):032x}",
            "span_id": f"{chance.getrandbits(64):016x}",
            "user": f"u-{chance.randrange(10**6)}",
            "items": chance.randrange(30),
            "took": chance.random(),
        }
        yield json.dumps(line, separators=(",", ":")).encode(), 1


def trainticket_lines(rows: int) -> Iterator[tuple[bytes, int]]:
    """Lines of containers, as they were captured: envelope, text and trace id; repeated until there are enough."""
    with (TRAINTICKET / "logs.jsonl.zst").open("rb") as compressed:
        lines = zstandard.ZstdDecompressor().stream_reader(compressed).read().splitlines()
    repeated = (line for _ in count() for line in lines)
    yield from ((line, 1) for line in islice(repeated, rows))


def spans_load(per_record: int) -> Load:
    return Load(f"spans, {per_record} a record", "spans", "otlp_proto", "otlp_proto", lambda rows: spans(rows, per_record))


LOADS = (
    *map(spans_load, PER_RECORD),
    Load("spans of TrainTicket", "spans", "otlp_proto", "otlp_proto", trainticket_spans),
    Load("logs as OTLP, 200 a record", "logs", "otlp_proto", "otlp_proto", otlp_logs),
    Load("spans as JSON, 200 a record", "spans", "otlp_json", "otlp_json", lambda rows: as_json(TracesData, spans(rows, 200))),
    Load("logs as JSON, 200 a record", "logs", "otlp_json", "otlp_json", lambda rows: as_json(LogsData, otlp_logs(rows))),
    Load("logs of zap", "logs", "json", "raw", zap_logs),
    Load("logs of TrainTicket's containers", "logs", "json", "raw", trainticket_lines),
)
