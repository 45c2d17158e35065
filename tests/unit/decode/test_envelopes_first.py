"""Logs in envelopes are not walked as objects before that is known, and what is no envelope is, whichever comes first."""

import json
from typing import Any

import pytest

from tests.batches import records_of
from tracebraid.pipeline.decode import registry
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.decode.walkers import object_rows
from tracebraid.pipeline.kernel.records import Records
from tracebraid.pipeline.normalize.batch import normalize

ENVELOPES = [json.dumps({"log": f"n={number} done\n", "stream": "stdout", "time": "2026-01-01T00:00:00Z"}).encode() for number in range(300)]
OBJECTS = [json.dumps({"time": "2026-01-01T00:00:00Z", "level": "info", "msg": f"message {number}"}).encode() for number in range(300)]


def walked_of(values: list[bytes], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many objects each walk over a whole batch was to look at."""
    found: list[int] = []
    walk = object_rows.walk_json

    def counted(batch: Any, wanted: Any, scratch: Any) -> Any:
        found.append(int(wanted.sum()))
        return walk(batch, wanted, scratch)

    monkeypatch.setattr(registry, "walk_json", counted)
    decode(records_of(values))
    return found


@pytest.mark.parametrize(
    ("values", "expected"),
    [(ENVELOPES, [0]), (OBJECTS, [300]), (ENVELOPES[:200], [200]), ([*ENVELOPES, *OBJECTS], [300]), ([*OBJECTS, *ENVELOPES], [600])],
)
def test_objects_that_are_walked(values: list[bytes], expected: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    assert walked_of(values, monkeypatch) == expected


def test_the_rows_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(records: Records) -> list[Any]:
        found = normalize(records, decode(records), now_us=1).logs
        return sorted(found.to_pylist(), key=lambda row: int(row["kafka_offset"]))

    records = records_of([*ENVELOPES, *OBJECTS, b"\tat a.B", b'{"log":1}'])
    envelopes_first = rows(records)
    monkeypatch.setattr(object_rows, "_MANY", 10_000)
    assert rows(records) == envelopes_first


def test_what_is_no_text_is_not_looked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def none(*given: object) -> None:
        asked.append(given)

    monkeypatch.setattr(registry, "walk_texts", none)
    decode(records_of([b'{"operationName":"a","n":%d}' % number for number in range(256)]))
    assert len(asked) == 1
