"""Messages of the windows topic: sound ones as they are, others as one line."""

from typing import Any

import orjson
import pyarrow as pa
import pytest

from tests.detecting import MINUTE, T0, at, measures, partials, programs
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.kernel.told import Covered, read_covered, read_object, read_partials, read_release, read_watermarks
from tracebraid.schemas.windows import PARTIALS, Watermark

RULE = "- {name: r, on: spans, by: [service_name], when: p99(duration) > 50ms}\n"
PLACE = {"cluster": "c", "topic": "t", "topic_id": "i", "partition": 3}
COLUMN = {"n": 1, "sum": 1.0, "min": 1.0, "max": 1.0, "last": 1.0, "last_us": 1, "bucket": [1], "bucket_n": [1]}


def headers(version: bytes | None = b"1", **source: Any) -> dict[str, bytes | None]:
    return {"tracebraid.version": version, "tracebraid.source": orjson.dumps({**PLACE, "first_offset": 0, "next_offset": 7, "part": 0, **source})}


def batch(**changes: Any) -> bytes:
    sound = partials(at(0, 2, trace_id="ab" * 16), measures(programs(RULE))).to_pylist()
    value: bytes = pa.RecordBatch.from_pylist([{**row, **changes} for row in sound], schema=PARTIALS).serialize().to_pybytes()
    return value


def test_what_ingest_writes_is_taken() -> None:
    assert read_partials(batch(), headers()).num_rows == 1
    assert read_covered(headers()) == Covered(Partition("c", "t", "i", 3), 0, 7, 0)
    told = {
        "sources": [{**PLACE, "next_offset": 7, "event_time_us": T0, "caught_up": False}, {**PLACE, "next_offset": 0, "event_time_us": None, "caught_up": True}]
    }
    assert read_watermarks(told) == [Watermark("c", "t", "i", 3, 7, T0, False), Watermark("c", "t", "i", 3, 0, None, True)]
    assert read_release({"sources": [PLACE], "until_us": T0}) == ([("c", "t", "i", 3)], T0)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": [None]},
        {"counts": []},
        {"counts": [1, None, 0]},
        {"counts": [-1, 0, 0]},
        {"counts": [1 << 62, 0, 0]},
        {"pane_us": -MINUTE},
        {"pane_us": (1 << 63) - 1},
        {"columns": [None]},
        {"columns": [{**COLUMN, "bucket_n": [1, 2]}]},
        {"columns": [{**COLUMN, "sum": float("nan")}]},
        {"columns": [{**COLUMN, "n": None}]},
        {"exemplars": [{"trace_id": "ü" * 32, "value": 1.0, "failing": False}]},
        {"exemplars": [{"trace_id": None, "value": 1.0, "failing": False}]},
        {"observations": [{"time_us": None, "offset": 1, "index": 0, "true": True}]},
    ],
)
def test_partial_windows_that_are_not_sound_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^.+$"):
        read_partials(batch(**changes), headers())


@pytest.mark.parametrize("value", [None, b"", b"\xff" * 64, b"\xff\xff\xff\xff\x08\x00\x00\x00" + bytes(8), batch()[:40], batch()[:-9]])
def test_bytes_that_are_no_batch_are_refused(value: bytes | None) -> None:
    with pytest.raises(ValueError, match="partial windows"):
        read_partials(value, headers())


@pytest.mark.parametrize("version", [None, b"2"])
def test_another_version_is_refused(version: bytes | None) -> None:
    with pytest.raises(ValueError, match="version"):
        read_partials(batch(), headers(version))


@pytest.mark.parametrize("source", [{"partition": "3"}, {"partition": -1}, {"topic": None}, {"first_offset": 1.5}, {"part": True}, {"next_offset": 1 << 63}])
def test_a_source_of_other_types_is_refused(source: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not there"):
        read_covered(headers(**source))


@pytest.mark.parametrize("event_us", ["1", 1.5, True, 1 << 62, 10**18])
def test_a_watermark_that_is_none_is_refused(event_us: Any) -> None:
    with pytest.raises(ValueError, match="event_time_us"):
        read_watermarks({"sources": [{**PLACE, "next_offset": 0, "event_time_us": event_us, "caught_up": False}]})


@pytest.mark.parametrize("value", [None, b"", b"[]", b"nul", b"[" * 5000])
def test_what_is_no_object_is_refused(value: bytes | None) -> None:
    with pytest.raises(ValueError, match=r"^.+$"):
        read_object(value)
    for message in ({}, {"sources": 1}, {"sources": [1]}, {"sources": [], "until_us": "x"}):
        with pytest.raises(ValueError, match="is not there"):
            read_release(message)
