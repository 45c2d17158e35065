"""Compression of the sender's own is taken off, within bounds, and a bomb costs its own record."""

import base64
import gzip
import json
import zlib
from functools import partial
from typing import Any

import pytest

from tests.batches import records_of
from tests.unit.decode.test_envelope import EVENTS, LAMBDA
from tests.unit.decode.test_registry import JSON, LOG, PROTO, TEXT
from tracebraid.pipeline.decode.inflate import inflated
from tracebraid.pipeline.decode.registry import decode as decode_any
from tracebraid.pipeline.decode.rows import DecodeError
from tracebraid.pipeline.kernel import limits

decode = partial(decode_any, kernels=False)  # what is packed is the reference decoders'
MESSAGE = json.dumps(EVENTS).encode()


@pytest.mark.parametrize("value", [PROTO, JSON, LOG, TEXT, b'["a"]'])
def test_gzip_is_what_it_holds(value: bytes) -> None:
    plain, packed = (decode(records_of([each])) for each in (value, gzip.compress(value)))
    assert (plain.spans.equals(packed.spans), plain.logs.equals(packed.logs), packed.rejects.num_rows) == (True, True, 0)


@pytest.mark.parametrize(
    "value",
    [
        MESSAGE,
        gzip.compress(MESSAGE),
        base64.b64encode(gzip.compress(MESSAGE)),
        b'"' + base64.b64encode(gzip.compress(MESSAGE)) + b'"\n',
        json.dumps({"awslogs": {"data": base64.b64encode(gzip.compress(MESSAGE)).decode()}}, separators=(",", ":")).encode(),
        gzip.compress(gzip.compress(MESSAGE)),
    ],
)
def test_a_subscription_of_cloudwatch(value: bytes) -> None:
    for encoding in ("auto", "json"):
        decoded = decode(records_of([value], encoding))
        assert [row["body"] for row in decoded.logs.to_pylist()] == ["START RequestId: r", None]
        assert [dict(row["attributes"]) for row in decoded.resources.to_pylist()] == [LAMBDA]


def test_messages_that_were_joined_are_apart() -> None:
    assert decode(records_of([gzip.compress(MESSAGE) * 3])).logs.num_rows == 6
    assert inflated(gzip.compress(b"one ") + gzip.compress(b"two") + b"\0\0") == b"one two"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (gzip.compress(MESSAGE)[:-9], "malformed"),
        (b"\x1f\x8b", "malformed"),
        (gzip.compress(MESSAGE) + b"behind", "malformed"),
        (b"\x1f\x8b\x08" + bytes(50), "malformed"),
        (gzip.compress(bytes(1_000_000)), "too_large"),
        (gzip.compress(gzip.compress(bytes(20_000_000))), "too_large"),
        (gzip.compress(b"a") * 20_000, "too_large"),  # each costs a copy of all behind it
    ],
)
def test_broken_gzip_and_bombs(value: bytes, reason: str) -> None:
    decoded = decode(records_of([LOG, value, LOG]))
    assert [(row["record"], row["reason"]) for row in decoded.rejects.to_pylist()] == [(1, reason)]
    assert decoded.logs.num_rows == 2


@pytest.mark.parametrize("headers", [None, [[("content-type", b"application/json")]], [[("content-type", b"application/x-protobuf")]]])
@pytest.mark.parametrize("encoding", ["auto", "otlp_proto", "json"])
def test_nothing_compressed_is_nothing(encoding: str, headers: Any) -> None:
    decoded = decode(records_of([gzip.compress(b"")], encoding, headers=headers))
    assert (decoded.rejects.to_pylist(), decoded.dropped) == ([], {"empty": 1})


def test_no_more_is_inflated_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "inflated_bytes_max", 5)
    assert inflated(gzip.compress(b"12345")) == b"12345"
    with pytest.raises(DecodeError, match="more than 5 bytes"):
        inflated(gzip.compress(b"123456"))
    with pytest.raises(DecodeError, match="more than 5 bytes"):
        inflated(gzip.compress(b"123") + gzip.compress(b"456"))


@pytest.mark.parametrize(
    "value", [b"H4sI is how it begins", b"H4sIAAAA", b'"H4sI"', b'{"awslogs":{}}', b'{"awslogs":7}', b'{"awslogs":{"data":"x"}}', zlib.compress(b"x")]
)
def test_what_only_looks_compressed(value: bytes) -> None:
    assert inflated(value) == value


def test_text_and_raw_stay_as_they_are() -> None:
    value = base64.b64encode(gzip.compress(b"x"))
    for encoding in ("text", "raw"):
        assert decode(records_of([value], encoding)).logs.column("body").to_pylist() == [value.decode()]
