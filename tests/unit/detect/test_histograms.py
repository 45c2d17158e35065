"""Packed histograms against the kernel's."""

import numpy as np

from tracebraid.pipeline.detect.histograms import merged, pack, packed_quantile, relabeled
from tracebraid.pipeline.kernel.histogram import LOWEST, bucket_of, quantiles


def test_quantiles_are_the_kernels() -> None:
    chance = np.random.default_rng(3)
    rows = chance.integers(0, 50, 5_000)
    buckets = bucket_of(np.where(chance.random(5_000) < 0.1, 0, chance.lognormal(10, 8, 5_000))).astype(np.int64)
    counts = chance.integers(1, 9, 5_000)
    parts = [pack(rows[at], buckets[at], counts[at]) for at in np.array_split(np.arange(5_000), 7)]
    for q in (0.01, 0.5, 0.99, 0.999):
        (expected,) = quantiles(rows, buckets.astype(np.int32), counts, (q,), 60)
        assert np.array_equal(packed_quantile(merged(parts), q, 60), expected, equal_nan=True)
        assert np.array_equal(packed_quantile(np.sort(np.concatenate(parts)), q, 60), expected, equal_nan=True)


def test_a_count_beyond_24_bits_is_kept() -> None:
    entries = pack(np.array([1, 1, 2]), np.array([5, LOWEST, 7]), np.array([50_000_000, 49_000_000, 1]))
    found = packed_quantile(np.sort(entries), 0.5, 4)
    assert np.isnan(found[[0, 3]]).all()
    assert found[1] > 0
    assert packed_quantile(np.sort(entries), 0.49, 4)[1] == 0


def test_rows_are_renamed() -> None:
    entries = merged([pack(np.array([0, 1]), np.array([3, 4]), np.array([1, 1]))])
    assert np.array_equal(relabeled(entries, np.array([9, 2])), merged([pack(np.array([9, 2]), np.array([3, 4]), np.array([1, 1]))]))
