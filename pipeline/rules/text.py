"""Nodes → canonical text: one spelling for one meaning, that parses into the same nodes.

In: nodes. Out: text: key words in small letters, parentheses only where needed, units the largest that are exact.
"""

import re

from tracebraid.pipeline.rules.parse import UNITS
from tracebraid.pipeline.rules.syntax import ARITHMETIC, Among, Between, Binary, Call, Entry, IsNull, Literal, Logic, Name, Node, Unary

_PLAIN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.A)
_RESERVED = frozenset({"and", "or", "not", "in", "between", "like", "is", "null", "true", "false"})
_OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _UNARY, _ATOM = range(8)


def canonical(node: Node) -> str:
    return _text(node)[0]


def _text(node: Node) -> tuple[str, int]:  # noqa: PLR0911  an arm a kind of node
    """The text and how tightly it binds."""
    match node:
        case Literal():
            return literal(node), _UNARY if isinstance(node.value, int | float) and not isinstance(node.value, bool) and node.value < 0 else _ATOM
        case Name():
            return _name(node.name), _ATOM
        case Entry():
            return f"{node.column}[{_quoted(node.key)}]", _ATOM
        case Logic():
            level = _OR if node.op == "or" else _AND
            return f" {node.op} ".join(_within(operand, level + 1) for operand in node.operands), level
        case Unary("not", Binary("like") | Among() | Between() | IsNull() as inner):
            return _negated(inner), _COMPARE
        case Unary("not"):
            return f"not {_within(node.operand, _NOT)}", _NOT
        case Unary():
            return f"-{_within(node.operand, _ATOM)}", _UNARY
        case Binary():
            level = _COMPARE if node.op not in ARITHMETIC else _SUM if node.op in "+-" else _PRODUCT
            left, right = (_SUM, _SUM) if level == _COMPARE else (level, level + 1)
            return f"{_within(node.left, left)} {node.op} {_within(node.right, right)}", level
        case Among() | Between() | IsNull():
            return _negated(node, ""), _COMPARE
        case Call():
            named = [f"{name}: {_within(value, _SUM)}" for name, value in node.named]
            return f"{node.name}({', '.join([*map(canonical, node.arguments), *named])})", _ATOM


def _negated(node: Node, no: str = "not ") -> str:
    match node:
        case Binary():
            return f"{_within(node.left, _SUM)} {no}like {_within(node.right, _SUM)}"
        case Among():
            return f"{_within(node.operand, _SUM)} {no}in ({', '.join(_within(item, _SUM) for item in node.items)})"
        case Between():
            return f"{_within(node.operand, _SUM)} {no}between {_within(node.low, _SUM)} and {_within(node.high, _SUM)}"
        case IsNull():
            return f"{_within(node.operand, _SUM)} is {no}null"
        case _:
            raise AssertionError(node)


def _within(node: Node, level: int) -> str:
    text, binds = _text(node)
    return text if binds >= level else f"({text})"


def _name(name: str) -> str:
    plain = _PLAIN.fullmatch(name) and name.lower() not in _RESERVED
    return name if plain else '"' + name.replace('"', '""') + '"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def literal(node: Literal) -> str:
    """5%, 500ms, 1.5, 'text', true, null."""
    value = node.value
    if value is None or isinstance(value, bool):
        return str(value).lower() if value is not None else "null"
    if isinstance(value, str):
        return _quoted(value)
    if node.unit == "%":
        return f"{number(float(f'{value * 100:.12g}'))}%"  # it was divided by 100
    return quantity(value, node.unit) if node.unit else number(value)


def quantity(value: float, unit: str) -> str:
    """In the largest unit that leaves a whole number, else in the smallest."""
    sizes = sorted(((size, name) for name, (kind, size) in UNITS.items() if kind == unit), reverse=True)
    size, name = next((each for each in sizes if value and value % each[0] == 0), sizes[-1])
    return f"{number(value / size)}{name}"


def number(value: float) -> str:
    """The shortest text that gives the same number back."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return repr(value)
