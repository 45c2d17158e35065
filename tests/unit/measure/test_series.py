"""Series and their bounds: how many there are, and how long a label is."""

from tests.measures import ByService, batch_of
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.measure.columns import as_one
from tracebraid.pipeline.measure.rows import select
from tracebraid.pipeline.measure.series import Series
from tracebraid.schemas.spans import SPANS

HOUR_US = 3_600_000_000


def test_labels_are_cut_and_their_rows_stay_apart_from_others() -> None:
    long = "\x01" * 300_000
    rows = batch_of(
        SPANS, [{"service_name": name, "kind": "SERVER", "kafka_time": 1, "kafka_offset": 0, "record_index": 0} for name in (long + "a", "cart", long + "b")]
    )
    selection = select(ByService(), as_one("spans", [(0, rows)]))
    assert selection is not None
    place, tuples = selection.labels
    assert [tuples[number][0] for number in place.tolist()] == [long[: limits.label_chars_max], "cart", long[: limits.label_chars_max]]
    numbers = Series(("service_name", "kind"), 10).numbers(tuples, 0)[place].tolist()
    assert numbers[0] == numbers[2] != numbers[1]


def test_a_full_set_gives_the_places_of_what_is_idle_to_others() -> None:
    series = Series(("a",), 3)
    series.numbers([("old",), ("new",), ("newer",)], 0)
    assert series.numbers([("more",)], HOUR_US // 2).tolist() == [0]
    series.numbers([("new",), ("newer",)], HOUR_US)
    series.make_room()
    assert series.numbers([("more",), ("old",)], HOUR_US).tolist() == [3, 0]


def test_a_full_set_in_which_all_are_seen_keeps_its_numbers_and_is_looked_through_once_a_minute() -> None:
    series = Series(("a",), 2)
    series.numbers([("x",), ("y",)], HOUR_US)
    kept = series.labels
    for second in range(120):
        series.numbers([("x",), ("y",), ("z",)], HOUR_US + second * 1_000_000)
        series.make_room()
    assert series.labels is kept
    series.numbers([("x",)], 2 * HOUR_US + 119_000_000)
    series.make_room()
    assert series.labels == [("(other)",), ("x",)]
