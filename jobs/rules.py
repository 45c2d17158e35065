"""`tracebraid rules`: rules as code. Checks and lists them; each further subcommand stands in a file of its own and is added here."""

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tracebraid.jobs.common import json_option
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError
from tracebraid.pipeline.rules.errors import Mistake, RuleError
from tracebraid.pipeline.rules.load import load_rules, starter_text
from tracebraid.pipeline.rules.slo import duration
from tracebraid.schemas.rule import Rule

SUFFIXES = (".yaml", ".yml")
files_argument = click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(exists=True, path_type=Path))


@click.group(name="rules")
def command() -> None:
    """Check and list rules.

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
@json_option
@click.option("--starter", is_flag=True, help="Also the rules that come with tracebraid.")
@click.argument("files", nargs=-1, metavar="[FILE…]", type=click.Path(exists=True, path_type=Path))
def list_(as_json: bool, starter: bool, files: tuple[Path, ...]) -> None:
    """List the rules in files, or those that come with tracebraid.

    Example: tracebraid rules list rules/
    """
    rules = read_rules(files) if files else []
    if starter or not files:
        rules += load_rules(starter_text(), "starter.yaml")
    rows = [_row(rule) for rule in rules]
    if as_json or not sys.stdout.isatty():
        for row in rows:
            click.echo(json.dumps(row))
        return
    table = Table("name", "on", "by", "window", "condition", "for", "severity", title="Rules")
    for row in rows:
        table.add_row(*(str(row[key]) for key in ("name", "on", "by", "window", "condition", "for", "severity")))
    Console().print(table)


def read_rules(paths: tuple[Path, ...]) -> list[Rule]:
    """The rules of files, and of the YAML files of folders by name. Raises TracebraidError with every mistake of every file, a line each."""
    files = [file for path in paths for file in (_yaml_files(path) if path.is_dir() else [path])]
    rules: list[Rule] = []
    lines: list[str] = []
    where: dict[str, Path] = {}
    for file in files:
        try:
            found = load_rules(file.read_text(encoding="utf-8"), str(file))
        except RuleError as error:
            lines += error.lines
            continue
        except UnicodeDecodeError:
            lines.append(Mistake(1, 1, "no UTF-8", "save it as UTF-8").told(str(file)))
            continue
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}", "Check the path and its rights") from None
        lines += [
            Mistake(1, 1, f"a rule {rule.name} is in {where[rule.name]} too", "give one another name").told(str(file)) for rule in found if rule.name in where
        ]
        where |= {rule.name: file for rule in found}
        rules += found
    if lines:
        raise TracebraidError("\n".join(lines))
    return rules


def _yaml_files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    if not files:
        raise UsageError(f"{folder} holds no YAML file", f"Rules are in files that end with {' or '.join(SUFFIXES)}")
    return files


def _row(rule: Rule) -> dict[str, object]:
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
    }
