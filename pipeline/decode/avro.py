"""Avro behind a Schema Registry frame: log objects, by the schema that the frame names.

In: the payload of one record and its writer's schema, as text. Out: rows as JSON log objects give them. Never: a schema fetched (the record's batch brings
it), or spans: nobody sends those as Avro; a schema that lets few bytes be many values, or nests without a bound: avro_shape.py refuses it.
Source: Avro 1.12, through fastavro, an optional dependency. Bytes become base64, times ISO 8601, decimals and UUIDs their text.
"""

import base64
import io
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any

import orjson

from tracebraid.pipeline.decode.avro_shape import check_shape
from tracebraid.pipeline.decode.log_rows import put, read_json
from tracebraid.pipeline.decode.rows import DecodeError, Rows
from tracebraid.pipeline.kernel import limits

_DECIMAL = "tracebraid-decimal"  # in place of fastavro's own, which takes hours for a number of a megabyte


def decode_avro(value: bytes, schema: str, record: int, rows: Rows) -> None:
    """Append the log of one record. Raises DecodeError: malformed, unknown_encoding, too_large, too_deep."""
    if len(value) > limits.avro_bytes_max:
        raise DecodeError("too_large", f"Avro: {len(value)} bytes, of which there may be {limits.avro_bytes_max}")
    read, parsed, refused = _reader(schema)
    if refused:
        raise DecodeError(*refused)
    payload = io.BytesIO(value)
    try:
        content = read(payload, parsed)
        text = orjson.dumps(content, default=_text, option=orjson.OPT_NON_STR_KEYS)
    except Exception as error:  # what hostile bytes raise there is no closed list
        raise DecodeError("malformed", f"Avro: {type(error).__name__}: {error}") from None
    if payload.tell() != len(value):
        raise DecodeError("malformed", f"Avro: {len(value) - payload.tell()} bytes behind the value that its schema describes")
    put(read_json(text, rows.most) or [], record, rows)


@lru_cache(maxsize=256)
def _reader(schema: str) -> tuple[Any, Any, tuple[str, str] | None]:
    """What reads, the schema as it wants it; or why it is not to be read, remembered likewise: each record that names a large one would cost its parse."""
    try:
        from fastavro import parse_schema, schemaless_reader
        from fastavro.read import LOGICAL_READERS
    except ImportError:
        return None, None, ("unknown_encoding", "Avro needs fastavro: pip install 'tracebraid[avro]'")
    LOGICAL_READERS.update({f"bytes-{_DECIMAL}": _decimal, f"fixed-{_DECIMAL}": _decimal})
    try:
        parsed = parse_schema(orjson.loads(schema))
        check_shape(parsed)
        _with_our_decimals(parsed)
    except DecodeError as error:
        return None, None, (error.reason, error.message)
    except Exception as error:
        return None, None, ("unknown_encoding", f"the schema that its frame names is no Avro schema: {type(error).__name__}: {error}")
    return schemaless_reader, parsed, None


def _with_our_decimals(schema: Any) -> None:
    """Of a schema that nests no deeper than `check_shape` lets it."""
    for each in schema if isinstance(schema, list) else schema.get("fields", ()) if isinstance(schema, dict) else ():
        _with_our_decimals(each)
    if isinstance(schema, dict):
        for part in ("type", "items", "values"):
            if not isinstance(schema.get(part, ""), str):
                _with_our_decimals(schema[part])
        if schema.get("logicalType") == "decimal":
            schema["logicalType"] = _DECIMAL


def _decimal(value: bytes, schema: dict[str, Any] | None, _: object = None) -> Decimal:
    if len(value) > limits.avro_decimal_bytes_max:
        raise ValueError(f"a decimal of {len(value)} bytes")
    exact = Context(prec=4 * limits.avro_decimal_bytes_max)
    return Decimal(int.from_bytes(value, "big", signed=True)).scaleb(-(schema or {}).get("scale", 0), exact)


def _text(value: Any) -> str:
    """What JSON has no form for: bytes in base64; decimals, durations and the like as they are written."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
