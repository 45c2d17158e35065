"""Text of an expression → nodes.

In: text. Out: nodes with offsets. Never: names looked up, or types. Lark's LALR parser works with stacks of its own, and depth is bounded as
nodes are made, so that no text can exhaust Python's.
"""

import re
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken, v_args
from lark.exceptions import VisitError

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.rules.errors import ExpressionError, listed, meant
from tracebraid.pipeline.rules.syntax import Among, Between, Binary, Call, Entry, IsNull, Literal, Logic, Name, Node, Unary, children

UNITS = {
    "ns": ("ns", 1),
    "us": ("ns", 1_000),
    "ms": ("ns", 1_000_000),
    "s": ("ns", 1_000_000_000),
    "m": ("ns", 60_000_000_000),
    "h": ("ns", 3_600_000_000_000),
    "d": ("ns", 86_400_000_000_000),
    "%": ("%", 0.01),
    "B": ("By", 1),
    "KiB": ("By", 1024),
    "MiB": ("By", 1024**2),
    "GiB": ("By", 1024**3),
}
_QUANTITY = re.compile(r"([\d.]+(?:[eE][+-]?\d+)?)\s*(.*)", re.S)
_WORDS = {
    "_AND": "and",
    "_OR": "or",
    "NOT": "not",
    "IN": "in",
    "BETWEEN": "between",
    "LIKE": "like",
    "IS": "is",
    "NULL": "null",
    "COMPARE": "a comparison",
    "RPAR": "')'",
    "LPAR": "'('",
    "RSQB": "']'",
    "COMMA": "','",
    "TEXT": "a text in single quotes",
    "$END": "the end",
}
_VALUES = ("NAME", "QUANTITY", "TEXT", "LPAR")
_INT64_MAX = 2**63 - 1


@lru_cache(maxsize=1024)
def parse(text: str) -> Node:
    """Raises ExpressionError with the offset of the first thing that cannot be."""
    if len(text) > limits.rule_expression_chars_max:
        raise ExpressionError(f"an expression of {len(text)} characters", 0, f"it may have {limits.rule_expression_chars_max}")
    if "\0" in text:
        raise ExpressionError("a NUL character", text.index("\0"))
    try:
        return _parser().parse(text)  # type: ignore[return-value]  # the transformer makes nodes of lark's trees
    except UnexpectedInput as error:
        raise _syntax(error, text) from None
    except VisitError as error:
        raise error.orig_exc from None


def number_of(text: str, at: int) -> Literal:
    """A number with or without unit."""
    found = _QUANTITY.fullmatch(text)
    assert found, text
    digits, unit = found.groups()
    if unit and unit not in UNITS:
        raise ExpressionError(f"{unit!r} is no unit", at, f"there are {listed(list(UNITS))}")
    value: float | int = int(digits) if digits.isdigit() else float(digits)
    if not abs(value) <= _INT64_MAX:
        raise ExpressionError(f"{digits[:40]} is too large", at, "numbers go to 9.2e18")
    if not unit:
        return Literal(value, "", at)
    kind, factor = UNITS[unit]
    return Literal(value / 100 if kind == "%" else float(value * factor), kind, at)


@cache
def _parser() -> Lark:
    grammar = resources.files("tracebraid.pipeline.rules").joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", transformer=_Build(), maybe_placeholders=False)


def _depth(node: Node) -> int:
    """Of a node whose children were bounded when they were made: so the recursion is bounded too."""
    return 1 + max((_depth(child) for child in children(node)), default=0)


def _bounded(node: Node) -> Node:
    if _depth(node) > limits.rule_expression_depth_max:
        raise ExpressionError("an expression nested too deeply", node.at, f"{limits.rule_expression_depth_max} levels are allowed")
    return node


def _unquoted(token: Token) -> str:
    quote = token[0]
    return str(token[1:-1]).replace(quote * 2, quote)


@v_args(inline=True)
class _Build(Transformer[Token, Node]):
    """What becomes of each production. Offsets: of the operator for comparisons and arithmetic, of the first token for others."""

    def disjunction(self, *operands: Node) -> Node:
        return _bounded(Logic("or", operands, operands[0].at))

    def conjunction(self, *operands: Node) -> Node:
        return _bounded(Logic("and", operands, operands[0].at))

    def negate(self, op: Token, operand: Node) -> Node:
        return _bounded(Unary("not", operand, _at(op)))

    def compare(self, left: Node, op: Token, right: Node) -> Node:
        return _bounded(Binary("<>" if op == "!=" else str(op), left, right, _at(op)))

    def arithmetic(self, left: Node, op: Token, right: Node) -> Node:
        return _bounded(Binary(str(op), left, right, _at(op)))

    def like(self, left: Node, op: Token, right: Node) -> Node:
        return _bounded(Binary("like", left, right, _at(op)))

    def not_like(self, left: Node, no: Token, op: Token, right: Node) -> Node:
        return _bounded(Unary("not", self.like(left, op, right), _at(no)))

    def among(self, operand: Node, op: Token, *items: Node) -> Node:
        return _bounded(Among(operand, items, _at(op)))

    def not_among(self, operand: Node, no: Token, op: Token, *items: Node) -> Node:
        return _bounded(Unary("not", self.among(operand, op, *items), _at(no)))

    def between(self, operand: Node, op: Token, low: Node, high: Node) -> Node:
        return _bounded(Between(operand, low, high, _at(op)))

    def not_between(self, operand: Node, no: Token, op: Token, *edges: Node) -> Node:
        return _bounded(Unary("not", self.between(operand, op, *edges), _at(no)))

    def is_null(self, operand: Node, op: Token, _: Token) -> Node:
        return _bounded(IsNull(operand, _at(op)))

    def is_not_null(self, operand: Node, op: Token, no: Token, _: Token) -> Node:
        return _bounded(Unary("not", IsNull(operand, _at(op)), _at(no)))

    def minus(self, op: Token, operand: Node) -> Node:
        if isinstance(operand, Literal) and isinstance(operand.value, int | float):
            return Literal(-operand.value, operand.unit, _at(op))
        return _bounded(Unary("-", operand, _at(op)))

    def quantity(self, token: Token) -> Node:
        return number_of(str(token), _at(token))

    def text(self, token: Token) -> Node:
        return Literal(_unquoted(token), "", _at(token))

    def true(self, token: Token) -> Node:
        return Literal(True, "", _at(token))

    def false(self, token: Token) -> Node:
        return Literal(False, "", _at(token))

    def null(self, token: Token) -> Node:
        return Literal(None, "", _at(token))

    def name(self, token: Token) -> Node:
        return Name(str(token), _at(token))

    def quoted(self, token: Token) -> Node:
        return Name(_unquoted(token), _at(token))

    def entry(self, column: Token, key: Token) -> Node:
        return Entry(str(column), _unquoted(key), _at(column))

    def named(self, name: Token, value: Node) -> tuple[Token, Node]:
        return name, value

    def call(self, name: Token, *arguments: Node | tuple[Token, Node]) -> Node:
        by_name = [argument for argument in arguments if isinstance(argument, tuple)]
        words = [word for word, _ in by_name]
        if twice := next((word for index, word in enumerate(words) if word in words[:index]), None):
            raise ExpressionError(f"{twice} is given twice", _at(twice), "leave one out")
        positional = tuple(argument for argument in arguments if not isinstance(argument, tuple))
        return _bounded(Call(str(name), positional, tuple((str(word), value) for word, value in by_name), _at(name)))


def _at(token: Token) -> int:
    return token.start_pos or 0


def _syntax(error: UnexpectedInput, text: str) -> ExpressionError:
    """What stands there, and what could."""
    if isinstance(error, UnexpectedCharacters):
        character = text[error.pos_in_stream or 0]
        if character in "'\"":
            return ExpressionError("a text that does not end", error.pos_in_stream or 0, f"close it with {character}")
        return ExpressionError(f"{character!r} cannot stand here", error.pos_in_stream or 0)
    expected: Any = error.accepts or error.expected if isinstance(error, UnexpectedToken) else getattr(error, "expected", set())
    value = all(kind in expected for kind in _VALUES)
    words = [word for kind, word in _WORDS.items() if kind in expected and not (value and kind in (*_VALUES, "NOT", "NULL"))]
    wanted = listed((["a value"] if value else []) + words)
    token = error.token if isinstance(error, UnexpectedToken) else None
    if token is None or token.type == "$END" or isinstance(error, UnexpectedEOF):
        return ExpressionError("the expression ends too early", len(text.rstrip()), f"here could stand {wanted}")
    near = meant(str(token).lower(), [word for word in words if word.isalpha()]) if token.type == "NAME" else ""
    if token == "=" and text[_at(token) - 1] == "=":
        near = "equality is written ="
    return ExpressionError(f"{str(token)[:40]!r} cannot stand here", _at(token), near or f"here could stand {wanted}")
