"""`tracebraid topics`: tracebraid's own topics beside the broker's, and the rights that its jobs need.

In: settings. Out: tables, or JSON lines; topics made by `apply`. Never: a topic deleted or changed.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from tracebraid.jobs.common import config_option, json_option, start
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.publish import topics


@click.group()
def command() -> None:
    """Plan and make tracebraid's own topics.

    Example: tracebraid topics plan
    """


@command.command()
@config_option
@json_option
def plan(config: str | None, as_json: bool) -> None:
    """Show which topics lack or differ, and the ACLs needed. Changes nothing.

    Example: tracebraid topics plan --json
    """
    settings = start(config)
    planned = topics.plan(settings.client_config(), topics.own_topics(settings))
    _show(planned, topics.acls(settings, settings.ingest.group), settings, as_json)


@command.command()
@config_option
@json_option
def apply(config: str | None, as_json: bool) -> None:
    """Make the topics that lack; those that differ are left as they are.

    Example: tracebraid topics apply
    """
    settings = start(config)
    planned = topics.apply(settings.client_config(), topics.own_topics(settings), settings.stream.replication_factor)
    _show(planned, [], settings, as_json, made=True)


def _show(planned: Sequence[topics.Planned], acls: Sequence[topics.Acl], settings: Settings, as_json: bool, *, made: bool = False) -> None:
    done = {"create": "created", "keep": "kept", "differs": "differs"} if made else {}
    rows = [
        {
            "topic": each.topic.name,
            "action": done.get(each.action, each.action),
            "partitions": each.topic.partitions,
            **each.topic.config,
            "differences": "; ".join(f"{name} is {has}, ours {ours}" for name, (has, ours) in each.differences.items()),
        }
        for each in planned
    ]
    if as_json or not sys.stdout.isatty():
        for kind, found in (("topic", rows), ("acl", [asdict(acl) for acl in acls])):
            for row in found:
                click.echo(json.dumps({"kind": kind, **row}))
        return
    if rows:
        _table("Topics", [{name: row[name] for name in ("topic", "action", "partitions", "cleanup.policy", "retention.ms", "differences")} for row in rows])
    else:
        click.echo("stream.enabled is false: no topic is written, read rights are enough.")
    if acls:
        _table("ACLs, as kafka-acls takes them", [{**asdict(acl), "operations": ", ".join(acl.operations)} for acl in acls])
    if not settings.topics and acls:
        click.echo("No topic is set to be read yet: [[topics]] in the settings adds its rights here.")


def _table(title: str, rows: Sequence[dict[str, object]]) -> None:
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
