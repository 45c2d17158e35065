"""`tracebraid config`: the settings in force, with where each comes from, and whether they hold.

In: the settings file, the environment. Out: TOML or JSON lines on standard output, warnings on standard error. Never: a secret; a connection.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from tracebraid.jobs.common import config_option, json_option
from tracebraid.pipeline.kernel.environment import load_settings
from tracebraid.pipeline.kernel.settings import Settings


@click.group(name="config")
def command() -> None:
    """Show and check the settings.

    Example: tracebraid config show
    """


@command.command()
@config_option
@json_option
def show(config: str | None, as_json: bool) -> None:
    """Every setting with its value and where that comes from, as TOML; secrets are masked.

    Example: tracebraid config show --config tracebraid.toml
    """
    settings = load_settings(config)
    for warning in settings.warnings():
        click.echo(f"tracebraid: warning: {warning}", err=True)
    if as_json:
        for name, value in _leaves(settings.masked()):
            click.echo(json.dumps({"setting": name, "value": value, "origin": settings.origin(name)}, ensure_ascii=False))
    else:
        click.echo(as_toml(settings))


@command.command()
@config_option
def check(config: str | None) -> None:
    """Exit 0 where the settings hold, 2 with one line where they do not; warnings go to standard error.

    Example: tracebraid config check --config tracebraid.toml
    """
    warnings = load_settings(config).warnings()
    for warning in warnings:
        click.echo(f"tracebraid: warning: {warning}", err=True)
    click.echo(f"settings hold, {len(warnings)} warning{'' if len(warnings) == 1 else 's'}")


def as_toml(settings: Settings) -> str:
    """The settings as a TOML document, each line with its origin as a comment."""
    values = settings.masked()
    lines = [_line(name, value, settings.origin(name)) for name, value in values.items() if not isinstance(value, Mapping)]
    for section, inner in values.items():
        if isinstance(inner, Mapping):
            lines += ["", f"[{section}]", *(_line(name, value, settings.origin(f"{section}.{name}")) for name, value in inner.items())]
    return "\n".join(lines)


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _line(name: str, value: Any, origin: str) -> str:
    key = name if name.replace("_", "").isalnum() and name.isascii() else json.dumps(name, ensure_ascii=False)
    return f"{key} = {_toml(value)}  # {' '.join(origin.splitlines())}"


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
