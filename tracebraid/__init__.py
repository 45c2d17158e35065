"""tracebraid: alerts that understand traces, straight from Kafka, over plain Parquet.

`connect()` gives a DuckDB connection with the lake's views, `refresh(connection)` moves it to the lake's newest versions,
`trace(id)` gives one trace with its logs. Each is imported when it is asked for, so that the command line starts without DuckDB.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracebraid.pipeline.query.connection import connect, refresh
    from tracebraid.pipeline.query.trace import trace

__all__ = ["connect", "refresh", "trace"]
_HOMES = {"connect": "connection", "refresh": "connection", "trace": "trace"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tracebraid' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"tracebraid.pipeline.query.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
