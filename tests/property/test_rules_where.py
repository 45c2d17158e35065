"""Conditions on rows mean what SQL means by them: DuckDB answers the same text over the same rows."""

from dataclasses import dataclass

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebraid.pipeline.rules.rows import condition, number
from tracebraid.schemas.table import ATTRIBUTES

WORDS = ["", "a", "GET /a", "get /A_%", "ä\n", "x'y", "a\\b", "%", "100", "_"]
NUMBERS = ["0", "1", "-1", "2.5", "007", "1e3", "-0.5", "12345678901234567890"]
NO_NUMBERS = ["", "abc", "1.", "0x10", "true", "false", "NaN", "inf", " 1", "1e999", "1_000"]
SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("http_route", pa.string()),
        ("status_code", pa.string()),
        ("duration_ns", pa.int64()),
        ("http_response_status_code", pa.int32()),
        ("start_unix_nano", pa.int64()),
        ("attributes", ATTRIBUTES),
        ("resource_attributes", ATTRIBUTES),
    ]
)


@dataclass(frozen=True)
class Pair:
    """The text of a rule, and DuckDB's. They differ where an attribute, which is text, is read as a number."""

    ours: str
    sql: str


def same(text: str) -> Pair:
    return Pair(text, text)


def joined(template: str, *pairs: Pair) -> Pair:
    return Pair(template.format(*(pair.ours for pair in pairs)), template.format(*(pair.sql for pair in pairs)))


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def as_number(sql: str) -> str:
    """JSON's numbers alone, as rules read them: DuckDB's own cast takes more."""
    return f"CASE WHEN regexp_matches({sql}, '^-?[0-9]{{1,200}}(\\.[0-9]{{1,200}})?([eE][+-]?[0-9]{{1,2}})?$') THEN TRY_CAST({sql} AS DOUBLE) END"


ANYWHERE = "coalesce(attributes['temp'], resource_attributes['temp'])"
texts = st.sampled_from([same("name"), same("http_route"), same("lower(name)"), same("attributes['temp']"), Pair("temp", ANYWHERE)])
literals = st.sampled_from(WORDS).map(lambda word: same(quoted(word)))
integers = st.sampled_from([same("duration_ns"), same("http_response_status_code"), same("start_unix_nano")])
number_literals = st.sampled_from(["0", "1", "-1", "2.5", "404", "1760000000000000001", "1e3", "0.1"]).map(same)
attribute_numbers = st.sampled_from([Pair("temp", as_number(ANYWHERE)), Pair("attributes['n']", as_number("attributes['n']"))])
simple = st.one_of(integers, number_literals, attribute_numbers)


def reckoned(op: str, left: Pair, right: Pair) -> Pair:
    """In float64, as rules reckon: SQL would reckon with integers, and overflow. A division by zero is null."""
    divisor = f"CAST({right.sql} AS DOUBLE)"
    divisor = f"nullif({divisor}, 0)" if op == "/" else divisor
    return Pair(f"({left.ours} {op} {right.ours})", f"(CAST({left.sql} AS DOUBLE) {op} {divisor})")


def arithmetic(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    return st.tuples(st.sampled_from("+-*/"), inner, inner).map(lambda drawn: reckoned(*drawn))


numbers = st.one_of(simple, arithmetic(simple))
# Beside a number an attribute is one; two attributes alone are compared as texts by = and <>.
sure_numbers = st.one_of(integers, number_literals, arithmetic(simple))
ops = st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">="])
comparisons = st.one_of(
    st.tuples(ops, texts, literals).map(lambda drawn: joined(f"{{}} {drawn[0]} {{}}", drawn[1], drawn[2])),
    st.tuples(ops, sure_numbers, numbers).map(lambda drawn: joined(f"{{}} {drawn[0]} {{}}", drawn[1], drawn[2])),
    st.tuples(st.sampled_from(["", "not "]), sure_numbers, number_literals, number_literals).map(
        lambda drawn: joined(f"{{}} {drawn[0]}between {{}} and {{}}", *drawn[1:])
    ),
    st.tuples(st.sampled_from(["", "not "]), texts, literals).map(lambda drawn: joined(f"{{}} {drawn[0]}like {{}}", *drawn[1:])),
    st.tuples(st.sampled_from(["", "not "]), texts, literals, literals).map(lambda drawn: joined(f"{{}} {drawn[0]}in ({{}}, {{}})", *drawn[1:])),
    st.tuples(st.sampled_from(["", "not "]), integers, st.sampled_from(["1", "404", "-1"]).map(same)).map(
        lambda drawn: joined(f"{{}} {drawn[0]}in ({{}}, 2.5)", *drawn[1:])
    ),
    st.tuples(st.sampled_from(["", "not "]), st.one_of(texts, integers)).map(lambda drawn: joined(f"{{}} is {drawn[0]}null", drawn[1])),
    st.tuples(st.sampled_from(["contains", "starts_with"]), texts, literals).map(lambda drawn: joined(f"{drawn[0]}({{}}, {{}})", *drawn[1:])),
    st.tuples(texts, st.sampled_from(["^a", "[a-z]+ /", "(?i)GET", "^$", "a|%"])).map(
        lambda drawn: Pair(f"matches({drawn[0].ours}, {quoted(drawn[1])})", f"regexp_matches({drawn[0].sql}, {quoted(drawn[1])})")
    ),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["and", "or", "AND"]), inner, inner).map(lambda drawn: joined(f"{{}} {drawn[0]} {{}}", *drawn[1:])),
        inner.map(lambda pair: joined("not {}", pair)),
        inner.map(lambda pair: joined("({})", pair)),
    ),
    max_leaves=6,
)
maybe = st.none
attributes = st.dictionaries(st.sampled_from(["temp", "n", "other"]), st.sampled_from([*NUMBERS, *NO_NUMBERS, *WORDS]), max_size=3)
row = st.fixed_dictionaries(
    {
        "name": maybe() | st.sampled_from(WORDS),
        "http_route": maybe() | st.sampled_from(WORDS),
        "status_code": st.sampled_from(["OK", "ERROR"]),
        "duration_ns": maybe() | st.sampled_from([0, 1, -1, 404, 10**9]),
        "http_response_status_code": maybe() | st.sampled_from([0, 1, 404]),
        "start_unix_nano": maybe() | st.sampled_from([0, 1760000000000000000, 1760000000000000001, 1760000000000000002]),
        "attributes": maybe() | attributes.map(lambda held: list(held.items())),
        "resource_attributes": maybe() | attributes.map(lambda held: list(held.items())),
    }
)
rows = st.lists(row, min_size=1, max_size=6)
CONNECTION = duckdb.connect()


def asked(sql: str, batch: pa.RecordBatch) -> list[object]:
    CONNECTION.register("batch", pa.table(batch))
    return [value for (value,) in CONNECTION.execute(f"SELECT {sql} FROM batch").fetchall()]


@settings(max_examples=250, deadline=None)
@given(conditions, rows)
def test_conditions_mean_what_sql_means(pair: Pair, drawn: list[dict[str, object]]) -> None:
    batch = pa.RecordBatch.from_pylist(drawn, SCHEMA)
    assert condition("spans", pair.ours, batch).to_pylist() == asked(pair.sql, batch)


@settings(max_examples=100, deadline=None)
@given(numbers, rows)
def test_numbers_mean_what_sql_means(pair: Pair, drawn: list[dict[str, object]]) -> None:
    batch = pa.RecordBatch.from_pylist(drawn, SCHEMA)
    assert number("spans", pair.ours, batch).to_pylist() == asked(f"CAST({pair.sql} AS DOUBLE)", batch)
