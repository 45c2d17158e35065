"""A slice of `make fuzz`, and that it finds what it looks for."""

from collections import Counter
from random import Random

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from tests.batches import records_of
from tests.fuzz.inputs import changed, span_batch
from tests.fuzz.json_messages import json_message
from tests.fuzz.judge import difference, judged
from tests.fuzz.messages import spans_message, varint
from tests.fuzz.run import Failure, Tally, chance_of, run_batches, shrunk
from tests.property.test_otlp import SEEDS
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.kernel.records import Normalized
from tracebraid.pipeline.normalize.batch import normalize


@pytest.mark.parametrize(("mode", "inputs"), [("spans", 3000), ("objects", 3000), ("texts", 3000), ("others", 600)])
def test_a_slice_holds(mode: str, inputs: int) -> None:
    tally = run_batches(mode, 20_261_121, range(200), inputs_max=inputs)
    assert [str(failure) for failure in tally.failures] == []
    assert tally.counts["inputs"] >= inputs
    assert mode == "others" or not tally.too_few_walked(mode)


def test_a_batch_is_made_of_its_seed_alone() -> None:
    assert span_batch(chance_of(7, 3)) == span_batch(chance_of(7, 3)) != span_batch(chance_of(7, 4))


def test_messages_that_are_not_odd_are_messages_and_odd_ones_often_none() -> None:
    chance = Random(1)
    plain = [spans_message(chance, (0.0,)) for _ in range(50)]
    assert [message for message in plain if not TracesData.FromString(message).resource_spans] == []
    assert sum(bool(decode(records_of([spans_message(chance, (0.05,))], "otlp_proto"), kernels=False).rejects.num_rows) for _ in range(50)) > 10


def test_a_varint_may_be_longer_than_it_needs() -> None:
    assert [varint(300), varint(300, 1), varint(1, 3)] == [b"\xac\x02", b"\xac\x82\x00", b"\x81\x80\x80\x00"]


def test_changed_is_mostly_another() -> None:
    chance = Random(1)
    assert sum(changed(SEEDS[0], chance, SEEDS) != SEEDS[0] for _ in range(100)) > 80


def test_a_run_that_hardly_walks_anything_fails() -> None:
    assert Tally(Counter(inputs=100, walked=3, json=3)).too_few_walked("spans")
    assert Tally(Counter(inputs=100, walked=60, json=0)).too_few_walked("spans")
    assert not Tally(Counter(inputs=100, walked=60, json=30)).too_few_walked("spans")
    assert not Tally(Counter(inputs=100, walked=60)).too_few_walked("objects")


def test_json_that_is_not_odd_is_walked_and_odd_json_often_refused() -> None:
    chance = Random(1)
    decoded = decode(records_of([json_message(chance, (0.0,)) for _ in range(100)], "otlp_json"))
    assert decoded.rejects.num_rows == 0
    walked = {record for rows in (decoded.walked, decoded.walked_logs) if rows for record in rows.column("record").to_pylist()}
    assert len(walked) > 60
    assert sum(decode(records_of([json_message(chance, (0.05,))], "otlp_json"), kernels=False).rejects.num_rows for _ in range(50)) > 10


def _rows(*values: bytes) -> Normalized:
    records = records_of(values)
    return normalize(records, decode(records), now_us=1)


def test_a_difference_is_named() -> None:
    named, other = SEEDS[0], SEEDS[0].replace(b"GET /", b"PUT /")
    assert difference(_rows(named, SEEDS[1]), _rows(named, SEEDS[1])) == ""
    assert difference(_rows(SEEDS[1], named), _rows(SEEDS[1], other)) == "spans: name of the row from offset 41 (input 1): 'GET /', expected 'PUT /'"
    assert difference(_rows(named, named), _rows(named)).startswith("spans: kafka_offset: [41, 41], expected []")
    assert difference(_rows(b"\xff\xfe"), _rows(named[:-1])).startswith(("spans:", "rejects:"))


def test_what_raises_is_no_success() -> None:
    def raises(values: object, encoding: str) -> tuple[str, Counter[str]]:
        raise IndexError(f"{encoding} is out of bounds")

    assert "IndexError: auto is out of bounds" in judged(raises, [b""], "auto")[0]


def test_a_failure_becomes_small_and_can_be_replayed() -> None:
    values = [b"good", None, b"x" * 40 + b"bad" + b"y" * 41, b"good"]
    small = shrunk(values, lambda values: any(b"bad" in (value or b"") for value in values))
    assert small == [b"bad"]
    failure = str(Failure("spans", 5, 17, "auto", "it differs", small))
    assert failure == "batch 17, encoding auto: it differs\n  626164\n  python -m tests.fuzz --mode spans --seed 5 --batch 17"
