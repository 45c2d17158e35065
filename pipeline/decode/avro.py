"""Avro behind a Schema Registry frame: log objects, by the schema that the frame names.

In: the payload of one record and its writer's schema, as text. Out: rows as JSON log objects give them. Never: a schema fetched (the record's batch brings
it), or spans: nobody sends those as Avro; a schema that is part of itself, for fastavro reads such by recursion without a bound: 10 KB end the process.
Source: Avro 1.12, through fastavro, an optional dependency. Bytes become base64, times ISO 8601, decimals and UUIDs their text.
"""

import base64
import io
from functools import lru_cache
from typing import Any

import orjson

from tracebraid.pipeline.decode.log_rows import put, read_json
from tracebraid.pipeline.decode.rows import DecodeError, Rows


def decode_avro(value: bytes, schema: str, record: int, rows: Rows) -> None:
    """Append the log of one record. Raises DecodeError: malformed, unknown_encoding."""
    payload = io.BytesIO(value)
    read, parsed = _reader(schema)
    try:
        content = read(payload, parsed)
        text = orjson.dumps(content, default=_text, option=orjson.OPT_NON_STR_KEYS)
    except Exception as error:  # what hostile bytes raise there is no closed list
        raise DecodeError("malformed", f"Avro: {type(error).__name__}: {error}") from None
    if payload.tell() != len(value):
        raise DecodeError("malformed", f"Avro: {len(value) - payload.tell()} bytes behind the value that its schema describes")
    put(read_json(text) or [], record, rows)


@lru_cache(maxsize=256)
def _reader(schema: str) -> tuple[Any, Any]:
    try:
        from fastavro import parse_schema, schemaless_reader
    except ImportError:
        raise DecodeError("unknown_encoding", "Avro needs fastavro: pip install 'tracebraid[avro]'") from None
    try:
        parsed = parse_schema(orjson.loads(schema))
        endless = _holds_itself(parsed, frozenset())
    except Exception as error:
        raise DecodeError("unknown_encoding", f"the schema that its frame names is no Avro schema: {type(error).__name__}: {error}") from None
    if endless:
        raise DecodeError("unknown_encoding", "the schema that its frame names is part of itself: a log has no such shape")
    return schemaless_reader, parsed


def _holds_itself(schema: Any, inside: frozenset[str]) -> bool:
    """Whether a parsed schema refers to a type of which it is a part. `inside`: the types around it."""
    if isinstance(schema, str):
        return schema in inside
    if isinstance(schema, list):
        return any(_holds_itself(each, inside) for each in schema)
    if schema["type"] in ("record", "error"):
        return any(_holds_itself(field["type"], inside | {schema["name"]}) for field in schema["fields"])
    return any(_holds_itself(schema[part], inside) for part in ("items", "values") if part in schema) or _holds_itself(schema["type"], inside)


def _text(value: Any) -> str:
    """What JSON has no form for: bytes in base64; decimals, durations and the like as they are written."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
