"""`tracebraid rules`: rules as code. Checks and lists them; each further subcommand stands in a file of its own and is added here."""

import importlib
import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tracebraid.jobs.common import config_option, json_option, start
from tracebraid.jobs.rules_files import files_argument, read_rules
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.rules.load import load_rules, starter_text
from tracebraid.pipeline.rules.slo import duration
from tracebraid.schemas.rule import Rule

# Name → module of subcommands in files of their own, imported when they are asked for: checking rules needs neither Kafka nor DuckDB.
APART = {"apply": "rules_apply", "backtest": "rules_backtest", "test": "rules_test"}


class Rules(click.Group):
    """The commands here, and those APART."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *APART])

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in APART:
            return super().get_command(ctx, name)
        found: click.Command = getattr(importlib.import_module(f"tracebraid.jobs.{APART[name]}"), name)
        return found


@click.group(name="rules", cls=Rules)
def command() -> None:
    """Check, test, backtest, apply and list rules.

    Example: tracebraid rules check rules/
    """


@command.command()
@files_argument
def check(files: tuple[Path, ...]) -> None:
    """Check every name, type and unit of the rules in files, or in all YAML files of folders. Each mistake is one line.

    Example: tracebraid rules check rules/ extra.yaml
    """
    rules = read_rules(files)
    click.echo(f"{len(rules)} rule{'s' * (len(rules) != 1)}, no mistake.")


@command.command(name="list")
@config_option
@json_option
@click.option("--starter", is_flag=True, help="Also the rules that come with tracebraid.")
@click.option("--topic", is_flag=True, help="Also the rules that were applied.")
@click.argument("files", nargs=-1, metavar="[FILE…]", type=click.Path(exists=True, path_type=Path))
def list_(config: str | None, as_json: bool, starter: bool, topic: bool, files: tuple[Path, ...]) -> None:
    """List the rules in files, those that were applied, or those that come with tracebraid.

    Example: tracebraid rules list --topic
    """
    rows = [_row(rule, "files") for rule in (read_rules(files) if files else [])]
    if starter or not (files or topic):
        rows += [_row(rule, "starter") for rule in load_rules(starter_text(), "starter.yaml")]
    if topic:
        from tracebraid.jobs.rules_applied import on_the_topic

        found = on_the_topic(start(config), Clock())
        rows += [_row(each.rule, "topic") for each in found.rules.values() if each.rule]
        for why in found.refused.values():
            click.echo(f"tracebraid: warning: {why}", err=True)
    if as_json or not sys.stdout.isatty():
        for row in rows:
            click.echo(json.dumps(row))
        return
    table = Table("name", "on", "by", "window", "condition", "for", "severity", "from", title="Rules")
    for row in rows:
        table.add_row(*(str(row[key]) for key in ("name", "on", "by", "window", "condition", "for", "severity", "from")))
    Console().print(table)


def _row(rule: Rule, origin: str) -> dict[str, object]:
    return {
        "name": rule.name,
        "on": rule.on,
        "where": rule.where,
        "by": ", ".join(rule.by),
        "window": duration(rule.window_us),
        "condition": rule.when if rule.slo is None else f"slo {rule.slo.objective * 100:.12g}%: {rule.slo.good}",
        "for": duration(rule.for_us) if rule.for_us else "",
        "severity": rule.severity,
        "version": rule.content_hash,
        "from": origin,
    }
