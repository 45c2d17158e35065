"""Rejects as messages: bounded, whatever the record was."""

from datetime import UTC, datetime

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.publish.rejects import FACTS, to_message

ROW = dict.fromkeys(FACTS.values(), "x") | {
    "kafka_time": datetime(2026, 1, 2, tzinfo=UTC),
    "record_key": None,
    "record_value": b"v",
    "record_headers": None,
}


def test_a_message_is_bounded_and_says_what_was_left_out() -> None:
    headers = [{"key": "small", "value": b"1"}, {"key": "large", "value": bytes(limits.reject_headers_bytes_max)}, {"key": "after", "value": None}]
    large = ROW | {"record_key": bytes(limits.reject_key_bytes_max + 1), "record_value": bytes(10_000_000), "record_headers": headers}
    message = to_message(large, "t", "g")
    assert (message.key, len(message.value or b"")) == (None, limits.reject_value_bytes_max)
    assert message.headers[len(FACTS) :] == (
        ("tracebraid.group", b"g"),
        ("tracebraid.key_bytes", b"16385"),
        ("tracebraid.headers_left_out", b"2"),
        ("small", b"1"),
    )
    assert message.size_bytes < 200_000


def test_a_tombstone_stays_one() -> None:
    message = to_message(ROW | {"record_value": None}, "t", "g")
    assert (message.value, dict(message.headers)["tracebraid.kafka_time"]) == (None, b"2026-01-02T00:00:00+00:00")
