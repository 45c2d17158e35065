"""Rejects on their topic beside those of the table: each once.

In: one partition's positions in the table and on the topic, the group's offset. Out: findings.
"""

from collections.abc import Iterator

import numpy as np

from tracebraid.pipeline.verify.partition import Positions
from tracebraid.pipeline.verify.report import Finding, Key, Longs, runs
from tracebraid.pipeline.verify.topics import Published

_PAIR = np.dtype([("offset", np.int64), ("index", np.int64)])


def check_rejects(key: Key, topic: str, held: Positions, published: Published, committed: int) -> Iterator[Finding]:
    """`committed`: up to here the stream has published every reject; what the topic's retention may have taken is left out."""
    there = _pairs([(published.offsets, published.indexes)])
    distinct, counts = np.unique(there, return_counts=True)
    for pair, count in zip(distinct[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True):
        detail = f"{count} times"
        yield Finding("reject_doubled", topic, key.topic_id, key.number, pair[0], pair[0], pair[1], count - 1, detail=detail)
    in_table = np.unique(_pairs(held))
    owed = in_table[(in_table["offset"] < committed) & (in_table["offset"] >= published.kept_from)]
    lacking = np.setdiff1d(owed, distinct)
    for index in np.unique(lacking["index"]):
        offsets: Longs = lacking["offset"][lacking["index"] == index]
        for first, last, count in runs(offsets):
            yield Finding("reject_missing", topic, key.topic_id, key.number, first, last, int(index), count, table="rejects")


def _pairs(parts: Positions) -> np.ndarray:
    pairs = np.zeros(sum(len(offsets) for offsets, _ in parts), dtype=_PAIR)
    start = 0
    for offsets, indexes in parts:
        pairs["offset"][start : start + len(offsets)], pairs["index"][start : start + len(offsets)] = offsets, indexes
        start += len(offsets)
    return pairs
