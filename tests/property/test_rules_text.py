"""Texts of rules: canonical ones mean the same, and no text whatever ends in anything but rules or RuleError."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tracebraid.pipeline.rules.errors import ExpressionError, RuleError
from tracebraid.pipeline.rules.load import KEYS, load_rules
from tracebraid.pipeline.rules.parse import UNITS, parse
from tracebraid.pipeline.rules.syntax import Among, Between, Binary, Call, Entry, IsNull, Literal, Logic, Name, Node, Unary
from tracebraid.pipeline.rules.text import canonical

names = st.sampled_from(["name", "http.route", "in", "a-b", 'x"y', "NULL", "ä"]).map(Name)
numbers = st.one_of(st.integers(-(2**60), 2**60), st.floats(-1e18, 1e18, allow_nan=False).filter(lambda x: abs(x) > 1e-300 or x == 0))
literals = st.one_of(
    numbers.map(Literal),
    st.integers(-1000, 1000).map(lambda n: Literal(n / 100, "%")),
    st.tuples(st.integers(-1000, 1000), st.sampled_from([(kind, size) for kind, size in UNITS.values() if kind != "%"])).map(
        lambda drawn: Literal(float(drawn[0] * drawn[1][1]), drawn[1][0])
    ),
    st.text("a'%_\\\n", max_size=4).map(Literal),
    st.sampled_from([True, False, None]).map(Literal),
)
leaves = st.one_of(names, literals, st.builds(Entry, st.just("attributes"), st.text("a'.", max_size=3)))


def grown(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.one_of(
        st.builds(Logic, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Unary, st.just("not"), inner),
        inner.filter(lambda node: not isinstance(node, Literal)).map(lambda node: Unary("-", node)),
        st.builds(Binary, st.sampled_from(["=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "like"]), inner, inner),
        st.builds(Among, inner, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Between, inner, inner, inner),
        st.builds(IsNull, inner),
        st.builds(Call, st.sampled_from(["p99", "logs.count"]), st.lists(inner, max_size=2).map(tuple), inner.map(lambda node: (("floor", node),))),
    )


@settings(max_examples=200, deadline=None)
@given(st.recursive(leaves, grown, max_leaves=8))
def test_canonical_text_parses_into_the_same(node: Node) -> None:
    text = canonical(node)
    assert parse(text) == node
    assert canonical(parse(text)) == text


WORDS = (
    *("p99(", "duration", ")", "(", "and", "or", "not", ">", "<>", "=", "500ms", "5%", "5", "'a'", "kind", "baseline(", ",", "floor:", "count()", "in", "is"),
    *("null", "error_rate", "change(", "-", "/", "between", "attributes", "['k']", "logs.", "true", "like", "matches(", "1e999", "'", "\\", "#", "ü", "1h"),
)


def offset_of_mistake(text: str) -> int:
    """Where parse finds one; 0 where it finds none."""
    try:
        parse(text)
    except ExpressionError as error:
        return error.at
    return 0


def mistakes(text: str) -> list[str]:
    try:
        load_rules(text, "a.yaml")
    except RuleError as error:
        return error.lines or ["an error without a mistake"]
    return []


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join), st.sampled_from(["when", "where", "by"]))
@example("(" * 2000, "when")
@example("not " * 1000, "when")
@example("-" * 4000 + "1 > 2", "when")
@example(" or ".join(["count() > 1"] * 300), "when")
@example("1" + "+1" * 2000 + " > count()", "when")
@example("matches(name, '" + "(" * 200 + "a{1000}" + ")" * 200 + "{1000}')", "where")
def test_no_expression_ends_in_anything_else(text: str, key: str) -> None:
    assert 0 <= offset_of_mistake(text) <= len(text)
    quoted = text.replace("'", "''")
    other = "window: 1m" if key == "when" else "when: count() > 1"
    for written in (text, f"'{quoted}'"):
        lines = mistakes(f"- name: a\n  on: spans\n  {key}: {written}\n  {other}\n")
        assert all(line.startswith("a.yaml:") and "\n" not in line for line in lines)


parts = st.one_of(
    st.sampled_from([*KEYS, "- ", ": ", "\n", "  ", "[", "]", "{", "}", "|-\n", "&a ", "*a", "!!python/object ", "'", '"', "spans", "1m", "\t", "?", "%"]),
    st.text(max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(parts, max_size=25).map("".join))
@example("[" * 5000)
@example("- " * 5000)
@example("a: " * 5000)
@example("{" * 3000 + "}" * 3000)
@example("- &a [*a]")
def test_no_file_ends_in_anything_else(text: str) -> None:
    assert all(line.startswith("a.yaml:") and "\n" not in line for line in mistakes(text))
