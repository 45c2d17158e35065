"""Groups of rows, and the largest few of each, beside the slow way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebraid.pipeline.kernel import grouping
from tracebraid.pipeline.kernel.choosing import choose_largest
from tracebraid.pipeline.kernel.grouping import add_up, numbered

MOST = 3
keys = st.one_of(st.integers(0, 5), st.integers(-(2**63), 2**63 - 1), st.integers(0, 8).map(lambda number: number << 32))
rows = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0, 2.5, -1.0, 2.0**53, np.nan]), st.booleans(), st.booleans()), max_size=40)


@given(st.lists(keys, max_size=60))
def test_keys_are_numbered_as_they_come(given_keys: list[int]) -> None:
    distinct = list(dict.fromkeys(given_keys))
    numbers, first = numbered(np.array(given_keys, np.int64))
    assert numbers.tolist() == [distinct.index(key) for key in given_keys]
    assert first.tolist() == [given_keys.index(key) for key in distinct]


def test_keys_that_meet_in_one_slot_are_numbered_as_they_come_and_take_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    sorted_keys = []
    by_sort = grouping._sorted
    monkeypatch.setattr(grouping, "_sorted", lambda keys: sorted_keys.append(len(keys)) or by_sort(keys))
    high = np.arange(5000, dtype=np.uint64)
    alike = ((high << np.uint64(32) | (high ^ np.uint64(5))) * np.uint64(pow(int(grouping._MIX), -1, 1 << 64))).astype(np.int64)
    given_keys = np.concatenate([alike[::-1], alike])
    numbers, first = numbered(given_keys)
    assert sorted_keys == [10_000]
    assert numbers.tolist() == [*range(5000), *range(4999, -1, -1)]
    assert first.tolist() == list(range(5000))


@given(rows, st.randoms())
def test_what_values_come_to(given_rows: list[tuple[int, float, bool, bool]], chance: np.random.Generator) -> None:
    groups, values = np.array([row[0] for row in given_rows], np.int64), np.array([row[1] for row in given_rows], np.float64)
    moments = tuple(np.array([chance.randint(0, 2) for _ in given_rows], np.int64) for _ in range(2))
    moments = (*moments, np.arange(len(given_rows)))
    counts, last, found = np.zeros(4, np.int64), np.zeros(4, np.int64), tuple(np.zeros((3, 4)))
    exact = add_up(values, groups, moments, (counts, last), found)
    for group in range(4):
        mine = np.flatnonzero((groups == group) & ~np.isnan(values)).tolist()
        assert counts[group] == len(mine)
        if mine:
            assert last[group] == max(mine, key=lambda row: [each[row] for each in moments])
            assert [each[group] for each in found] == [values[mine].cumsum()[-1], values[mine].min(), values[mine].max()]
    there = [row for row in given_rows if not np.isnan(row[1])]
    assert exact == (all(value >= 0 and value % 1 == 0 for _, value, *_ in there) and all(found[0] <= 2.0**53))


@given(rows, st.randoms())
def test_the_largest_and_the_largest_of_some(given_rows: list[tuple[int, float, bool, bool]], chance: np.random.Generator) -> None:
    groups, values = np.array([row[0] for row in given_rows], np.int64), np.nan_to_num([row[1] for row in given_rows])
    first, second = (np.array([row[place] for row in given_rows], np.bool_) for place in (2, 3))
    moments = tuple(np.array([chance.randint(0, 2) for _ in given_rows], np.int64) for _ in range(2))
    moments = (*moments, np.arange(len(given_rows)))
    found = np.full((4, 2 * MOST), -1)
    choose_largest((first, second), values, groups, moments, (found.reshape(-1), np.full(4 * MOST, -1), MOST))

    def ordered(of: list[int]) -> list[int]:
        return sorted(of, key=lambda row: (-values[row], *(each[row] for each in moments)))

    for group in range(4):
        largest, failing = (ordered(np.flatnonzero((groups == group) & chosen).tolist())[:MOST] for chosen in (first, first & second))
        assert [row for row in found[group].tolist() if row >= 0] == ordered([*largest, *(row for row in failing if row not in largest)])
