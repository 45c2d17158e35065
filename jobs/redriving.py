"""`tracebraid rejects redrive`: what could not be decoded, sent again.

In: a filter over the rejects. Out: what the decoders would make of each now; with --apply, the records on their topic. Never: one twice.
"""

import json
import sys
from datetime import UTC, datetime

import click

from tracebraid.jobs.common import config_option, json_option, start
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.settings import ENCODINGS


@click.command(name="redrive")
@config_option
@json_option
@click.option("--reason", default=None, help="Only this reason code.")
@click.option("--topic", default=None, help="Only of this topic.")
@click.option("--since", metavar="TIME", default=None, help="Only records stamped at or after this ISO 8601 time; UTC where it names no zone.")
@click.option("--until", metavar="TIME", default=None, help="Only records stamped before this time.")
@click.option("--where", metavar="SQL", default=None, help="Only rejects of which this is true, over the columns of the table `rejects`.")
@click.option("--to", metavar="TOPIC", default="", help="Send to this topic.  [default: the one each came from]")
@click.option("--encoding", type=click.Choice(ENCODINGS), default=None, help="Judge by this encoding.  [default: the topic's, as the settings say]")
@click.option("--all", "everything", is_flag=True, help="Also those that would give no rows.")
@click.option("--apply", "apply_", is_flag=True, help="Send them. Without it nothing is written.")
def redrive(
    config: str | None, *, as_json: bool, reason: str | None, topic: str | None, since: str | None, until: str | None, where: str | None,
    to: str, encoding: str | None, everything: bool, apply_: bool,
) -> None:  # fmt: skip
    """Send rejects again, once each, after what was wrong is mended. First without --apply: what would become of them.

    Example: tracebraid rejects redrive --reason malformed --topic otlp_logs
    """
    from tracebraid.pipeline.query.connection import literal
    from tracebraid.schemas.rejects import REASONS

    if reason is not None and reason not in REASONS:
        raise UsageError(f"{reason!r} is no reason", f"There are {', '.join(sorted(REASONS))}")
    if apply_ and encoding:
        raise UsageError("--encoding with --apply", "Ingest reads by its own settings: set the topic's encoding there, and look again without --encoding")
    terms = [f"reason = {literal(reason)}"] if reason else []
    terms += [f"kafka_topic = {literal(topic)}"] if topic else []
    terms += [f"kafka_time {sign} {literal(_time(given))}::timestamptz" for sign, given in ((">=", since), ("<", until)) if given]
    terms += [f"({where}\n)"] if where else []
    settings = start(config)
    from tracebraid.pipeline.redrive import Redrive, redrive

    wanted = Redrive(" AND ".join(terms), to, encoding or "", everything, apply_)
    found = redrive(settings, wanted, lambda line: click.echo(f"tracebraid: {line}", err=True))
    names = ("topic", "reason", "verdict", "rejects", "spans", "logs")
    rows = [(*key, count, found.spans[key], found.logs[key]) for key, count in sorted(found.rejects.items())]
    if as_json or not sys.stdout.isatty():
        for row in rows:
            click.echo(json.dumps(dict(zip(names, row, strict=True))))
        click.echo(json.dumps({"sendable": found.sendable, "sent": found.sent}))
        return
    from tracebraid.pipeline.query.render import print_table

    print_table(names, rows, more=False, wide=True)
    click.echo(f"{found.sent:,} sent" if apply_ else f"{found.sendable:,} would be sent; --apply sends them")


def _time(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time", "Give it as in 2026-01-31T12:00:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
