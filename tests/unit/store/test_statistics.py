"""The statistics of a file, value for value."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from tests.unit.store.build import NOON_US, partition, rows
from tracebraid.pipeline.store.statistics import PRUNED, cut_above, file_statistics, pruned_columns
from tracebraid.pipeline.store.tables import TABLES
from tracebraid.schemas.alert import ALERTS
from tracebraid.schemas.rejects import REJECTS
from tracebraid.schemas.windows import WINDOWS


def columns(**values: pa.Array) -> pa.Table:
    return pa.table(values)


def times(*micros: int | None) -> pa.Array:
    return pa.array(micros, pa.int64()).cast(pa.timestamp("us", tz="UTC"))


def test_whole_statistics_of_a_reject() -> None:
    assert json.loads(file_statistics(pa.Table.from_batches([rows(REJECTS, partition(3), [7, 9])]))) == {
        "numRecords": 2,
        "minValues": {
            "reason": "malformed",
            "tenant": "",
            "kafka_topic": "otlp_spans",
            "kafka_topic_id": "id-of-otlp_spans",
            "kafka_partition": 3,
            "kafka_offset": 7,
            "kafka_time": "2026-01-02T12:00:00.000Z",
            "ingested_at": "2026-01-02T12:00:00.000Z",
        },
        "maxValues": {
            "reason": "malformed",
            "tenant": "",
            "kafka_topic": "otlp_spans",
            "kafka_topic_id": "id-of-otlp_spans",
            "kafka_partition": 3,
            "kafka_offset": 9,
            "kafka_time": "2026-01-02T12:00:00.000Z",
            "ingested_at": "2026-01-02T12:00:00.000Z",
        },
        "nullCount": dict.fromkeys(("reason", "tenant", "kafka_topic", "kafka_topic_id", "kafka_partition", "kafka_offset", "kafka_time", "ingested_at"), 0),
    }


def test_times_are_whole_milliseconds_rounded_outwards() -> None:
    found = json.loads(file_statistics(columns(start_time=times(NOON_US + 1, NOON_US + 1001, None), end_time=times(-1, -1, -1))))
    assert found == {
        "numRecords": 3,
        "minValues": {"start_time": "2026-01-02T12:00:00.000Z", "end_time": "1969-12-31T23:59:59.999Z"},
        "maxValues": {"start_time": "2026-01-02T12:00:00.002Z", "end_time": "1970-01-01T00:00:00.000Z"},
        "nullCount": {"start_time": 1, "end_time": 0},
    }


def test_an_all_null_column_has_its_null_count_alone() -> None:
    found = json.loads(file_statistics(columns(trace_id=pa.nulls(2, pa.string()), kafka_offset=pa.array([1, 2]))))
    assert found == {"numRecords": 2, "minValues": {"kafka_offset": 1}, "maxValues": {"kafka_offset": 2}, "nullCount": {"trace_id": 2, "kafka_offset": 0}}


@pytest.mark.parametrize("micros", [-(2**63), 2**63 - 1, int(datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC).timestamp() * 1000) * 1000 + 999])
def test_a_bound_that_cannot_be_spelled_takes_all_bounds_of_the_file_with_it(micros: int) -> None:
    assert json.loads(file_statistics(columns(start_time=times(NOON_US, micros), kafka_offset=pa.array([1, 2])))) == {"numRecords": 2}


@pytest.mark.parametrize(
    ("value", "cut"),
    [
        ("ab", "ab"),
        ("abc", "abc"),
        ("abcd", "abd"),
        ("ab\ud7ffd", "ab\ue000"),
        ("ab\uffffd", "ab\U00010000"),
        ("ab\U0010ffffd", "ac"),
        ("a\U0010ffff\U0010ffffd", "b"),
        ("\U0010ffff\U0010ffff\U0010ffff", "\U0010ffff\U0010ffff\U0010ffff"),
        ("\U0010ffff\U0010ffff\U0010ffffd", None),
    ],
)
def test_a_long_maximum_is_cut_above(value: str, cut: str | None) -> None:
    assert cut_above(value, 3) == cut


def test_every_name_is_a_column_of_some_table_with_a_type_that_has_statistics() -> None:
    fields = {name: table.arrow.field(name).type for table in (*TABLES, WINDOWS, ALERTS) for name in pruned_columns(table.arrow)}
    assert set(fields) == PRUNED
    assert {str(kind) for kind in fields.values()} <= {"string", "int32", "int64", "timestamp[us, tz=UTC]"}
    with pytest.raises(TypeError):
        file_statistics(columns(trace_id=pa.array([1.5])))
