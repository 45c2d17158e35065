"""Bytes that are made to mislead the walkers, or to wear them out: each costs its own record at most."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from tests.batches import records_of
from tests.property.test_walkers import same
from tracebraid.pipeline.decode.registry import Scratch, decode
from tracebraid.pipeline.decode.walkers.memory import NAME, Memory
from tracebraid.pipeline.decode.walkers.shared import _Remembered
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.normalize.batch import normalize

ATTRIBUTE = b"\x0a\x01a\x12\x03\x0a\x01"
TIMES = b"\x39" + bytes([1] * 8)
TRACE = b"\x0a\x10" + bytes(range(16))


def varint(number: int, size: int = 0) -> bytes:
    """`size`: with so many bytes, though fewer would do."""
    out = []
    while number > 0x7F or len(out) < size - 1:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number: int, content: bytes, size: int = 0) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(content), size) + content


def request(*spans: bytes) -> bytes:
    return field(1, field(2, b"".join(field(2, span) for span in spans)))


GOOD = request(TRACE + field(5, b"good") + TIMES)


@pytest.mark.parametrize(
    "between", [field(11, TIMES.replace(b"\x39", b"\x09") + field(3, ATTRIBUTE + b"2")), field(13, field(4, ATTRIBUTE + b"2")), field(11, b"")]
)
def test_a_key_twice_around_an_event_is_seen(between: bytes) -> None:
    first, second = field(9, ATTRIBUTE + b"1"), field(9, ATTRIBUTE + b"3")
    same([GOOD, request(TRACE + TIMES + first + between + second), request(TRACE + TIMES + between + first + second), GOOD])
    same([request(TRACE + TIMES + between + first), request(TRACE + TIMES + first + between)])


@pytest.mark.parametrize("size", range(1, 11))
def test_numbers_that_are_written_too_long(size: int) -> None:
    parts = [
        varint(0x2A, size) + b"\x01a",  # a tag
        field(5, b"a", size),  # a length
        b"\x30" + varint(2, size),  # a value
        varint(0x2FA, size) + b"\x01a",  # an unknown field's tag
        field(9, field(1, b"a", size) + field(2, b"\x0a\x011")),
        field(9, field(1, b"a") + field(2, varint(0x0A, size) + b"\x011")),
        field(9, field(1, b"a") + field(2, b"\x18" + varint(1, size))),
        field(11, varint(0x12, size) + b"\x01a"),
        field(15, varint(0x12, size) + b"\x01a"),
    ]
    for part in parts:
        same([GOOD, request(TRACE + TIMES + part), GOOD])


def colliding(count: int, kind: int) -> list[bytes]:
    """Texts of eight letters whose places in a table of up to 2^24 are the same: `_hash` of texts.py, backwards."""
    whole = (1 << 64) - 1
    multiplier, odd = 0xD6E8FEB86659FD93, pow(0xD6E8FEB86659FD93, -1, 1 << 64)
    begin = (kind * 0x9E3779B97F4A7C15 + 8) & whole
    found: list[bytes] = []
    hashed, step = np.uint64(1 << 24), np.arange(1, 1 << 20, dtype=np.uint64)
    while len(found) < count:
        wanted = (hashed + (step << np.uint64(24))) & np.uint64(whole >> 1)
        value = wanted ^ (wanted >> np.uint64(29)) ^ (wanted >> np.uint64(58))
        value *= np.uint64(odd)
        value ^= value >> np.uint64(32)
        value = value * np.uint64(odd) ^ np.uint64(begin)
        letters = value[(value & np.uint64(0x8080808080808080)) == 0]
        found += [int(each).to_bytes(8, "little") for each in letters.tolist()]
        hashed = np.uint64((int(wanted[-1]) + (1 << 24)) & (whole >> 1))
    assert multiplier * odd & whole == 1
    return found[:count]


def test_texts_with_one_place_in_the_table_cost_their_record() -> None:
    names = colliding(20_000, NAME)
    assert len(set(names)) == 20_000
    crowd = request(TRACE + TIMES, TRACE + TIMES + b"".join(field(5, name) for name in names))
    decoded = decode(records_of([GOOD, crowd, GOOD]))
    assert decoded.walked is not None
    assert (decoded.walked.column("record").to_pylist(), decoded.spans.column("record").to_pylist()) == ([0, 2], [1, 1])
    assert decoded.spans.column("name").to_pylist() == ["", names[-1].decode()]


def test_a_batch_holds_nothing_of_a_record_that_was_left() -> None:
    secret = field(5, b"S3CRET-name") + field(15, field(2, b"S3CRET-message")) + field(9, field(1, b"S3CRET-key") + field(2, b"\x0a\x01x"))
    secret += field(9, field(1, b"url.path") + field(2, field(1, b"S3CRET-path")))
    broken = field(
        1, field(1, field(1, field(1, b"S3CRET-resource"))) + field(2, field(2, TRACE + TIMES + secret) + field(2, b"\xff")) + field(3, b"S3CRET-url")
    )
    records = records_of([GOOD, broken, GOOD])
    decoded = decode(records)
    assert (decoded.walked.num_rows if decoded.walked else 0, decoded.rejects.num_rows) == (2, 1)
    spans = normalize(records, decoded, now_us=1).spans
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_batches([spans]), sink, compression="none", store_schema=False)
    assert b"S3CRET" not in sink.getvalue().to_pybytes()


def test_resources_that_are_remembered_are_bounded_by_their_bytes() -> None:
    remembered = _Remembered(10_000)
    messages = [Resource(attributes=[{"key": f"{number}-{key}", "value": {"string_value": "x" * 40}} for key in range(20)]) for number in range(100)]
    found = [remembered.parsed(Resource, message.SerializeToString()) for message in messages]
    assert all(each is not None and len(each[2]) == 20 for each in found)
    assert 0 < remembered.bytes <= 10_000
    assert remembered.parsed(Resource, messages[-1].SerializeToString()) is found[-1]


def test_what_kernels_fail_on_is_told_and_read_all_the_same() -> None:
    class Failing(Scratch):
        def take(self, size: int, texts: int) -> Memory:
            raise MemoryError("no room")

    message = TracesData(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[Span(trace_id=bytes(range(16)), start_time_unix_nano=1, name="a" * 20_000)])])]
    )
    records, metrics = records_of([message.SerializeToString()]), Metrics()
    decoded: list[Any] = [decode(records, scratch=scratch) for scratch in (Scratch(), Failing(), Failing())]
    assert [(each.walked is None, each.spans.num_rows, each.fault) for each in decoded] == [
        (False, 0, ""),
        (True, 1, "MemoryError: no room"),
        (True, 1, "MemoryError: no room"),
    ]
    for each in decoded:
        metrics.count_fault(each.fault)
    assert metrics.registry.get_sample_value("tracebraid_kernel_faults_total") == 2


def test_what_many_tiny_spans_touched_is_given_back() -> None:
    value = TracesData(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[Span(trace_id=bytes(range(16)), start_time_unix_nano=1)] * 10_000)])]
    ).SerializeToString()
    scratch, held = Scratch(), []
    for records in (20, 1, 1):  # 200,000 rows, which nobody has in a batch of ordinary spans
        assert decode(records_of([value] * records), scratch=scratch).walked is not None
        held.append(scratch.memory)
    assert held[1] is not held[0]
    assert held[2] is held[1]
