"""A cycle is encoded aside: what is read and published meanwhile does not wait for it."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.detecting_flow import Job
from tests.integration.test_ingest import intervals_are_whole, numbers, produce, settings_for, with_rejects_topic
from tracebraid.pipeline.flow import Ingest, run_ingest
from tracebraid.pipeline.store import ahead
from tracebraid.pipeline.store.parquet import Encoded, encode_rows
from tracebraid.schemas.table import Table

pytestmark = pytest.mark.broker


def test_reading_and_publishing_go_on_while_a_cycle_is_encoded(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = broker.create_topic(broker.unique("ahead"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic, flush_age_s=1))
    begun, go_on, seen = threading.Event(), threading.Event(), list[Ingest]()

    def slowly(table: Table, batches: Sequence[pa.RecordBatch]) -> list[Encoded]:
        begun.set()
        assert go_on.wait(60)
        return encode_rows(table, batches)

    monkeypatch.setattr(ahead, "encode_rows", slowly)
    produce(broker, topic, 1, 100)
    job = Job(lambda stop: run_ingest(settings, stop=stop, watch=lambda ingest: seen.append(ingest) if not seen else None))
    try:
        assert begun.wait(60)
        produce(broker, topic, 100, 200)
        flow, deadline_s = seen[0].flow, time.monotonic() + 60
        while [each.stream_next for each in flow.progress.values()] != [199] and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert [(each.stream_next, each.held.next_offset, each.lake_next) for each in flow.progress.values()] == [(199, 99, 99)]
        assert (flow.closed is not None, flow.cycle.records) == (True, 100)
    finally:
        go_on.set()
        job.end()
    assert numbers(settings) == list(range(1, 200))
    intervals_are_whole(settings)
