"""Promoting attributes for a whole batch at once gives what a loop over the rows would."""

import re
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebraid.pipeline.normalize.attributes import add, promote
from tracebraid.schemas.semconv import RESOURCE, SPAN, Promoted
from tracebraid.schemas.table import ATTRIBUTES, INT32, STRING

NAMES = [name for promoted in (*SPAN, *RESOURCE) for name in promoted.names]
ODD = (Promoted("number", ("n", "old.n", "older.n"), "A number.", INT32),)
keys = st.one_of(st.sampled_from(NAMES), st.sampled_from(["n", "old.n", "older.n", "w", "x"]), st.text(max_size=3))
texts = st.one_of(
    st.none(), st.text(max_size=3), st.integers(-(2**32), 2**32).map(str), st.sampled_from(["0", "-0", "007", "+1", " 1", "1.0", "2147483648", "１"])
)
maps = st.lists(st.dictionaries(keys, texts, max_size=6), max_size=6)


def slow_promote(row: dict[str, str | None], promoted: tuple[Promoted, ...]) -> tuple[list[Any], dict[str, str | None]]:
    taken, columns = set(), []
    for attribute in promoted:
        found = None
        for name in attribute.names:
            text = row.get(name)
            fits = text is not None and (attribute.type == STRING or (re.fullmatch("0|-?[1-9][0-9]*", text) is not None and -(2**31) <= int(text) < 2**31))
            if fits and text is not None and found is None:
                found = text if attribute.type == STRING else int(text)
                taken.add(name)
        columns.append(found)
    return columns, {key: value for key, value in row.items() if key not in taken}


@settings(max_examples=300, deadline=None)
@given(maps, st.sampled_from([SPAN, RESOURCE, ODD]), st.integers(0, 3))
def test_promote(rows: list[dict[str, str | None]], promoted: tuple[Promoted, ...], cut: int) -> None:
    array = pa.array([list(row.items()) for row in rows], ATTRIBUTES).slice(min(cut, len(rows)))
    columns, rest = promote(array, promoted)
    expected = [slow_promote(row, promoted) for row in rows[cut:]]
    assert [column.type for column in columns] == [attribute.type for attribute in promoted]
    assert [list(values) for values in zip(*(column.to_pylist() for column in columns), strict=True)] == [values for values, _ in expected]
    assert [dict(row) for row in rest.to_pylist()] == [left for _, left in expected]
    rest.validate(full=True)


@settings(max_examples=200, deadline=None)
@given(
    maps, st.lists(st.tuples(st.sampled_from(["tracebraid.a", "n", "x"]), st.lists(texts, min_size=6, max_size=6)), max_size=3, unique_by=lambda pair: pair[0])
)
def test_add(rows: list[dict[str, str | None]], additions: list[tuple[str, list[str | None]]]) -> None:
    array = pa.array([list(row.items()) for row in rows], ATTRIBUTES)
    added = add(array, [(key, pa.array(values[: len(rows)], STRING)) for key, values in additions])
    expected = [row | {key: values[number] for key, values in additions if values[number] is not None} for number, row in enumerate(rows)]
    assert [dict(row) for row in added.to_pylist()] == expected
    assert all(len(dict(row)) == len(row) for row in added.to_pylist())
    added.validate(full=True)
