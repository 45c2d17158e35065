"""Compression that a sender put around its records by itself, taken off: gzip, bare or in base64, as CloudWatch Logs sends its subscriptions.

In: the bytes of a record. Out: what they hold; the same bytes where they are not compressed. Never: more than `inflated_bytes_max`, or `inflated_ratio_max`
times what came, whatever the bytes claim: nothing is allocated before it has been inflated.
"""

import base64
import binascii
import zlib

import orjson

from tracebraid.pipeline.decode.rows import DecodeError
from tracebraid.pipeline.kernel import limits

_GZIP = b"\x1f\x8b"
_BASE64 = (b"H4sI", b'"H4sI')  # how gzip begins there
AWSLOGS = b'{"awslogs"'  # as Lambda is handed it: {"awslogs":{"data":"H4sI…"}}
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def inflated(value: bytes) -> bytes:
    """What `value` holds. Raises DecodeError too_large, and malformed where gzip itself is broken; text that is broken gzip in base64 stays text."""
    most = min(limits.inflated_bytes_max, len(value) * limits.inflated_ratio_max)
    text = None
    for _ in range(limits.envelopes_max):
        if value[:2] == _GZIP:
            try:
                value, text = _gunzipped(value, most), None
            except DecodeError as error:
                if text is None or error.reason == "too_large":
                    raise
                return text
            continue
        inner = _from_base64(value) if value.startswith(_BASE64) else _from_lambda(value) if value.startswith(AWSLOGS) else None
        if inner is None:
            break
        value, text = inner, text or value
    return text or value


def _gunzipped(value: bytes, most: int) -> bytes:
    """All members of a gzip file; JSON objects of several are put on lines of their own, since Firehose joins messages with nothing between."""
    parts: list[bytes] = []
    left, copied = most, 0
    while value:
        stream = zlib.decompressobj(_GZIP_WINDOW)
        try:
            part = stream.decompress(value, left + 1)
        except zlib.error as error:
            raise DecodeError("malformed", f"gzip: {error}") from None
        if len(part) > left:
            raise DecodeError("too_large", f"the record inflates to more than {most} bytes")
        if not stream.eof:
            raise DecodeError("malformed", "gzip: it breaks off")
        left -= len(part)
        parts += [b"\n", part] if parts and part[:1] == b"{" else [part]
        value = stream.unused_data.lstrip(b"\0")
        copied += len(value)
        if copied > limits.inflated_copied_max:
            raise DecodeError("too_large", "the record is made of too many members of gzip")
    return b"".join(parts)


def _from_base64(value: bytes) -> bytes | None:
    try:
        found = base64.b64decode(value.strip().strip(b'"'), validate=True)
    except binascii.Error:
        return None
    return found if found[:2] == _GZIP else None


def _from_lambda(value: bytes) -> bytes | None:
    try:
        data = orjson.loads(value)["awslogs"]["data"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return data.encode() if isinstance(data, str) and data.startswith("H4sI") else None
