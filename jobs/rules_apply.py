"""`tracebraid rules apply`: files of rules → the topic that ingest and detect follow.

In: files, what stands on the topic. Out: what differs, and who has taken it over. Never: a rule sent that has a mistake.
"""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from tracebraid.jobs.common import config_option, json_option, start
from tracebraid.jobs.rules_applied import ACKNOWLEDGED_S, JOBS, Answers, Application, expected
from tracebraid.jobs.rules_files import files_argument, read_rules
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.rules.changes import Changes, changes

Say = Callable[[dict[str, object], str], None]


@click.command()
@config_option
@json_option
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--prune", is_flag=True, help="Remove rules from the topic that the files do not hold.")
@files_argument
def apply(config: str | None, as_json: bool, dry_run: bool, prune: bool, files: tuple[Path, ...]) -> None:
    """Put the rules of files onto the topic of rules, and wait until every ingest and detect has taken them over.

    Ends with 1 where one refused a rule or did not answer within 5 s; the rule then stands on the topic all the same.

    Example: tracebraid rules apply --dry-run rules/
    """
    rules = {rule.name: rule for rule in read_rules(files)}
    settings, clock = start(config), Clock()
    if not settings.stream.enabled:
        raise UsageError("the stream is switched off, and with it the topic of rules", "Set stream.enabled")
    plain = not as_json and sys.stdout.isatty()

    def say(row: dict[str, object], text: str) -> None:
        click.echo(text if plain else json.dumps(row, ensure_ascii=False))

    application = Application(settings, clock)
    try:
        there = {name: message.rule for name, message in application.standing.rules.items() if message.rule}
        kept = {} if prune else {name: rule for name, rule in there.items() if name not in rules}
        found = changes(there.values(), [*kept.values(), *rules.values()])
        for name, why in application.standing.refused.items():
            say({"rule": name, "change": "cannot be read", "why": why}, f"! {why}")
        _show(found, say)
        removed = [*found.removed, *(name for name in application.standing.refused if prune and name not in rules)]
        names = {*found.added, *found.changed, *found.described}
        if dry_run or not (names or removed):
            if not (names or removed):
                say({"change": "nothing", "unchanged": len(found.unchanged)}, f"Nothing to change: {len(found.unchanged)} rules stand as they are.")
            return
        members, reasons = expected(settings, clock)
        for reason in reasons:
            click.echo(f"tracebraid: warning: {reason}", err=True)
        since = application.send([rules[name] for name in sorted(names)], removed)
        for name, us in sorted(since.items()):
            at = datetime.fromtimestamp(us / 1e6, UTC).isoformat()
            say({"rule": name, "effective_from": at, "effective_from_us": us}, f"{name} holds from {at} on")
        _tell(application.wait(Answers(members, frozenset({*names, *removed}))), say)
    finally:
        application.close()


def _show(found: Changes, say: Say) -> None:
    for what, sign, names in (
        ("added", "+", found.added),
        ("removed", "-", found.removed),
        ("changed", "~", found.changed),
        ("described", "~", found.described),
    ):
        for name in names:
            differences = found.differences.get(name, [])
            say({"rule": name, "change": what, "differences": differences}, "\n".join([f"{sign} {name}", *(f"    {line}" for line in differences)]))


def _tell(answers: Answers, say: Say) -> None:
    """Raises TracebraidError where somebody refused, or is known and did not answer."""
    for who, names in sorted(answers.taken.items()):
        say({"who": who, "taken": sorted(names)}, f"{who} has taken over {len(names)} of {len(answers.names)}")
    for who, name, why in answers.refused:
        say({"who": who, "refused": name, "why": why}, f"{who} refused {name}: {why}")
    for job in JOBS:
        if answers.expected.get(job) == 0:
            say({"job": job, "members": 0}, f"no {job} runs: it takes the rules over when it starts")
    silent = [f"{answers.missing(job)} of {answers.expected[job]} {job}" for job in JOBS if answers.missing(job)]
    if silent:
        raise TracebraidError(
            f"{' and '.join(silent)} did not answer within {ACKNOWLEDGED_S:g} s", "Look at their logs; a rule that stands on the topic is taken over late too"
        )
    if answers.refused:
        raise TracebraidError(
            f"{len({name for _, name, _ in answers.refused})} rules were refused", "Those in force before go on; correct them and apply again"
        )
