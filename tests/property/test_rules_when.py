"""Conditions on windows: arrays of series all at once, beside one series at a time in plain Python."""

import math
import operator
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebraid.pipeline.rules.compile import compile_rule
from tracebraid.pipeline.rules.parse import parse
from tracebraid.pipeline.rules.program import Band, Input, Program
from tracebraid.pipeline.rules.syntax import Between, Binary, Call, Literal, Logic, Name, Node, Unary
from tracebraid.pipeline.rules.text import canonical
from tracebraid.schemas.rule import HOUR_US, Rule

COMPARE = {"=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
MISSING = math.nan
counts = st.sampled_from(["count()", "count(kind = 'SERVER')", "errors", "count() + errors", "2 * count()", "-count()"])
durations = st.sampled_from(
    ["p99(duration)", "avg(duration)", "max(duration) - min(duration)", "sum(duration) / count()", "last(duration)", "p5(duration) / 2"]
)
shares = st.sampled_from(["error_rate", "missing_trace_id_rate", "errors / count()", "change(count(), 1h)", "change(p99(duration), 1m)"])
ops = st.sampled_from(list(COMPARE))
comparisons = st.one_of(
    st.tuples(counts, ops, st.one_of(counts, st.sampled_from(["0", "1", "2.5"]))).map(" ".join),
    st.tuples(durations, ops, st.one_of(durations, st.sampled_from(["1ns", "0s", "2ns + 1ns"]))).map(" ".join),
    st.tuples(st.just("rate()"), ops, st.sampled_from(["0", "rate(status_code = 'ERROR')"])).map(" ".join),
    st.tuples(shares, ops, st.sampled_from(["0%", "50%", "1", "error_rate"])).map(" ".join),
    durations.map("{} between 1ns and 3ns".format),
    st.tuples(st.sampled_from([">", "<", "<>", ">="]), st.sampled_from(["p99(duration)", "avg(duration)"])).map(
        lambda drawn: f"{drawn[1]} {drawn[0]} baseline({drawn[1]})"
    ),
    st.just("baseline(count()) < count()"),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join), inner.map("not ({})".format), inner.map("({})".format)),
    max_leaves=4,
)
values = st.sampled_from([MISSING, 0.0, 1.0, 2.0, 3.0, 100.0])


class Slow:
    """One series. None is no data."""

    def __init__(self, program: Program, numbers: Sequence[float], bands: Sequence[tuple[float, float]]) -> None:
        self.program, self.numbers, self.bands = program, numbers, bands
        self.next_band = 0
        self.absent = False

    def _taken(self, wanted: Input) -> float | None:
        (index,) = [i for i, each in enumerate(self.program.inputs) if each == wanted]
        return None if math.isnan(self.numbers[index]) else self.numbers[index]

    def number(self, node: Node, earlier_us: int = 0) -> float | None:  # noqa: PLR0911  an arm a kind of node
        (measure,) = self.program.measures
        common = {"measure_id": measure.id, "window_us": 60_000_000, "earlier_us": earlier_us}
        match node:
            case Literal(value):
                assert isinstance(value, int | float)
                return float(value)
            case Unary(_, operand):
                inner = self.number(operand, earlier_us)
                return None if inner is None else -inner
            case Binary(op, left, right):
                return reckoned(op, self.number(left, earlier_us), self.number(right, earlier_us))
            case Call("change", (inner_node, Literal(back))):
                assert isinstance(back, int | float)
                share = reckoned("/", self.number(inner_node), self.number(inner_node, int(back) // 1000))
                return None if share is None else share - 1
            case Name("error_rate" | "missing_trace_id_rate" as name):
                kind = "errors" if name == "error_rate" else "missing"
                return reckoned("/", self._taken(Input(kind=kind, **common)), self._taken(Input(kind="count", **common)))
            case Name("errors"):
                return self._taken(Input(kind="errors", **common))
            case Call("count" | "rate" as name, arguments):
                if arguments:
                    return self._taken(Input(kind="condition", index=measure.conditions.index(canonical(arguments[0])), rate=name == "rate", **common))
                return self._taken(Input(kind="count", rate=name == "rate", **common))
            case Call(name, (column,)):
                index = measure.columns.index(canonical(column))
                if name in ("sum", "avg", "min", "max", "last"):
                    return self._taken(Input(kind=name, index=index, **common))
                return self._taken(Input(kind="quantile", index=index, quantile={"p99": 0.99, "p5": 0.05}[name], **common))
        raise AssertionError(node)

    def truth(self, node: Node) -> bool | None:  # noqa: PLR0911  an arm a kind of node
        match node:
            case Logic(op, operands):
                truths = [self.truth(operand) for operand in operands]
                decisive = op == "or"
                return decisive if decisive in truths else None if None in truths else not decisive
            case Unary(_, operand):
                inner = self.truth(operand)
                return None if inner is None else not inner
            case Between(operand, low, high):
                return self.truth(Logic("and", (Binary(">=", operand, low), Binary("<=", operand, high))))
            case Binary(op, Call("baseline", _) as call, right):
                return self.truth(Binary({"<": ">", ">": "<"}.get(op, op), right, call))
            case Binary(op, left, Call("baseline", _)):
                low, high = self.bands[self.next_band]
                self.next_band += 1
                value = self.number(left)
                self.absent |= value is None
                edges = {">": [high], ">=": [high], "<": [low], "<=": [low], "<>": [low, high]}[op]
                if value is None or any(map(math.isnan, edges)):
                    return None
                return (op[0] == ">" and value > high) or (op in ("<", "<=") and value < low) or (op == "<>" and not low <= value <= high)
            case Binary(op, left, right):
                one, other = self.number(left), self.number(right)
                self.absent |= one is None or other is None
                return None if one is None or other is None else COMPARE[op](one, other)
        raise AssertionError(node)


def reckoned(op: str, left: float | None, right: float | None) -> float | None:
    if left is None or right is None or (op == "/" and right == 0):
        return None
    return {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}[op](left, right)


@settings(max_examples=250, deadline=None)
@given(conditions, st.data())
def test_arrays_and_single_series_agree(text: str, data: st.DataObject) -> None:
    program = compile_rule(Rule(name="r", on="spans", when=text, by=("service_name",)))
    series = data.draw(st.integers(1, 4))
    numbers = [data.draw(st.lists(values, min_size=series, max_size=series)) for _ in program.inputs]
    edges = [data.draw(st.lists(st.sampled_from([(MISSING, MISSING), (1.0, 2.0), (0.5, 50.0)]), min_size=series, max_size=series)) for _ in program.baselines]
    bands = [Band(*np.array(each, dtype=float).T, np.zeros(series), np.zeros(series, np.int8)) for each in edges]

    verdict = program.evaluate([np.array(each) for each in numbers], bands)

    expected = []
    for index in range(series):
        slow = Slow(program, [each[index] for each in numbers], [each[index] for each in edges])
        truth = slow.truth(parse(text))
        expected.append(-1 if truth is None and slow.absent else int(truth or False))
    assert verdict.truth.tolist() == expected
    assert all(len(each.value) == len(each.threshold) == len(each.truth) == series for each in verdict.comparisons)


@settings(max_examples=100, deadline=None)
@given(conditions, st.data())
def test_what_fires_early_is_not_taken_back(text: str, data: st.DataObject) -> None:
    """More rows raise counts and maxima and leave nothing smaller: a true early condition stays true."""
    program = compile_rule(Rule(name="r", on="spans", when=text))
    if not program.early:
        return
    before = [np.array([data.draw(st.sampled_from([0.0, 1.0, 2.0, 3.0]))]) for _ in program.inputs]
    after = [each + data.draw(st.sampled_from([0.0, 1.0, 5.0])) for each in before]
    assert all(each.kind in ("count", "errors", "missing", "condition", "max") and each.earlier_us == 0 for each in program.inputs)
    if program.evaluate(before).truth[0] == 1:
        assert program.evaluate(after).truth[0] == 1


def test_change_asks_for_an_earlier_window() -> None:
    program = compile_rule(Rule(name="r", on="spans", when="change(count(), 1h) > 50%"))
    assert [(each.kind, each.earlier_us) for each in program.inputs] == [("count", 0), ("count", HOUR_US)]
