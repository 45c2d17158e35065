"""JSON log objects, bare or in an envelope.

In: the bytes of a record: an object, an array of objects, objects on lines of their own, or a JSON string that holds one or a text.
Out: rows of form 'json' (the fields flattened, nothing picked yet) or 'text'. Never: a reject for content. What is not JSON after all is
decoded as text, so that a truncated object or one with garbage behind it keeps its whole text; only bytes that are not UTF-8 are no log.
"""

from tracebraid.pipeline.decode.log_rows import put, read_json
from tracebraid.pipeline.decode.rows import Rows
from tracebraid.pipeline.decode.text import read_lines

BOM = b"\xef\xbb\xbf"


def decode_json(value: bytes, record: int, rows: Rows) -> None:
    """Append the logs of one record; an empty array gives none. Raises DecodeError: invalid_utf8, too_large."""
    text = value.removeprefix(BOM)
    logs = read_json(text, rows.most)
    put(read_lines(text, rows.most) if logs is None else logs, record, rows)
