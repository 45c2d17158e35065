"""Files into the lake without a broker: the stages in order for a source that ends.

In: files. Out: rows in the lake, counts. Never: a record twice: a file's ledger is keyed by its content.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from tracebraid.pipeline.decode.registry import DECODER_VERSION
from tracebraid.pipeline.flow import Flow
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.source.files import FileSource
from tracebraid.pipeline.start import account
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.store.ledger import Interval


def load_into_lake(settings: Settings, paths: Sequence[Path], encoding: str, progress: Callable[[int, int], None]) -> dict[str, int]:
    """Read files into the lake without a broker. A file's ledger is keyed by its content: loading it twice adds nothing.

    `progress(done, size)`: bytes of the present file. Returns rows by verdict, and the records that the lake held already.
    """
    clock = Clock()
    lake = Lake.open(settings.lake, settings.storage_config(), clock, create=True)
    flow = Flow(settings, lake, "files", metrics=Metrics(), clock=clock, stream=False)
    already_held = 0
    for path in paths:
        source = FileSource(path, encoding, settings.tenant)
        held = lake.read_ledger(source.partition)
        if held.next_offset is None:
            account(flow, [Interval(source.partition, "start", "start: file", 0, -1, decoder_version=DECODER_VERSION)], {source.partition: None})
            held = lake.read_ledger(source.partition)
        next_offset = flow.begin(source.partition, held, None)
        for records in source:
            already_held += max(0, min(next_offset, records.next_offset) - records.first_offset)
            for piece in records.split(limits.decode_bytes_max):
                for _ in flow.take(piece):
                    flow.encode_ahead()
                    if flow.lake_due():
                        flow.flush_lake()
            progress(source.bytes_read, source.bytes_total)
        while flow.closed or flow.cycle.records:
            flow.flush_lake()
    totals = flow.totals
    found = {name: getattr(totals, name) for name in ("records", "spans", "logs", "rejects", "dropped")}
    return {**found, "already_held": already_held}
