"""Redaction of whole batches, plain and dictionary-encoded, beside an oracle that redacts a text at a time."""

import json
from typing import Any

import pyarrow as pa
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status, TracesData

from tests.batches import records_of
from tests.property.redact_oracle import KEY, MASKS, Oracle, hashed, plain
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.kernel.held import as_held
from tracebraid.pipeline.kernel.held import plain as plain_array
from tracebraid.pipeline.kernel.records import Normalized
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.pipeline.redact.patterns import masked, patterns_of
from tracebraid.pipeline.redact.rows import redact
from tracebraid.schemas.semconv import EXCEPTION, RESOURCE, SPAN
from tracebraid.schemas.table import ATTRIBUTES as MAPS
from tracebraid.schemas.table import HELD_ATTRIBUTES

DROP, HASH = ("*.secret", "rpc.method", "url.path"), ("user.*", "column:logger", "service.instance.id")
PATTERNS = (("order", r"\border-[0-9]+\b"), ("shout", "[A-Z]{5,}"))
ORACLE = Oracle(DROP, HASH, PATTERNS)
REDACT = {"drop": DROP, "hash": HASH, "key": KEY, "mask": MASKS, "patterns": [{"name": name, "pattern": pattern} for name, pattern in PATTERNS]}
FILLED_BY = {promoted.column: promoted.names for promoted in (*RESOURCE, *SPAN, *EXCEPTION)}
UNTOUCHED = {"trace_id", "span_id", "parent_span_id", "kind", "status_code", "tenant"}

PIECES = st.sampled_from(
    [
        *("john.o'hara@example.com", "j%40ex.org", "é@é.éé", "a@b", "@", "git@github.com:x", "p@1.2.3", "xn@a.xn--p1ai"),
        *("4111 1111 1111 1111", "4111111111111111", "4111-1111-1111-1112", "378282246310005", "3782 822463 10005", "0.4111111111111111", "4222222222222"),
        *("6011000990139424", "30569309025904", "5105105105105100", "2221000000000009", "1700000000123456789", "x4111111111111111", "4111111111111111 11"),
        *(
            "Bearer abc123",
            "bearer eyJhbGciOiJI.eyJzdWIiOiIx.sig-x",
            "Basic dXNlcjpwYXNz",
            "basic authentication",
            "Authorization: Digest u=1",
            '"authorization":"x y"',
        ),
        *("Bearer abcdefghijklmnopqrstuvwxyz", "Bearer%20t0ken", "eyJhbGciOiJI.eyJzdWIiOiIx.", "authorization=[Bearer q1]"),
        *(
            "postgres://u:p@ss@h:5432/db",
            "http://h:80/a@b",
            "redis://:pw@h",
            "amqp://a@b.cc:p:q@h",
            "://",
            ":",
            "/",
            " ",
            "  ",
            "-",
            ".",
            "\n",
            '"',
            "'",
            "%40",
            "é",
        ),
        *("order-17", "order-", "SHOUTING", "", "4", "1111", "word", "x"),
    ]
)
TEXTS = st.lists(PIECES, max_size=6).map("".join)
KEYS = st.one_of(st.sampled_from(["a.secret", "A.SECRET", "user.id", "User.Name", "http.request.header.authorization", "k", "rpc.method", "url.path"]), TEXTS)
ATTRIBUTES = st.dictionaries(KEYS, TEXTS, max_size=5)


def otlp(attributes: dict[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in attributes.items()]


def record(body: str, attributes: dict[str, str]) -> LogRecord:
    return LogRecord(body=AnyValue(string_value=body), attributes=otlp(attributes))


EVENTS = st.builds(lambda name, given: Span.Event(time_unix_nano=1, name=name, attributes=otlp(given)), TEXTS, ATTRIBUTES)
LINKS = st.builds(
    lambda state, given: Span.Link(trace_id=bytes(range(16)), span_id=bytes(range(8)), trace_state=state, attributes=otlp(given)), TEXTS, ATTRIBUTES
)
SPANS = st.builds(
    lambda name, said, given, events, links: Span(
        trace_id=b"\x41\x11" * 8, name=name, kind=2, trace_state=said, status=Status(code=2, message=said), attributes=otlp(given), events=events, links=links
    ),
    TEXTS, TEXTS, ATTRIBUTES, st.lists(EVENTS, max_size=2), st.lists(LINKS, max_size=2),
)  # fmt: skip
RESOURCES = st.builds(lambda given, name: Resource(attributes=otlp({**given, "service.name": name, "service.instance.id": name})), ATTRIBUTES, TEXTS)
TRACES = st.builds(
    lambda resource, scope, spans: TracesData(
        resource_spans=[ResourceSpans(resource=resource, scope_spans=[ScopeSpans(scope={"name": scope, "attributes": otlp({scope: scope})}, spans=spans)])]
    ).SerializeToString(),
    RESOURCES, TEXTS, st.lists(SPANS, max_size=3),
)  # fmt: skip
LOGS = st.builds(
    lambda resource, body, given: LogsData(
        resource_logs=[ResourceLogs(resource=resource, scope_logs=[ScopeLogs(log_records=[record(body, given)])])]
    ).SerializeToString(),
    RESOURCES, TEXTS, ATTRIBUTES,
)  # fmt: skip
OBJECTS = st.builds(
    lambda given, text: json.dumps({**given, "msg": text, "level": "error", "logger": text, "exception": {"message": text, "stacktrace": text}}).encode(),
    ATTRIBUTES, TEXTS,
)  # fmt: skip
LINES = TEXTS.map(str.encode)
RECORDS = st.lists(st.one_of(TRACES, LOGS, OBJECTS, LINES), min_size=1, max_size=5)


def expected(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    rows = plain(batch.to_pylist())
    for row in rows:
        for name, value in row.items():
            row[name] = _value(name, value)
    return rows


def _value(name: str, value: Any) -> Any:
    what = ORACLE.what([f"column:{name}", *FILLED_BY.get(name, ())])
    if value is None or name in UNTOUCHED or name.startswith(("kafka_", "day")):
        return value
    if what == "drop":
        return None
    if isinstance(value, str):
        return hashed(value) if what == "hash" else ORACLE.text(value)
    if name in ("events", "links"):
        for item in value:
            item["attributes"] = ORACLE.pairs(item["attributes"])
            for field in {"name", "trace_state"} & item.keys():
                item[field] = ORACLE.text(item[field]) if item[field] is not None else None
        return value
    return ORACLE.pairs(value) if name.endswith("attributes") else value


def encoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows with dictionaries and views wherever there are texts, as kernels hand them over; their dictionaries have more than the rows use."""

    def one(column: pa.Array) -> pa.Array:
        column = plain_array(column)
        if column.type == pa.string():
            return pa.concat_arrays([column, pa.array(["unused john@example.com", None], pa.string())]).dictionary_encode().slice(0, len(column))
        return as_held(column, HELD_ATTRIBUTES) if column.type == MAPS else column

    return pa.record_batch([one(column) for column in batch.columns], names=batch.schema.names)


def unheld(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.record_batch([plain_array(column) for column in batch.columns], names=batch.schema.names)


@settings(max_examples=60, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # shrinking such records takes minutes
@given(RECORDS, st.booleans(), st.sampled_from([0, 1]))
def test_batches_are_redacted_as_the_oracle_redacts_texts(values: list[bytes], dictionaries: bool, cut: int) -> None:
    records = records_of(values)
    found = normalize(records, decode(records), now_us=1)
    found = Normalized(found.spans.slice(cut), found.logs.slice(cut), found.rejects)  # a slice has offsets of its own
    before = (found.spans.to_pylist(), found.logs.to_pylist())
    wanted = [expected(found.spans), expected(found.logs)]
    given = Normalized(*((encoded if dictionaries else unheld)(batch) for batch in (found.spans, found.logs)), found.rejects)
    made = redact(given, Settings.model_validate({"redact": REDACT}))
    assert [made.spans.to_pylist(), made.logs.to_pylist()] == wanted
    assert (made.spans.schema, made.logs.schema) == (given.spans.schema, given.logs.schema)
    made.spans.validate(full=True)
    made.logs.validate(full=True)
    assert (found.spans.to_pylist(), found.logs.to_pylist()) == before
    assert bool(made.redacted) == (wanted != [*before])


@settings(max_examples=200)
@given(st.lists(TEXTS, min_size=1, max_size=40))
def test_texts_are_masked_as_the_oracle_masks_them(texts: list[str]) -> None:
    after, hits = masked(pa.array(texts, pa.string()), patterns_of(Settings.model_validate({"redact": REDACT}).redact))
    assert after.to_pylist() == [ORACLE.text(text) for text in texts]
    touched = {place for places in hits.values() for place in places.tolist()}
    assert {place for place, text in enumerate(texts) if ORACLE.text(text) != text} <= touched
