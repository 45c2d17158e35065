"""A reject on its way back: what it was, where it failed first, and how often it was sent."""

from datetime import UTC, datetime

from tracebraid.pipeline.publish.producer import Message
from tracebraid.pipeline.publish.redriven import again, marker, position

ROW = {
    "kafka_cluster": "c", "kafka_topic_id": "id", "kafka_partition": 3, "kafka_offset": 70, "record_index": 0, "record_key": b"k",
    "record_headers": [{"key": "a", "value": b"1"}, {"key": "a", "value": None}], "kafka_time": datetime(2026, 1, 2, 3, 4, 5, 678000, UTC),
}  # fmt: skip
MS = 1_767_323_045_678


def test_the_record_is_what_it_was_with_two_headers_more() -> None:
    assert position(ROW) == "c/id/3/70/0"
    told = (("tracebraid.redrive_of", b"c/id/3/70/0"), ("tracebraid.redrive_attempt", b"1"))
    sent = again(ROW, b"whole", "logs", 3)
    assert sent == Message("logs", b"whole", b"k", (("a", b"1"), ("a", None), *told), MS, 3)
    assert marker(ROW, sent, "markers") == Message("markers", b'{"to": "logs", "attempt": 1}', b"c/id/3/70/0")


def test_what_fails_again_counts_on_and_keeps_its_first_place() -> None:
    headers = [{"key": "tracebraid.redrive_of", "value": b"c/id/0/1/0"}, {"key": "tracebraid.redrive_attempt", "value": b"6"}]
    told = (("tracebraid.redrive_of", b"c/id/0/1/0"), ("tracebraid.redrive_attempt", b"7"))
    assert again(ROW | {"record_headers": headers}, b"", "logs", -1).headers == told


def test_a_strangers_headers_of_that_name_are_no_count() -> None:
    for value in (None, b"", b"-1", b"1e3", b"9" * 30, b"\xff"):
        headers = [{"key": "tracebraid.redrive_attempt", "value": value}]
        assert dict(again(ROW | {"record_headers": headers}, b"", "logs", -1).headers)["tracebraid.redrive_attempt"] == b"1"
