"""Times as logs write them."""

import pytest

from tracebraid.pipeline.normalize.log_time import Moment, parse_time

NOON = 1_767_268_800 * 10**9  # 2026-01-01T12:00:00Z


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-01T12:00:00Z", Moment(NOON, True)),
        ("2026-01-01T12:00:00.123456789Z", Moment(NOON + 123456789, True)),
        ("2026-01-01T12:00:00.1234567891Z", Moment(NOON + 123456789, True)),
        ("2026-01-01T13:30:00.5+01:30", Moment(NOON + 500_000_000, True)),
        ("2026-01-01T07:00:00-0500", Moment(NOON, True)),
        ("2026-01-01 12:00:00 UTC", Moment(NOON, True)),
        ("2026-01-01 12:00:00,123", Moment(NOON + 123_000_000, False)),
        ("2026/01/01 12:00:00", Moment(NOON, False)),
        ("2026-01-01T11:59:60Z", Moment(NOON, True)),
        ("01/Jan/2026:13:00:00 +0100", Moment(NOON, True)),
        ("Thu, 01 Jan 2026 12:00:00 GMT", Moment(NOON, True)),
        ("1767268800", Moment(NOON, True)),
        ("1767268800.25", Moment(NOON + 250_000_000, True)),
        ("1.7672688e9", Moment(NOON, True)),
        ("1767268800001", Moment(NOON + 1_000_000, True)),
        ("1767268800000001", Moment(NOON + 1_000, True)),
        ("1767268800000000001", Moment(NOON + 1, True)),
        ("1969-12-31T23:59:59Z", Moment(-(10**9), True)),
    ],
)
def test_times_as_they_are_written(text: str, moment: Moment) -> None:
    assert parse_time(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12:00:00",
        "2026-01-01",
        "2026-02-30T00:00:00Z",
        "2026-01-01T25:00:00Z",
        "2026-01-01T00:00:00+99:99",
        "2026-01-01T00:00:00+01:60",
        "01/Jan/2026:13:00:00 +9999",
        "9999-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "12",
        "99999999",
        "99999999999999999999",
        *("NaN", "-1767268800", "1e400", "now", "0", "٢٠٢٦-01-01T00:00:00Z", "2026-01-01T12:00:00Z" + "0" * 100, "01/Foo/2026:13:00:00 +0100"),
    ],
)
def test_what_is_no_time(text: str) -> None:
    assert parse_time(text) is None
