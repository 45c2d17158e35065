"""`tracebraid rules backtest` tells of the lake what detect told of the stream."""

from pathlib import Path
from typing import Any

import pytest

from tests.detecting_flow import MINUTE_US, T0_US, alerts_of, produce_minutes, settings_for
from tests.integration.test_detect import RULES, detect, ingest, told
from tests.integration.test_rules_apply import rules, written
from tracebraid.pipeline.detect.told import iso

pytestmark = pytest.mark.broker
EXPECTED = [("pending", "condition", 9), ("firing", "for elapsed", 10), ("resolved", "recovered", 14)]


def test_the_lake_tells_what_the_stream_told(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("spans"), 3)
    settings = settings_for(broker, tmp_path, RULES, source=topic)
    produce_minutes(broker, topic, 3, range(20), range(8, 12))
    jobs = [ingest(settings), detect(settings)]
    try:
        assert told(broker, settings, 3) == EXPECTED
    finally:
        for job in jobs:
            job.end()
    keys = ("id", "transition", "value", "threshold")
    stream = [{key: each[key] for key in keys} for each in alerts_of(broker, settings.stream.alerts_topic)]
    within = ["--from", iso(T0_US), "--to", iso(T0_US + 20 * MINUTE_US)]
    config, path = written(settings, tmp_path), str(tmp_path / "rules.yaml")
    for order in ([], ["--as-it-arrived"]):
        code, rows, errors = rules(config, "backtest", *within, *order, path)
        assert (code, errors) == (0, "")
        assert [{key: row[key] for key in keys} for row in rows] == stream
    assert rules(config, "backtest", *within, "--against", path, path) == (0, [], "")
    other = tmp_path / "other.yaml"
    other.write_text(RULES.replace("\n  for: 1m", "\n  for: 3m"), encoding="utf-8")
    _, rows, _ = rules(config, "backtest", *within, "--against", path, str(other))
    assert [(row["differs"], row["transition"], row["window_end"]) for row in rows] == [
        ("-", "firing", iso(T0_US + 10 * MINUTE_US)),
        ("+", "firing", iso(T0_US + 12 * MINUTE_US)),
    ]
