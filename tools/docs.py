"""`python -m tools.docs` writes docs/schema.md and docs/settings.md from the code that they describe.

In: schemas/ and the settings' shapes. Out: Markdown. Never: anything that is not in the code; tests/tidy/test_documents.py holds the files to it.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tracebraid.pipeline.kernel.environment import FREE_SECTIONS, PREFIX
from tracebraid.pipeline.kernel.settings import Settings, TopicSettings
from tracebraid.schemas.intervals import INTERVALS
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REASONS, REJECTS
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import Table

NOTE = "<!-- Written by `python -m tools.docs`; change the code, not this file. -->"
SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.bool_(): "BOOLEAN",
    pa.binary(): "BLOB",
    pa.date32(): "DATE",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
}
FREE_EXAMPLES = {"client": ("sasl.password", "SASL_PASSWORD"), "storage_options": ("aws_region", "AWS_REGION")}


def documents() -> dict[str, str]:
    """The text of each generated document by its path."""
    return {"docs/schema.md": schema(), "docs/settings.md": settings()}


def schema() -> str:
    tables = (SPANS, LOGS, REJECTS, INTERVALS)
    reasons = _table(("reason", "meaning"), [(f"`{code}`", text) for code, text in REASONS.items()])
    parts = ["# Tables", NOTE, _SCHEMA_INTRODUCTION, *(_describe(table) for table in tables), "## Reasons in `rejects`", reasons]
    return "\n\n".join(parts) + "\n"


def settings() -> str:
    plain = {name: field for name, field in Settings.model_fields.items() if name not in FREE_SECTIONS and name != "topics" and not _section(field)}
    parts = ["# Settings", NOTE, _SETTINGS_INTRODUCTION, _rows("", plain)]
    for name, field in Settings.model_fields.items():
        if section := _section(field):
            parts += [f"## `[{name}]`", section.__doc__ or "", _rows(f"{name}.", section.model_fields)]
    parts += [
        "## `[[topics]]`",
        (TopicSettings.__doc__ or "") + f" As a variable: `{PREFIX}TOPICS`, a JSON array of objects.",
        _rows("topics.", TopicSettings.model_fields),
    ]
    for name, (key, variable) in FREE_EXAMPLES.items():
        says = Settings.model_fields[name].description
        parts += [f"## `[{name}]`", f'{says} `"{key}"` in the file is `{PREFIX}{name.upper()}__{variable}` as a variable.']
    return "\n\n".join(parts) + "\n"


def sql_type(arrow: pa.DataType) -> str:
    """The type as DuckDB names it."""
    if pa.types.is_map(arrow):
        return f"MAP({sql_type(arrow.key_type)}, {sql_type(arrow.item_type)})"
    if pa.types.is_list(arrow):
        return f"{sql_type(arrow.value_type)}[]"
    if pa.types.is_struct(arrow):
        return f"STRUCT({', '.join(f'{field.name} {sql_type(field.type)}' for field in arrow)})"
    return SQL_TYPES[arrow]


def _describe(table: Table) -> str:
    rows = [(f"`{c.name}`", sql_type(c.type), "" if c.required else "null", c.comment) for c in table.columns]
    heading = f"## `{table.name}`, version {table.version}\n\n{table.comment} Files are sorted by {', '.join(f'`{name}`' for name in table.sort_by)}."
    return f"{heading}\n\n{_table(('column', 'type', 'may be', 'what it holds'), rows)}"


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _rows(prefix: str, fields: dict[str, FieldInfo]) -> str:
    rows = []
    for name, field in fields.items():
        variable = "" if prefix == "topics." else f"`{PREFIX}{(prefix + name).upper().replace('.', '__')}`"
        default = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
        rows.append((f"`{name}`", variable, f"`{default}`" if default else "''", field.description or ""))
    return _table(("setting", "variable", "default", "what it says"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


_SCHEMA_INTRODUCTION = (
    "The lake's tables, with types as DuckDB names them. All are Delta tables at reader version 1 and writer version 2, partitioned by `day`. "
    "Names of attributes follow OpenTelemetry's semantic conventions with `.` written `_`; older names fill the same column. "
    "An attribute without a column is in `attributes` or `resource_attributes`: `attributes['user.id']`."
)
_SETTINGS_INTRODUCTION = (
    "One TOML file, named by `--config` or `TRACEBRAID_CONFIG`; over it environment variables; over those a command's options. No file is needed: "
    "`TRACEBRAID_BOOTSTRAP_SERVERS` and `TRACEBRAID_LAKE` suffice. `tracebraid config show` prints every value and where it comes from, secrets masked; "
    "`tracebraid config check` says whether they hold. An empty variable is no value. A variable that is no setting gives a warning, "
    "an unknown name in the file is an error."
)


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    for path, text in documents().items():
        (root / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
