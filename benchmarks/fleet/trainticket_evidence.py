"""`python -m benchmarks.fleet.trainticket_evidence FOLDER`: whom the evidence names at the faults of a real capture that the starter rules find.

In: the capture, as trainticket.py reads it. Out: a line a fault that was found. Never: a parameter of its own. The alerts are explained as the product explains
them: the capture is loaded into a lake as `tracebraid load` does it, looked up by explain's queries, judged by pipeline/explain.
"""

import tempfile
from collections import Counter
from pathlib import Path

import click

from benchmarks.fleet.trainticket import FILES, WITHIN_US, faults, run
from tracebraid.pipeline.detect.told import told
from tracebraid.pipeline.explain.evidence import evidence
from tracebraid.pipeline.explaining import Looking
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.load import load_into_lake
from tracebraid.pipeline.query.snapshot import take


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path) -> None:
    """Print for each fault found the services that the evidence of its alerts names."""
    transitions, _ = run(folder)
    fired = [each for each in transitions if each.transition == "firing" and each.reason != "more severe"]
    first, every, alerts = [], 0, 0
    with tempfile.TemporaryDirectory() as lake:
        load_into_lake(Settings(lake=lake), [folder / name for name in FILES], "auto", lambda done, size: None)
        snapshot, looking = take(lake), Looking()
        for fault in faults(folder):
            mine = [told(each) for each in fired if fault.at_us < each.end_us <= fault.at_us + WITHIN_US]
            named = [evidence(alert, found).service for alert, found in zip(mine, looking.look_up(snapshot, mine), strict=True)]
            if named:
                first.append(named[0] == fault.service)
                every, alerts = every + named.count(fault.service), alerts + len(named)
                about = sorted({each.series["service_name"] for each in mine})
                click.echo(f"{fault.service} {fault.kind}: {'right' if first[-1] else 'wrong'}: {dict(Counter(named))}, alerts about {about}")
    click.echo(f"first alerts that name the service at fault: {sum(first)} of {len(first)}; all alerts: {every} of {alerts}")


if __name__ == "__main__":
    main()
