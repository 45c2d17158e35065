"""Series too sparse for any width, judged together: the routes of a service that are called too seldom, as the service.

In: rows that no width satisfies, with the panes that count for them. Out: the judgment of their parents. Never: a child that is judged by itself; children of
another shard: siblings must share one, which the partitioning of the windows topic sees to.
"""

from collections.abc import Mapping

import numpy as np

from tracebraid.pipeline.detect.axis import Axis, Bools, Ints, fitted
from tracebraid.pipeline.detect.family import Family, Judged, Window
from tracebraid.pipeline.detect.values import Groups, Read, Stores, grouped
from tracebraid.pipeline.detect.widths import TOO_SPARSE, Widened, usable
from tracebraid.pipeline.kernel.series import series_hash
from tracebraid.pipeline.rules.program import Program


class Parents:
    """`family`: of an axis whose labels are those of the children without the last."""

    def __init__(self, family: Family, children: Axis, stores: Stores, base: int, enough: int) -> None:
        self.family, self.children, self.stores, self.base, self.enough = family, children, stores, base, enough
        self._parent = np.empty(0, np.int64)  # by child: row of the parent, -1: not asked yet

    @property
    def program(self) -> Program:
        return self.family.program

    def forget(self, children: Ints, parents: Ints) -> None:
        """Rows that are given to others."""
        self._parent[children[children < len(self._parent)]] = -1
        self._parent[np.isin(self._parent, parents)] = -1

    def of(self, rows: Ints) -> Ints:
        self._parent = fitted(self._parent, self.children.capacity, -1)
        new = rows[self._parent[rows] < 0]
        if new.size:
            axis = self.family.axis
            labels = [each[:-1] for each in self.children.labels[new]]
            shards = self.children.shard[new].astype(np.int64)
            hashes = np.array([series_hash(axis.by, each) for each in labels], np.uint64) ^ (shards.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
            self._parent[new] = axis.rows(hashes, shards, lambda places: [labels[place] for place in places.tolist()])
            self.family.fit()
        return self._parent[rows]

    def judge(self, read: Read, candidates: Ints, wider: Widened, complete: Mapping[int, float]) -> Judged | None:
        """`candidates`: the rows that `wider` speaks of. Parents that are known and have no sparse child at present are without data."""
        sparse = wider.width == TOO_SPARSE
        rows, counts = candidates[sparse], wider.counts[:, sparse]
        parent = self.of(rows) if rows.size else np.empty(0, np.int64)
        family = self.family
        if not family.axis.capacity:
            return None
        family.fit()
        held = family.axis.held(read.shards)
        parents = np.union1d(np.unique(parent), held[family.live[held]])
        if not parents.size:
            return None
        group = np.searchsorted(parents, parent)
        values = [np.full(len(parents), np.nan) for _ in self.program.inputs]
        width, present = self._widths(rows, group, counts, wider.starts, len(parents))
        for each in np.unique(width[width > 0]).tolist():
            chosen = width[group] == each
            panes = each * self.base
            groups = Groups(rows[chosen], group[chosen], len(parents), wider.starts[:panes], counts[:panes, chosen], each)
            for place, one in enumerate(self.program.inputs):
                values[place] = np.where(width == each, grouped(self.stores, one, read, groups), values[place])
        for place in family.earlier:
            values[place] = family.remember(place, read.end_us, parents, values[place])
        partial = [shard for shard, share in complete.items() if share < 1]
        whole = ~np.isin(family.axis.shard[parents], partial)
        known = family.live[parents] | present
        if not known.any():
            return None
        return family.judge(Window(read.end_us, parents[known], [each[known] for each in values], present[known], width[known], whole[known]))

    def _widths(self, rows: Ints, group: Ints, counts: Bools, starts: list[int], size: int) -> tuple[Ints, Bools]:
        """(the first width at which a group holds enough, whether its plain window holds anything)."""
        store = self.stores[next(each.measure_id for each in self.program.baselines if each.min_count)]
        width = np.zeros(size, np.int64)
        total, present = np.zeros(size), np.zeros(size, bool)
        widths = usable(self.base)
        for age, start in enumerate(starts):
            if (pane := store.panes.get(start)) is not None:
                held = store.values(pane, ("count", 0), rows) * counts[age]
                total += np.bincount(group, held, minlength=size)
            if age + 1 == self.base:
                present = total > 0
            if (age + 1) % self.base == 0 and (age + 1) // self.base in widths:
                width[(width == 0) & (total >= self.enough)] = (age + 1) // self.base
        return width, present
