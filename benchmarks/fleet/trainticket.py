"""`python -m benchmarks.fleet.trainticket FOLDER`: the same starter rules over a real capture with 28 injected faults, of which only the beginnings are known.

In: spans.otlp.jsonl.zst, logs.jsonl.zst and faults.json. Out: a line a fault, and the alerts that tell of none. The capture goes through the product's decoders
and measures; its time is event time. Never: a parameter of its own.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.fleet.feed import MINUTE_US, SOURCE, starter
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.detect.build import EngineSettings
from tracebraid.pipeline.detect.engine import Engine
from tracebraid.pipeline.detect.transitions import Transition
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.measure.windows import OpenWindows
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.pipeline.rules.measures import merge_measures
from tracebraid.pipeline.source.files import FileSource
from tracebraid.schemas.windows import PARTIALS, Watermark

FILES = ("spans.otlp.jsonl.zst", "logs.jsonl.zst")
WITHIN_US = 5 * MINUTE_US


@dataclass(frozen=True, slots=True)
class Fault:
    """at_us: when it was put in; service, kind: as the capture names them."""

    at_us: int
    service: str
    kind: str


def faults(folder: Path) -> list[Fault]:
    """In time."""
    found = json.loads((folder / "faults.json").read_text(encoding="utf-8"))
    return [Fault(round(datetime.fromisoformat(each["at"]).timestamp() * 1e6), each["service"], each["kind"]) for each in found]


def partials(folder: Path) -> Iterator[pa.RecordBatch]:
    """Partial windows of the whole capture, in no order."""
    windows = OpenWindows(merge_measures(measure for program in starter() for measure in program.measures))
    for name in FILES:
        for records in FileSource(folder / name, "auto", ""):
            for piece in records.split(limits.decode_bytes_max):
                windows.add(piece, normalize(piece, decode(piece), now_us=0))
        for each in windows.pieces(1):
            yield pa.ipc.read_record_batch(pa.py_buffer(each.value), PARTIALS)
        windows.settle()


def run(folder: Path) -> tuple[list[Transition], dict[int, int]]:
    """All that the engine told, minute after minute; requests a minute."""
    table = pa.Table.from_batches(list(partials(folder))).combine_chunks().sort_by("pane_us")
    panes = table.column("pane_us").to_numpy()
    engine, found = Engine(starter(), EngineSettings(shards=1)), []
    starts, first = np.unique(panes, return_index=True)
    edges, seen = [*first.tolist(), len(panes)], dict[int, int]()
    for number, start in enumerate(starts.tolist()):
        for batch in table.slice(edges[number], edges[number + 1] - edges[number]).combine_chunks().to_batches():
            engine.merge(0, SOURCE, number, number + 1, batch)
            seen[start] = pc.sum(pc.list_element(batch.column("counts"), 0)).as_py()
        engine.watermark(0, [Watermark(*SOURCE, number + 1, start + MINUTE_US + 10_000_000, False)])
        found += engine.tick()
    return found, seen


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Print each fault and what told of it within five minutes."""
    told, seen = run(folder)
    fired = [each for each in told if each.transition == "firing" and each.reason != "more severe"]
    known = faults(folder)
    minutes = sorted(seen)
    click.echo(f"{len(minutes)} minutes with data of {(minutes[-1] - minutes[0]) // MINUTE_US + 1}; {len(fired)} alerts")
    found, itself, used = 0, 0, set[str]()
    for fault in known:
        mine = [each for each in fired if fault.at_us < each.end_us <= fault.at_us + WITHIN_US]
        used |= {each.id for each in mine}
        own = any(each.series["service_name"] == fault.service for each in mine)
        found, itself = found + bool(mine), itself + own
        after = f"{(mine[0].end_us - fault.at_us) / MINUTE_US:.1f} min" if mine else "none"
        rules = sorted({f"{each.rule.name} {each.series['service_name']}" for each in mine})
        click.echo(f"{datetime.fromtimestamp(fault.at_us / 1e6).isoformat()} {fault.service} {fault.kind}: {after}{', itself' if own else ''} {rules}")
    click.echo(f"found {found} of {len(known)}, the service itself {itself}; alerts that tell of none: {sum(each.id not in used for each in fired)}")


if __name__ == "__main__":
    main()
