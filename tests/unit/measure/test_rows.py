"""The time at which a row is measured: never in the future, whoever says so."""

import pytest

from tests.measures import Row, batch_of
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.measure.rows import event_times
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.spans import SPANS

NOW_US = 1_700_000_000_000_000
AHEAD_US, YEAR_US = limits.plausible_ahead_s * 1_000_000, 365 * 86_400 * 1_000_000


@pytest.mark.parametrize(
    ("own_us", "kafka_us", "expected_us"),
    [
        (NOW_US - 7, NOW_US, NOW_US - 7),
        (NOW_US + AHEAD_US, NOW_US + 3, NOW_US + AHEAD_US),
        (NOW_US + AHEAD_US + 1, NOW_US + 3, NOW_US + 3),
        (NOW_US + YEAR_US, NOW_US + YEAR_US, NOW_US),  # a window of the future would wait for it
        (NOW_US - 7, NOW_US + YEAR_US, NOW_US - 7),
        (None, NOW_US + YEAR_US, NOW_US),
        (None, NOW_US - 5, NOW_US - 5),
        (NOW_US - YEAR_US - 9, NOW_US - YEAR_US, NOW_US - YEAR_US - 9),  # a backlog
    ],
)
def test_event_times(own_us: int | None, kafka_us: int, expected_us: int) -> None:
    row: Row = {"kafka_time": kafka_us, "ingested_at": NOW_US}
    assert event_times(batch_of(SPANS, [{**row, "end_time": own_us}])).tolist() == [expected_us]
    assert event_times(batch_of(SPANS, [{**row, "start_time": own_us}])).tolist() == [expected_us]
    assert event_times(batch_of(LOGS, [{**row, "time": own_us if own_us is not None else kafka_us}])).tolist() == [expected_us]


def test_rows_that_do_not_say_when_they_were_normalized() -> None:
    late: Row = {"kafka_time": NOW_US + YEAR_US, "end_time": NOW_US + YEAR_US + 1}
    assert event_times(batch_of(SPANS, [late])).tolist() == [NOW_US + YEAR_US + 1]
