"""Messages as one batch, in the order of their offsets and none twice."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tracebraid.pipeline.source.batches import Columns, header_array, taken_apart, to_batch
from tracebraid.schemas.records import RECORDS
from tracebraid.schemas.table import HEADERS


@dataclass
class Sent:
    """A message with the methods of confluent_kafka.Message, which cannot be made by hand in all its versions."""

    at: int
    time: tuple[int, int] = (1, 5)
    place: tuple[str, int] = ("spans", 0)
    text: bytes | None = b"text"
    named: bytes | None = None
    pairs: list[tuple[str, bytes | None]] | None = None
    failed: str | None = None

    def error(self) -> str | None:
        return self.failed

    def topic(self) -> str:
        return self.place[0]

    def partition(self) -> int:
        return self.place[1]

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return self.time

    def key(self) -> bytes | None:
        return self.named

    def value(self) -> bytes | None:
        return self.text

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return self.pairs


class Misnamed(Sent):
    def headers(self) -> None:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


def batch_of(*calls: list[Any], next_offset: int = 0) -> pa.RecordBatch:
    parts = [part for messages in calls for part in taken_apart(messages, 99)[0]]
    return to_batch(parts, next_offset)


def test_what_was_handed_out_before_or_goes_back_is_left_out() -> None:
    batch = batch_of([Sent(at, text=b"%d" % at) for at in (3, 4, 5)], [Sent(at, text=b"%d" % at) for at in (7, 6, 7, 9)], next_offset=5)
    assert batch.schema == RECORDS
    assert batch.column("kafka_offset").to_pylist() == [5, 7, 9]
    assert batch.column("value").to_pylist() == [b"5", b"7", b"9"]
    assert batch_of([Sent(1)], next_offset=5).num_rows == 0


def test_a_record_without_a_time_has_the_present() -> None:
    batch = batch_of([Sent(1, (0, -1)), Sent(2, (2, 7)), Sent(3, (1, -1))])
    assert batch.column("kafka_time_ms").to_pylist() == [99, 7, -1]  # a sender may have said -1


def test_headers_whose_name_is_not_text_do_not_cost_the_record() -> None:
    batch = batch_of([Misnamed(1), Misnamed(2)])
    assert batch.column("headers").to_pylist() == [None, None]


def test_messages_of_one_call_are_told_apart_by_partition_and_errors_keep_their_place() -> None:
    a, b = ("spans", 0), ("spans", 1)
    end = Sent(-1, place=a, failed="_PARTITION_EOF")
    parts, came = taken_apart([Sent(1, place=a), Sent(7, place=b), Sent(2, place=a), end, Sent(3, place=a), Sent(8, place=b)], 0)
    seen = [(part.place, part.offsets.tolist()) if isinstance(part, Columns) else part for part in parts]
    assert (seen, came) == ([(a, [1, 2]), (b, [7]), end, (a, [3]), (b, [8])], 6)
    assert taken_apart([Sent(1, place=("logs", 0)), Sent(1, place=("spans", 0))], 0)[0][1].place == ("spans", 0)
    assert taken_apart([], 0) == ([], 0)


texts = st.none() | st.binary(max_size=5)
messages = st.lists(
    st.builds(
        lambda text, key, pairs: Sent(0, text=text, named=key, pairs=pairs),
        texts,
        texts,
        st.none() | st.lists(st.tuples(st.text(max_size=2), texts), max_size=2),
    ),
    min_size=1,
    max_size=6,
)


@given(st.lists(messages, min_size=1, max_size=4))
def test_columns_are_those_of_the_messages_one_by_one(calls: list[list[Sent]]) -> None:
    for at, message in enumerate(each for call in calls for each in call):
        message.at = at
    batch = batch_of(*calls)
    batch.validate(full=True)
    sent = [each for call in calls for each in call]
    assert batch.column("kafka_offset").to_pylist() == list(range(len(sent)))
    assert batch.column("value").to_pylist() == [each.text for each in sent]
    assert batch.column("key").to_pylist() == [each.named for each in sent]
    as_pairs = [each and [(pair["key"], pair["value"]) for pair in each] for each in batch.column("headers").to_pylist()]
    assert as_pairs == [each.pairs or None for each in sent]


def test_headers_keep_order_repeats_and_nulls() -> None:
    given = [None, [("b", b"1"), ("a", None), ("b", b"")], [], [("c", b"\xff")]]
    found = header_array(given)
    assert found.type == HEADERS
    as_pairs = [each and [(pair["key"], pair["value"]) for pair in each] for each in found.to_pylist()]
    assert as_pairs == [None, given[1], None, given[3]]
