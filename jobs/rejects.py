"""`tracebraid rejects`: what could not be decoded, and why."""

import re
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

import click

from tracebraid.jobs.common import config_option, json_option, start
from tracebraid.jobs.redriving import redrive
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError

DUMP_BYTES = 512
_POSITION = re.compile(r"(?P<topic>.+?):(?P<partition>\d+):(?P<offset>\d+)(?::(?P<index>\d+))?", re.DOTALL)
_LIST = "kafka_time, kafka_topic, kafka_partition, kafka_offset, record_index, reason, message, encoding, value_bytes"


@click.group(name="rejects")
def command() -> None:
    """List and show what could not be decoded, send it again, and let the old go.

    Example: tracebraid rejects list --reason malformed
    """


command.add_command(redrive)


@command.command(name="expire")
@config_option
@json_option
@click.option("--dry-run", is_flag=True, help="Show what would go.")
def expire(config: str | None, as_json: bool, dry_run: bool) -> None:
    """Remove rejects that came in more than rejects.keep_days ago; ingest may run meanwhile, and does the same every hour.

    Their files stay for readers of earlier versions, until `tracebraid lake sweep` takes them a week later.

    Example: tracebraid rejects expire --dry-run
    """
    settings = start(config)
    keep_days = settings.rejects.keep_days
    if not keep_days:
        click.echo("rejects.keep_days is 0: rejects are kept for ever", err=True)
        return
    from tracebraid.pipeline.query.render import print_table, write_json
    from tracebraid.pipeline.store.expiry import expire as expired

    names, days = ["day", "files", "rows", "bytes"], Counter[Any]()
    found = [file for files in expired(settings.lake, settings.storage_config(), Clock(), keep_days, dry_run=dry_run) for file in files]
    for file in found:
        days.update({(file.day, "files"): 1, (file.day, "rows"): file.rows, (file.day, "bytes"): file.bytes})
    rows = [(day, *(days[day, name] for name in names[1:])) for day in sorted({file.day for file in found})]
    if as_json or not sys.stdout.isatty():
        write_json(sys.stdout.buffer, names, iter([rows]))
    else:
        print_table(names, rows, more=False)
    click.echo(f"{sum(file.rows for file in found):,} rejects of more than {keep_days} days{' would be' * dry_run} removed", err=True)


@command.command(name="list")
@config_option
@json_option
@click.option("--reason", default=None, help="Only this reason code.")
@click.option("--topic", default=None, help="Only this topic.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="The newest so many.")
def list_(config: str | None, as_json: bool, reason: str | None, topic: str | None, limit: int) -> None:
    """List the newest rejects, with the position of each.

    Example: tracebraid rejects list --topic otlp_spans
    """
    from tracebraid.schemas.rejects import REASONS

    if reason is not None and reason not in REASONS:
        raise UsageError(f"{reason!r} is no reason", f"There are {', '.join(sorted(REASONS))}")
    wanted = {"reason": reason, "kafka_topic": topic}
    names, rows = _ask(config, _LIST, wanted, f"ORDER BY kafka_time DESC, kafka_topic, kafka_partition, kafka_offset DESC, record_index LIMIT {limit + 1}")
    from tracebraid.pipeline.query.render import print_table, write_json

    if as_json or not sys.stdout.isatty():
        write_json(sys.stdout.buffer, names, iter([rows[:limit]]))
        return
    places = [f"{row[1]}:{row[2]}:{row[3]}:{row[4]}" for row in rows[:limit]]
    shown = [(row[0], place, *row[5:]) for row, place in zip(rows, places, strict=False)]
    print_table(["time", "position", *names[5:]], shown, more=len(rows) > limit, hint="--limit N gives more", wide=True)


@command.command(name="show")
@click.argument("position")
@config_option
@json_option
@click.option("--all", "everything", is_flag=True, help="All kept bytes, not the first 512.")
def show(position: str, config: str | None, as_json: bool, everything: bool) -> None:
    """Show one record's rejects: headers, reason and bytes. POSITION is TOPIC:PARTITION:OFFSET[:INDEX], as `list` prints it.

    Example: tracebraid rejects show otlp_spans:0:1234
    """
    found = _POSITION.fullmatch(position)
    if found is None:
        raise UsageError(f"{position!r} is no position", "Give TOPIC:PARTITION:OFFSET, as `tracebraid rejects list` prints it")
    numbers = {"kafka_partition": int(found["partition"]), "kafka_offset": int(found["offset"])}
    if found["index"]:
        numbers["record_index"] = int(found["index"])
    names, rows = _ask(config, "* EXCLUDE (day)", {"kafka_topic": found["topic"], **numbers}, "ORDER BY record_index")
    if not rows:
        raise TracebraidError(f"no reject at {position}", "`tracebraid rejects list` prints the positions there are")
    if as_json or not sys.stdout.isatty():
        from tracebraid.pipeline.query.render import write_json

        write_json(sys.stdout.buffer, names, iter([rows]))
        return
    for row in rows:
        click.echo("\n".join(_lines(dict(zip(names, row, strict=True)), everything)))


def _ask(config: str | None, columns: str, wanted: dict[str, Any], tail: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    settings = start(config)
    from tracebraid.pipeline.query.connection import literal
    from tracebraid.pipeline.query.snapshot import take
    from tracebraid.pipeline.query.statement import question

    given = {name: value for name, value in wanted.items() if value is not None}
    terms = [f"{name} = {literal(value) if isinstance(value, str) else value}" for name, value in given.items()]
    where = f"WHERE {' AND '.join(terms)}" if terms else ""
    with question(take(settings.lake, settings.storage_config()), f"SELECT {columns} FROM rejects {where} {tail}") as (names, blocks):
        return names, [row for block in blocks for row in block]


def _lines(reject: dict[str, Any], everything: bool) -> Iterable[str]:
    from tracebraid.pipeline.query.render import hexdump, to_text, visible

    shown = ("reason", "message", "encoding", "kafka_topic", "kafka_partition", "kafka_offset", "record_index", "kafka_time", "ingested_at", "tenant")
    for name in (*shown, "value_bytes", "value_sha256"):
        yield f"{name:<16} {visible(to_text(reject[name]))}"
    yield f"{'key':<16} {visible(_bytes(reject['record_key']))}"
    for header in reject["record_headers"] or []:
        yield f"{'header':<16} {visible(header['key'] or '')} = {visible(_bytes(header['value']))}"
    if reject["record_value"] is None:
        yield f"… its {reject['value_bytes']} bytes were not kept: rejects.keep was hash when it came in"
        return
    value: bytes = reject["record_value"]
    part = value if everything else value[:DUMP_BYTES]
    yield from hexdump(part)
    if len(part) < reject["value_bytes"]:
        yield f"… {len(part)} of {reject['value_bytes']} bytes" + ("" if len(part) == len(value) else "; --all shows what is kept")


def _bytes(value: bytes | None) -> str:
    return "(none)" if value is None else value.decode("utf-8", "backslashreplace")
