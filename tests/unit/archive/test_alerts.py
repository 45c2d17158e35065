"""Messages of the alerts topic as rows: what is none is refused alone."""

from typing import Any

import orjson
import pyarrow as pa

from tests.notifying import T0_US, transition
from tracebraid.pipeline.archive.alerts import alert_rows
from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.schemas.records import RECORDS


def records(values: list[bytes | None]) -> Records:
    rows = [{"kafka_offset": offset, "kafka_time_ms": 1, "key": b"k", "value": value, "headers": None} for offset, value in enumerate(values)]
    return Records(Partition("kafka", "alerts", "id", 3), pa.RecordBatch.from_pylist(rows, schema=RECORDS))


def changed(**changes: Any) -> bytes:
    return orjson.dumps({**transition().model_dump(mode="json"), **changes})


def test_one_bad_message_costs_no_other_its_row() -> None:
    window = transition().window.model_dump()
    bad = [
        *(None, b"", b"[]", b"{", b"\xff", orjson.dumps({"kind": "transition"})),
        *(changed(series=series) for series in (["a"], "a", None)),
        *(changed(window={**window, name: us}) for name in ("start_us", "end_us") for us in (-1, 10**18, 1 << 63, 1e300, None)),
        *(changed(rule=rule) for rule in (None, 1)),
        changed(value=[1]),
    ]
    rows, refused = alert_rows(records([*bad, changed()]), T0_US)
    assert refused == list(range(len(bad)))
    assert [(row["kafka_offset"], row["rule_name"], row["window_end"].timestamp()) for row in rows.to_pylist()] == [(len(bad), "slow-and-failing", T0_US / 1e6)]
