"""Attributes to columns of their own, for a whole batch at once.

In: a MAP(string, string) array, plain or as batches hold it. Out: a column for each promoted attribute, and the map of the rest, of the same kind.
Never: a Python object a row, or a value that is lost: what does not fit its column stays in the map.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.held import texts_at, views_where
from tracebraid.schemas.semconv import Promoted
from tracebraid.schemas.table import ATTRIBUTES, HELD_ATTRIBUTES, INT64, STORED_ATTRIBUTES, STRING

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
# Only the spelling that the number gives back: '0200' or '+1' would not come out of the column as they went in.
_INT32_TEXT = r"^(0|-?[1-9][0-9]{0,9})$"


def promote(attributes: pa.MapArray, promoted: Sequence[Promoted]) -> tuple[list[pa.Array], pa.MapArray]:
    """Columns of `promoted`, in its order and types, and the map of what is left.

    The first of an attribute's names that a row has, with a value that fits the type, fills the column and leaves the map;
    other names, nulls and values that do not fit stay. A null map counts as an empty one.
    """
    keys, values, offsets, row = flat(attributes)
    slots, slot_of = {name: number for number, name in enumerate(name for p in promoted for name in p.names)}, np.empty(0, np.int64)
    if len(keys):
        names, code_of = distinct(keys)
        slot_by_code = np.array([slots.get(name, -1) for name in names], np.int64)
        if attributes.type in (HELD_ATTRIBUTES, STORED_ATTRIBUTES) and not (attributes.null_count or (slot_by_code >= 0).any()):
            return [pa.nulls(len(attributes), attribute.type) for attribute in promoted], attributes
        slot_of = slot_by_code[code_of]
        slot_of[values.is_null().to_numpy(zero_copy_only=False)] = -1
    # Items by slot, each slot's in the order of the rows, without a pass over all items for every name.
    found = np.flatnonzero(slot_of >= 0)
    found = found[np.argsort(slot_of[found], kind="stable")]
    bounds = np.searchsorted(slot_of[found], np.arange(len(slots) + 1))
    keep, columns = np.ones(len(keys), np.bool_), []
    for attribute in promoted:
        chosen = np.full(len(attributes), -1, np.int64)
        for name in attribute.names:
            items = found[bounds[slots[name]] : bounds[slots[name] + 1]]
            if attribute.type != STRING:
                items = items[_fits(texts_at(values, items))]
            items = items[chosen[row[items]] < 0]
            chosen[row[items]] = items
        keep[chosen[chosen >= 0]] = False
        columns.append(texts_at(values, chosen).cast(attribute.type))
    return columns, kept(keys, values, offsets, keep)


def add(attributes: pa.MapArray, additions: Sequence[tuple[str, pa.StringArray]]) -> pa.MapArray:
    """`attributes` with, in each row, the key of every addition whose value there is not null; it replaces one of the sender's of that name."""
    additions = [(key, values) for key, values in additions if values.null_count < len(values)]
    if not additions:
        return attributes
    keys, values, _, row = flat(attributes)
    valid = [added.is_valid().to_numpy(zero_copy_only=False) for _, added in additions]
    present = [np.flatnonzero(rows) for rows in valid]
    # Several items of a row may have one key, which engines refuse: of the sender's and ours, ours stays.
    replaced = np.zeros(len(keys), np.bool_)
    for (key, _), rows in zip(additions, valid, strict=True):
        replaced |= pc.equal(keys, pa.scalar(key, STRING)).to_numpy(zero_copy_only=False) & rows[row]
    if replaced.any():
        own = pa.array(~replaced)
        keys, values, row = keys.filter(own), values.filter(own), row[~replaced]
    rows = np.concatenate([row, *present])
    order = np.argsort(rows, kind="stable")  # a row's additions come after its own items
    all_keys = pa.concat_arrays([keys, *(pa.repeat(pa.scalar(key, STRING), len(where)) for (key, _), where in zip(additions, present, strict=True))])
    all_values = pa.concat_arrays([values, *(added.drop_null() for _, added in additions)])
    offsets = np.searchsorted(rows[order], np.arange(len(attributes) + 1)).astype(np.int32)
    return pa.MapArray.from_arrays(pa.array(offsets), all_keys.take(pa.array(order)), all_values.take(pa.array(order))).cast(ATTRIBUTES)


def distinct(keys: pa.Array) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Distinct keys, and the number of each item's; of strings or CODED."""
    coded = keys if pa.types.is_dictionary(keys.type) else keys.dictionary_encode()
    return coded.dictionary.to_pylist(), coded.indices.to_numpy()


def flat(attributes: pa.MapArray) -> tuple[pa.Array, pa.Array, Ints, Ints]:
    """Keys and values of all items in a row, where each row's begin (and the last one's end), and the row of each item."""
    offsets = attributes.offsets.to_numpy().astype(np.int64)
    first, last = int(offsets[0]), int(offsets[-1])
    row = np.repeat(np.arange(len(attributes)), np.diff(offsets))
    return attributes.keys.slice(first, last - first), attributes.items.slice(first, last - first), offsets - first, row


def kept(keys: pa.Array, values: pa.Array, offsets: Ints, keep: Bools) -> pa.MapArray:
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(keep)])
    mask, ends = pa.array(keep), pa.array(before[offsets].astype(np.int32))
    if values.type == pa.string_view():
        return pa.MapArray.from_arrays(ends, keys.filter(mask), views_where(values, keep))
    return pa.MapArray.from_arrays(ends, keys.filter(mask), values.filter(mask)).cast(ATTRIBUTES)


def _fits(texts: pa.StringArray) -> Bools:
    spelled = pc.match_substring_regex(texts, _INT32_TEXT)
    numbers = pc.if_else(spelled, texts, pa.scalar("0", STRING)).cast(INT64)
    low, behind = (pa.scalar(bound, INT64) for bound in (-(2**31), 2**31))
    in_range = pc.and_(pc.greater_equal(numbers, low), pc.less(numbers, behind))
    fits: Bools = pc.and_(spelled, in_range).to_numpy(zero_copy_only=False)
    return fits
