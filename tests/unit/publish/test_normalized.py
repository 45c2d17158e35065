"""Rows as messages: the columns' names, keyed by trace id, never too large."""

import json
from typing import Any

import jsonschema
import pytest

from tests.batches import PARTITION, records_of
from tools.row import row_schema
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.settings import NormalizedSettings, Settings, StreamSettings, TopicSettings
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.pipeline.publish.normalized import CUTTABLE, OpenNormalized, to_json
from tracebraid.pipeline.publish.producer import Message
from tracebraid.pipeline.publish.topics import own_names, own_topics
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.spans import SPANS

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def opened(*fields: dict[str, Any]) -> OpenNormalized:
    records = records_of([json.dumps(each).encode() for each in fields])
    rows = OpenNormalized("rows")
    rows.add(PARTITION, normalize(records, decode(records), now_us=1))
    return rows


def value_of(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.value or b"")
    jsonschema.Draft202012Validator(row_schema()).validate(found)
    return found


def test_a_row_is_an_object_of_its_columns_keyed_by_its_trace() -> None:
    with_id, without = opened({"msg": "a", "trace_id": TRACE, "time": "2026-01-01T00:00:00.123456Z", "n": 1}, {"msg": "b"}).messages()
    assert (with_id.topic, with_id.key, without.key) == ("rows", TRACE.encode(), None)
    row = value_of(with_id)
    assert {name: row[name] for name in ("table", "version", "trace_id", "body", "attributes", "kafka_offset", "tenant")} == {
        **{"table": "logs", "version": LOGS.version, "trace_id": TRACE, "body": "a", "attributes": {"n": "1"}, "kafka_offset": 40, "tenant": ""}
    }
    assert (row["day"], row["kafka_time"], row["ingested_at"]) == ("2023-11-14", "2023-11-14T22:13:20.123000Z", "1970-01-01T00:00:00.000001Z")
    assert "span_id" not in value_of(without)


def test_what_is_told_beside_columns_has_no_columns_name() -> None:
    assert not {"table", "version", "cut"} & {*SPANS.arrow.names, *LOGS.arrow.names}
    assert {"body", "attributes", "events", "exception_stacktrace"} <= CUTTABLE


@pytest.mark.parametrize(
    ("fields", "cut"),
    [
        ({"msg": "x" * 2_000_000}, {"body"}),
        ({"msg": "\x00é" * 400_000, "exception": {"stacktrace": "s" * 900_000}}, {"body", "exception_stacktrace"}),
        ({"msg": "x", **{f"k{number}": "v" * 2000 for number in range(1000)}}, {"attributes"}),
        ({"msg": "x", **{f"{number}" + "k" * 5000: "\x01" * 5000 for number in range(900)}}, {"attributes"}),
    ],
)
def test_a_large_row_is_cut_and_says_where(fields: dict[str, Any], cut: set[str]) -> None:
    (message,) = opened({**fields, "trace_id": TRACE}).messages()
    row = value_of(message)
    assert message.size_bytes <= limits.normalized_bytes_max + 1000
    assert set(row["cut"]) == cut
    assert (row["trace_id"], row["kafka_time"]) == (TRACE, "2023-11-14T22:13:20.123000Z")


def test_any_row_fits() -> None:
    texts = dict.fromkeys(CUTTABLE, "\x00" * 100_000)
    maps = {name: {f"{number}\x00" * 500: "\x00" * 1000 for number in range(20)} for name in ("attributes", "resource_attributes", "scope_attributes")}
    row = {**texts, **maps, "events": [maps] * 20, "links": [maps] * 20}
    assert len(to_json(row)) <= limits.normalized_bytes_max


def test_forgotten_and_settled_rows_are_not_sent() -> None:
    rows = opened({"msg": "a"})
    rows.forget(PARTITION)
    assert list(rows.messages()) == []
    settled = opened({"msg": "a"})
    settled.settle()
    assert list(settled.messages()) == []


def test_its_topic_is_made_where_it_is_wanted_and_never_read() -> None:
    settings = Settings(normalized=NormalizedSettings(enabled=True, topic="rows", retention_hours=2))
    (topic,) = (each for each in own_topics(settings) if each.name == "rows")
    assert (topic.partitions, topic.config) == (32, {"cleanup.policy": "delete", "retention.ms": "7200000"})
    assert "tracebraid.normalized" in own_names(Settings())
    assert not [each for each in own_topics(Settings()) if each.name == "tracebraid.normalized"]
    with pytest.raises(ValueError, match=r"topics names rows, which is normalized\.topic: tracebraid would read what it writes"):
        Settings(normalized=NormalizedSettings(topic="rows"), topics=(TopicSettings(name="rows"),))
    alone = Settings(normalized=NormalizedSettings(enabled=True), stream=StreamSettings(enabled=False))
    assert alone.warnings() == ["normalized.enabled is true, but stream.enabled is false: nothing is published"]
