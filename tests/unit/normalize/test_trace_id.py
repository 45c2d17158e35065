"""Ids in every form: the vectors of tests/data/trace_ids.json."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tracebraid.pipeline.kernel.trace_context import ABSENT, Context, parse_context, parse_span_id
from tracebraid.pipeline.normalize.trace_id import canonical_span_ids, canonical_trace_ids

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "data" / "trace_ids.json").read_text(encoding="utf-8"))
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["form"] for vector in VECTORS])
def test_every_form_gives_its_ids(vector: dict[str, Any]) -> None:
    expected = Context(vector["trace_id"], vector["span_id"], vector["flags"]) if vector["trace_id"] else None
    assert parse_context(vector["text"], decimal=vector["decimal"]) == expected


def test_a_column_of_all_forms_gives_the_same_ids_and_says_which_texts_are_none() -> None:
    plain = [vector for vector in VECTORS if not vector["decimal"] and not vector["text"].strip().isdigit()]
    ids, invalid = canonical_trace_ids(pa.array([vector["text"] for vector in plain]))
    assert ids.to_pylist() == [vector["trace_id"] for vector in plain]
    assert invalid.to_pylist() == [vector["trace_id"] is None and vector["text"] not in ABSENT for vector in plain]


def test_canonical_ids_come_back_untouched() -> None:
    ids = pa.array([TRACE_ID, None])
    canonical, invalid = canonical_trace_ids(ids)
    assert canonical is ids
    assert invalid.to_pylist() == [False, False]


def test_empty_columns_and_slices() -> None:
    assert canonical_trace_ids(pa.array([], pa.string()))[0].to_pylist() == []
    ids, invalid = canonical_trace_ids(pa.array(["x", TRACE_ID.upper(), None, "y"]).slice(1, 3))
    assert (ids.to_pylist(), invalid.to_pylist()) == ([TRACE_ID, None, None], [False, False, True])


@pytest.mark.parametrize(
    ("text", "span_id"),
    [
        (SPAN_ID, SPAN_ID),
        (SPAN_ID.upper(), SPAN_ID),
        (f" {SPAN_ID} ", SPAN_ID),
        ("11803532876627986230", "a3ce929d0e0e4736"),
        ("o86SnQ4ORzY=", "a3ce929d0e0e4736"),
        (f"00-{TRACE_ID}-{SPAN_ID}-01", SPAN_ID),
        ("S/kvNXezTaajzpKdDg5HNg==", None),
        (TRACE_ID, None),
        ("0" * 16, None),
        ("18446744073709551616", None),
        ("f067aa0ba902b7", None),
        ("123", None),
        ("span", None),
        ("", None),
    ],
)
def test_span_ids(text: str, span_id: str | None) -> None:
    assert parse_span_id(text) == span_id
    if len(text) <= 16 or not text.isdigit():  # a typed one of more digits is no decimal
        ids, invalid = canonical_span_ids(pa.array([text]))
        assert (ids.to_pylist(), invalid.to_pylist()) == ([span_id], [span_id is None and text != ""])


def test_a_short_decimal_span_id_needs_a_name_that_says_so() -> None:
    assert (parse_span_id("123"), parse_span_id("123", decimal=True)) == (None, "000000000000007b")


def test_a_typed_id_is_judged_by_its_length_alone() -> None:
    for digits in ("123456789012345678", "12345678901234567890", "1" * 14, "1" * 30, "1" * 34):  # the hex of 9, 10, 7, 15 and 17 bytes
        assert [column.to_pylist() for column in canonical_trace_ids(pa.array([digits]))] == [[None], [True]]
        assert [column.to_pylist() for column in canonical_span_ids(pa.array([digits]))] == [[None], [True]]
    assert canonical_trace_ids(pa.array(["1234567890123456", "1" * 32]))[0].to_pylist() == ["0" * 16 + "1234567890123456", "1" * 32]
    assert canonical_span_ids(pa.array(["1234567890123456"]))[0].to_pylist() == ["1234567890123456"]
