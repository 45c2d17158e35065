"""Texts by their distinct values, whether an array is plain or dictionary-encoded: what repeats is looked at once.

In: an array of strings or string views, or a dictionary<…, string>. Out: distinct values and a number a row; the same kind of array from changed ones.
Never: a dictionary with a value twice: equal texts have one number, before and after.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.schemas.table import STRING

Codes = npt.NDArray[np.int64]
NULL = -1


def is_text(kind: pa.DataType) -> bool:
    """Whether it is a string, a view of one, or a dictionary of strings."""
    return bool(pa.types.is_string(kind) or pa.types.is_string_view(kind) or (pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type)))


def distinct(array: pa.Array) -> tuple[pa.StringArray, Codes]:
    """(values without nulls, the number of each row's, NULL for none). A dictionary's values that no row has may be among them."""
    coded = array if pa.types.is_dictionary(array.type) else array.cast(STRING).dictionary_encode()
    codes: Codes = coded.indices.cast(pa.int64()).fill_null(NULL).to_numpy()
    values = coded.dictionary
    if values.null_count:
        empty = np.append(values.is_null().to_numpy(zero_copy_only=False), False)
        codes, values = np.where(empty[codes], NULL, codes), values.fill_null("")
    return values, codes


def restored(values: pa.StringArray, codes: Codes, kind: pa.DataType) -> pa.Array:
    """The rows again, as an array of type `kind`, plain or dictionary-encoded."""
    places = pa.array(codes, mask=codes == NULL)
    if not pa.types.is_dictionary(kind):
        return values.take(places).cast(kind)
    fresh = values.dictionary_encode()
    return pa.DictionaryArray.from_arrays(fresh.indices.take(places).cast(kind.index_type), fresh.dictionary, ordered=kind.ordered)


def replaced(values: pa.StringArray, places: Codes, by: pa.StringArray) -> pa.StringArray:
    """`values` with those at `places`, which rise, replaced in order."""
    mask = np.zeros(len(values), np.bool_)
    mask[places] = True
    return pc.replace_with_mask(values, pa.array(mask), by)


def count(codes: Codes, places: Codes, size: int) -> int:
    """How many of `codes`, NULLs aside, are among `places`. `size`: of the distinct values."""
    chosen = np.zeros(size + 1, np.bool_)  # the last one is NULL's
    chosen[places] = True
    return int(np.count_nonzero(chosen[codes]))
