"""`python -m benchmarks.fleet`: how much the starter rules find of known faults, how soon, and how often they cry wolf.

In: numbers of fleets. Out: tables, or JSON. Never: a rule or a setting that does not ship, unless `--rules` gives a file of others to compare.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np

from benchmarks.fleet import parameters as p
from benchmarks.fleet.feed import run
from benchmarks.fleet.score import Found, Outcome, alerts, score
from benchmarks.fleet.world import KINDS, TOTAL, world


def outcomes(seeds: Sequence[int], together: int, rules: str = "") -> list[Outcome]:
    """`together`: fleets in one engine; it changes nothing but the time it takes."""
    found = []
    for start in range(0, len(seeds), together):
        worlds = [world(seed) for seed in seeds[start : start + together]]

        def say(minute: int, worlds: Sequence[object] = worlds, start: int = start) -> None:
            if minute % 720 == 0:
                click.echo(f"fleets {start} to {start + len(worlds)} of {len(seeds)}: minute {minute} of {TOTAL}", err=True)

        told = alerts(run(worlds, rules, say=say))
        found += [score(each, told.get(each.seed, [])) for each in worlds]
    return found


def table(found: Sequence[Outcome]) -> str:
    faults = [each for one in found for each in one.faults]
    lines = ["| fault | n | found | recall | minutes to alert: median | p95 | the service itself alerts |", "|---|---|---|---|---|---|---|"]
    lines += [_line(kind, [each for each in faults if each.fault.kind == kind]) for kind in KINDS]
    lines.append(_line("all", faults))
    weeks = sum(each.service_weeks for each in found)
    false = [each for one in found for each in one.false]
    true = sum(len(each.alerts) for each in faults)
    echoes, deploys = (sum(len(getattr(each, name)) for each in found) for name in ("echoes", "deploys"))
    lines += [
        "",
        f"{len(found)} fleets, {weeks:.1f} service-weeks scored; {true} alerts of faults, {echoes} echoes of them, {deploys} of deploys as allowed, "
        f"{len(false)} false: {len(false) / weeks:.2f} a service-week, precision {true / max(1, true + echoes + len(false)):.3f} echoes against it; "
        f"{sum(each.warm for each in found)} alerts while learning.",
        f"False by cause: {dict(Counter(cause for cause, _ in false))}; by rule: {dict(Counter(each.rule for _, each in false))}.",
        f"Deploys' alerts ended as: {dict(Counter(each.resolved or 'open' for one in found for each in one.deploys))}.",
        f"Faults found by rule: {dict(Counter(rule for each in faults for rule in {one.rule for one in each.alerts}))}.",
    ]
    return "\n".join(lines)


def _line(name: str, faults: Sequence[Found]) -> str:
    minutes = [each.minutes for each in faults if each.minutes is not None]
    if not faults:
        return f"| {name} | 0 | | | | | |"
    median, late = (f"{np.percentile(minutes, q):.0f}" if minutes else "" for q in (50, 95))
    itself = sum(each.on_itself for each in faults)
    return f"| {name} | {len(faults)} | {len(minutes)} | {len(minutes) / len(faults):.2f} | {median} | {late} | {itself / len(faults):.2f} |"


def seeds_of(text: str) -> list[int]:
    first, _, behind = text.partition("..")
    if not (first.isdigit() and (behind.isdigit() or not behind)):
        sys.exit(f"{text} is no range of fleets: write 0..200, or 7")
    return list(range(int(first), int(behind or int(first) + 1)))


@click.command()
@click.option("--seeds", default=f"0..{len(p.FLEETS)}", show_default=True, help="First and the one behind the last.")
@click.option("--together", default=50, show_default=True, help="Fleets in one engine.")
@click.option("--rules", type=click.Path(exists=True, path_type=Path), help="A file in place of the starter rules.")
@click.option("--json", "as_json", is_flag=True, help="All faults and alerts, as JSON.")
def main(seeds: str, together: int, rules: Path | None, as_json: bool) -> None:
    """Run fleets through the engine; print what was found."""
    found = outcomes(seeds_of(seeds), together, rules.read_text(encoding="utf-8") if rules else "")
    click.echo(json.dumps([asdict(each) for each in found], default=sorted) if as_json else table(found))


if __name__ == "__main__":
    main()
