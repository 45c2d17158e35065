"""A compiled rule made a running one: which stores it reads, how long what it needs must be kept.

In: programs, settings. Out: slots. Never: state of rules that stay.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from tracebraid.pipeline.detect.axis import Axis
from tracebraid.pipeline.detect.family import Family
from tracebraid.pipeline.detect.lifecycle import RULE_CHANGED, RULE_REMOVED, Repeat
from tracebraid.pipeline.detect.panes import FOREVER_US, HOURLY_FROM_US, Store, Wanted
from tracebraid.pipeline.detect.parents import Parents
from tracebraid.pipeline.detect.slot import Slot
from tracebraid.pipeline.detect.values import fields_of
from tracebraid.pipeline.detect.widths import usable
from tracebraid.pipeline.rules.program import Program
from tracebraid.schemas.rule import HOUR_US


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """shards: partitions of the windows topic. series_max: series of one `by` and shard; the rest are one series.

    repeat_ratio: a firing alert is told again when it is so many times as severe as when it was told; 0: never. muted: a rule with a baseline tells of a new
    episode as detect.repeat says. baseline_keep_us: a series that is silent for so long is forgotten with its baseline (others after missing_for and their
    longest window). early: whether rules may fire before their window ends.
    """

    shards: int = 32
    series_max: int = 50_000
    repeat_ratio: float = 2.0
    muted: bool = True
    baseline_keep_us: int = 24 * HOUR_US
    early: bool = True


class Builder:
    """`axes`, `stores`: the engine's, to which new rules add."""

    def __init__(self, settings: EngineSettings, axes: dict[tuple[str, ...], Axis], stores: dict[tuple[int, int], Store]) -> None:
        self.settings, self.axes, self.stores = settings, axes, stores

    def slot(self, program: Program, from_us: int) -> Slot:
        rule = program.rule
        axis = self.axes.setdefault(rule.by, Axis(rule.by, self.settings.series_max))
        stores = {}
        for measure in program.measures:
            key = (measure.id, rule.lateness_us)
            if key not in self.stores:
                self.stores[key] = Store(axis, measure.pane_us, rule.lateness_us, self.settings.shards)
            stores[measure.id] = self.stores[key]
        slot = Slot(
            program=program,
            stores=stores,
            family=self._family(program, axis),
            parents=None,
            next_us=np.full(self.settings.shards, FOREVER_US, np.int64),
            done_us=np.zeros(self.settings.shards, np.int64),
            from_us=from_us,
        )
        if slot.enough and len(rule.by) > 1:
            family = self._family(program, Axis(rule.by[:-1], self.settings.series_max))
            slot.parents = Parents(family, axis, stores, slot.base, slot.enough)
        return slot

    def _family(self, program: Program, axis: Axis) -> Family:
        rule, settings = program.rule, self.settings
        longest = max(rule.window_us, *(each.window_us + each.earlier_us for each in program.inputs))
        if any(each.min_count for each in program.baselines):
            longest = max(longest, 60 * rule.window_us)
        keep_us = rule.missing_for_us + longest
        if program.baselines or rule.on_missing == "fire":
            keep_us = max(keep_us, settings.baseline_keep_us)
        repeat = Repeat(settings.repeat_ratio, settings.muted and bool(program.baselines))
        return Family(program, axis, repeat, keep_us)

    def relabel(self, slot: Slot, program: Program) -> None:
        """The same condition with other labels or annotations."""
        slot.program = program
        for family in slot.families():
            family.program, family.life.rule = program, program.rule


def retire(slot: Slot, until_us: int, names: Collection[str]) -> None:
    """`names`: of the rules that come."""
    slot.until_us = until_us
    slot.ending = RULE_CHANGED if slot.program.rule.name in names else RULE_REMOVED


def wanted_of(measure_id: int, users: Sequence[Slot]) -> Wanted:
    """All that any of the rules asks of a measure."""
    wanted = Wanted()
    for slot in users:
        rule, pane_us = slot.program.rule, slot.stores[measure_id].pane_us
        wanted.exemplars_us = max(wanted.exemplars_us, rule.window_us)
        wanted.span_us = max(wanted.span_us, rule.window_us, rule.every_us)
        for each in slot.program.inputs:
            if each.measure_id != measure_id:
                continue
            wanted.fields |= fields_of(each)
            wanted.histograms |= {each.index} if each.kind == "quantile" else set()
            wanted.observations |= each.kind == "run"
            if each.window_us > HOURLY_FROM_US:
                wanted.hours_us = max(wanted.hours_us, each.window_us)
                wanted.span_us = max(wanted.span_us, HOUR_US)
            else:
                wanted.span_us = max(wanted.span_us, each.window_us)
                wanted.whole_us = max(wanted.whole_us, each.window_us if each.kind == "quantile" else 0)
        if slot.enough:
            widest = usable(slot.base)[-1]
            wanted.span_us = max(wanted.span_us, (widest + 5) * slot.base * pane_us)
            wanted.whole_us = max(wanted.whole_us, 5 * slot.base * pane_us)
            wanted.sparse[slot.base] = max(wanted.sparse.get(slot.base, 0), slot.enough)
    return wanted
