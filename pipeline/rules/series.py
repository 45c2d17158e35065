"""Conditions over series: nodes of `when` → truth over arrays, in SQL's three values.

In: nodes, and numbers from aggregates. Out: functions over arrays. Never: a loop over series, or over time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal as OneOf

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.rules.aggregates import Number
from tracebraid.pipeline.rules.program import FALSE, TRUE, UNKNOWN, Band, Comparison, Floats, Truths, Verdict

Decide = Callable[[Sequence[Floats], Sequence[Band], list[Comparison]], Truths]
_COMPARE: dict[str, Callable[[Floats, Floats], npt.NDArray[np.bool_]]] = {
    "=": np.equal,
    "<>": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}


@dataclass(frozen=True, slots=True)
class Truth:
    """A condition. rises, falls: rows that come can only make it truer, only less true."""

    decide: Decide
    rises: bool = False
    falls: bool = False


def compared(text: str, op: str, left: Number, right: Number) -> Truth:
    """left op right; unknown where either is NaN."""
    unit = "1" if "%" in (left.quantity.unit, right.quantity.unit) else left.quantity.unit or right.quantity.unit

    def decide(values: Sequence[Floats], _: Sequence[Band], told: list[Comparison]) -> Truths:
        value, threshold = np.broadcast_arrays(left.compute(values), right.compute(values))
        truth = _truths(_COMPARE[op](value, threshold), np.isnan(value) | np.isnan(threshold))
        told.append(Comparison(text, unit, value, threshold, truth))
        return truth

    up, down = left.rises and right.constant is not None, right.rises and left.constant is not None
    return Truth(decide, rises=(op in (">", ">=") and up) or (op in ("<", "<=") and down), falls=(op in ("<", "<=") and up) or (op in (">", ">=") and down))


def beyond(text: str, number: Number, side: OneOf["high", "low", "both"], baseline: int) -> Truth:
    """Outside a band. Unknown where there is no value, and where the band is not learned yet."""

    def decide(values: Sequence[Floats], bands: Sequence[Band], told: list[Comparison]) -> Truths:
        value, band = number.compute(values), bands[baseline]
        low, high = np.asarray(band.low, dtype=np.float64), np.asarray(band.high, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            above = side == "high" if side != "both" else value > (low + high) / 2
        threshold = np.where(above, high, low)
        outside = np.where(above, value > threshold, value < threshold)
        truth = _truths(outside, np.isnan(value) | ~np.isfinite(threshold))
        told.append(Comparison(text, number.quantity.unit, value, threshold, truth, band, baseline))
        return truth

    return Truth(decide)


def negation(inner: Truth) -> Truth:
    def decide(values: Sequence[Floats], bands: Sequence[Band], told: list[Comparison]) -> Truths:
        truth = inner.decide(values, bands, told)
        return np.where(truth == UNKNOWN, truth, 1 - truth).astype(np.int8)

    return Truth(decide, rises=inner.falls, falls=inner.rises)


def combined(op: str, operands: Sequence[Truth]) -> Truth:
    """and: false wins over unknown; or: true does."""
    decisive = FALSE if op == "and" else TRUE

    def decide(values: Sequence[Floats], bands: Sequence[Band], told: list[Comparison]) -> Truths:
        truths = np.stack([operand.decide(values, bands, told) for operand in operands])
        decided, unknown = (truths == decisive).any(axis=0), (truths == UNKNOWN).any(axis=0)
        return np.where(decided, decisive, np.where(unknown, UNKNOWN, 1 - decisive)).astype(np.int8)

    return Truth(decide, rises=all(operand.rises for operand in operands), falls=all(operand.falls for operand in operands))


def verdict(truth: Truth, informed: Callable[[Sequence[Floats]], list[Comparison]] | None = None) -> Callable[[Sequence[Floats], Sequence[Band]], Verdict]:
    """informed: comparisons that are told beside the condition and decide nothing."""

    def evaluate(values: Sequence[Floats], bands: Sequence[Band]) -> Verdict:
        told: list[Comparison] = []
        truths = truth.decide(values, bands, told)
        absent = np.zeros(truths.shape, dtype=np.bool_)
        for comparison in told:
            absent |= np.isnan(comparison.value)
            if comparison.band is None:
                absent |= np.isnan(comparison.threshold)
        truths = np.where((truths == UNKNOWN) & ~absent, FALSE, truths).astype(np.int8)
        return Verdict(truths, told + (informed(values) if informed else []))

    return evaluate


def _truths(true: npt.NDArray[np.bool_], unknown: npt.NDArray[np.bool_]) -> Truths:
    return np.where(unknown, UNKNOWN, true).astype(np.int8)
