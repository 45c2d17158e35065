"""Row expressions, checked and compiled in one walk.

In: nodes. Out: functions over batches; every mistake with its offset. Never: a guess: what does not go together is an error, not a cast.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.rules import kernels
from tracebraid.pipeline.rules.errors import ExpressionError, listed, meant
from tracebraid.pipeline.rules.fields import Read, Type, resolve
from tracebraid.pipeline.rules.syntax import COMPARISONS, Among, Between, Binary, Call, Entry, IsNull, Literal, Logic, Name, Node, Unary
from tracebraid.pipeline.rules.text import canonical
from tracebraid.pipeline.rules.units import MISTAKEN, Quantity, clash, product, quotient

_KINDS = {"text": "a text", "number": "a number", "bool": "a truth value", "time": "a time", "null": "null"}
_LITERALS = {bool: "bool", str: "text", int: "number", float: "number", type(None): "null"}
FUNCTIONS = {"lower": 1, "contains": 2, "starts_with": 2, "matches": 2}


_PLAIN = Quantity("")


@dataclass(frozen=True, slots=True)
class Typed:
    """A checked value. type 'unknown': a mistake was found in it, which is told once. values: all there can be, if known. constant: a literal's value."""

    type: Type
    read: Read
    quantity: Quantity = _PLAIN
    values: tuple[str, ...] = ()
    constant: Any = None


def _nothing(_: pa.RecordBatch) -> pa.Scalar:
    return pa.scalar(None, pa.bool_())


_MISTAKEN = Typed("unknown", _nothing, Quantity(MISTAKEN))


class Checker:
    """Walks one expression over rows of `signal` ('spans', 'logs'); `mistakes` holds what it found."""

    def __init__(self, signal: str, others: tuple[str, ...] = ()) -> None:
        """others: names of aggregates, for suggestions where they could stand too."""
        self.signal = signal
        self.others = others
        self.mistakes: list[ExpressionError] = []

    def condition(self, node: Node) -> Read:
        """A truth value for each row."""
        found = self.value(node)
        if found.type not in ("bool", "unknown") or (isinstance(node, Literal) and found.type == "bool"):
            self._mistake(f"{canonical(node)} is {_told(found)}, no condition", node, "compare it with something")
        return found.read

    def quantity(self, node: Node) -> tuple[Read, Quantity]:
        """A number for each row, and its unit."""
        found = self.value(node)
        if found.type not in ("number", "attribute", "unknown"):
            self._mistake(f"{canonical(node)} is {_told(found)}, no number", node, "take a number, as duration")
            return found.read, Quantity(MISTAKEN)
        return self._as(found, "number"), found.quantity

    def value(self, node: Node) -> Typed:
        try:
            return self._value(node)
        except ExpressionError as error:
            self.mistakes.append(error)
            return _MISTAKEN

    def _mistake(self, what: str, node: Node, hint: str = "") -> Typed:
        self.mistakes.append(ExpressionError(what, node.at, hint))
        return _MISTAKEN

    def _value(self, node: Node) -> Typed:  # noqa: PLR0911, PLR0912  an arm a kind of node
        match node:
            case Literal():
                return _literal(node)
            case Name() | Entry():
                field = resolve(self.signal, node)
                if field.type == "attribute" and isinstance(node, Name) and (near := meant(node.name, self.others, 0.8)):
                    raise ExpressionError(f"there is no aggregate {node.name}", node.at, f"{near} An attribute is written attributes['{node.name}']")
                return Typed(field.type, field.read, Quantity(field.unit, attribute=field.type == "attribute"), field.values)
            case Logic():
                reads = [self.condition(operand) for operand in node.operands]
                return Typed("bool", lambda batch: kernels.logic(node.op, [read(batch) for read in reads]))
            case Unary("not"):
                return Typed("bool", _over(pc.invert, self.condition(node.operand)))
            case Unary():
                read, quantity = self.quantity(node.operand)
                return Typed("number", _over(lambda values: pc.negate(kernels.as_float(values)), read), quantity)
            case IsNull():
                return Typed("bool", _over(pc.is_null, self.value(node.operand).read))
            case Among():
                return self._among(node)
            case Between():
                low, high = self._compare(node, ">=", node.operand, node.low), self._compare(node, "<=", node.operand, node.high)
                return Typed("bool", lambda batch: kernels.logic("and", [low(batch), high(batch)]))
            case Binary("like"):
                return self._pattern(node, node.left, node.right, "like")
            case Binary() if node.op in COMPARISONS:
                return Typed("bool", self._compare(node, node.op, node.left, node.right))
            case Binary():
                return self._arithmetic(node)
            case Call():
                return self._call(node)

    def _compare(self, node: Node, op: str, left_node: Node, right_node: Node) -> Read:
        left, right = self.value(left_node), self.value(right_node)
        kind = self._common(node, op, left, right)
        if kind == "unknown":
            return _nothing
        if kind == "number" and (wrong := clash(left.quantity, right.quantity)):
            self._mistake(wrong[0], node, wrong[1])
        for values, constant in ((left.values, right), (right.values, left)):
            self._known(values, constant, node)
        one, other = self._as(left, kind), self._as(right, kind)
        return lambda batch: kernels.compare(op, one(batch), other(batch))

    def _common(self, node: Node, op: str, left: Typed, right: Typed) -> Type:
        """The type in which two are compared; 'unknown' where they cannot be."""
        kinds = {left.type, right.type}
        if "unknown" in kinds:
            return "unknown"
        if "null" in kinds:
            return self._mistake("nothing equals null", node, "write is null or is not null").type
        if kinds == {"attribute"}:
            return "text" if op in ("=", "<>") else "number"
        kinds -= {"attribute"}
        if len(kinds) > 1 or ("attribute" in (left.type, right.type) and kinds == {"time"}):
            text = next((side for side in (left, right) if side.type == "text" and isinstance(side.constant, str)), None)
            hint = f"without quotes {text.constant} is a number" if text and _numeric(text.constant) else "compare like with like"
            return self._mistake(f"{_told(left)} is compared with {_told(right)}", node, hint).type
        (kind,) = kinds
        if kind == "bool" and op not in ("=", "<>"):
            return self._mistake(f"truth values have no order for {op}", node, "use = or <>").type
        return kind

    def _known(self, values: tuple[str, ...], constant: Typed, node: Node) -> None:
        if values and isinstance(constant.constant, str) and constant.constant not in values:
            near = meant(constant.constant.upper(), values)
            self._mistake(f"'{constant.constant}' never occurs there", node, near or f"it is one of {listed(values)}")

    def _as(self, value: Typed, kind: Type) -> Read:
        """A value as another type: only attributes change theirs."""
        if value.type != "attribute" or kind in ("text", "attribute"):
            return value.read
        return _over(kernels.text_as_number if kind == "number" else kernels.text_as_bool, value.read)

    def _among(self, node: Among) -> Typed:
        operand, items = self.value(node.operand), [self.value(item) for item in node.items]
        if len(items) > limits.rule_list_items_max:
            return self._mistake(f"a list of {len(items)} values", node, f"it may have {limits.rule_list_items_max}")
        kinds = set()
        for item, item_node in zip(items, node.items, strict=True):
            if not isinstance(item_node, Literal):
                return self._mistake(f"{canonical(item_node)} is no literal", item_node, "a list holds texts or numbers")
            kinds.add(self._common(node, "=", operand, item))
            if item.type == "number" and operand.type != "unknown" and (wrong := clash(operand.quantity, item.quantity)):
                self._mistake(wrong[0], item_node, wrong[1])
            self._known(operand.values, item, item_node)
        if "unknown" in kinds:
            return _MISTAKEN
        if len(kinds) > 1:
            return self._mistake("a list of several types", node, "write texts or numbers, not both")
        (kind,) = kinds
        read, constants = self._as(operand, kind), [item.constant for item in items]
        if kind == "number":
            return Typed("bool", lambda batch: kernels.among(kernels.as_float(read(batch)), [float(value) for value in constants]))
        return Typed("bool", lambda batch: kernels.among(read(batch), constants))

    def _arithmetic(self, node: Binary) -> Typed:
        (left, one), (right, other) = self.quantity(node.left), self.quantity(node.right)
        if node.op in "+-":
            wrong = clash(one, other)
            unit: Quantity | None = Quantity(one.unit or other.unit)
        else:
            unit = product(one, other) if node.op == "*" else quotient(one, other)
            wrong = None if unit else (f"{one} {node.op} {other} has no unit that rules know", "take a plain number for one of them")
        if wrong:
            return self._mistake(wrong[0], node, wrong[1])
        assert unit is not None
        if one.literal and other.literal:
            unit = Quantity(unit.unit, canonical(node))
        return Typed("number", lambda batch: kernels.arithmetic(node.op, left(batch), right(batch)), unit)

    def _call(self, node: Call) -> Typed:
        wanted = FUNCTIONS.get(node.name)
        if wanted is None:
            near = meant(node.name, [*FUNCTIONS, *self.others]) or f"of a row there are {listed(list(FUNCTIONS))}"
            return self._mistake(f"there is no function {node.name}", node, near)
        if len(node.arguments) != wanted or node.named:
            return self._mistake(f"{node.name} takes {wanted} argument{'s' * (wanted > 1)}", node)
        if wanted == 1:
            return Typed("text", _over(pc.utf8_lower, self._text(node.arguments[0])))
        return self._pattern(node, node.arguments[0], node.arguments[1], node.name)

    def _text(self, node: Node) -> Read:
        found = self.value(node)
        if found.type not in ("text", "attribute", "unknown"):
            self._mistake(f"{canonical(node)} is {_told(found)}, no text", node)
        return found.read

    def _pattern(self, node: Node, operand: Node, pattern: Node, name: str) -> Typed:
        read = self._text(operand)
        if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
            return self._mistake(f"{name} takes a text in quotes for its pattern", pattern, "as 'time%'" if name == "like" else "")
        text = pattern.value
        if len(text) > limits.rule_pattern_chars_max:
            return self._mistake(f"a pattern of {len(text)} characters", pattern, f"it may have {limits.rule_pattern_chars_max}")
        function: Callable[[Any], Any] = {
            "contains": partial(pc.match_substring, pattern=text),
            "starts_with": partial(pc.starts_with, pattern=text),
            "matches": partial(kernels.matches, pattern=text),
            "like": partial(kernels.matches, pattern=kernels.like_pattern(text)),
        }[name]
        try:
            function(pa.array([""]))
        except pa.ArrowInvalid as error:
            return self._mistake(f"{canonical(pattern)} is no regular expression: {str(error).partition(': ')[2]}", pattern, "the syntax is RE2's")
        return Typed("bool", _over(function, read))


def _literal(node: Literal) -> Typed:
    kind: Any = _LITERALS[type(node.value)]
    constant = pa.scalar(node.value, {"bool": pa.bool_(), "text": pa.string(), "null": pa.string()}.get(kind))
    return Typed(kind, lambda _: constant, Quantity(node.unit, canonical(node)), (), node.value)


def _over(function: Callable[[Any], Any], read: Read) -> Read:
    return lambda batch: function(read(batch))


def _told(value: Typed) -> str:
    return "an attribute" if value.type == "attribute" else _KINDS[value.type]


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
