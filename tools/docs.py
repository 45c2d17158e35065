"""`python -m tools.docs` writes docs/schema.md, docs/settings.md, docs/verify.md and schemas/*.schema.json from the code that they describe.

In: schemas/ and the settings' shapes. Out: Markdown, JSON Schema. Never: what is not in the code; tests/tidy/test_documents.py holds the files to it.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from tools.row import row_schema
from tracebraid.pipeline.kernel.channels import ChannelSettings
from tracebraid.pipeline.kernel.environment import FREE_SECTIONS, PREFIX
from tracebraid.pipeline.kernel.formats import FormatSettings
from tracebraid.pipeline.kernel.redaction import RedactPattern
from tracebraid.pipeline.kernel.settings import Settings, TopicSettings
from tracebraid.pipeline.verify.report import KINDS
from tracebraid.schemas.alert import ALERTS, Evidence, Transition
from tracebraid.schemas.intervals import INTERVALS
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rejects import REASONS, REJECTS
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import Table
from tracebraid.schemas.windows import WINDOWS

NOTE = "<!-- Written by `python -m tools.docs`; change the code, not this file. -->"
SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.binary(): "BLOB",
    pa.date32(): "DATE",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
}
FREE_EXAMPLES = {"client": ("sasl.password", "SASL_PASSWORD"), "storage_options": ("aws_region", "AWS_REGION")}


def documents() -> dict[str, str]:
    """The text of each generated document by its path."""
    generated = {"docs/schema.md": schema(), "docs/settings.md": settings(), "docs/verify.md": verify()}
    return {**generated, "schemas/alert.schema.json": alert(), "schemas/row.schema.json": json.dumps(row_schema(), indent=2) + "\n"}


def schema() -> str:
    tables = (SPANS, LOGS, REJECTS, INTERVALS, WINDOWS, ALERTS)
    reasons = _table(("reason", "meaning"), [(f"`{code}`", text) for code, text in REASONS.items()])
    parts = ["# Tables", NOTE, _SCHEMA_INTRODUCTION, *(_describe(table) for table in tables), "## Reasons in `rejects`", reasons]
    return "\n\n".join(parts) + "\n"


def verify() -> str:
    kinds = _table(("kind", "meaning"), [(f"`{kind}`", text) for kind, text in KINDS.items()])
    return "\n\n".join(["# tracebraid verify", NOTE, _VERIFY_INTRODUCTION, "## Kinds of findings", kinds]) + "\n"


def settings() -> str:
    plain = {
        name: field for name, field in Settings.model_fields.items() if name not in FREE_SECTIONS and name not in ("topics", "formats") and not _section(field)
    }
    parts = ["# Settings", NOTE, _SETTINGS_INTRODUCTION, _rows("", plain)]
    for name, field in Settings.model_fields.items():
        if section := _section(field):
            parts += [f"## `[{name}]`", section.__doc__ or "", _rows(f"{name}.", section.model_fields)]
    parts += [
        "## `[[topics]]`",
        (TopicSettings.__doc__ or "") + f" As a variable: `{PREFIX}TOPICS`, a JSON array of objects.",
        _rows("topics.", TopicSettings.model_fields),
        "## `[[formats]]`",
        (FormatSettings.__doc__ or "") + f" As a variable: `{PREFIX}FORMATS`, a JSON array of objects. docs/formats.md tells more.",
        _rows("formats.", FormatSettings.model_fields),
        "## `[[notify.channels]]`",
        (ChannelSettings.__doc__ or "") + f" As a variable: `{PREFIX}NOTIFY__CHANNELS`, a JSON array of objects. docs/notify.md tells more.",
        _rows("notify.channels.", ChannelSettings.model_fields),
        "## `[[redact.patterns]]`",
        (RedactPattern.__doc__ or "") + f" As a variable: `{PREFIX}REDACT__PATTERNS`, a JSON array of objects. docs/redaction.md tells more.",
        _rows("redact.patterns.", RedactPattern.model_fields),
    ]
    for name, (key, variable) in FREE_EXAMPLES.items():
        says = Settings.model_fields[name].description
        parts += [f"## `[{name}]`", f'{says} `"{key}"` in the file is `{PREFIX}{name.upper()}__{variable}` as a variable.']
    return "\n\n".join(parts) + "\n"


def alert() -> str:
    """JSON Schema of a message of the topics of alerts. What has a default is not required, so that fields can be added to the schema in a registry."""
    kinds: list[type[BaseModel]] = [Transition, Evidence]
    _, made = models_json_schema([(kind, "validation") for kind in kinds], schema_generator=_Untitled)
    for kind in kinds:
        made["$defs"][kind.__name__]["required"] = ["version", "kind", *made["$defs"][kind.__name__]["required"]]
    said = "A message of the topics tracebraid.alerts and tracebraid.alerts.state, version 1."
    head = {"$schema": GenerateJsonSchema.schema_dialect, "title": "tracebraid alert", "description": said}
    return json.dumps({**head, "oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in kinds], **made}, indent=2) + "\n"


class _Untitled(GenerateJsonSchema):
    """Without a title for each field: that is its name again."""

    def field_title_should_be_set(self, schema: core_schema.CoreSchema | core_schema.ModelField) -> bool:
        return False


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
        listed = prefix in ("topics.", "formats.", "notify.channels.", "redact.patterns.")
        variable = "" if listed else f"`{PREFIX}{(prefix + name).upper().replace('.', '__')}`"
        default = "" if field.is_required() else str(field.get_default(call_default_factory=True))
        default = default.lower() if isinstance(field.default, bool) else default.replace("SecretStr('')", "")
        rows.append((f"`{name}`", variable, "required" if field.is_required() else f"`{default}`" if default else "''", field.description or ""))
    return _table(("setting", "variable", "default", "what it says"), rows)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


_VERIFY_INTRODUCTION = """\
`tracebraid verify` answers one question: is every position, that is every (cluster, topic id, partition, offset, index), in the lake exactly once, and does
the lake say so truly? It shares no code with what writes and queries the lake, nor a Delta library. It parses the log of each table itself, reads every file
whole beside what the log says of it, and reads the topics with a consumer of its own (read_committed; no group is joined, nothing is committed or written).
Exit code 0: nothing found; 1: findings; 2: wrong use.

```
tracebraid verify
tracebraid verify --topic otlp_spans --json
tracebraid verify --no-broker
```

To a pipe, or with `--json`, each finding is a JSON object on a line, then one of kind `summary` with counts and notes. A finding has kind, topic, topic_id,
partition, offset, last_offset, index, count, table, file and detail; what does not apply is null or empty. Neighbors are one finding: `offset` to
`last_offset`, `count` positions.

**What is compared.** Between a partition's start and the end of its last interval: the topic's records with the rows in spans, logs and rejects; a record
without a row must be counted as dropped by its interval. Rows with intervals, with their record's other rows (indexes 0 to n-1) and with the Kafka timestamp
of the record. Intervals with one another and with the ledgers in the tables' transactions. Each file with its number of rows and its bounds in the log. The
rejects of the table, as far as the group's offset says that they are published, with the rejects topic.

**What is not.** Records are not decoded: a row with a wrong value is not seen, nor one that lacks at the end of a record of several rows if its interval
was changed to agree. Rejects that left the table by its retention (`rejects.keep_days`) are not missed below the offset that the table declares for their
partition; above it they are. Where some records of an interval hold nothing and others lack, the topic tells how many lack and which may be meant. What
retention has taken from the topic is checked in the lake alone, and a note says so; likewise a topic that was deleted, made again, or is of another
cluster. Of a rejects topic that several lakes share, the lake's own are looked at: those whose header `tracebraid.group` names its group, or that have
none. Rejects of a time in which the stream was switched off look unpublished: `TRACEBRAID_STREAM__ENABLED=false` leaves that question out.

**While ingest runs** it may be used too: the intervals' snapshot is taken first, and what other tables hold beyond it is asked for again at the end. `ahead`
then means a cycle that was cut short.

**Cost.** 40 million positions in 41 files of position columns alone took 17 s and 330 MiB without topics, on 2 shared cores; packed, the positions take less
than a MiB, so memory grows with windows and files, not with rows. A topic is read at some 0.7 million records a CPU-second. It needs the right to read the
lake, to read and describe the topics and the rejects topic, and to describe the group."""

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
