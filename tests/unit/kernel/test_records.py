"""Batches in pieces: as many bytes as decoding may hold, compressed records counted as what they hold."""

import gzip

from tests.batches import records_of
from tracebraid.pipeline.kernel import limits

PLAIN = b"x" * 1000


def sizes(values: list[bytes | None], bytes_max: int) -> list[int]:
    return [piece.batch.num_rows for piece in records_of(values).split(bytes_max)]


def test_pieces_of_about_so_many_bytes() -> None:
    assert sizes([PLAIN] * 10, 1_000_000) == [10]
    assert sizes([PLAIN] * 10, 4_000) == [3, 4, 3]
    assert sizes([None, b"", PLAIN, None], 100) == [2, 2]


def test_compressed_records_count_as_what_they_hold() -> None:
    packed = gzip.compress(bytes(range(256)) * 4)
    count = 4_000 // (len(packed) * limits.inflated_ratio_usual) + 1
    found = sizes([packed] * 20, 4_000)
    assert sum(found) == 20
    assert max(found) <= count
