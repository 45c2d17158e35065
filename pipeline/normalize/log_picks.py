"""The fields of log objects that have a role, found for a whole batch at once.

In: a MAP(string, string) array. Out: by row and role, the fields in order of preference; and the map without those that were used.
Never: work for a name in every row; a name is judged once a batch.
"""

from collections.abc import Mapping, Set
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.kernel.held import texts_at
from tracebraid.pipeline.normalize.attributes import distinct, flat, kept
from tracebraid.pipeline.normalize.log_fields import Role, role_of
from tracebraid.pipeline.normalize.logfmt import put
from tracebraid.schemas.table import ATTRIBUTES, STRING


class Pick(NamedTuple):
    """A field with a role. place: among all items of the batch. value: never null, never blank."""

    rank: int
    place: int
    name: str
    scale: str
    value: str


Picks = dict[str, list[Pick]]
_NONE: Picks = {}


class Fields:
    """The fields with a role in `attributes`; `roles` limits which are looked for, `among` in which rows. `use` takes one out of `rest`.

    own: the user's names → roles, which go before those that names have by themselves.
    """

    def __init__(
        self, attributes: pa.MapArray, roles: Set[str] | None = None, own: Mapping[str, str] | None = None, among: npt.NDArray[np.bool_] | None = None
    ) -> None:
        self._attributes = attributes
        self._keys, self._values, self._offsets, row_of = flat(attributes)
        self._keep = np.ones(len(self._keys), np.bool_)
        self._rows: dict[int, Picks] = {}
        if not len(self._keys):
            return
        names, code_of = distinct(self._keys)
        role_by_code = [Role(own[name], -1) if own and name in own else role_of(name) for name in names]
        wanted = np.array([role is not None and (roles is None or role.role in roles) for role in role_by_code], np.bool_)
        heads = [(name, role.role, role.rank, role.scale) if role else (name, "", 0, "") for name, role in zip(names, role_by_code, strict=True)]
        places = np.flatnonzero(wanted[code_of]) if wanted.any() else np.empty(0, np.int64)
        if among is not None:
            places = places[among[row_of[places]]]
        values = texts_at(self._values, places).to_pylist()
        last, found = -1, _NONE
        for place, row, code, value in zip(places.tolist(), row_of[places].tolist(), code_of[places].tolist(), values, strict=True):
            if value is None or not value.strip():
                continue
            if row != last:  # the items of a row stand together
                last, found = row, {}
                self._rows[row] = found
            name, role, rank, scale = heads[code]
            pick = Pick(rank, place, name, scale, value)
            if role in found:
                found[role].append(pick)
                found[role].sort()
            else:
                found[role] = [pick]

    def of(self, row: int) -> Picks:
        return self._rows.get(row, _NONE)

    def rows(self) -> list[int]:
        """The rows that have some."""
        return list(self._rows)

    def use(self, pick: Pick) -> None:
        self._keep[pick.place] = False

    def rest(self) -> pa.MapArray:
        """The map without the used fields."""
        if self._keep.all() and not self._attributes.null_count:
            return self._attributes
        return kept(self._keys, self._values, self._offsets, self._keep)


def with_fields(attributes: pa.MapArray, said: Mapping[int, Mapping[str, str | None]]) -> pa.MapArray:
    """`attributes` with the fields that the texts of some rows say, which go before their envelopes' fields; of two with one name the second gets a number."""
    if not said:
        return attributes
    rows = pa.array(sorted(said))
    joined: list[dict[str, str | None]] = []
    for row, outer in zip(rows.to_pylist(), attributes.take(rows).to_pylist(), strict=True):
        fields, numbers = dict(said[row]), dict[str, int]()
        for name, value in outer or ():
            put(fields, numbers, name, value)
        joined.append(fields)
    offsets = np.cumsum([0, *map(len, joined)], dtype=np.int32)
    keys = pa.array([name for fields in joined for name in fields], STRING)
    values = pa.array([value for fields in joined for value in fields.values()], STRING)
    added = pa.MapArray.from_arrays(pa.array(offsets), keys, values).cast(ATTRIBUTES)
    place = np.arange(len(attributes))
    place[rows.to_numpy()] = len(attributes) + np.arange(len(joined))
    return pa.concat_arrays([attributes, added]).take(pa.array(place))
