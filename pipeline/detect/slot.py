"""One rule as it runs: from which window to which, over which stores, and how one of its windows is evaluated for all series at once.

In: the end of a window and the shards for which it is due. Out: transitions. Never: a window evaluated twice, or before an earlier one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tracebraid.pipeline.detect.axis import Axis, Bools, Floats, Ints
from tracebraid.pipeline.detect.family import Family, Judged, Window
from tracebraid.pipeline.detect.panes import FOREVER_US, Store
from tracebraid.pipeline.detect.parents import Parents
from tracebraid.pipeline.detect.runs import Carry, longest_runs
from tracebraid.pipeline.detect.transitions import Context, Transition, spoken, unspoken
from tracebraid.pipeline.detect.values import Groups, Read, Stores, grouped, plain
from tracebraid.pipeline.detect.widths import widen
from tracebraid.pipeline.rules.program import Input, Program


@dataclass(slots=True)
class Slot:
    """next_us: by shard, the end of the window that is due next, FOREVER_US while nothing is known of the shard; done_us: of the last that was, 0 before.

    from_us: only windows that begin there or later; until_us: only such that end there or before; then its alerts end for `ending`.
    """

    program: Program
    stores: Stores
    family: Family
    parents: Parents | None
    next_us: Ints
    done_us: Ints
    from_us: int
    until_us: int = FOREVER_US
    ending: int = 0

    @property
    def key(self) -> str:
        return f"{self.program.rule.name}\n{self.program.rule.content_hash}"

    @property
    def judge_store(self) -> Store:
        """Whose rows min_count counts."""
        baselines = self.program.baselines
        return self.stores[next((each.measure_id for each in baselines if each.min_count), self.program.inputs[0].measure_id)]

    @property
    def enough(self) -> int:
        return max((each.min_count for each in self.program.baselines), default=0)

    @property
    def base(self) -> int:
        """Panes of a window."""
        return max(1, self.program.rule.window_us // self.judge_store.pane_us)

    def upcoming(self) -> Ints:
        """By shard, the end of the next window; FOREVER_US where nothing is known of the shard and nothing of it is held."""
        found = np.minimum(self.next_us, FOREVER_US)
        every_us, window_us = self.program.rule.every_us, self.program.rule.window_us
        for shard in np.flatnonzero(found == FOREVER_US).tolist():
            done_us = int(self.done_us[shard])
            starts = [store.next_pane(shard, max(done_us - store.pane_us, -store.pane_us) + 1) for store in self.stores.values()]
            first = min((start for start in starts if start is not None), default=None)
            if first is not None:
                end_us = max((first // every_us + 1) * every_us, done_us + every_us if done_us > 0 else 0)
                found[shard] = max(end_us, -(-(self.from_us + window_us) // every_us) * every_us if self.from_us > 0 else 0)
        return found

    def families(self) -> list[Family]:
        return [self.family, *([self.parents.family] if self.parents else [])]

    def drop(self, axis: Axis, rows: Ints) -> None:
        """Rows of `axis` that are given to others."""
        for family in self.families():
            if family.axis is axis:
                family.fit()
                family.clear(rows)
        if self.parents:
            none = rows[:0]
            self.parents.forget(rows if axis is self.family.axis else none, rows if axis is self.parents.family.axis else none)

    def evaluate(self, read: Read, complete: Mapping[int, float]) -> list[Transition]:
        """One window, for the shards of `read`, which it takes on to the next."""
        self.next_us[read.shards], self.done_us[read.shards] = read.end_us + self.program.rule.every_us, read.end_us
        store = self.judge_store
        rows = read.held(store)
        self.family.fit()
        present = self._present(read, rows)
        rows, present = self._candidates(rows, present)
        known = np.bincount(store.axis.shard[rows], minlength=len(self.next_us))
        self.next_us[read.shards[known[read.shards] == 0]] = FOREVER_US  # of shards of which nothing is known: on to what they hold next
        if not rows.size:
            return []
        values = [self._value(each, read, rows, self.family.carry) for each in self.program.inputs]
        width = np.ones(len(rows), np.int64)
        found: list[Transition] = []
        if self.enough:
            found = self._widen(read, rows, values, width, complete)
        for place in self.family.earlier:
            values[place] = self.family.remember(place, read.end_us, rows, values[place])
        window = Window(read.end_us, rows, values, present, width, self._whole(rows, complete))
        return found + self._told(self.family, self.family.judge(window), read, complete)

    def early(self, read: Read, rows: Ints) -> list[Transition]:
        """The window that ends next, still open, for `rows` that have new data."""
        self.family.fit()
        present = self._present(read, rows)
        rows = rows[present]
        if not rows.size:
            return []
        values = [self._value(each, read, rows, self.family.carry.copy()) for each in self.program.inputs]
        ones = np.ones(len(rows), bool)
        judged = self.family.begin_early(Window(read.end_us, rows, values, ones, ones.astype(np.int64), ones))
        return self._told(self.family, judged, read, {})

    def finish(self, shards: Ints, end_us: int) -> list[Transition]:
        """The rule has changed or is gone: its alerts of these shards end."""
        found = []
        for family in self.families():
            family.fit()
            for changes in family.life.end(family.axis.held(shards), self.ending):
                found += unspoken(Context(self.program.rule, family.axis, end_us, False, {}, {}), changes)
        return found

    def _present(self, read: Read, rows: Ints) -> Bools:
        window_us = self.program.rule.window_us
        found = np.zeros(len(rows), bool)
        for store in self.stores.values():
            found |= read.counts(store, window_us, 0, rows) > 0
        return found

    def _candidates(self, rows: Ints, present: Bools) -> tuple[Ints, Bools]:
        """Series that this rule knows or now sees."""
        known = present | self.family.live[rows]
        return (rows, present) if known.all() else (rows[known], present[known])

    def _whole(self, rows: Ints, complete: Mapping[int, float]) -> Bools:
        partial = [shard for shard, share in complete.items() if share < 1]
        return ~np.isin(self.family.axis.shard[rows], partial) if partial else np.ones(len(rows), bool)

    def _value(self, each: Input, read: Read, rows: Ints, carry: Carry) -> Floats:
        if each.kind != "run":
            return plain(self.stores, each, read, rows)
        store = self.stores[each.measure_id]
        mine = np.zeros(store.axis.capacity, bool)
        mine[rows] = True
        return longest_runs(store, read.end_us, read.end_us - self.program.rule.every_us, mine, carry)[rows]

    def _widen(self, read: Read, rows: Ints, values: list[Floats], width: Ints, complete: Mapping[int, float]) -> list[Transition]:
        """Rows whose window holds too little are read anew, wider; `values` and `width` are changed. Transitions are those of their parents."""
        store = self.judge_store
        sparse = np.flatnonzero(read.counts(store, self.program.rule.window_us, 0, rows) < self.enough)
        if not sparse.size:
            return []
        wider = widen(store, read.end_us, self.base, self.enough, rows[sparse])
        width[sparse] = wider.width
        for each in np.unique(wider.width).tolist():
            chosen = wider.width == each
            if each > 0:
                panes = each * self.base
                groups = Groups(rows[sparse[chosen]], np.arange(int(chosen.sum())), int(chosen.sum()), wider.starts[:panes], wider.counts[:panes, chosen], each)
                for place, one in enumerate(self.program.inputs):
                    values[place][sparse[chosen]] = grouped(self.stores, one, read, groups)
        if self.parents is None:
            return []
        judged = self.parents.judge(read, rows[sparse], wider, complete)
        return self._told(self.parents.family, judged, read, complete) if judged else []

    def _told(self, family: Family, judged: Judged, read: Read, complete: Mapping[int, float]) -> list[Transition]:
        if not any(each.rows.size for each in judged.changes):
            return []
        window = judged.window
        late = sum((store.late for store in self.stores.values()), np.zeros_like(self.next_us))
        context = Context(self.program.rule, family.axis, read.end_us, self.program.early, dict(complete), dict(enumerate(late.tolist())))
        changed = np.unique(np.concatenate([each.rows for each in judged.changes]))
        exemplars = self.judge_store.exemplars(read.end_us, self.program.rule.window_us, changed) if family is self.family else None
        places = {int(row): int(at) for at, row in zip(np.flatnonzero(np.isin(window.rows, changed)), window.rows[np.isin(window.rows, changed)], strict=True)}
        found = []
        for each in judged.changes:
            found += spoken(context, each, places, (judged.verdict, judged.severity, window.width), exemplars)
        return found
