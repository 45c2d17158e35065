"""Sparse histograms of many rows as sorted 64-bit numbers: row, bucket and count in one, so that merging is a sort and a quantile a cumulative sum.

In: rows, buckets of kernel.histogram, counts. Out: packed arrays; quantiles. Never: a Python loop over rows; more than 8 bytes a bucket of a row.
"""

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.detect.axis import Floats, Ints
from tracebraid.pipeline.kernel.histogram import LOWEST, value_of

Packed = npt.NDArray[np.uint64]
_COUNT_BITS, _BUCKET_BITS = 24, 17  # and 23 of the row
_COUNT_MAX = (1 << _COUNT_BITS) - 1
_MIDDLE = 1 << (_BUCKET_BITS - 1)
ROW_SHIFT = np.uint64(_COUNT_BITS + _BUCKET_BITS)

# Every finite double has a bucket that fits: ln(1.8e308) / ln(1.02) = 35,843.
assert _MIDDLE > 40_000


def pack(rows: Ints, buckets: Ints, counts: Ints) -> Packed:
    """Entries that are none of zero, in the order given; a count beyond 24 bits takes several."""
    if counts.size and int(counts.max()) > _COUNT_MAX:
        times = -(-counts // _COUNT_MAX)
        group = np.repeat(np.arange(len(rows)), times)
        leads = np.r_[True, group[1:] != group[:-1]]
        rows, buckets, rest = np.repeat(rows, times), np.repeat(buckets, times), np.repeat(counts - (times - 1) * _COUNT_MAX, times)
        counts = np.where(leads, rest, _COUNT_MAX)
    code = np.where(buckets == LOWEST, 0, np.clip(buckets, 1 - _MIDDLE, _MIDDLE - 1) + _MIDDLE)
    high: Packed = (rows.astype(np.uint64) << ROW_SHIFT) | (code.astype(np.uint64) << np.uint64(_COUNT_BITS))
    packed: Packed = high | counts.astype(np.uint64)
    return packed


def merged(parts: list[Packed]) -> Packed:
    """Sorted, equal row and bucket in one entry as long as the count fits."""
    packed: Packed = np.sort(np.concatenate(parts))
    if not packed.size:
        return packed
    key, count = packed >> np.uint64(_COUNT_BITS), (packed & np.uint64(_COUNT_MAX)).astype(np.int64)
    starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    sums = np.add.reduceat(count, starts)
    if int(sums.max()) > _COUNT_MAX:
        return packed
    joined: Packed = (key[starts] << np.uint64(_COUNT_BITS)) | sums.astype(np.uint64)
    return joined


def packed_quantile(entries: Packed, q: float, size: int) -> Floats:
    """float64 [size]: the value of rank ceil(q·n), the first at least, as kernel.histogram has it; NaN for rows without entries. `entries`: sorted."""
    found = np.full(size, np.nan)
    if entries.size:
        row = entries >> ROW_SHIFT
        first = np.flatnonzero(np.r_[True, row[1:] != row[:-1]])
        upto = np.cumsum((entries & np.uint64(_COUNT_MAX)).astype(np.int64))
        before = np.r_[0, upto[first[1:] - 1]]
        total = np.r_[before[1:], upto[-1]] - before
        at = np.searchsorted(upto, before + np.maximum(np.ceil(q * total - 1e-9), 1), side="left")
        code = ((entries[at] >> np.uint64(_COUNT_BITS)) & np.uint64((1 << _BUCKET_BITS) - 1)).astype(np.int64)
        found[row[first].astype(np.int64)] = value_of(np.where(code == 0, LOWEST, code - _MIDDLE).astype(np.int32))
    return found


def relabeled(packed: Packed, rows: Ints) -> Packed:
    """The same entries, row r become rows[r], sorted anew."""
    low = packed & ((np.uint64(1) << ROW_SHIFT) - np.uint64(1))
    return np.sort((rows[(packed >> ROW_SHIFT).astype(np.int64)].astype(np.uint64) << ROW_SHIFT) | low)
