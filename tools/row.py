"""A message of the normalized stream as JSON Schema: a row of spans or logs, by the columns of its table.

In: the tables' Arrow schemas. Out: a JSON Schema, which `python -m tools.docs` writes to schemas/row.schema.json. Never: a field that is no column but
`table`, `version` and `cut`, by which messages are told apart.
"""

from typing import Any

import pyarrow as pa

from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import Table

Shape = dict[str, Any]
_CUT = "Columns of which something is missing, since the row was too large for a message; the lake has all of it."
_INTEGERS = {pa.int32(): 32, pa.int64(): 64}


def row_schema() -> Shape:
    """JSON Schema of one message. What a message does not have is null in the table."""
    said = "A message of the topic tracebraid.normalized: one row of the table that it names, without the columns that are null."
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "tracebraid row", "description": said}
    return {**head, "oneOf": [{"$ref": f"#/$defs/{table.name}"} for table in (SPANS, LOGS)], "$defs": {table.name: _object(table) for table in (SPANS, LOGS)}}


def _object(table: Table) -> Shape:
    columns = {column.name: {**_type(column.type), "description": column.comment} for column in table.columns}
    told = {"table": {"const": table.name}, "version": {"const": table.version, "description": "Version of the table."}}
    cut = {"type": "array", "items": {"type": "string"}, "description": _CUT}
    required = ["table", "version", *(column.name for column in table.columns if column.required)]
    shape = {"type": "object", "description": table.comment, "properties": {**told, **columns, "cut": cut}}
    return {**shape, "required": required, "additionalProperties": False}


def _type(kind: pa.DataType) -> Shape:
    if kind in _INTEGERS:
        bits = _INTEGERS[kind]
        return {"type": "integer", "minimum": -(2 ** (bits - 1)), "maximum": 2 ** (bits - 1) - 1}
    if pa.types.is_map(kind):
        return {"type": "object", "additionalProperties": {"type": ["string", "null"]}}
    if pa.types.is_list(kind):
        return {"type": "array", "items": _type(kind.value_type)}
    if pa.types.is_struct(kind):
        return {"type": "object", "properties": {field.name: _type(field.type) for field in kind}, "additionalProperties": False}
    return {"type": "string"} | ({"format": "date-time"} if pa.types.is_timestamp(kind) else {"format": "date"} if pa.types.is_date(kind) else {})
