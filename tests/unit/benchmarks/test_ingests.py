"""Quantiles as Prometheus computes them."""

from collections import Counter

import pytest

from benchmarks.ingests import Sums, quantile_ms, total


def histogram(**counts: int) -> Sums:
    bounds = {"a": "0.1", "b": "0.5", "c": "1.0", "d": "+Inf"}
    return Counter({("tracebraid_lake_commit_seconds_bucket", (("le", bounds[name]),)): count for name, count in counts.items()})


@pytest.mark.parametrize(
    ("share", "milliseconds"),
    [(0.5, 100), (0.25, 50), (0.75, 300), (0.99, 1000)],  # 4 of 8 below 100 ms, 4 between 100 and 500 ms but for what lies beyond
)
def test_a_quantile_lies_within_its_bucket(share: float, milliseconds: float) -> None:
    counts = histogram(a=4, b=8, c=8, d=8) if share < 0.9 else histogram(a=4, b=8, c=8, d=10)
    assert quantile_ms(counts, share) == pytest.approx(milliseconds)


def test_sums_are_of_the_labels_asked_for() -> None:
    sums: Sums = Counter({("x", (("how", "a"), ("topic", "t"))): 2, ("x", (("how", "b"), ("topic", "t"))): 3, ("y", ()): 5})
    assert (total(sums, "x"), total(sums, "x", how="b"), total(sums, "z")) == (5, 3, 0)
