"""The order of a file's rows, against Arrow's own sort."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebraid.pipeline.kernel import sorting
from tracebraid.pipeline.kernel.sorting import order_by
from tracebraid.schemas.table import INT64, STRING

IDS = st.one_of(
    st.none(),
    st.sampled_from(["", "a", "a\x00", "0" * 32, "f" * 32, "\U0010ffff" * 2, "\U0010ffff" * 2 + "a", "é" * 4, "é" * 4 + "ü"]),
    st.integers(0, 3).map(lambda low: f"{'ab' * 8}{low:016x}"),
    st.text(max_size=12),
)
NUMBERS = st.one_of(st.none(), st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1))


def by_arrow(ids: pa.Array, numbers: pa.Array) -> list[int]:
    rows = pa.record_batch([ids, numbers], names=["id", "number"])
    return [int(place) for place in pc.sort_indices(rows, [("id", "ascending"), ("number", "ascending")]).to_numpy()]


@given(st.lists(st.tuples(IDS, NUMBERS), max_size=40), st.integers(0, 3), st.booleans())
def test_it_is_what_arrow_says(rows: list[tuple[str | None, int | None]], first: int, presorted: bool) -> None:
    ids, numbers = pa.array([id_ for id_, _ in rows], STRING), pa.array([number for _, number in rows], INT64)
    if presorted:
        order = pa.array(by_arrow(ids, numbers), pa.int64())
        ids, numbers = ids.take(order), numbers.take(order)
    ids, numbers = ids.slice(first), numbers.slice(first)
    assert order_by(ids, numbers).tolist() == by_arrow(ids, numbers)


@pytest.mark.parametrize("distinct", [1, 7, 5_000])
def test_many_rows_of_one_id_in_the_reverse_order(distinct: int, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 20_000
    ids = pa.array([f"{row % distinct:032x}" for row in range(count)], STRING)
    numbers = pa.array(np.arange(count, 0, -1), INT64)
    asked: list[int] = []
    wanted, sort = by_arrow(ids, numbers), pc.sort_indices
    monkeypatch.setattr(sorting.pc, "sort_indices", lambda *arguments: asked.append(1) or sort(*arguments))
    assert order_by(ids, numbers).tolist() == wanted
    assert len(asked) == (distinct < 5_000)  # moved one by one they would take the square of their number
