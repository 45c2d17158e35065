"""Columns as batches hold them: slices, nulls and nothing at all."""

import re
from mmap import mmap

import numpy as np
import pyarrow as pa
import pytest

from tracebraid.pipeline.kernel.held import as_held, is_id, one_batch, plain, take
from tracebraid.schemas.table import ATTRIBUTES, CODED, HELD_ATTRIBUTES, INT32, INT64, STORED_ATTRIBUTES, STRING

COLUMNS = [
    (pa.array([[("a", "1"), ("b", None)], None, [], [("c", "x" * 40)], [("a", "2")]], ATTRIBUTES), HELD_ATTRIBUTES),
    (pa.array(["a", None, "", "a", "b"], STRING), CODED),
    (pa.array([None] * 5, STRING), CODED),
    (pa.array([1, None, 3, 4, 5], INT64), INT64),
    (pa.array([1, 2, 3, 4, 5], INT32), INT32),
    (pa.array([[], [1], None, [2, 3], [4]], pa.list_(INT64)), pa.list_(INT64)),
]


def test_texts_that_come_to_more_than_offsets_reach_are_not_taken() -> None:
    """Five times 2^30 bytes end at 2^30 again, as far as 32 bits say."""
    large = pa.py_buffer(mmap(-1, 1 << 30))  # of which nobody reads a byte
    texts = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, 1 << 30], np.int32)), large)
    maps = pa.MapArray.from_arrays(pa.array([0, 1], INT32), pa.array(["a"], STRING).dictionary_encode(), texts)
    assert maps.type == STORED_ATTRIBUTES
    for array in (texts, maps):
        with pytest.raises(OverflowError, match="5368709120 bytes"):
            take(array, np.zeros(5, np.int64))


@pytest.mark.parametrize(("array", "kind"), COLUMNS)
@pytest.mark.parametrize(("start", "length"), [(0, 5), (1, 3), (2, 3), (4, 1), (3, 0)])
def test_slices_are_held_taken_and_plain_again(array: pa.Array, kind: pa.DataType, start: int, length: int) -> None:
    cut = array.slice(start, length)
    wanted = cut.to_pylist()
    for held in (as_held(cut, kind), as_held(array, kind).slice(start, length)):
        assert (held.type, held.to_pylist()) == (kind, wanted)
        assert plain(held).to_pylist() == wanted
        for rows in (range(length), reversed(range(length)), [length - 1, 0, 0] if length else []):
            chosen = np.array(list(rows), np.int64)
            taken = take(held, chosen)
            taken.validate(full=True)
            assert (taken.type, taken.to_pylist()) == (kind, [wanted[row] for row in chosen])
        schema = pa.schema([pa.field("x", kind)])
        batch = pa.record_batch([held], schema=schema)
        assert one_batch([batch, batch], schema).column("x").to_pylist() == wanted * 2


def test_ids_of_a_slice() -> None:
    ids = pa.array(["x" * 8, "0000000a", None, "00000000", "0000000A", "0000000ab"], STRING)
    assert is_id(ids.slice(1), 8).tolist() == [True, True, False, False, False]
    assert is_id(ids.slice(6), 8).tolist() == []


@pytest.mark.parametrize("length", [16, 32])
def test_a_canonical_id_has_hex_digits_alone(length: int) -> None:
    ids = ["1" * place + chr(byte) + "1" * (length - place - 1) for place in (0, 7, length - 1) for byte in range(1, 128)]
    assert is_id(pa.array(ids, STRING), length).tolist() == [re.fullmatch("[0-9a-f]+", each) is not None for each in ids]
    bytes_of_another = pa.array([b"1" * (length - 1) + bytes([byte]) for byte in range(256)], pa.binary()).view(STRING)
    assert is_id(bytes_of_another, length).tolist() == [byte in b"0123456789abcdef" for byte in range(256)]
