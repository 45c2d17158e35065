"""What is taken from the rows of a batch, and ids that stay."""

import pyarrow as pa

from tracebraid.pipeline.rules.compile import compile_rule
from tracebraid.pipeline.rules.load import load_rules, starter_text
from tracebraid.pipeline.rules.measures import Measure, merge_measures
from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.rule import MINUTE_US
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import Table


def batch(table: Table, *rows: dict[str, object]) -> pa.RecordBatch:
    """Rows as normalize makes them, as far as given."""
    return pa.RecordBatch.from_pylist(list(rows), pa.schema([pa.field(each.name, each.type) for each in table.arrow]))


SPAN_ROWS = batch(
    SPANS,
    {"trace_id": "a", "service_name": "shop", "status_code": "ERROR", "duration_ns": 5, "attributes": [("user.id", "7"), ("n", "1.5")]},
    {"trace_id": None, "service_name": None, "status_code": "OK", "duration_ns": None, "http_response_status_code": 404, "attributes": [("n", "x")]},
    {"trace_id": "b", "service_name": "pay", "status_code": None, "duration_ns": 7, "resource_attributes": [("user.id", "8")]},
)


def test_arrays_of_spans() -> None:
    measure = Measure(
        signal="spans",
        by=("service_name", "user.id", "http_response_status_code"),
        pane_us=MINUTE_US,
        where="service_name <> 'pay'",
        conditions=("status_code = 'OK'", "n > 1"),
        columns=("duration", "n", "duration / 2"),
        observe="n > 1 or duration = 7ns",
    )
    selected = measure.select(SPAN_ROWS)
    assert selected is not None
    assert selected.to_pylist() == [True, False, False]
    assert [each.to_pylist() for each in measure.label_arrays(SPAN_ROWS)] == [["shop", "", "pay"], ["7", "", "8"], ["", "404", ""]]
    assert [each.to_pylist() for each in measure.condition_arrays(SPAN_ROWS)] == [[False, True, False], [True, False, False]]
    assert [each.to_pylist() for each in measure.column_arrays(SPAN_ROWS)] == [[5.0, None, 7.0], [1.5, None, None], [2.5, None, 3.5]]
    assert all(each.type == pa.float64() for each in measure.column_arrays(SPAN_ROWS))
    assert measure.observations(SPAN_ROWS).to_pylist() == [True, False, True]
    assert measure.errors(SPAN_ROWS).to_pylist() == [True, False, False]
    assert measure.missing(SPAN_ROWS).to_pylist() == [False, True, False]


def test_arrays_of_logs() -> None:
    rows = batch(LOGS, *({"severity_number": number, "attributes": [("device", "d")]} for number in (0, 1, 12, 17, 24, 25, None)))
    measure = Measure(signal="logs", by=("severity", "device"), pane_us=MINUTE_US)
    assert measure.select(rows) is None
    assert measure.label_arrays(rows)[0].to_pylist() == ["", "TRACE", "INFO", "ERROR", "FATAL", "", ""]
    assert measure.label_arrays(rows)[1].to_pylist() == ["d"] * 7
    assert measure.errors(rows).to_pylist() == [False, False, False, True, True, True, False]


def test_route_is_what_measure_put_into_the_batch() -> None:
    routed = SPAN_ROWS.append_column("route", pa.array(["/a", None, "/b/{id}"]))
    measure = Measure(signal="spans", by=("route",), pane_us=MINUTE_US, where="route like '/b%'")
    assert measure.label_arrays(routed)[0].to_pylist() == ["/a", "", "/b/{id}"]
    selected = measure.select(routed)
    assert selected is not None
    assert selected.to_pylist() == [False, False, True]


def test_measures_say_whether_they_need_routes() -> None:
    base = {"signal": "spans", "by": ("service_name",), "pane_us": MINUTE_US}
    needs = [{"by": ("route",)}, {"where": "lower(operation) = 'a'"}, {"conditions": ("kind = 'SERVER' or route is null",)}]
    others = [{}, {"where": "name = 'route'"}, {"signal": "logs", "by": ("route",)}]
    assert [Measure(**{**base, **each}).routed for each in needs] == [True] * 3  # type: ignore[arg-type]
    assert [Measure(**{**base, **each}).routed for each in others] == [False] * 3  # type: ignore[arg-type]


def test_empty_batch() -> None:
    measure = Measure(signal="spans", by=("service_name",), pane_us=MINUTE_US, where="n > 1", columns=("n",))
    empty = SPAN_ROWS.slice(0, 0)
    selected = measure.select(empty)
    assert selected is not None
    assert (len(selected), len(measure.column_arrays(empty)[0]), len(measure.label_arrays(empty)[0])) == (0, 0, 0)


def test_ids_stay() -> None:
    measure = Measure(signal="spans", by=("service_name", "route"), pane_us=MINUTE_US, columns=("duration",))
    assert measure.id == 8895448435736340078
    assert Measure(signal="spans", by=("service_name", "route"), pane_us=MINUTE_US, columns=("duration",), max_series=5).id == measure.id
    assert Measure(signal="spans", by=("service_name", "route"), pane_us=MINUTE_US).id != measure.id


def test_equal_measures_are_one() -> None:
    first = Measure(signal="spans", by=("service_name",), pane_us=MINUTE_US, max_series=5)
    larger = Measure(signal="spans", by=("service_name",), pane_us=MINUTE_US, max_series=9)
    other = Measure(signal="logs", by=("service_name",), pane_us=MINUTE_US)
    assert [(each.signal, each.max_series) for each in merge_measures([first, other, larger])] == [("spans", 9), ("logs", 10_000)]
    assert first.group == larger.group


def test_the_starter_rules_judge_spans_whatever_their_kind_is_worth() -> None:
    """Some senders set no kind at all; calls made are the callee's to judge."""
    rules = [rule for rule in load_rules(starter_text(), "starter.yaml") if rule.on == "spans"]
    rows = batch(SPANS, *({"kind": kind} for kind in ("SERVER", "CONSUMER", "UNSPECIFIED")))
    for measure in [measure for rule in rules for measure in compile_rule(rule).measures]:
        selected = measure.select(rows)
        assert selected is None or selected.to_pylist() == [True, True, True]
