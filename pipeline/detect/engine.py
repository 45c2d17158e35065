"""detect without Kafka: partial windows and watermarks in, transitions of alerts out.

In: messages of tracebraid.windows, in the order of each of its partitions ("shards"), and rules with the window they hold from. Out: transitions. Never: a
clock, I/O, a Python loop over series; a window evaluated twice. What comes out is a function of each shard's messages alone: neither of how often tick() is
called between them, nor of which shards are held together.

A pane takes what comes until the watermark has passed its end plus the lateness of the rule; that is settled when a message arrives, not when it is merged.
So messages are merged, and windows evaluated, for all shards together when tick() is called.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tracebraid.pipeline.detect import snapshot
from tracebraid.pipeline.detect.axis import NEVER, Axis, Ints
from tracebraid.pipeline.detect.build import Builder, EngineSettings, retire, wanted_of
from tracebraid.pipeline.detect.panes import FOREVER_US, Store
from tracebraid.pipeline.detect.partials import Arrived, flat
from tracebraid.pipeline.detect.slot import Slot
from tracebraid.pipeline.detect.told import Key
from tracebraid.pipeline.detect.transitions import Transition, alert_id
from tracebraid.pipeline.detect.values import Read
from tracebraid.pipeline.detect.watermarks import Release, Shard, SourceKey
from tracebraid.pipeline.rules.program import Program
from tracebraid.schemas.windows import Watermark

_ROWS_WAITING_MAX = 200_000  # partial windows that wait for tick(): then they are merged at once


@dataclass(frozen=True, slots=True)
class Stats:
    """bytes: of arrays that hold the series' state, labels not among them. late: partial windows, a count for each store they came too late for.

    repeated: messages dropped whole; overflowed: series past the bound.
    """

    series: int
    bytes: int
    late: int
    repeated: int
    overflowed: int


class Engine:
    """All rules over all shards that this process holds."""

    def __init__(self, programs: Iterable[Program], settings: EngineSettings, since_us: Mapping[str, int] | None = None) -> None:
        """`since_us`: by name, the window boundary from which a rule holds, where that is not from ever: before it not all that it asks was measured."""
        self.settings = settings
        self.shards: dict[int, Shard] = {}
        self.axes: dict[tuple[str, ...], Axis] = {}
        self.stores: dict[tuple[int, int], Store] = {}  # by measure id and lateness
        self.slots: list[Slot] = []
        self._builder = Builder(settings, self.axes, self.stores)
        self._arrived: list[Arrived] = []
        self._waiting = 0
        self._noted: set[int] = set()  # shards that were told of watermarks since the last tick
        self._repeated = 0
        self.found: list[Transition] = []  # of what happened between two ticks
        self.slots += [self._builder.slot(each, (since_us or {}).get(each.rule.name, 0)) for each in programs]
        self._resize()

    # In

    def merge(self, shard: int, source: SourceKey, first_offset: int, next_offset: int, batch: pa.RecordBatch, *, part: int = 0) -> bool:
        """One message of kind partials. False where it repeats offsets that are merged: it is dropped whole. `part`: of a flush in several messages."""
        held = self.shards.setdefault(shard, Shard())
        if not held.merges(source, first_offset, next_offset, part):
            self._repeated += 1
            return False
        if batch.num_rows:
            self._arrived.append(Arrived(shard, held.watermark_us, source[3], batch))
            self._waiting += batch.num_rows
            if self._waiting > _ROWS_WAITING_MAX:
                self._take()
        return True

    def watermark(self, shard: int, told: Sequence[Watermark]) -> None:
        self.shards.setdefault(shard, Shard()).note(told)
        self._noted.add(shard)

    def due(self, shard: int) -> bool:
        """Whether tick() may find something of this shard that it could not before: its watermark has passed the end of a window, or a rule may fire early."""
        return shard in self._noted or any(self._due(slot)[shard] != FOREVER_US for slot in self.slots)

    def release(self, shard: int, sources: Sequence[SourceKey], until_us: int) -> None:
        self.shards.setdefault(shard, Shard()).release(sources, until_us)

    def holding(self, shard: int, now_s: float, hold_max_s: float) -> Release | None:
        """What a release would have to say: see Shard.holding."""
        return self.shards[shard].holding(now_s, hold_max_s) if shard in self.shards else None

    def set_rules(self, programs: Iterable[Program], effective_from_us: int) -> None:
        """From that window boundary on. Rules whose condition is the same keep all their state; the alerts of the others end there."""
        new = {f"{each.rule.name}\n{each.rule.content_hash}": each for each in programs}
        self._take()
        kept = set()
        for slot in self.slots:
            if (program := new.get(slot.key)) is not None:
                slot.until_us = FOREVER_US
                self._builder.relabel(slot, program)
                kept.add(slot.key)
            elif slot.until_us == FOREVER_US:
                retire(slot, effective_from_us, {each.rule.name for each in new.values()})
        self.slots += [self._builder.slot(program, effective_from_us) for key, program in new.items() if key not in kept]
        self._resize()

    def forget(self, shard: int) -> None:
        """The shard is another's now: everything of it goes, without a word."""
        self._take()
        self.shards.pop(shard, None)
        for axis in self._all_axes():
            self._drop(axis, axis.held(np.array([shard])))
        for slot in self.slots:
            slot.next_us[shard], slot.done_us[shard] = FOREVER_US, 0
        for store in self.stores.values():
            store.late[shard], store.trimmed_us[shard] = 0, 0
            for pane in (*store.panes.values(), *store.hours.values()):
                pane.shards.discard(shard)

    # Out

    def tick(self) -> list[Transition]:
        """Every window that the watermarks have passed, in the order of windows' ends; then what fires before its window ends."""
        self._take()
        evaluated = False
        while True:
            due = [(slot, self._due(slot)) for slot in self.slots]
            end_us = min((int(ends.min()) for _, ends in due), default=FOREVER_US)
            if end_us == FOREVER_US:
                break
            evaluated = True
            reads: dict[bytes, Read] = {}
            for slot, ends in due:
                shards = np.flatnonzero(ends == end_us)
                if shards.size:
                    read = reads.setdefault(shards.tobytes(), Read(end_us, shards))
                    self.found += slot.evaluate(read, self._completeness(shards, end_us + slot.program.rule.lateness_us))
        self._early()
        if evaluated or any(slot.until_us != FOREVER_US for slot in self.slots):
            self._retired()
            self._tidy()
            for shard in self.shards.values():
                shard.settle()
        found, self.found = self.found, []
        return sorted(found, key=lambda each: (each.end_us, each.rule.name, sorted(each.series.items())))

    def _take(self) -> None:
        """Messages into panes."""
        if not self._arrived:
            return
        entries = flat(self._arrived)
        self._arrived, self._waiting = [], 0
        order = np.argsort(entries.measure, kind="stable")
        measures, first = np.unique(entries.measure[order], return_index=True)
        edges = [*first.tolist(), len(order)]
        places = {int(measure): order[edges[number] : edges[number + 1]] for number, measure in enumerate(measures.tolist())}
        for (measure, _), store in self.stores.items():
            if measure in places:
                store.add(entries, places[measure])

    def _closed(self, lateness_us: int) -> Ints:
        closed = np.full(self.settings.shards, NEVER, np.int64)
        for number, shard in self.shards.items():
            if shard.watermark_us != NEVER:
                closed[number] = shard.watermark_us - lateness_us
        return closed

    def _due(self, slot: Slot) -> Ints:
        ends = slot.upcoming()
        return np.where((ends <= self._closed(slot.program.rule.lateness_us)) & (ends <= slot.until_us), ends, FOREVER_US)

    def _completeness(self, shards: Ints, needed_us: int) -> Mapping[int, float]:
        found = {shard: self.shards[shard].completeness(needed_us) for shard in shards.tolist()}
        return {shard: share for shard, share in found.items() if share < 1}

    def _early(self) -> None:
        """Rules that may fire before their window ends, for series with new data of shards that were told of watermarks: whenever tick() is called."""
        noted = np.zeros(self.settings.shards, bool)
        noted[list(self._noted)] = True
        touched = {key: np.flatnonzero(store.touched) for key, store in self.stores.items()}
        touched = {key: rows[noted[self.stores[key].axis.shard[rows]]] for key, rows in touched.items()}
        for slot in self.slots if self.settings.early else ():
            if slot.program.early:
                new = [touched[measure, slot.program.rule.lateness_us] for measure in slot.stores]
                rows = new[0] if len(new) == 1 else np.unique(np.concatenate(new))
                ends = slot.next_us[slot.family.axis.shard[rows]]
                for end_us in np.unique(ends[(ends <= slot.until_us) & (ends != FOREVER_US)]).tolist():
                    mine = rows[ends == end_us]
                    shards = np.flatnonzero(np.bincount(slot.family.axis.shard[mine]))
                    self.found += slot.early(Read(end_us, shards), mine)
        for key, rows in touched.items():
            self.stores[key].touched[rows] = False
        self._noted.clear()

    # Housekeeping

    def _retired(self) -> None:
        """Rules whose last window is evaluated in a shard end there; once in all shards, they are gone."""
        for slot in [slot for slot in self.slots if slot.until_us != FOREVER_US]:
            over = [shard for shard in self.shards if self._closed(slot.program.rule.lateness_us)[shard] >= slot.until_us]
            self.found += slot.finish(np.array(over, np.int64), slot.until_us)
            if len(over) == len(self.shards):
                self.slots.remove(slot)
        self._resize()

    def _tidy(self) -> None:
        """Panes that no window needs any more, and rows of series that no rule knows any more."""
        for store in self.stores.values():
            users = [slot for slot in self.slots if any(each is store for each in slot.stores.values())]
            ends = np.min([slot.upcoming() for slot in users], axis=0)
            if (ends != FOREVER_US).any():
                store.trim(ends)
                store.expire(int(ends.min()))
            for slot in users:
                slot.family.expire(int(ends.min()))
        for axis in self._all_axes():
            self._drop(axis, self._unknown(axis))

    def _unknown(self, axis: Axis) -> Ints:
        families = [family for slot in self.slots for family in slot.families() if family.axis is axis]
        rows = axis.held()
        known = np.zeros(len(rows), bool)
        for family in families:
            family.fit()
            known |= family.live[rows]
        for slot in self.slots:
            if slot.family.axis is axis:
                known |= (axis.seen_us[rows] > slot.done_us[axis.shard[rows]]) & (axis.seen_us[rows] != NEVER)
        return rows[~known]

    def _drop(self, axis: Axis, rows: Ints) -> None:
        if not rows.size:
            return
        for store in self.stores.values():
            if store.axis is axis:
                store.clear(rows)
        for slot in self.slots:
            slot.drop(axis, rows)
        axis.drop(rows)

    def _all_axes(self) -> list[Axis]:
        return [*self.axes.values(), *(slot.parents.family.axis for slot in self.slots if slot.parents)]

    def _resize(self) -> None:
        """Stores hold what the rules that use them ask for, and those that none uses are gone."""
        for key, store in list(self.stores.items()):
            users = [slot for slot in self.slots if slot.stores.get(key[0]) is store]
            if users:
                store.wanted = wanted_of(key[0], users)
            else:
                del self.stores[key]
        used = {id(slot.family.axis) for slot in self.slots}
        for by in [by for by, axis in self.axes.items() if id(axis) not in used]:
            del self.axes[by]

    # A shard's state, whole

    def active(self, shard: int) -> dict[Key, set[str]]:
        """Ids of what is pending or fires in the shard; of a rule that is being replaced and its next version both."""
        found: dict[Key, set[str]] = {}
        for slot in self.slots:
            for family in slot.families():
                family.fit()
                rows = family.axis.held(np.array([shard]))
                for row in rows[family.life.active(rows)].tolist():
                    name, series = slot.program.rule.name, family.axis.named(row)
                    ids = found.setdefault((name, tuple(sorted(series.items()))), set())
                    ids.add(alert_id(name, series, int(family.life.of["since_us"][row])))
        return found

    def snapshot(self, shard: int) -> list[tuple[str, bytes]]:
        """Chunks of at most state.CHUNK_BYTES_MAX with their keys, `shard`/0000 and so on; right after tick(). Raises TracebraidError between two ticks."""
        return snapshot.snapshot(self, shard)

    def restore(self, shard: int, parts: Sequence[tuple[str, bytes]]) -> None:
        """What snapshot() gave, in any order, into an engine that holds nothing of the shard. Raises TracebraidError, nothing changed, for half a one."""
        snapshot.restore(self, shard, parts)

    def waits(self) -> bool:
        """Whether messages wait for tick(), or what was found between two of them waits to be told."""
        return bool(self._arrived or self.found)

    def stats(self) -> Stats:
        axes = self._all_axes()
        late = sum(int(store.late.sum()) for store in self.stores.values())
        held = sum(store.nbytes() for store in self.stores.values()) + sum(family.nbytes() for slot in self.slots for family in slot.families())
        return Stats(sum(map(len, self.axes.values())), held, late, self._repeated, sum(axis.overflowed for axis in axes))
