"""Names in rules → columns and attributes of a row.

In: a signal and a name. Out: its type, its unit, and how a batch gives it. Never: values of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.held import plain
from tracebraid.pipeline.rules.errors import ExpressionError, meant
from tracebraid.pipeline.rules.kernels import entries
from tracebraid.pipeline.rules.syntax import Entry, Name
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.semconv import EXCEPTION, RESOURCE, SPAN, SPAN_KINDS, STATUS_CODES, Promoted
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import ATTRIBUTES, Table

Type = Literal["text", "number", "bool", "time", "attribute", "null", "unknown"]
Read = Callable[[pa.RecordBatch], pa.Array]
DURATION = "duration"  # the one alias: duration_ns with a unit
ROUTES = ("route", "operation")  # pipeline.measure puts them into the batch: http_route, else what else names an operation, with ids taken out
SEVERITY = "severity"  # of logs: the word for severity_number
SEVERITIES = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
ENUMERATIONS = {"kind": SPAN_KINDS, "status_code": STATUS_CODES, SEVERITY: SEVERITIES}
_NO_LABELS = frozenset({"trace_id", "span_id", "parent_span_id", "start_unix_nano", "end_unix_nano", "duration_ns", DURATION, "time_unix_nano", "body"})
_UNDOTTED, _DOTTED = 0.8, 0.92  # how near to a known name an unknown one is taken for a mistake and not for an attribute


@dataclass(frozen=True, slots=True)
class Field:
    """type 'attribute': text that is read as what it is compared with. values: all that there can be, where they are known."""

    name: str
    type: Type
    read: Read
    unit: str = ""
    values: tuple[str, ...] = ()


def table_of(signal: str) -> Table:
    return SPANS if signal == "spans" else LOGS


def resolve(signal: str, node: Name | Entry) -> Field:
    """Raises ExpressionError for a column that has no single value, a map that is none, and a name that is nearly that of a column."""
    if isinstance(node, Entry):
        return _entry(signal, node)
    name = node.name
    promoted, columns = _promoted(signal), {column.name: column.type for column in table_of(signal).columns}
    name = promoted.get(name, name)
    if name in columns:
        kind = _type(columns[name])
        if kind == "unknown":
            raise ExpressionError(f"{name} holds no single value", node.at, f"take one entry, as in {name}['key']" if columns[name] == ATTRIBUTES else "")
        return Field(name, kind, _column(name), values=ENUMERATIONS.get(name, ()))
    if name in DERIVED[signal]:
        return DERIVED[signal][name]
    known = [*columns, *DERIVED[signal], *promoted]
    near = meant(name, known, _DOTTED if "." in name else _UNDOTTED)
    if near:
        raise ExpressionError(f"there is no column {name}", node.at, f"{near} An attribute of that name is written attributes['{name}']")
    return Field(name, "attribute", _anywhere(name))


def label_field(signal: str, node: Name | Entry) -> Field:
    """A field that rows can be grouped by. Raises ExpressionError as resolve does, and for what has a value of its own in each row."""
    field = resolve(signal, node)
    if field.type == "time" or field.name in _NO_LABELS:
        raise ExpressionError(f"{field.name} is no label", node.at, "each row has another value: group by a service, a route, an attribute with few values")
    return field


@cache
def _promoted(signal: str) -> dict[str, str]:
    """Names of attributes that have a column → the column."""
    tables: tuple[Promoted, ...] = (*RESOURCE, *(SPAN if signal == "spans" else EXCEPTION))
    return {name: promoted.column for promoted in tables for name in promoted.names}


def _entry(signal: str, node: Entry) -> Field:
    maps = [column.name for column in table_of(signal).columns if column.type == ATTRIBUTES]
    if node.column not in maps:
        raise ExpressionError(f"{node.column} has no entries", node.at, meant(node.column, maps) or f"attributes['{node.key}'] has")
    own = {"attributes": SPAN if signal == "spans" else EXCEPTION, "resource_attributes": RESOURCE}.get(node.column, ())
    if column := next((promoted.column for promoted in own if node.key in promoted.names), None):
        return resolve(signal, Name(column, node.at))
    return Field(f"{node.column}['{node.key}']", "attribute", _lookup(node.column, node.key))


def _type(arrow: pa.DataType) -> Type:
    if pa.types.is_string(arrow):
        return "text"
    if pa.types.is_integer(arrow):
        return "number"
    return "time" if pa.types.is_timestamp(arrow) else "unknown"


def _column(name: str) -> Read:
    def read(batch: pa.RecordBatch) -> pa.Array:
        column = plain(batch.column(name))
        return pc.cast(column, pa.int64()) if pa.types.is_integer(column.type) else column

    return read


def _lookup(column: str, key: str) -> Read:
    return lambda batch: entries(batch.column(column), key)


def _anywhere(key: str) -> Read:
    """An attribute of the row itself, else of its resource."""
    own, resource = _lookup("attributes", key), _lookup("resource_attributes", key)

    def read(batch: pa.RecordBatch) -> pa.Array:
        found = own(batch)
        return pc.coalesce(found, resource(batch)) if found.null_count else found

    return read


def _severity(batch: pa.RecordBatch) -> pa.Array:
    numbers = batch.column("severity_number")
    known = pc.and_(pc.greater_equal(numbers, 1), pc.less_equal(numbers, 24))
    index = pc.divide(pc.subtract(pc.if_else(known, numbers, pa.scalar(None, numbers.type)), 1), 4)
    return pc.take(pa.array(SEVERITIES), index)


# Names beside the tables' columns, by signal.
DERIVED: dict[str, dict[str, Field]] = {
    "spans": {DURATION: Field(DURATION, "number", _column("duration_ns"), "ns")} | {name: Field(name, "text", _column(name)) for name in ROUTES},
    "logs": {SEVERITY: Field(SEVERITY, "text", _severity, values=SEVERITIES)},
}
