"""Where Arrow and SQL differ, SQL wins."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tracebraid.pipeline.rules import kernels
from tracebraid.schemas.table import ATTRIBUTES


@pytest.mark.parametrize(
    ("pattern", "fits", "misses"),
    [
        ("a%", ["a", "ab", "a\nb"], ["ba", "A"]),
        ("_", ["ä", "\n", "%"], ["", "ab"]),
        ("100\\%", ["100\\", "100\\x"], ["100%", "100"]),
        ("a.b[c]", ["a.b[c]"], ["axb[c]", "a.bc"]),
        ("", [""], ["a"]),
        ("it's (so)", ["it's (so)"], ["its so"]),
    ],
)
def test_like_has_no_escape_and_spans_lines(pattern: str, fits: list[str], misses: list[str]) -> None:
    found = kernels.matches(pa.array([*fits, *misses, None]), kernels.like_pattern(pattern))
    assert found.to_pylist() == [True] * len(fits) + [False] * len(misses) + [None]


def test_text_as_number() -> None:
    texts = pa.array(["1", "-2.5", "1e3", "007", "", " 1", "1_0", "inf", "nan", "0x1", "1e999", "9" * 201, None])
    assert kernels.text_as_number(texts).to_pylist() == [1.0, -2.5, 1000.0, 7.0] + [None] * 9


def test_integers_beyond_a_double_are_compared_exactly() -> None:
    big = pa.array([2**60, 2**60 + 1])
    assert kernels.compare("=", big, pa.scalar(2**60 + 1)).to_pylist() == [False, True]
    assert kernels.compare(">", big, pa.scalar(0.5)).to_pylist() == [True, True]


def test_entries_are_those_of_map_lookup() -> None:
    rows = [[("a", "1"), ("b", "2")], None, [], [("b", "3"), ("a", None), ("a", "9")], [("a", "5"), ("a", "6")], [("c", "7")]]
    maps = pa.array(rows, ATTRIBUTES)
    for taken in (maps, maps.slice(2), maps.slice(1, 3), maps.slice(0, 0), maps.slice(6)):
        for key in ("a", "b", "z"):
            assert kernels.entries(taken, key).to_pylist() == pc.map_lookup(taken, pa.scalar(key), "first").to_pylist()
    hidden = pa.MapArray.from_arrays(pa.array([0, 1, 2], pa.int32()), pa.array(["a", "a"]), pa.array(["1", "2"]), mask=pa.array([True, False]))
    assert kernels.entries(hidden, "a").to_pylist() == [None, "2"]
