"""Bytes of Jaeger and Zipkin, changed anywhere: rows or a reject of their own, never a fault of the decoder, and neighbors stay as they were."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.batches import records_of
from tracebraid.pipeline.decode.jaeger_proto import _TYPES as JAEGER
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.decode.zipkin_proto import _TYPES as ZIPKIN
from tracebraid.pipeline.normalize.batch import normalize

IDS = {"trace_id": bytes(range(1, 17)), "span_id": bytes(range(1, 9))}
TAGS = [{"key": "span.kind", "v_str": "server"}, {"key": "error", "v_type": 1, "v_bool": True}, {"key": "f", "v_type": 3, "v_float64": 0.5}]
WHOLE = {
    "jaeger_proto": JAEGER["Span"](
        **IDS,
        operation_name="op",
        references=[{**IDS, "ref_type": 1}],
        start_time={"seconds": 1_700_000_000, "nanos": 7},
        duration={"nanos": 5},
        tags=TAGS,
        logs=[{"timestamp": {"seconds": 1}, "fields": [{"key": "event", "v_str": "e"}]}],
        process={"service_name": "shop", "tags": TAGS},
        warnings=["w"],
    ).SerializeToString(),
    "zipkin_proto": ZIPKIN["ListOfSpans"](
        spans=[
            {
                **{"trace_id": bytes(range(1, 17)), "id": bytes(range(1, 9)), "name": "op", "kind": 2, "timestamp": 1_700_000_000_000_000, "duration": 5},
                "local_endpoint": {"service_name": "shop", "ipv4": bytes(4), "ipv6": bytes(16), "port": 80},
                "annotations": [{"timestamp": 7, "value": 'e|{"a":1}|0'}],
                "tags": [{"key": "otlp.link.0", "value": "a|b|c|{}|0"}, {"key": "error", "value": "no"}],
            }
        ]
        * 2
    ).SerializeToString(),
    "jaeger_json": json.dumps(
        {
            **{"traceId": "AQIDBAUGBwgJCgsMDQ4PEA==", "spanId": "AQIDBAUGBwg=", "operationName": "op", "startTime": "2023-11-14T22:13:20.5Z", "duration": "1s"},
            "tags": [{"key": "a", "vType": "INT64", "vInt64": "7"}, {"key": "b", "vType": "FLOAT64", "vFloat64": 1e300}],
            **{"references": [{"traceId": "AQIDBAUGBwgJCgsMDQ4PEA==", "spanId": "AQIDBAUGBwg="}], "process": {"serviceName": "shop"}, "warnings": ["w"]},
        }
    ).encode(),
    "zipkin_json": json.dumps(
        [
            {
                **{
                    "traceId": "0af7651916cd43dd8448eb211c80319c",
                    "id": "b7ad6b7169203331",
                    "timestamp": 1_700_000_000_000_000,
                    "duration": 5,
                    "kind": "CLIENT",
                },
                **{"localEndpoint": {"serviceName": "shop", "port": 80}, "tags": {"otlp.link.0": 'a|b|c|{"d":1}|0'}, "shared": True},
                "annotations": [{"timestamp": 7, "value": 'e|{"a":1e400}|0'}],
            }
        ]
    ).encode(),
}


def changed(value: bytes, seed: int) -> bytes:
    """`value` with up to four bytes or pieces of it changed, taken out, put in or repeated."""
    chance, found = random.Random(seed), bytearray(value)
    for _ in range(chance.randint(1, 4)):
        at, size = chance.randrange(len(found) + 1), chance.choice((1, 1, 1, 4, 16))
        piece = chance.choice((b"", chance.randbytes(size), bytes(size), b"\xff" * size, bytes(found[at : at + size]) * 2, b"9" * size))
        found[at : at + chance.choice((0, size))] = piece
    return bytes(found)


ODD = (None, True, -1, 2**63, 2**64, 1.5, 1e300, "", "0", "x" * 40, "\ud800", "AAAA", "NaN", "9" * 30, [], [None], {}, {"a": {"b": [1]}}, [[1]], [{"key": 1}])


def odd(value: bytes, seed: int) -> bytes:
    """JSON with one to three of its values replaced by odd ones."""
    chance, root = random.Random(seed), [json.loads(value)]
    for _ in range(chance.randint(1, 3)):
        node: Any = root
        while True:
            key = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if not isinstance(node[key], (dict, list)) or not node[key] or (node is not root and chance.random() < 0.2):
                node[key] = copy.deepcopy(chance.choice(ODD))
                break
            node = node[key]
        if not root[0] or not isinstance(root[0], (dict, list)):
            break
    return json.dumps(root[0]).encode()


@pytest.mark.parametrize("change", [changed, odd])
@pytest.mark.parametrize("encoding", sorted(WHOLE))
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**63))
def test_changed_records(encoding: str, change: Callable[[bytes, int], bytes], seed: int) -> None:
    if change is odd and not encoding.endswith("json"):
        return
    whole = WHOLE[encoding]
    values = [value for number in range(8) for value in (whole, change(whole, seed + number))]
    for configured in ("auto", encoding):
        records = records_of(values, configured)
        decoded = decode(records)
        normalized = normalize(records, decoded, now_us=1)
        faults = [row["message"] for row in decoded.rejects.to_pylist() if row["reason"] == "decoder_error"]
        assert faults == []
        places = [*normalized.spans.column("kafka_offset").to_pylist()]
        assert all(places.count(40 + 2 * number) == (2 if encoding == "zipkin_proto" else 1) for number in range(8))
