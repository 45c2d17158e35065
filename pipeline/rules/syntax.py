"""The nodes of an expression. `at` is the offset of the node in its text; it takes no part in equality.

In: nothing. Out: frozen values. Never: a meaning; names are not looked up here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal as OneOf

Scalar = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class Literal:
    """unit: 'ns', 'By', '%' (a share, the value divided by 100) or ''. value: in base units; an int where it was written as one and is bare."""

    value: Scalar
    unit: str = ""
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A column, an alias or an attribute, not yet looked up."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """column['key']: an entry of a map."""

    column: str
    key: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Logic:
    """and, or over two operands or more."""

    op: OneOf["and", "or"]
    operands: tuple["Node", ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Unary:
    op: OneOf["not", "-"]
    operand: "Node"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """A comparison (= <> < <= > >=), arithmetic (+ - * /), or like."""

    op: str
    left: "Node"
    right: "Node"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Among:
    """operand in (…)"""

    operand: "Node"
    items: tuple["Node", ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Between:
    operand: "Node"
    low: "Node"
    high: "Node"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class IsNull:
    operand: "Node"
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an aggregate. named: arguments given as name: value."""

    name: str
    arguments: tuple["Node", ...]
    named: tuple[tuple[str, "Node"], ...] = ()
    at: int = field(default=0, compare=False)


Node = Literal | Name | Entry | Logic | Unary | Binary | Among | Between | IsNull | Call
COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
ARITHMETIC = ("+", "-", "*", "/")


def children(node: Node) -> tuple[Node, ...]:  # noqa: PLR0911  an arm a kind of node
    """The nodes directly below."""
    match node:
        case Logic():
            return node.operands
        case Unary() | IsNull():
            return (node.operand,)
        case Binary():
            return node.left, node.right
        case Among():
            return node.operand, *node.items
        case Between():
            return node.operand, node.low, node.high
        case Call():
            return *node.arguments, *(value for _, value in node.named)
        case _:
            return ()


def names(node: Node) -> Iterator[str]:
    """The names in it, not those of calls and entries."""
    if isinstance(node, Name):
        yield node.name
    for child in children(node):
        yield from names(child)
