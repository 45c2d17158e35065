"""Logs whose record is the body alone, as the Collector's Kafka exporter writes them with `encoding: raw`.

In: the bytes of a record. Out: one row of form 'text' with the body that OTLP would have had: a quoted JSON string without its quotes, other bytes that are
UTF-8 as they are, all else in base64. Never: a reject, or a look inside the body for fields; `json` and `text` look inside.
"""

import base64

from tracebraid.pipeline.decode.json_value import Inexact, NotJson, parse
from tracebraid.pipeline.decode.log_rows import LogRow, put
from tracebraid.pipeline.decode.rows import Rows


def decode_raw(value: bytes, record: int, rows: Rows) -> None:
    """Append the log of one record."""
    put([LogRow(_body(value), {})], record, rows)


def _body(value: bytes) -> str:
    if value[:1] == b'"':
        for exact in (False, True):  # half of a surrogate pair only reads exact
            try:
                text = parse(value, exact)
                return text if isinstance(text, str) else value.decode()
            except Inexact:
                continue
            except NotJson:
                break
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()
