"""Rejects sent again: query → source → transform → publish.

In: rejects of a lake, a filter. Out: what would become of each now; with `apply`, the records on their topic once more. Never: a
reject sent twice, a value that is cut, a record whose other rows the lake holds already.

1. Fence: the one re-drive with these markers is this one, and what an earlier one left open is committed or aborted once this is done.
2. Read the markers. Before 1, an earlier re-drive could still commit some that we have not seen: sent twice.
3. Judge each reject; those that give rows now are sent.
4. One transaction: records and their markers. Split: sent twice (markers last) or never (markers first).
After a transaction without an answer: 1 and 2 again, and what has a marker by then is left out.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import groupby
from typing import Any

import pyarrow as pa

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import OwnershipLost, TracebraidError, UsageError
from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.publish.producer import Message, Publisher
from tracebraid.pipeline.publish.redriven import again, marker, position
from tracebraid.pipeline.publish.topics import apply as make_topics
from tracebraid.pipeline.publish.topics import redriven_topic
from tracebraid.pipeline.query.snapshot import take
from tracebraid.pipeline.query.statement import question
from tracebraid.pipeline.source.again import Again
from tracebraid.pipeline.source.schemas import Schemas
from tracebraid.pipeline.source.topics import settings_of
from tracebraid.pipeline.transform import Transform
from tracebraid.schemas.records import RECORDS

COLUMNS = (
    "reason, record_key, record_value, record_headers, value_bytes, value_sha256, "
    "kafka_cluster, kafka_topic, kafka_topic_id, kafka_partition, kafka_offset, record_index, kafka_time"
)
ORDER = "kafka_topic, kafka_topic_id, kafka_partition, kafka_offset, record_index"
DOUBTS_MAX = 5
RECORDS_AT_ONCE = 500  # in one transaction
SENT_BEFORE, GONE, TOO_LARGE, NOT_KEPT = "sent before", "gone", "too large for its topic", "its bytes were not kept"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Redrive:
    """`where`: SQL over the table rejects. `to`: topic, '' for the original. `encoding`: to judge by, '' for the topic's. `hopeless`: send all."""

    where: str = ""
    to: str = ""
    encoding: str = ""
    hopeless: bool = False
    apply: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """One reject. `verdict`: 'rows', 'empty' or 'rejected: REASON' now; or why it cannot be sent at all, and then `message` is None."""

    row: Row
    verdict: str
    message: Message | None = None
    spans: int = 0
    logs: int = 0


@dataclass(slots=True)
class Found:
    """By (topic, reason, verdict): rejects, and the spans and logs they would give. `sendable`, `sent`: records."""

    rejects: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    spans: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    logs: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    sendable: int = 0
    sent: int = 0

    def count(self, judged: Judged) -> None:
        key = (judged.row["kafka_topic"], judged.row["reason"], judged.verdict)
        self.rejects[key] += 1
        self.spans[key] += judged.spans
        self.logs[key] += judged.logs


def redrive(
    settings: Settings, wanted: Redrive, tell: Callable[[str], None], *, clock: Clock | None = None, after_step: Callable[[str], None] | None = None
) -> Found:
    """Judge the rejects that `wanted` names, and send them if it says so. `tell`: a line for each that is gone or too large. `after_step`: as Publisher's.

    Raises UsageError for a filter or a topic that is none, TracebraidError where a broker or the lake does not answer.
    """
    clock, found = clock or Clock(), Found()
    snapshot, client = take(settings.lake, settings.storage_config()), settings.client_config()
    source = Again(client, clock)
    sender = None
    try:
        _check(settings, wanted, source)
        sender = Sender(settings, source, fenced=wanted.apply, clock=clock)
        if after_step:
            sender.publisher.after_step = after_step
        judge = Judge(settings, wanted, source, sender)
        statement = f"SELECT {COLUMNS} FROM rejects WHERE {wanted.where or 'true'} ORDER BY {ORDER}"
        with question(snapshot, statement) as (names, blocks):
            for rows in _chunks(dict(zip(names, row, strict=True)) for block in blocks for row in block):
                judged = list(judge.judge(rows))
                for each in judged:
                    found.count(each)
                    if each.verdict in (GONE, TOO_LARGE, NOT_KEPT):
                        tell(_line(each))
                sendable = [(each.row, each.message) for each in judged if each.message and (wanted.hopeless or each.verdict == "rows")]
                found.sendable += len(sendable)
                found.sent += sender.send(sendable) if wanted.apply else 0
    finally:
        if sender:
            sender.publisher.close()
        source.close()
    return found


def _check(settings: Settings, wanted: Redrive, source: Again) -> None:
    if wanted.to in (settings.stream.rejects_topic, settings.stream.redriven_topic):
        raise UsageError(f"{wanted.to} is tracebraid's own topic", "Give --to one that is read")
    if wanted.to and wanted.to not in source.topics:
        raise UsageError(f"there is no topic {wanted.to}", "Give --to the name of one that exists")


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """So many rows that their whole values are about `limits.decode_bytes_max` together."""
    chunk: list[Row] = []
    held = 0
    for row in rows:
        if chunk and (held + row["value_bytes"] > limits.decode_bytes_max or len(chunk) == RECORDS_AT_ONCE):
            yield chunk
            chunk, held = [], 0
        chunk.append(row)
        held += row["value_bytes"]
    if chunk:
        yield chunk


def _line(judged: Judged) -> str:
    row = judged.row
    place = f"{row['kafka_topic']}:{row['kafka_partition']}:{row['kafka_offset']}"
    if judged.verdict == NOT_KEPT:
        return f"{place} cannot be sent: its bytes were not kept, as rejects.keep was hash when it came in"
    kept = len(row["record_value"] or b"")
    if judged.verdict == GONE:
        return f"{place} is gone: {kept} of its {row['value_bytes']} bytes are kept, and the record is no longer on its topic"
    return f"{place} is too large for its topic: {row['value_bytes']} bytes; --to names a topic with a larger max.message.bytes"


class Judge:
    """What would become of each reject. `sender` knows what was sent before, and what topics take."""

    def __init__(self, settings: Settings, wanted: Redrive, source: Again, sender: "Sender") -> None:
        self.settings, self.wanted, self.source, self.sender = settings, wanted, source, sender
        self.schemas = Schemas(settings.schema_registry, sender.clock)
        self._transform = Transform(settings, kernels=False)  # for a few records

    def judge(self, rows: Sequence[Row]) -> Iterator[Judged]:
        """In the order of `rows`, which is that of their topics."""
        for topic, group in groupby(rows, lambda row: str(self.wanted.to or row["kafka_topic"])):
            whole = [self._message(row, topic) for row in group]
            decoded = iter(self._decoded(topic, [each.message for each in whole if each.message]))
            for each in whole:
                yield replace(each, **next(decoded)) if each.message else each

    def _refusal(self, row: Row, topic: str) -> str:
        """Why the record is not to be sent, whatever it holds; '' where it may be."""
        if position(row).encode() in self.sender.marked:
            return SENT_BEFORE
        if row["record_value"] is None:  # nor its key and headers: it would not be the same record, were its value on the topic still
            return NOT_KEPT
        if row["record_index"] > 0:  # a part of a record was refused: sent again, the record would double the rows of its other parts
            return "its other rows are in the lake"
        if not self.wanted.to and row["kafka_cluster"] != self.source.cluster:
            return "of another cluster"
        return "" if topic in self.source.topics else "its topic is gone"

    def _message(self, row: Row, topic: str) -> Judged:
        """The record as it would be sent, or why it is not to be."""
        if refusal := self._refusal(row, topic):
            return Judged(row, refusal)
        value = self._value(row)
        if value is None:
            return Judged(row, GONE)
        stays = topic == row["kafka_topic"] and row["kafka_partition"] < self.source.topics[topic]
        message = again(row, value, topic, row["kafka_partition"] if stays else -1)
        if message.size_bytes > self.sender.publisher.size_bytes_max(topic):
            return Judged(row, TOO_LARGE)
        return Judged(row, "", message)

    def _value(self, row: Row) -> bytes | None:
        """The whole value: what is kept, or, where that was cut, read again from its topic; None where it is no longer there."""
        kept: bytes = row["record_value"] or b""
        if len(kept) == row["value_bytes"]:
            return kept
        partition = Partition(row["kafka_cluster"], row["kafka_topic"], row["kafka_topic_id"], row["kafka_partition"])
        found = self.source.value(partition, row["kafka_offset"])
        return found if found is not None and sha256(found).hexdigest() == row["value_sha256"] else None

    def _decoded(self, topic: str, messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
        """Verdict, spans and logs of each, as ingest would read them from `topic` with these settings."""
        if not messages:
            return
        columns = [
            pa.array(range(len(messages)), RECORDS.field("kafka_offset").type),
            pa.array([message.timestamp_ms for message in messages], RECORDS.field("kafka_time_ms").type),
            pa.array([message.key for message in messages], RECORDS.field("key").type),
            pa.array([message.value for message in messages], RECORDS.field("value").type),
            pa.array([[{"key": key, "value": value} for key, value in message.headers] for message in messages], RECORDS.field("headers").type),
        ]
        settings = settings_of(topic, self.settings.topics)
        encoding = self.wanted.encoding or (settings.encoding if settings else "auto")
        records = Records(Partition("", topic, "", 0), pa.record_batch(columns, schema=RECORDS), encoding)
        spans, logs, refused = Counter[int](), Counter[int](), dict[int, str]()
        for made in self._transform.pieces(self.schemas.given(records), self.sender.clock.unix_micro()):
            rejects = made.rows.rejects
            spans.update(made.rows.spans.column("kafka_offset").to_pylist())
            logs.update(made.rows.logs.column("kafka_offset").to_pylist())
            refused |= zip(rejects.column("kafka_offset").to_pylist(), rejects.column("reason").to_pylist(), strict=True)
        for record in range(len(messages)):
            rows = spans[record] + logs[record]
            verdict = "rows" if rows else f"rejected: {refused[record]}" if record in refused else "empty"
            yield {"verdict": verdict, "spans": spans[record], "logs": logs[record]}


class Sender:
    """Steps 1, 2 and 4. `marked`: positions that were sent before. Not `fenced`: only to look."""

    def __init__(self, settings: Settings, source: Again, *, fenced: bool, clock: Clock) -> None:
        client, self.source, self.clock = settings.client_config(), source, clock
        self.markers = redriven_topic(settings)
        if fenced:
            self._make_markers(client, settings.stream.replication_factor)
        name = f"tracebraid-redrive-{self.markers.name}"
        self.publisher = Publisher.sole(client, name, clock) if fenced else Publisher.plain(client, clock)  # 1
        self.marked = source.compacted(self.markers.name).keys()  # 2

    def _make_markers(self, client: Mapping[str, str], replication_factor: int) -> None:
        topic = self.markers
        (planned,) = make_topics(client, [topic], replication_factor)
        for name in {"cleanup.policy", "retention.ms"} & planned.differences.keys():
            has, ours = planned.differences[name]
            raise TracebraidError(f"topic {topic.name} has {name} {has}: markers would go away, and rejects be sent twice", f"Set it to {ours}")

    def send(self, sendable: Sequence[tuple[Row, Message]]) -> int:
        """All of them in one transaction, with their markers; how many. Raises TracebraidError where Kafka takes none."""
        for doubt in range(DOUBTS_MAX):
            left = [(row, message) for row, message in sendable if position(row).encode() not in self.marked]
            if not left:
                break
            markers = [marker(row, message, self.markers.name) for row, message in left]
            try:
                self.publisher.transaction([*(message for _, message in left), *markers], {})  # 4
                break
            except OwnershipLost as error:
                if doubt == DOUBTS_MAX - 1:
                    raise TracebraidError(str(error), "Run it again: what was sent is known, and is not sent twice") from None
                self.clock.sleep(doubt)
                self.marked = self.source.compacted(self.markers.name).keys()  # 2
        return len(sendable)
