"""A rule → a program.

In: a Rule, or its parsed expressions. Out: a Program; every mistake with the key it is in. Never: a file, a clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from tracebraid.pipeline.rules.aggregates import NAMES, Aggregates, Number, has_aggregate, is_aggregate
from tracebraid.pipeline.rules.conditions import Conditions
from tracebraid.pipeline.rules.errors import ExpressionError, Mistake, RuleError
from tracebraid.pipeline.rules.fields import label_field
from tracebraid.pipeline.rules.parse import parse
from tracebraid.pipeline.rules.program import Program
from tracebraid.pipeline.rules.rowcheck import Checker
from tracebraid.pipeline.rules.series import compared, verdict
from tracebraid.pipeline.rules.slo import burning, duration
from tracebraid.pipeline.rules.syntax import Entry, Name, Node, children
from tracebraid.pipeline.rules.text import canonical
from tracebraid.pipeline.rules.units import Quantity
from tracebraid.schemas.rule import Rule


@dataclass(frozen=True, slots=True)
class Expressions:
    """The expressions of a rule, parsed; None where it has none. Their offsets are of the texts they were parsed from."""

    where: Node | None = None
    when: Node | None = None
    good: Node | None = None
    by: tuple[Node, ...] = ()


@dataclass(slots=True)
class Compiled:
    """program: None where there are mistakes. mistakes: (key, error), the key being where, when, good or by.0, by.1 …"""

    program: Program | None = None
    mistakes: list[tuple[str, ExpressionError]] = field(default_factory=list)


def compile_rule(rule: Rule) -> Program:
    """Raises RuleError where the rule cannot be run; it names the rule for a file, and the keys, for the lines are not known here."""
    try:
        expressions = Expressions(
            where=parse(rule.where) if rule.where else None,
            when=parse(rule.when) if rule.when else None,
            good=parse(rule.slo.good) if rule.slo else None,
            by=tuple(parse(name) for name in rule.by),
        )
    except ExpressionError as error:
        raise RuleError(f"rule {rule.name}", [Mistake(1, error.at + 1, error.what, error.hint)]) from None
    compiled = compile_expressions(rule, expressions)
    if compiled.program is None:
        mistakes = [Mistake(1, error.at + 1, f"{key}: {error.what}", error.hint) for key, error in compiled.mistakes]
        raise RuleError(f"rule {rule.name}", mistakes)
    return compiled.program


def compile_expressions(rule: Rule, expressions: Expressions) -> Compiled:
    """As compile_rule, with all mistakes handed back."""
    done = Compiled()
    signal = "spans" if rule.on == "spans" else "logs"
    for index, node in enumerate(expressions.by):
        try:
            if not isinstance(node, Name | Entry):
                raise ExpressionError(f"{canonical(node)} is no name", node.at, "group by columns and attributes")
            label_field(signal, node)
        except ExpressionError as error:
            done.mistakes.append((f"by.{index}", error))
    if expressions.where is not None:
        done.mistakes += [("where", error) for error in _row_mistakes(signal, expressions.where)]
    if any(key.startswith("by.") for key, _ in done.mistakes):
        rule = replace(rule, by=())  # the rest is checked all the same
    aggregates = Aggregates(rule, canonical(expressions.where) if expressions.where is not None else "")
    if rule.slo is not None and expressions.good is not None:
        _slo(rule, expressions.good, aggregates, done)
    elif expressions.when is not None and has_aggregate(expressions.when):
        _windows(rule, expressions.when, aggregates, done)
    elif expressions.when is not None:
        _rows(rule, expressions.when, aggregates, done)
    if done.mistakes:
        done.program = None
    return done


def _row_mistakes(signal: str, node: Node, *, aggregates: bool = False) -> list[ExpressionError]:
    if not aggregates and (found := next(_aggregates(node), None)) is not None:
        return [ExpressionError("an aggregate among conditions on rows", found.at, "aggregates stand in `when`")]
    checker = Checker(signal, NAMES if aggregates else ())
    checker.condition(node)
    if not checker.mistakes and not _names(node):
        return [ExpressionError(f"{canonical(node)} is the same for every row", node.at, "compare a column or an attribute")]
    return checker.mistakes


def _aggregates(node: Node) -> Iterator[Node]:
    if is_aggregate(node):
        yield node
    for child in children(node):
        yield from _aggregates(child)


def _names(node: Node) -> bool:
    return isinstance(node, Name | Entry) or any(_names(child) for child in children(node))


def _windows(rule: Rule, when: Node, aggregates: Aggregates, done: Compiled) -> None:
    walk = Conditions(aggregates)
    truth = walk.truth(when)
    done.mistakes += [("when", error) for error in aggregates.mistakes]
    if rule.consecutive != 1:
        done.mistakes.append(("consecutive", ExpressionError("consecutive counts rows, and `when` is about windows", 0, "for windows there is `for`")))
    if done.mistakes:
        return
    measures = aggregates.measures()
    specs = tuple(replace(each.spec, measure_id=measures[each.number.measure].id) for each in walk.baselines)
    done.program = Program(
        rule=rule,
        measures=tuple(measures.values()),
        inputs=aggregates.inputs(),
        baselines=specs,
        early=truth.rises,
        unit=walk.first_unit or "",
        run=verdict(truth),
        observers=tuple(each.number.compute for each in walk.baselines),
    )


def _rows(rule: Rule, when: Node, aggregates: Aggregates, done: Compiled) -> None:
    """A rule without aggregates looks at single rows: so many in a row that fulfil it."""
    done.mistakes += [("when", error) for error in _row_mistakes(aggregates.own, when, aggregates=True)]
    if done.mistakes:
        return
    run = aggregates.observe(canonical(when))
    wanted = Number(lambda _: np.asarray(float(rule.consecutive)), Quantity("", str(rule.consecutive)), constant=float(rule.consecutive))
    text = f"rows in a row with {canonical(when)} >= {rule.consecutive}"
    truth = compared(text, ">=", run, wanted)
    measures = tuple(aggregates.measures().values())
    done.program = Program(rule, measures, aggregates.inputs(), (), early=rule.consecutive == 1, unit="", run=verdict(truth))


def _slo(rule: Rule, good: Node, aggregates: Aggregates, done: Compiled) -> None:
    assert rule.slo is not None
    uneven = [us for window in rule.slo.windows for us in (window.long_us, window.short_us) if us % rule.every_us]
    if uneven:
        done.mistakes.append(("windows", ExpressionError(f"{duration(uneven[0])} is no multiple of `every`", 0, "take a shorter `every`")))
        return
    if mistakes := _row_mistakes(aggregates.own, good):
        done.mistakes += [("good", error) for error in mistakes]
        return
    try:
        truth, budget = burning(rule.slo, good, aggregates)
    except ExpressionError as error:
        done.mistakes.append(("windows", ExpressionError(error.what, 0, error.hint)))
        return
    inputs = aggregates.inputs()
    done.program = Program(rule, tuple(aggregates.measures().values()), inputs, (), early=False, unit="", run=verdict(truth, budget))
