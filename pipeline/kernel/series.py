"""What a series is called: one number from the names and the values of its labels, the same in every process and version.

In: label names and values. Out: an unsigned number of 64 bits. Never: Python's own hash, which differs from process to process.
"""

from collections.abc import Sequence
from hashlib import blake2b

OVERFLOW = "(other)"  # each label of the series that takes what is past the bound


def series_hash(by: Sequence[str], labels: Sequence[str]) -> int:
    """One series. Its measure is no part of it: all that rules with the same `by` measure shares a partition of the windows topic."""
    return _hash("\x1f".join((*by, "", *labels)).encode())


def shard_hash(by: Sequence[str], labels: Sequence[str]) -> int:
    """What decides on the partition: the series' parent, which is without the last label, so that one owner has all of which a parent is made."""
    return series_hash(by[:-1], labels[:-1]) if len(by) > 1 else series_hash(by, labels)


def _hash(text: bytes) -> int:
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")
