"""Promotion by hand-written rows; the property test holds it against a loop."""

import pyarrow as pa

from tracebraid.pipeline.normalize.attributes import add, promote
from tracebraid.schemas.semconv import SPAN
from tracebraid.schemas.table import ATTRIBUTES

COLUMNS = [promoted.column for promoted in SPAN]


def promoted_row(*pairs: tuple[str, str | None]) -> tuple[dict[str, object], list[tuple[str, str | None]]]:
    columns, rest = promote(pa.array([list(pairs)], ATTRIBUTES), SPAN)
    filled = {name: column[0].as_py() for name, column in zip(COLUMNS, columns, strict=True) if column[0].is_valid}
    return filled, rest.to_pylist()[0]


def test_the_present_name_goes_before_the_older_one() -> None:
    assert promoted_row(("http.method", "GET"), ("http.request.method", "POST")) == ({"http_request_method": "POST"}, [("http.method", "GET")])


def test_an_older_name_fills_the_column_where_the_newer_is_absent() -> None:
    assert promoted_row(("http.status_code", "404"), ("x", "1")) == ({"http_response_status_code": 404}, [("x", "1")])


def test_a_number_that_is_none_stays_and_an_older_name_may_fill_in() -> None:
    assert promoted_row(("http.response.status_code", "teapot")) == ({}, [("http.response.status_code", "teapot")])
    both = promoted_row(("http.response.status_code", "2147483648"), ("http.status_code", "200"))
    assert both == ({"http_response_status_code": 200}, [("http.response.status_code", "2147483648")])


def test_a_null_value_stays() -> None:
    assert promoted_row(("error.type", None)) == ({}, [("error.type", None)])


def test_an_empty_text_is_a_value() -> None:
    assert promoted_row(("error.type", "")) == ({"error_type": ""}, [])


def test_no_rows_and_no_attributes() -> None:
    for array in (pa.array([], ATTRIBUTES), pa.array([[], None], ATTRIBUTES)):
        columns, rest = promote(array, SPAN)
        assert [len(column) for column in columns] == [len(array)] * len(SPAN)
        assert (rest.type, rest.to_pylist()) == (ATTRIBUTES, [[]] * len(array))


def test_what_is_added_replaces_the_senders_key() -> None:
    array = pa.array([[("tracebraid.kind", "theirs"), ("a", "1")], [("tracebraid.kind", "theirs")]], ATTRIBUTES)
    added = add(array, [("tracebraid.kind", pa.array(["77", None]))])
    assert added.to_pylist() == [[("a", "1"), ("tracebraid.kind", "77")], [("tracebraid.kind", "theirs")]]
