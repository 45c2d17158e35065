"""The command `tracebraid`: which jobs there are, and the one place where errors become exit codes.

In: arguments. Out: exit code 0 (done), 1 (failed) or 2 (wrong use). Never: a stack trace for a user's mistake.
"""

import gc
import importlib
import os
import sys
from typing import Any

import click

from tracebraid.pipeline.kernel.errors import TracebraidError

# Name → help in one line. The command is the function `command` of the module jobs/<name>.py, imported when it is asked for.
JOBS = {
    "ingest": "Read topics, normalize, keep in the lake.",
    "detect": "Evaluate the rules, publish alerts.",
    "explain": "Publish what stands behind each alert.",
    "archive": "Keep windows and alerts as tables of the lake.",
    "notify": "Send alerts to Alertmanager and webhooks.",
    "load": "Put files onto a topic, or straight into the lake.",
    "up": "Run all jobs on this machine, supervised.",
    "demo": "A simulated shop on an embedded broker, end to end.",
    "sql": "Query the lake.",
    "trace": "Show one trace with its logs.",
    "status": "Position, lag and completeness of each partition.",
    "alerts": "List, follow and show alerts.",
    "verify": "Check that every position is in the lake once.",
    "rules": "Check, list, test, apply and look back with rules.",
    "rejects": "List, show and send again what could not be decoded.",
    "topics": "Plan and make tracebraid's own topics.",
    "lake": "Describe the lake and its tables.",
    "config": "Show and check the settings.",
}


class Jobs(click.Group):
    """Imports a job only when it is run: `tracebraid --help` costs no DuckDB."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(JOBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in JOBS:
            return None
        importlib.import_module("tracebraid.pipeline.kernel.environment").for_libraries()
        gc.disable()  # what is imported stays: looking through it again and again takes 0.05 s
        found: click.Command = importlib.import_module(f"tracebraid.jobs.{name}").command
        gc.enable()
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """A reader that went away, as `head` does, had enough: exit code 0. It is caught here because click makes 1 of it."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes nowhere when Python ends
            raise click.exceptions.Exit(0) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Jobs"):
            formatter.write_dl(list(JOBS.items()))


@click.group(cls=Jobs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tracebraid")
def tracebraid() -> None:
    """Logs and traces from Kafka in one schema keyed by trace id, as open Parquet that SQL reads.

    Example: tracebraid ingest --topic otlp_spans --drain
    """


def main() -> None:
    try:
        sys.exit(tracebraid.main(standalone_mode=False) or 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except TracebraidError as error:
        click.echo(f"tracebraid: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
