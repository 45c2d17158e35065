"""Messages as one batch, in the order of their offsets and none twice."""

from dataclasses import dataclass

from tracebraid.pipeline.source.batches import header_array, to_batch
from tracebraid.schemas.records import RECORDS
from tracebraid.schemas.table import HEADERS


@dataclass
class Sent:
    """A message with the methods of confluent_kafka.Message, which cannot be made by hand in all its versions."""

    at: int
    time: tuple[int, int] = (1, 5)

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return self.time

    def key(self) -> bytes | None:
        return None

    def value(self) -> bytes | None:
        return b"%d" % self.at

    def headers(self) -> None:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


def test_what_was_handed_out_before_or_goes_back_is_left_out() -> None:
    batch = to_batch([Sent(at) for at in (3, 4, 5, 7, 6, 7, 9)], 5, 0)
    assert batch.schema == RECORDS
    assert batch.column("kafka_offset").to_pylist() == [5, 7, 9]
    assert batch.column("value").to_pylist() == [b"5", b"7", b"9"]
    assert to_batch([Sent(1)], 5, 0).num_rows == 0


def test_a_record_without_a_time_has_the_present() -> None:
    assert to_batch([Sent(1, (0, -1)), Sent(2, (2, 7))], 0, 99).column("kafka_time_ms").to_pylist() == [99, 7]


def test_headers_whose_name_is_not_text_do_not_cost_the_record() -> None:
    assert to_batch([Sent(1)], 0, 0).column("headers").to_pylist() == [None]


def test_headers_keep_order_repeats_and_nulls() -> None:
    given = [None, [("b", b"1"), ("a", None), ("b", b"")], [], [("c", b"\xff")]]
    found = header_array(given)
    assert found.type == HEADERS
    as_pairs = [each and [(pair["key"], pair["value"]) for pair in each] for each in found.to_pylist()]
    assert as_pairs == [None, given[1], None, given[3]]
