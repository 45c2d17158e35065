"""The whole TrainTicket capture of logs through decode and normalize, against its published truth and its own envelopes."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import zstandard

from tests.unit.normalize.log_build import normalized
from tracebraid.pipeline.normalize.log_time import parse_time

BATCH = 20_000


def test_every_log_has_its_trace_its_level_and_its_envelope_s_time(shared: Path) -> None:
    folder = shared / "data" / "trainticket"
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    with (folder / "logs.jsonl.zst").open("rb") as compressed:
        lines = zstandard.ZstdDecompressor().stream_reader(compressed).read().splitlines()
    levels: Counter[str] = Counter()
    rows, broken = 0, []
    for start in range(0, len(lines), BATCH):
        batch = lines[start : start + BATCH]
        result = normalized(batch)
        logs = result.logs
        rows += logs.num_rows
        levels.update(logs.column("severity_text").to_pylist())
        assert (result.rejects.num_rows, result.spans.num_rows, logs.column("trace_id").null_count, logs.column("span_id").null_count) == (0, 0, 0, 0)
        assert pc.unique(logs.column("trace_id_source")).to_pylist() == ["text"]
        for line, nanos, service, body in zip(batch, *(logs.column(name).to_pylist() for name in ("time_unix_nano", "service_name", "body")), strict=True):
            try:
                envelope = json.loads(line)
            except ValueError:
                broken.append((nanos, service, body))
                continue
            moment = parse_time(envelope["time"])
            assert moment is not None
            assert (nanos, service, body) == (moment.nanos, envelope["kubernetes"]["labels"]["app"], envelope["log"].removesuffix("\n"))
    assert (rows, dict(levels)) == (truth["logs"], truth["logs_by_level"])
    assert rows == truth["logs_with_trace_id"]
    assert [(nanos, service) for nanos, service, _ in broken] == [(1674986738423784498, None), (1674986763361647039, None)]
    assert all(body.startswith('{"log":"18:0') for _, _, body in broken)
