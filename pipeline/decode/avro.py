"""Avro behind a Schema Registry frame: log objects, by the schema that the frame names.

In: the payload of one record and its writer's schema, as text. Out: rows as JSON log objects give them. Never: a schema fetched (the record's batch brings
it), or spans: nobody sends those as Avro.
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
        return schemaless_reader, parse_schema(orjson.loads(schema))
    except Exception as error:
        raise DecodeError("unknown_encoding", f"the schema that its frame names is no Avro schema: {type(error).__name__}: {error}") from None


def _text(value: Any) -> str:
    """What JSON has no form for: bytes in base64; decimals, durations and the like as they are written."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
