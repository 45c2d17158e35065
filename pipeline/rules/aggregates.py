"""Aggregates: names in `when` → inputs of windows, with the measures that give them.

In: nodes. Out: numbers over series, which remember what they are made of. Never: a value of a row.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.rules.errors import ExpressionError, listed, meant
from tracebraid.pipeline.rules.fields import ROUTES, label_field, table_of
from tracebraid.pipeline.rules.measures import Measure
from tracebraid.pipeline.rules.parse import parse
from tracebraid.pipeline.rules.program import Floats, Input, Kind
from tracebraid.pipeline.rules.rowcheck import FUNCTIONS, Checker
from tracebraid.pipeline.rules.syntax import Call, Entry, Name, Node, children
from tracebraid.pipeline.rules.text import canonical, quantity
from tracebraid.pipeline.rules.units import Quantity
from tracebraid.schemas.rule import Rule

Compute = Callable[[Sequence[Floats]], Floats]
QUANTILE = re.compile(r"p(\d{1,6})")
BARE = ("errors", "error_rate", "missing_trace_id_rate")  # may stand without parentheses
OF_COLUMNS: tuple[Kind, ...] = ("sum", "avg", "min", "max", "last")
NAMES = ("count", "rate", *BARE, *OF_COLUMNS, "p50", "p90", "p95", "p99", "p999", "change", "baseline")
_PREFIXES = ("spans", "logs")


@dataclass(frozen=True, slots=True)
class Number:
    """A number for each series. constant: a literal's value. rises: rows that come can only raise it. counts: made of counts alone. share: between 0 and 1.

    measure: key of the first measure in it, '' for constants.
    """

    compute: Compute
    quantity: Quantity
    constant: float | None = None
    rises: bool = False
    counts: bool = True
    share: bool = False
    measure: str = ""


@dataclass(slots=True)
class _Parts:
    """What a rule asks of one signal."""

    conditions: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    observe: str = ""


def plain(name: str) -> str:
    """A name without its signal."""
    prefix, dot, rest = name.partition(".")
    return rest if dot and prefix in _PREFIXES else name


def is_aggregate(node: Node) -> bool:
    if isinstance(node, Name):
        return plain(node.name) in BARE
    return isinstance(node, Call) and plain(node.name) not in FUNCTIONS and (plain(node.name) in NAMES or bool(QUANTILE.fullmatch(plain(node.name))))


def has_aggregate(node: Node) -> bool:
    return is_aggregate(node) or any(has_aggregate(child) for child in children(node))


class Aggregates:
    """The measures and inputs of one rule, as they are asked for."""

    def __init__(self, rule: Rule, where: str) -> None:
        self.rule = rule
        self.where = where
        self.own = "spans" if rule.on == "spans" else "logs"
        self.mistakes: list[ExpressionError] = []
        self._parts: dict[str, _Parts] = {}
        self._inputs: dict[tuple[str, Input], int] = {}  # with 0 for the measure's id, which is known at the end

    def measures(self) -> dict[str, Measure]:
        """By signal."""
        return {signal: self._measure(signal, parts) for signal, parts in self._parts.items()}

    def inputs(self) -> tuple[Input, ...]:
        ids = {signal: measure.id for signal, measure in self.measures().items()}
        return tuple(replace(each, measure_id=ids[signal]) for signal, each in self._inputs)

    def _measure(self, signal: str, parts: _Parts) -> Measure:
        return Measure(
            signal="spans" if signal == "spans" else "logs",
            by=self.rule.by,
            pane_us=self.rule.every_us,
            where=self.where if signal == self.own else "",
            conditions=tuple(parts.conditions),
            columns=tuple(parts.columns),
            observe=parts.observe,
            max_series=self.rule.max_series,
        )

    def observe(self, text: str) -> Number:
        """The run of rows that fulfil a condition."""
        self._parts.setdefault(self.own, _Parts()).observe = text
        return self.take(self.own, Input(0, "run", self.rule.window_us), Name(""))

    def take(self, signal: str, asked: Input, node: Node, of: Quantity | None = None) -> Number:
        """An input as a number; the same one for the same question."""
        self._parts.setdefault(signal, _Parts())
        self._within_limits(asked, node)
        index = self._inputs.setdefault((signal, asked), len(self._inputs))
        counts = asked.kind in ("count", "errors", "missing", "condition")
        return Number(
            lambda values: values[index],
            of or Quantity("1/s" if asked.rate else ""),
            rises=(counts or asked.kind == "max") and not asked.earlier_us,
            counts=counts,
            measure=signal,
        )

    def _within_limits(self, asked: Input, node: Node) -> None:
        reach, seconds = asked.window_us + asked.earlier_us, limits.rule_window_s_max
        if asked.kind == "quantile":
            reach, seconds = max(asked.window_us, asked.earlier_us), limits.rule_quantile_window_s_max
        if reach > seconds * 1_000_000:
            what = "quantiles look" if asked.kind == "quantile" else "windows reach"
            told, most = quantity(reach * 1000.0, "ns"), quantity(seconds * 1e9, "ns")
            raise ExpressionError(f"{what} back {told}", node.at, f"at most {most}: take a shorter window, or look less far back")
        if (asked.window_us + asked.earlier_us) // self.rule.every_us > limits.rule_panes_max:
            raise ExpressionError("too many steps in what it looks back on", node.at, f"at most {limits.rule_panes_max}: take a longer `every`")
        if asked.earlier_us % self.rule.every_us:
            raise ExpressionError("what lies earlier begins between two windows", node.at, "take a multiple of `every`, or of `window` without one")
        if len(self._inputs) >= limits.rule_aggregates_max:
            raise ExpressionError("too many different aggregates", node.at, f"a rule may have {limits.rule_aggregates_max}")

    def aggregate(self, node: Name | Call, earlier_us: int) -> Number:
        """Raises ExpressionError for a name that is none, and for arguments that do not fit."""
        prefix, dot, rest = node.name.partition(".")
        signal, name = (prefix, rest) if dot and prefix in _PREFIXES else (self.own, node.name)
        if signal != self.own:
            self._both_have(signal, node)
        arguments = node.arguments if isinstance(node, Call) else ()
        if isinstance(node, Call) and node.named:
            raise ExpressionError(f"{name} has no named arguments", node.at, "baseline(…) has: sensitivity, floor, min_count")
        base = Input(0, "count", self.rule.window_us, earlier_us=earlier_us)
        if name in BARE:
            return self._bare(signal, name, base, node, arguments)
        if name in ("count", "rate"):
            self._arguments(name, arguments, node, 0, 1)
            asked = replace(base, rate=name == "rate")
            if arguments:
                asked = replace(asked, kind="condition", index=self._condition(signal, arguments[0]))
            return self.take(signal, asked, node)
        digits = QUANTILE.fullmatch(name)
        if digits or name in OF_COLUMNS:
            self._arguments(name, arguments, node, 1, 1)
            index, unit = self._column(signal, arguments[0])
            asked = replace(base, kind="quantile", index=index, quantile=_quantile(digits[1], node)) if digits else replace(base, kind=_kind(name), index=index)
            return self.take(signal, asked, node, unit)
        near = meant(name, [*NAMES, *FUNCTIONS]) or f"there are {listed(NAMES)}"
        raise ExpressionError(f"there is no aggregate {name}", node.at, near)

    def _bare(self, signal: str, name: str, base: Input, node: Node, arguments: tuple[Node, ...]) -> Number:
        self._arguments(name, arguments, node, 0, 0)
        part = self.take(signal, replace(base, kind="missing" if name.startswith("missing") else "errors"), node)
        if name == "errors":
            return part
        whole = self.take(signal, base, node)
        return Number(lambda values: divide(part.compute(values), whole.compute(values)), Quantity("1"), counts=False, share=True, measure=signal)

    def _arguments(self, name: str, arguments: tuple[Node, ...], node: Node, least: int, most: int) -> None:
        if not least <= len(arguments) <= most:
            takes = {(0, 0): "no argument", (0, 1): "nothing or one condition", (1, 1): "one column"}[least, most]
            example = {(0, 0): name, (0, 1): f"{name}() or {name}(status_code = 'ERROR')", (1, 1): f"{name}(duration)"}[least, most]
            raise ExpressionError(f"{name} takes {takes}", node.at, f"as in {example}")

    def condition(self, node: Node) -> int:
        """Index of a condition on rows of the rule's own signal."""
        return self._condition(self.own, node)

    def _condition(self, signal: str, node: Node) -> int:
        self._no_aggregate_within(node)
        checker = Checker(signal)
        checker.condition(node)
        self.mistakes += checker.mistakes
        return _place(self._parts.setdefault(signal, _Parts()).conditions, canonical(node))

    def _column(self, signal: str, node: Node) -> tuple[int, Quantity]:
        self._no_aggregate_within(node)
        checker = Checker(signal)
        unit = checker.quantity(node)[1]
        self.mistakes += checker.mistakes
        return _place(self._parts.setdefault(signal, _Parts()).columns, canonical(node)), unit

    def _no_aggregate_within(self, node: Node) -> None:
        if has_aggregate(node):
            raise ExpressionError("an aggregate within an aggregate", node.at, "within it stand columns and attributes of rows")

    def _both_have(self, signal: str, node: Node) -> None:
        """A rule across signals groups both by the same: what is a column of one must not be sought among the other's attributes."""
        for text in self.rule.by:
            label = parse(text)
            if not isinstance(label, Name | Entry):
                continue
            mine, theirs = label_field(self.own, label), label_field(signal, label)
            if (mine.type == "attribute") != (theirs.type == "attribute") or mine.name in ROUTES:
                both = [
                    column.name for column in table_of("logs").columns if column in table_of("spans").columns and column.name.startswith(("service", "host"))
                ]
                raise ExpressionError(f"{text}, by which the rule groups, is no column of {signal}", node.at, f"group by what both have, as {listed(both)}")


def divide(part: Floats, whole: Floats) -> Floats:
    """NaN, no data, where the divisor is 0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.asarray(np.where(whole == 0, np.nan, part / whole), dtype=np.float64)


def _quantile(digits: str, node: Node) -> float:
    """p50 → 0.5, p5 → 0.05, p99 → 0.99, p999 → 0.999: two digits are percent, further ones their decimals."""
    value = float(f"0.{digits.zfill(2)}")
    if not 0 < value < 1:
        raise ExpressionError(f"p{digits} is no quantile", node.at, "as p50, p99 or p999")
    return value


def _kind(name: str) -> Kind:
    return next(kind for kind in OF_COLUMNS if kind == name)


def _place(texts: list[str], text: str) -> int:
    if text not in texts:
        texts.append(text)
    return texts.index(text)
