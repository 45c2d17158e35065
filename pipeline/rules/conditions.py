"""`when` of a rule over windows: checked and compiled in one walk.

In: nodes. Out: a truth over series, with its baselines; every mistake with its offset. Never: a row.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from typing import Literal as OneOf

import numpy as np

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.rules.aggregates import BARE, NAMES, Aggregates, Number, divide, is_aggregate, plain
from tracebraid.pipeline.rules.errors import ExpressionError, listed, meant
from tracebraid.pipeline.rules.program import BaselineSpec, Floats
from tracebraid.pipeline.rules.series import FLIPPED, Truth, beyond, combined, compared, negation
from tracebraid.pipeline.rules.syntax import COMPARISONS, Between, Binary, Call, Entry, Literal, Logic, Name, Node, Unary
from tracebraid.pipeline.rules.text import canonical
from tracebraid.pipeline.rules.units import MISTAKEN, Quantity, clash, product, quotient

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": divide}
_NEVER = Truth(lambda values, _bands, _told: np.zeros(len(values[0]) if values else 0, dtype=np.int8))
_MISTAKEN = Number(lambda values: values[0], Quantity(MISTAKEN))
_SIDES: dict[str, OneOf["high", "low", "both"]] = {">": "high", ">=": "high", "<": "low", "<=": "low", "<>": "both"}
_SENSITIVITY, _MIN_COUNT = 4.0, 30


@dataclass(frozen=True, slots=True)
class Baseline:
    """A baseline of a rule: its spec with a signal instead of the measure's id, and the number it learns."""

    spec: BaselineSpec
    number: Number


class Conditions:
    """Walks the `when` of one rule; `aggregates.mistakes` holds what it found."""

    def __init__(self, aggregates: Aggregates) -> None:
        self.aggregates = aggregates
        self.baselines: list[Baseline] = []
        self.first_unit: str | None = None

    def truth(self, node: Node) -> Truth:
        try:
            return self._truth(node)
        except ExpressionError as error:
            self.aggregates.mistakes.append(error)
            return _NEVER

    def _truth(self, node: Node) -> Truth:
        match node:
            case Logic():
                return combined(node.op, [self.truth(operand) for operand in node.operands])
            case Unary("not"):
                return negation(self.truth(node.operand))
            case Binary() if node.op in COMPARISONS:
                return self._compare(node, node.op, node.left, node.right)
            case Between():
                return combined("and", [self._compare(node, ">=", node.operand, node.low), self._compare(node, "<=", node.operand, node.high)])
            case Name() | Entry() | Literal() | Call() if not is_aggregate(node):
                self.number(node)
                return _NEVER
            case _:
                raise ExpressionError(f"{canonical(node)} is no comparison", node.at, f"compare it, as in {canonical(node)[:40]} > 5")

    def _compare(self, node: Node, op: str, left: Node, right: Node) -> Truth:
        if _is_baseline(left):
            op, left, right = FLIPPED[op], right, left
        if isinstance(right, Call) and _is_baseline(right):
            return self._beyond(node, op, left, right)
        one = self.number(left)
        if one is _MISTAKEN and isinstance(right, Literal):
            return _NEVER  # told once: what a row's column is compared with is no mistake of its own
        other = self.number(right)
        text = f"{canonical(left)} {op} {canonical(right)}"
        self._fit(one, other, node)
        if self.first_unit is None:
            self.first_unit = "1" if one.quantity.unit == "%" else one.quantity.unit
        if one.constant is not None and other.constant is not None:
            raise ExpressionError(f"{text} holds no aggregate", node.at, "it is always the same")
        for side, literal in ((one, other), (other, one)):
            if side.share and literal.constant is not None and not 0 <= literal.constant <= 1:
                hint = f"write {literal.constant:g}%" if not literal.quantity.unit else "a share lies between 0% and 100%"
                raise ExpressionError(f"no share passes {literal.quantity.literal}", node.at, hint)
        return compared(text, op, one, other)

    def _fit(self, one: Number, other: Number, node: Node) -> None:
        if wrong := clash(one.quantity, other.quantity):
            raise ExpressionError(wrong[0], node.at, wrong[1])

    def number(self, node: Node, earlier_us: int = 0) -> Number:
        """A number for each series, at a window so much earlier. A mistake in it is noted, and it takes part in no further one."""
        try:
            return self._number(node, earlier_us)
        except ExpressionError as error:
            self.aggregates.mistakes.append(error)
            return _MISTAKEN

    def _number(self, node: Node, earlier_us: int) -> Number:
        match node:
            case Literal():
                return _constant(node)
            case Unary("-"):
                inner = self.number(node.operand, earlier_us)
                return replace(inner, compute=lambda values: -inner.compute(values), rises=False, share=False, constant=None)
            case Binary("+" | "-" | "*" | "/"):
                return self._arithmetic(node, earlier_us)
            case Call("change"):
                return self._change(node, earlier_us)
            case Call("baseline"):
                raise ExpressionError("baseline(…) stands alone on one side of a comparison", node.at, "as in p99(duration) > baseline(p99(duration))")
            case Name() | Call() if is_aggregate(node):
                return self.aggregates.aggregate(node, earlier_us)
            case Call():
                raise ExpressionError(f"there is no aggregate {node.name}", node.at, meant(plain(node.name), NAMES) or f"there are {listed(NAMES)}")
            case Name() | Entry():
                hint = meant(plain(node.name), BARE) if isinstance(node, Name) else ""
                text = canonical(node)
                raise ExpressionError(f"{text} is of a row, not of a window", node.at, hint or f"put it into `where`, or into an aggregate, as count({text} …)")
            case _:
                raise ExpressionError(f"{canonical(node)} is no number", node.at, "compare aggregates with numbers or with each other")

    def _arithmetic(self, node: Binary, earlier_us: int) -> Number:
        one, other = self.number(node.left, earlier_us), self.number(node.right, earlier_us)
        if node.op in "+-":
            self._fit(one, other, node)
            unit: Quantity | None = Quantity(one.quantity.unit or other.quantity.unit)
        else:
            unit = (product if node.op == "*" else quotient)(one.quantity, other.quantity)
        if unit is None:
            raise ExpressionError(f"{one.quantity} {node.op} {other.quantity} has no unit that rules know", node.at, "take a plain number for one of them")
        function = _ARITHMETIC[node.op]

        def compute(values: Sequence[Floats]) -> Floats:
            with np.errstate(over="ignore", invalid="ignore"):
                return np.asarray(function(one.compute(values), other.compute(values)), dtype=np.float64)

        constants = one.constant is not None and other.constant is not None
        if constants and not np.isfinite(compute([])):
            raise ExpressionError(f"{canonical(node)} is no number", node.at, "nothing is divided by zero")
        raised = [side.rises or (side.constant is not None and side.constant >= 0) for side in (one, other)]
        return Number(
            compute,
            replace(unit, literal=canonical(node)) if constants else unit,
            constant=float(compute([])) if constants else None,
            rises=all(raised) and node.op in "+*" and not constants,
            counts=one.counts and other.counts and node.op != "/",
            share=is_aggregate(node.left) and one.counts and unit.unit == "1" and _is_count(node.right) and one.measure == other.measure,
            measure=one.measure or other.measure,
        )

    def _change(self, node: Call, earlier_us: int) -> Number:
        if len(node.arguments) != 2 or node.named:
            raise ExpressionError("change takes an expression and how much earlier", node.at, "as in change(p99(duration), 1h)")
        if earlier_us:
            raise ExpressionError("a change within a change", node.at, "compare two changes instead")
        back = node.arguments[1]
        if not isinstance(back, Literal) or back.unit != "ns" or not isinstance(back.value, int | float) or back.value < 1000:
            raise ExpressionError(f"{canonical(back)} is no time to look back", back.at, "as in change(p99(duration), 1h)")
        now, then = self.number(node.arguments[0]), self.number(node.arguments[0], round(back.value / 1000))
        if now.constant is not None:
            raise ExpressionError(f"{canonical(node.arguments[0])} holds no aggregate", node.at, "as in change(p99(duration), 1h)")
        return Number(lambda values: divide(now.compute(values), then.compute(values)) - 1, Quantity("1"), counts=False, measure=now.measure)

    def _beyond(self, node: Node, op: str, left: Node, call: Call) -> Truth:
        if op not in _SIDES:
            raise ExpressionError("a band is no single value", node.at, "use > or <, or <> for either side")
        if len(call.arguments) != 1:
            raise ExpressionError("baseline takes one expression", call.at, "as in baseline(p99(duration), sensitivity: 4, floor: 50ms, min_count: 30)")
        if len(self.baselines) >= limits.rule_baselines_max:
            raise ExpressionError("too many baselines", call.at, f"a rule may have {limits.rule_baselines_max}")
        value, learned = self.number(left), self.number(call.arguments[0])
        self._fit(value, learned, node)
        if learned.constant is not None or value.constant is not None:
            raise ExpressionError("a baseline of no aggregate", call.at, "as in baseline(p99(duration))")
        if self.first_unit is None:
            self.first_unit = value.quantity.unit
        self.baselines.append(Baseline(self._spec(call, learned, _SIDES[op]), learned))
        return beyond(f"{canonical(left)} {op} {canonical(call)}", value, _SIDES[op], len(self.baselines) - 1)

    def _spec(self, call: Call, learned: Number, side: OneOf["high", "low", "both"]) -> BaselineSpec:
        options: dict[str, float] = {"sensitivity": _SENSITIVITY, "floor": 0.0, "min_count": 0 if learned.counts else _MIN_COUNT}
        for name, node in call.named:
            if name not in options:
                raise ExpressionError(f"baseline has no option {name}", call.at, meant(name, options) or f"there are {listed(list(options))}")
            value = self.number(node)
            if value.constant is None:
                raise ExpressionError(f"{canonical(node)} is no literal", node.at, f"{name} takes one")
            if name == "floor":
                self._fit(learned, value, node)
            elif value.quantity.unit:
                raise ExpressionError(f"{name} takes a bare number", node.at, f"as in {name}: {options[name]:g}")
            if not 0 <= value.constant < 1e18 or (name == "sensitivity" and not 0.1 <= value.constant <= 1000):
                raise ExpressionError(f"{name} cannot be {canonical(node)}", node.at, "sensitivity goes from 0.1 to 1000, the others begin at 0")
            options[name] = value.constant
        text = canonical(call.arguments[0])
        unit = "1" if learned.quantity.unit == "%" else learned.quantity.unit
        return BaselineSpec(text, unit, 0, options["sensitivity"], options["floor"], int(options["min_count"]), side)


def _constant(node: Literal) -> Number:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        raise ExpressionError(f"{canonical(node)} is no number", node.at, "compare aggregates with numbers or with each other")
    value = float(node.value)
    return Number(lambda _: np.asarray(value), Quantity(node.unit, canonical(node)), constant=value)


def _is_baseline(node: Node) -> bool:
    return isinstance(node, Call) and node.name == "baseline"


def _is_count(node: Node) -> bool:
    return isinstance(node, Call) and plain(node.name) == "count" and not node.arguments
