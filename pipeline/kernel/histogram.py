"""Log-bucket histograms: mergeable by adding counts, with a stated relative error.

In: arrays of values. Out: bucket numbers, and values and quantiles from them. Never: a Python loop over values or series.

Source: DDSketch (Masson, Rim, Lee: DDSketch, VLDB 2019), its plain logarithmic mapping: bucket b holds γ^(b-1) < v <= γ^b, and 2·γ^b/(γ+1) is
within (γ-1)/(γ+1) of each of them.
"""

import numpy as np
import numpy.typing as npt

GAMMA = 1.02
RELATIVE_ERROR_MAX = (GAMMA - 1) / (GAMMA + 1)  # 0.0099 of the value
LOWEST = np.iinfo(np.int32).min  # the bucket of what is zero or below it: its value is 0
_LOG_GAMMA = float(np.log(GAMMA))

assert RELATIVE_ERROR_MAX <= 0.01


def bucket_of(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Values, finite, of any shape → the bucket of each."""
    positive = values > 0
    logs = np.ceil(np.log(values, out=np.zeros(values.shape), where=positive) / _LOG_GAMMA)
    return np.where(positive, logs, LOWEST).astype(np.int32)


def value_of(buckets: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    """Buckets → the value that stands for all in them, within RELATIVE_ERROR_MAX of each."""
    middle = 2 * np.exp(np.where(buckets == LOWEST, 0, buckets) * _LOG_GAMMA) / (GAMMA + 1)
    return np.where(buckets == LOWEST, 0.0, middle)


def quantiles(
    series: npt.NDArray[np.int64], buckets: npt.NDArray[np.int32], counts: npt.NDArray[np.int64], wanted: tuple[float, ...], size: int
) -> npt.NDArray[np.float64]:
    """Quantiles of many series at once, from (series, bucket, count) in any order, a pair as often as it was counted.

    `series`: numbers in [0, size). `wanted`: quantiles in [0, 1]. Out: float64 of shape (len(wanted), size); NaN for a series without values.
    The q-quantile is the value of rank ceil(q·n), the first at least.
    """
    found = np.full((len(wanted), size), np.nan)
    if not len(series):
        return found
    order = np.argsort((series.astype(np.int64) << 32) + (buckets.astype(np.int64) - LOWEST), kind="stable")
    of, bucket, count = series[order], buckets[order], counts[order]
    upto = np.cumsum(count)
    first = np.flatnonzero(np.r_[True, of[1:] != of[:-1]])
    before = upto[first] - count[first]
    total = np.r_[before[1:], upto[-1]] - before
    present = of[first]
    for row, q in enumerate(wanted):
        rank = np.maximum(np.ceil(q * total - 1e-9), 1)
        found[row, present] = value_of(bucket[np.searchsorted(upto, before + rank, side="left")])
    return found
