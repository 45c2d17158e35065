"""Ids in every form and place: the vectors of tests/data/trace_id_vectors.json."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.unit.normalize.log_build import normalized
from tracebraid.pipeline.kernel.trace_context import ABSENT, Context, parse_context, parse_span_id
from tracebraid.pipeline.normalize.trace_id import canonical_span_ids, canonical_trace_ids

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "data" / "trace_id_vectors.json").read_text(encoding="utf-8"))["vectors"]
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
# One field that holds a whole context, or an id: what it says by itself.
ALONE = [vector for vector in VECTORS if list(vector.get("fields", ())) in (["trace_id"], ["dd.trace_id"])]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["form"] for vector in VECTORS])
def test_every_vector_gives_its_row(vector: dict[str, Any]) -> None:
    value = vector["text"].encode() if "text" in vector else json.dumps(vector["fields"]).encode()
    state = [{"key": "tracestate", "value": vector["tracestate"].encode()}] if "header" in vector and "tracestate" in vector else []
    headers = [[{"key": "traceparent", "value": vector["header"].encode()}, *state]] if "header" in vector else None
    result = normalized([value], headers=headers)
    [row] = result.logs.to_pylist()
    expected = {"trace_id": vector["trace_id"], "span_id": vector["span_id"], "flags": vector["flags"], "trace_id_source": vector["source"]}
    assert {name: row[name] for name in expected} == expected
    assert dict(row["attributes"]).get("tracestate") == vector.get("tracestate")
    assert any(what == "invalid_trace_id" for what, _ in result.counted) == vector["invalid"]


@pytest.mark.parametrize("vector", ALONE, ids=[vector["form"] for vector in ALONE])
def test_every_form_gives_its_ids_without_a_log_around_it(vector: dict[str, Any]) -> None:
    [(name, text)] = vector["fields"].items()
    expected = Context(vector["trace_id"], vector["span_id"], vector["flags"]) if vector["trace_id"] else None
    assert parse_context(text, decimal=name.startswith("dd.")) == expected


def test_a_column_of_all_forms_gives_the_same_ids_and_says_which_texts_are_none() -> None:
    plain = [(vector["fields"]["trace_id"], vector["trace_id"]) for vector in ALONE if "trace_id" in vector["fields"]]
    plain = [(text, trace_id) for text, trace_id in plain if not text.strip().isdigit()]
    ids, invalid = canonical_trace_ids(pa.array([text for text, _ in plain]))
    assert ids.to_pylist() == [trace_id for _, trace_id in plain]
    assert invalid.to_pylist() == [trace_id is None and text not in ABSENT for text, trace_id in plain]


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
