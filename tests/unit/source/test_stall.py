"""Stalls told from silence, on a clock that the test turns."""

from collections.abc import Callable
from dataclasses import replace

from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.source.stall import Seen, StallDetector, held

ONE, OTHER = Partition("c", "logs", "id", 0), Partition("c", "logs", "id", 1)
AT_END = Seen(next_offset=100, eof_offset=100, end=100)


def stalled_after(seconds: int, at: Callable[[int], Seen | None]) -> list[int]:
    """Looks once a second at what `at` says of that second; the seconds at which the partition is said to stall. 30 s of silence are one."""
    detector, found = StallDetector(30.0, 5.0), []
    for second in range(seconds):
        each = at(second)
        if ONE in detector.look(1000.0 + second, {} if each is None else {ONE: each}):
            found.append(second)
    return found


def test_no_record_and_no_end_while_the_log_grows_is_a_stall_until_something_comes() -> None:
    assert stalled_after(100, lambda s: replace(AT_END, end=100 + s)) == list(range(31, 100))
    assert stalled_after(100, lambda s: replace(AT_END, end=100 + s, next_offset=100 if s < 50 else 100 + s)) == list(range(31, 50))
    assert stalled_after(100, lambda s: replace(AT_END, end=100 + s, eof_offset=100 if s < 50 else 100 + s)) == list(range(31, 50))


def test_records_that_wait_are_enough_the_log_need_not_grow_on() -> None:
    assert stalled_after(40, lambda _: Seen(next_offset=10, eof_offset=-1, end=11)) == list(range(30, 40))


def test_a_transaction_that_stays_open_holds_what_lies_behind_its_beginning() -> None:
    """The end that may be read stands still and an end of the partition was told there; only the high watermark moves on."""

    def told(at: Callable[[int], Seen]) -> list[int]:
        detector = StallDetector(30.0, 5.0, held)
        return [second for second in range(100) if detector.look(1000.0 + second, {ONE: at(second)})]

    hung = replace(AT_END, high=111)
    assert stalled_after(100, lambda _: hung) == []
    assert told(lambda s: replace(hung, high=111 + s)) == list(range(30, 100))
    assert told(lambda s: replace(hung, wanted=False)) == list(range(30, 100))
    assert told(lambda s: hung if s < 50 else replace(hung, end=111)) == list(range(30, 50))
    assert told(lambda s: replace(hung, end=100 + s // 20 * 2)) == []  # long ones, each of which ends
    assert told(lambda s: replace(hung, end=-1)) == told(lambda s: replace(hung, high=-1)) == told(lambda s: AT_END) == []


def test_an_idle_partition_is_none() -> None:
    assert stalled_after(1000, lambda _: AT_END) == []
    assert stalled_after(1000, lambda _: Seen(next_offset=97, eof_offset=100, end=100)) == []  # markers of transactions behind the last record
    assert stalled_after(1000, lambda _: Seen(next_offset=5, eof_offset=-1, end=-1)) == []  # nobody has said where it ends


def test_slow_reading_is_none() -> None:
    assert stalled_after(1000, lambda s: Seen(next_offset=s // 29, eof_offset=-1, end=10**9)) == []


def test_what_we_paused_is_none_and_is_counted_anew() -> None:
    assert stalled_after(100, lambda s: Seen(10, -1, 20, wanted=s >= 50)) == list(range(80, 100))


def test_what_nobody_reads_is_one() -> None:
    assert stalled_after(32, lambda _: Seen(-1, -1, 5, stopped=True)) == [30, 31]


def test_a_partition_that_comes_back_is_counted_anew() -> None:
    assert stalled_after(70, lambda s: None if s == 25 else Seen(10, -1, 20)) == list(range(56, 70))


def test_time_in_which_nobody_looked_hardly_counts() -> None:
    detector, waiting = StallDetector(30.0, 5.0), {ONE: Seen(10, -1, 20)}
    assert detector.look(0.0, waiting) == set()
    assert detector.look(500.0, waiting) == set()  # a commit that took so long: 5 s
    assert detector.look(400.0, waiting) == set()  # a clock that went back: nothing
    assert detector.look(424.0, waiting) == set()
    assert [bool(detector.look(424.0 + second, waiting)) for second in range(1, 22)] == [False] * 19 + [True] * 2


def test_partitions_are_told_apart() -> None:
    detector = StallDetector(30.0, 5.0)
    for second in range(40):
        found = detector.look(float(second), {ONE: Seen(10, -1, 20), OTHER: Seen(10 + second, -1, 90)})
    assert found == {ONE}
