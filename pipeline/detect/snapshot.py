"""The whole state of one shard as named arrays, and an engine that goes on from them as if nothing had been.

In: an engine and a shard. Out: arrays with an element a series of the shard, in the order of their hashes. Never: rows' numbers: those are the process's own.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tracebraid.pipeline.detect.axis import Axis, Ints
from tracebraid.pipeline.detect.family import Family
from tracebraid.pipeline.detect.histograms import merged, relabeled
from tracebraid.pipeline.detect.lifecycle import FIELDS
from tracebraid.pipeline.detect.panes import Exemplars, Pane, Store
from tracebraid.pipeline.detect.slot import Slot
from tracebraid.pipeline.detect.state import Arrays, chunks, unchunked
from tracebraid.pipeline.detect.transitions import Transition, orphaned
from tracebraid.pipeline.detect.watermarks import Shard, Source
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.rules.load import load_rules
from tracebraid.pipeline.rules.write import to_yaml

if TYPE_CHECKING:
    from tracebraid.pipeline.detect.engine import Engine


def snapshot(engine: "Engine", shard: int) -> list[tuple[str, bytes]]:
    """To be taken right after tick(): what is due is evaluated, and what was found is handed out."""
    if engine.waits():
        raise TracebraidError("a snapshot between two ticks", "call tick() and take what it gives before")
    arrays: Arrays = {}
    axes: list[dict[str, Any]] = []
    for axis in engine.axes.values():
        axes.append(_save_axis(arrays, f"axis{len(axes)}", axis, shard))
    numbers = {id(axis): number for number, axis in enumerate(engine.axes.values())}
    stores: list[dict[str, Any]] = []
    for (measure, lateness_us), store in engine.stores.items():
        name = f"store{len(stores)}"
        stores.append({"measure": str(measure), "lateness_us": lateness_us, "axis": numbers[id(store.axis)], "panes": _save_store(arrays, name, store, shard)})
    slots = [_save_slot(arrays, f"slot{number}", slot, shard, numbers[id(slot.family.axis)]) for number, slot in enumerate(engine.slots)]
    text = json.dumps({"shard": _shard_text(engine.shards.get(shard, Shard())), "axes": axes, "stores": stores, "slots": slots})
    return chunks(str(shard), arrays, text)


def restore(engine: "Engine", shard: int, parts: Sequence[tuple[str, bytes]]) -> None:
    """Into an engine that holds nothing of the shard. Alerts of rules that the engine has not, or with another condition, end: see the next tick()."""
    arrays, text = unchunked(parts)
    told = json.loads(text)
    engine.shards[shard] = _shard_of(told["shard"])
    rows = []
    for number, one in enumerate(told["axes"]):
        axis = engine.axes.get(tuple(one["by"]))
        rows.append((axis, _load_axis(arrays, f"axis{number}", axis, one, shard)) if axis is not None else None)
    for number, one in enumerate(told["stores"]):
        store, placed = engine.stores.get((int(one["measure"]), one["lateness_us"])), rows[one["axis"]]
        if store and placed:
            _load_store(arrays, f"store{number}", store, shard, (placed[1], one["panes"]))
    slots = {slot.key: slot for slot in engine.slots}
    for number, one in enumerate(told["slots"]):
        slot, placed = slots.get(one["key"]), rows[one["axis"]]
        if slot and placed:
            _load_slot(arrays, f"slot{number}", slot, shard, (placed[1], one))
        else:
            engine.found += _orphans(arrays, f"slot{number}", (one, told["axes"][one["axis"]]), shard, {slot.program.rule.name for slot in engine.slots})


# What the shard has been told


def _shard_text(shard: Shard) -> dict[str, Any]:
    return {
        "watermark_us": shard.watermark_us,
        "sources": [[*key, asdict(source)] for key, source in sorted(shard.sources.items())],
        "incomplete": shard.incomplete,
    }


def _shard_of(told: dict[str, Any]) -> Shard:
    shard = Shard(watermark_us=int(str(told["watermark_us"])))
    for cluster, topic, topic_id, partition, source in told["sources"]:
        shard.sources[cluster, topic, topic_id, partition] = Source(**source)
    shard.incomplete = [(upto, list(owns)) for upto, owns in told["incomplete"]]
    return shard


# Series


def _mine(axis: Axis, shard: int) -> Ints:
    rows = axis.held(np.array([shard]))
    return rows[np.argsort(axis.hash[rows])]


def _save_axis(arrays: Arrays, name: str, axis: Axis, shard: int) -> dict[str, Any]:
    rows = _mine(axis, shard)
    arrays[f"{name}/hash"], arrays[f"{name}/seen_us"] = axis.hash[rows], axis.seen_us[rows]
    return {"by": axis.by, "labels": axis.labels[rows].tolist()}


def _load_axis(arrays: Arrays, name: str, axis: Axis, told: dict[str, Any], shard: int) -> Ints:
    hashes = arrays[f"{name}/hash"].astype(np.uint64)
    labels = [tuple(each) for each in told["labels"]]
    if not len(hashes):
        return np.empty(0, np.int64)
    rows = axis.placed(hashes, shard, labels)
    axis.seen_us[rows] = arrays[f"{name}/seen_us"].astype(np.int64)
    return rows


# Panes


def _save_store(arrays: Arrays, name: str, store: Store, shard: int) -> dict[str, Any]:
    rows = _mine(store.axis, shard)
    local = np.full(store.axis.capacity, -1, np.int64)
    local[rows] = np.arange(len(rows))
    for kind, panes in (("pane", store.panes), ("hour", store.hours)):
        for start, pane in panes.items():
            if shard in pane.shards:
                _save_pane(arrays, f"{name}/{kind}/{start}", pane, (store, rows, local, shard))
    held = {kind: [start for start, pane in panes.items() if shard in pane.shards] for kind, panes in (("pane", store.panes), ("hour", store.hours))}
    return {**held, "late": int(store.late[shard]), "trimmed_us": int(store.trimmed_us[shard])}


def _save_pane(arrays: Arrays, name: str, pane: Pane, of: tuple[Store, Ints, Ints, int]) -> None:
    store, rows, local, shard = of
    for field, index in pane.fields:
        arrays[f"{name}/field/{field}/{index}"] = store.values(pane, (field, index), rows)
    for column, by_shard in pane.histograms.items():
        if shard in by_shard:
            arrays[f"{name}/histogram/{column}"] = relabeled(merged(by_shard[shard]), np.maximum(local, 0))
    for number, exemplars in enumerate(pane.exemplars):
        mine = exemplars.take(local[exemplars.row] >= 0)
        if mine.row.size:
            arrays[f"{name}/exemplars/{number}/row"], arrays[f"{name}/exemplars/{number}/value"] = local[mine.row], mine.value
            arrays[f"{name}/exemplars/{number}/failing"] = mine.failing
            arrays[f"{name}/exemplars/{number}/trace_id"] = mine.trace_id
    if pane.observations:
        observed = np.concatenate(pane.observations, axis=1)
        observed = observed[:, local[observed[0]] >= 0]
        observed[0] = local[observed[0]]
        arrays[f"{name}/observations"] = observed


def _load_store(arrays: Arrays, name: str, store: Store, shard: int, of: tuple[Ints, dict[str, Any]]) -> None:
    rows, told = of
    store.late[shard], store.trimmed_us[shard] = int(str(told["late"])), int(str(told["trimmed_us"]))
    panes = {(kind, start): held.setdefault(start, Pane()) for kind, held in (("pane", store.panes), ("hour", store.hours)) for start in told[kind]}
    for pane in panes.values():
        pane.shards.add(shard)
    exemplars: dict[tuple[str, int, str], dict[str, npt.NDArray[Any]]] = {}
    for key, array in arrays.items():
        if not key.startswith(f"{name}/"):
            continue
        _, kind, start, what, *rest = key.split("/")
        pane = panes[kind, int(start)]
        if what == "field":
            store.field(pane, (rest[0], int(rest[1])))[rows] = array
        elif what == "histogram":
            pane.histograms.setdefault(int(rest[0]), {})[shard] = [relabeled(array.astype(np.uint64), rows)]
        elif what == "observations":
            observed = array.astype(np.int64)
            observed[0] = rows[observed[0]]
            pane.observations.append(observed)
        else:
            exemplars.setdefault((kind, int(start), rest[0]), {})[rest[1]] = array
    for (kind, at, _), one in exemplars.items():
        panes[kind, at].exemplars.append(
            Exemplars(rows[one["row"].astype(np.int64)], one["trace_id"], one["value"].astype(np.float64), one["failing"].astype(bool))
        )


# Rules


def _save_slot(arrays: Arrays, name: str, slot: Slot, shard: int, axis: int) -> dict[str, Any]:
    rule = slot.program.rule
    rows = _mine(slot.family.axis, shard)
    _save_family(arrays, f"{name}/own", slot.family, rows)
    parents = None
    if slot.parents:
        parents = _save_axis(arrays, f"{name}/parents/axis", slot.parents.family.axis, shard)
        _save_family(arrays, f"{name}/parents", slot.parents.family, _mine(slot.parents.family.axis, shard))
    told = {"key": slot.key, "name": rule.name, "axis": axis, "next_us": int(slot.next_us[shard]), "done_us": int(slot.done_us[shard]), "parents": parents}
    return {**told, "from_us": slot.from_us, "until_us": slot.until_us, "ending": slot.ending, "rule": to_yaml([rule])}


def _load_slot(arrays: Arrays, name: str, slot: Slot, shard: int, of: tuple[Ints, dict[str, Any]]) -> None:
    rows, told = of
    slot.next_us[shard], slot.done_us[shard] = int(str(told["next_us"])), int(str(told["done_us"]))
    _load_family(arrays, f"{name}/own", slot.family, rows)
    if slot.parents and told["parents"]:
        parents: dict[str, Any] = told["parents"]
        placed = _load_axis(arrays, f"{name}/parents/axis", slot.parents.family.axis, parents, shard)
        _load_family(arrays, f"{name}/parents", slot.parents.family, placed)


def _save_family(arrays: Arrays, name: str, family: Family, rows: Ints) -> None:
    family.fit()
    for field in ("live", "silent", "begun", "carry"):
        arrays[f"{name}/{field}"] = getattr(family, field)[rows]
    for field in FIELDS:
        arrays[f"{name}/life/{field}"] = family.life.of[field][rows]
    for place, held in family.earlier.items():
        for time_us, values in held.items():
            arrays[f"{name}/earlier/{place}/{time_us}"] = values[rows]
    for place, bank in enumerate(family.banks):
        for key, array in bank.snapshot(rows).items():
            arrays[f"{name}/bank/{place}/{key}"] = array


def _load_family(arrays: Arrays, name: str, family: Family, rows: Ints) -> None:
    family.fit()
    banks: dict[int, Arrays] = {}
    for key, array in arrays.items():
        if not key.startswith(f"{name}/"):
            continue
        what, *rest = key.removeprefix(f"{name}/").split("/")
        if what == "life":
            family.life.of[rest[0]][rows] = array
        elif what == "earlier":
            held = family.earlier[int(rest[0])]
            held.setdefault(int(rest[1]), np.full(family.axis.capacity, np.nan))[rows] = array
        elif what == "bank":
            banks.setdefault(int(rest[0]), {})["/".join(rest[1:])] = array
        elif what in ("live", "silent", "begun", "carry"):
            getattr(family, what)[rows] = array
    for place, state in banks.items():
        family.banks[place].restore(rows, state)


def _orphans(arrays: Arrays, name: str, told: tuple[dict[str, Any], dict[str, Any]], shard: int, names: set[str]) -> list[Transition]:
    """The ends of alerts whose rule is not among the engine's."""
    slot, axis = told
    found: list[Transition] = []
    (gone,) = load_rules(slot["rule"], "a snapshot")
    groups = [("own", axis), *([("parents", slot["parents"])] if slot["parents"] else [])]
    for kind, one in groups:
        state, since_us = arrays[f"{name}/{kind}/life/state"], arrays[f"{name}/{kind}/life/since_us"]
        series = [dict(zip(one["by"], each, strict=True)) for each in one["labels"]]
        ended_us = min(int(str(slot["until_us"])), int(str(slot["done_us"])))
        for at in np.flatnonzero(state).tolist():
            what = (series[at], shard, int(state[at]), int(since_us[at]), ended_us)
            found.append(orphaned(gone, what, slot["name"] in names))
    return found
