"""The net beneath decode, normalize and redact: a record over which ours fails is a reject, alone, and every other record has its rows."""

import errno
import json
from collections.abc import Callable, Collection
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData
from structlog.testing import capture_logs

from tests.batches import FIRST_OFFSET, records_of
from tracebraid.pipeline import transform
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.normalize import log_objects, log_picks
from tracebraid.pipeline.transform import Transform, Transformed

POISON = "poison"
NOW_US = 1_767_225_600_000_000
_role_of = log_picks.role_of
Values = list[bytes | None]


def fragile(error: Callable[[], Exception]) -> Callable[[str], Any]:
    """What finds the fields of log objects, broken: over one name it raises."""

    def role_of(name: str) -> Any:
        if name == POISON:
            raise error()
        return _role_of(name)

    return role_of


def log_object(number: int, **fields: Any) -> bytes:
    return json.dumps({"time": "2026-01-01T00:00:00Z", "level": "info", "msg": f"message {number}", **fields}).encode()


def values_of(count: int, poisoned: Collection[int], empty: Collection[int] = ()) -> Values:
    return [None if number in empty else log_object(number, **{POISON: 1} if number in poisoned else {}) for number in range(count)]


def made(values: Values, **chosen: Any) -> list[Transformed]:
    return list(Transform(Settings(**chosen)).pieces(records_of(values), NOW_US))


def outcome(pieces: list[Transformed]) -> tuple[list[Any], list[Any], int]:
    """(offset, body), (offset, reason, message, value), rows dropped. Offsets follow one another over all pieces, and each piece's account holds."""
    offsets = [offset for each in pieces for offset in each.records.batch.column("kafka_offset").to_pylist()]
    assert offsets == list(range(FIRST_OFFSET, FIRST_OFFSET + len(offsets)))
    for each in pieces:
        assert each.rows_in == each.rows.spans.num_rows + each.rows.logs.num_rows + each.rows.rejects.num_rows + each.dropped.total()
    logs = [(row["kafka_offset"] - FIRST_OFFSET, row["body"]) for each in pieces for row in each.rows.logs.to_pylist()]
    rejects = [
        (row["kafka_offset"] - FIRST_OFFSET, row["reason"], row["message"], row["record_value"]) for each in pieces for row in each.rows.rejects.to_pylist()
    ]
    return logs, rejects, sum(each.dropped.total() for each in pieces)


def breaking(monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception]) -> None:
    for module in (log_picks, log_objects):  # of records one by one, and of what a kernel walked
        monkeypatch.setattr(module, "role_of", fragile(error))


@pytest.fixture(autouse=True)
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    breaking(monkeypatch, lambda: ZeroDivisionError("of a poisoned record"))


def test_one_record_is_a_reject_and_its_neighbors_have_their_rows() -> None:
    values = values_of(20, {13}, {4})
    with capture_logs() as told:
        logs, rejects, dropped = outcome(made(values))
    assert logs == [(number, f"message {number}") for number in range(20) if number not in (4, 13)]
    assert rejects == [(13, "internal_error", "ZeroDivisionError: of a poisoned record", values[13])]
    assert dropped == 1
    (line,) = told
    assert (line["why"], line["first"], line["log_level"]) == ("ZeroDivisionError", f"telemetry[3] at {FIRST_OFFSET + 13}", "error")
    assert line["traceback"][-1].endswith(" role_of")
    assert "poisoned" not in str(told)  # what the exception says may hold what the record does, and the log is nobody's to redact


def test_among_log_objects_that_a_kernel_walked() -> None:
    values = values_of(400, {7, 301})
    assert sum(len(value or b"") for value in values) > limits.kernel_bytes_min
    logs, rejects, _ = outcome(made(values))
    assert (sorted(number for number, _ in logs), [number for number, *_ in rejects]) == ([n for n in range(400) if n not in (7, 301)], [7, 301])


def test_without_a_fault_a_batch_stays_whole() -> None:
    (piece,) = made(values_of(20, set()))
    assert piece.records.batch.num_rows == 20


@settings(max_examples=25)
@given(st.integers(1, 40).flatmap(lambda count: st.tuples(st.just(count), *[st.sets(st.integers(0, count - 1))] * 2)))
def test_each_record_fares_as_it_does_alone(drawn: tuple[int, set[int], set[int]]) -> None:
    values = values_of(*drawn)
    together = outcome(made(values))
    alone = [outcome(made([value])) for value in values]
    assert together[0] == [(number, body) for number, each in enumerate(alone) for _, body in each[0]]
    assert together[1] == [(number, *rest) for number, each in enumerate(alone) for _, *rest in each[1]]
    assert together[2] == sum(each[2] for each in alone)


def test_a_fault_that_befalls_too_many_takes_their_neighbors_along_and_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "halves_max", 3)
    values = values_of(16, {0, 5, 6, 11})
    logs, rejects, _ = outcome(made(values))
    assert sorted([number for number, _ in logs] + [number for number, *_ in rejects]) == list(range(16))
    assert {0, 5, 6, 11} <= {number for number, *_ in rejects}
    assert [value for *_, value in rejects] == [values[number] for number, *_ in rejects]


def test_each_kind_of_fault_is_told_once() -> None:
    made_by, values = Transform(Settings()), values_of(8, {1, 5})
    with capture_logs() as told:
        for _ in range(3):
            list(made_by.pieces(records_of(values), NOW_US))
    assert len(told) == 1


def test_they_are_counted_among_the_rejects_by_their_reason() -> None:
    metrics = Metrics()
    for each in made(values_of(8, {1, 5})):
        metrics.count_read(each.records, each.dropped, each.rows, each.fault)
    rejected = {"topic": "telemetry", "reason": "internal_error"}
    assert metrics.registry.get_sample_value("tracebraid_rejected_total", rejected) == 2
    assert metrics.registry.get_sample_value("tracebraid_records_in_total", {"topic": "telemetry", "partition": "3"}) == 8


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "Too many open files"), ImportError("gone"), UsageError("what", "hint")])
def test_what_is_not_of_a_record_is_not_caught(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    breaking(monkeypatch, lambda: error)
    with pytest.raises(type(error)):
        made(values_of(4, {2}))


def test_what_an_exception_says_need_not_be_unicode(monkeypatch: pytest.MonkeyPatch) -> None:
    breaking(monkeypatch, lambda: ValueError("half a pair: \ud83d"))
    assert [row[:3] for row in outcome(made(values_of(4, {2})))[1]] == [(2, "internal_error", "ValueError: half a pair: \\ud83d")]


def test_a_time_beyond_the_systems_clock_is(monkeypatch: pytest.MonkeyPatch) -> None:
    breaking(monkeypatch, lambda: OSError(errno.EOVERFLOW, "Value too large for defined data type"))
    assert [number for number, *_ in outcome(made(values_of(4, {2})))[1]] == [2]


def test_a_fault_of_redaction_is_caught_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    redact = transform.redact

    def fragile_redact(rows: Any, settings: Settings) -> Any:
        if "message 3" in rows.logs.column("body").to_pylist():
            raise IndexError(3)
        return redact(rows, settings)

    monkeypatch.setattr(transform, "redact", fragile_redact)
    logs, rejects, _ = outcome(made(values_of(6, set())))
    assert ([number for number, _ in logs], [number for number, *_ in rejects]) == ([0, 1, 2, 4, 5], [3])


def test_nothing_of_the_record_stays_where_rejects_are_hashed() -> None:
    (piece,) = made(values_of(1, {0}), rejects={"keep": "hash"})
    (row,) = piece.rows.rejects.to_pylist()
    assert (row["record_value"], row["reason"], row["value_bytes"]) == (None, "internal_error", len(values_of(1, {0})[0] or b""))
    assert "poisoned" not in row["message"]


def test_spans_that_kernels_walked_are_found_out_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    normalize = transform.normalize

    def fragile_normalize(records: Any, decoded: Any, **options: Any) -> Any:
        found = normalize(records, decoded, **options)
        if "of the poison" in found.spans.column("name").to_pylist():
            raise KeyError("of the poison")
        return found

    monkeypatch.setattr(transform, "normalize", fragile_normalize)
    span = {"trace_id": bytes(range(16)), "span_id": bytes(range(8)), "start_time_unix_nano": 1, "end_time_unix_nano": 2}
    names = ["of the poison" if number == 77 else f"span {number}" for number in range(200)]
    values: Values = [
        TracesData(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[Span(name=name, **span)])])]).SerializeToString() * 2 for name in names
    ]
    assert sum(len(value or b"") for value in values) > limits.kernel_bytes_min
    pieces = made(values)
    assert outcome(pieces)[1] == [(77, "internal_error", "KeyError: 'of the poison'", values[77])]
    assert sorted(row["name"] for each in pieces for row in each.rows.spans.to_pylist()) == sorted(2 * [name for name in names if name != "of the poison"])
