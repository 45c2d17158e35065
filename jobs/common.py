"""What every job shares: the --config option, the settings, logging, and how output reaches a person or a pipe."""

import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click
import structlog

from tracebraid.pipeline.kernel.environment import load_settings
from tracebraid.pipeline.kernel.settings import LogSettings, Settings

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def config_option(function: Decorated) -> Decorated:
    """`--config FILE`, handed on as `config`."""
    return click.option("--config", metavar="FILE", default=None, help="Settings file (TOML). Default: $TRACEBRAID_CONFIG, else none.")(function)


def json_option(function: Decorated) -> Decorated:
    """`--json`, handed on as `as_json`: one JSON object a line, as to a pipe."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object a line, also at a terminal.")(function)


def start(config: str | None, **overrides: Any) -> Settings:
    """Settings, validated; warnings on standard error; logging set up."""
    settings = load_settings(config, **overrides)
    set_up_logging(settings.log)
    for warning in settings.warnings():
        click.echo(f"tracebraid: warning: {warning}", err=True)
    return settings


def set_up_logging(log: LogSettings) -> None:
    """Structured logs on standard error: readable at a terminal, JSON lines elsewhere."""
    pretty = log.format == "console" or (log.format == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, log.level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
