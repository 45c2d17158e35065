"""`python -m benchmarks.measuring`: what measuring adds to ingest: the same topic drained with the starter rules' measures and without any, by turns.

In: a broker, ../shared/peers. Out: processor seconds of whole processes, and their ratio, one JSON object a pair. Never: a part timed within a process.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.drain import filled
from benchmarks.loads import PEERS, spans_load
from benchmarks.measure import Run, measure
from tests.brokers.kafka import Broker, running_broker, unavailable
from tracebraid.pipeline.flow import run_ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.settings import IngestSettings, Settings, StreamSettings, TopicSettings
from tracebraid.pipeline.rulebook import RuleBook


def drain(brokers: str, topic: str, name: str, *, measured: bool) -> None:
    """One process's whole work. `name`: of the topics and the lake that are its own."""
    with tempfile.TemporaryDirectory() as lake:
        settings = Settings(
            bootstrap_servers=brokers,
            lake=lake,
            topics=(TopicSettings(name=topic, encoding="otlp_proto"),),
            ingest=IngestSettings(group=name),
            stream=StreamSettings(rejects_topic=f"{name}.rejects", windows_topic=f"{name}.windows", state_topic=f"{name}.state"),
        )
        totals = run_ingest(settings, drain=True, rules=(lambda: RuleBook(settings, Clock(), "ingest")) if measured else None)
        print(json.dumps({"spans": totals.spans}))


def run(broker: Broker, topic: str, *, measured: bool) -> Run:
    command = [sys.executable, "-m", "benchmarks.measuring", "--drain", broker.address, topic, broker.unique("measuring")]
    return measure([*command, *(["--measured"] if measured else [])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=400_000, help="spans in the topic")
    parser.add_argument("--per-record", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--drain", nargs=3, metavar=("BROKERS", "TOPIC", "NAME"), help="one process of a pair")
    parser.add_argument("--measured", action="store_true")
    arguments = parser.parse_args()
    if arguments.drain:
        drain(*arguments.drain, measured=arguments.measured)
        return
    if why := unavailable() or ("" if Path(PEERS).is_dir() else f"the spans are made by {PEERS}, which is absent"):
        raise SystemExit(f"skipped: {why}")
    ratios = []
    with running_broker(heap_mib=1024) as broker, filled(broker, spans_load(arguments.per_record), arguments.spans) as on:
        for _ in range(arguments.pairs):
            without, with_ = (run(broker, on.topic, measured=measured).cpu_s for measured in (False, True))
            ratios.append(with_ / without)
            print(json.dumps({"cpu_s_without": round(without, 2), "cpu_s_with": round(with_, 2), "ratio": round(ratios[-1], 3)}), flush=True)
    print(json.dumps({"spans": arguments.spans, "per_record": arguments.per_record, "ratio_median": round(float(np.median(ratios)), 3)}))


if __name__ == "__main__":
    main()
