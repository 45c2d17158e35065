"""Whatever bytes a record holds: no crash, and rows in = kept + rejected + dropped."""

import json
import re
from collections import Counter
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.normalize.log_build import normalized, records_of
from tracebraid.pipeline.decode.flatten import flatten
from tracebraid.pipeline.decode.json_value import scalar
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.trace_context import parse_span_id, parse_trace_id
from tracebraid.pipeline.normalize.log_fields import NAMES
from tracebraid.pipeline.normalize.log_text import ids_in, level_in, origin_in, time_in
from tracebraid.pipeline.normalize.trace_id import canonical_span_ids, canonical_trace_ids
from tracebraid.schemas.logs import LOGS

KNOWN_NAMES = sorted(name for names in NAMES.values() for name in names)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8)
ENVELOPES = st.sampled_from(
    ["log", "stream", "time", "kubernetes", "message", "@timestamp", "agent", "host", "source_type", "timestamp", "date", "docker", "trace", "dd"]
)
OBJECTS = st.dictionaries(st.sampled_from(KNOWN_NAMES) | ENVELOPES | st.text(max_size=6), VALUES, max_size=8)
HEX = st.text("0123456789abcdefABCDEF", min_size=1, max_size=34)
IDS = HEX | st.text("0123456789abcdef-:=;/+", max_size=60) | st.integers(0, 1 << 65).map(str) | st.uuids().map(str) | st.text(max_size=20)
LONG_DECIMAL = re.compile(r"[0-9]{17,20}")  # an id in a log's text, none in a typed field
MARKS = ("TraceID: ", "span_id=", "trace", "INFO", " ERROR ", "2026-01-01T00:00:00Z", " stdout F ", '"log":"', "\\n", "\n", "level=", "<13>", *"[]{,")
WORDS = st.sampled_from(MARKS)
LINES = st.lists(WORDS | IDS, max_size=12).map("".join)
BYTES = st.binary(max_size=80) | LINES.map(lambda line: line.encode("utf-8", "surrogatepass")) | OBJECTS.map(lambda item: json.dumps(item).encode())
relaxed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@relaxed
@given(st.lists(BYTES, min_size=1, max_size=5), st.sampled_from(["json", "text", "auto"]))
def test_any_bytes_are_kept_rejected_or_dropped(values: list[bytes], encoding: str) -> None:
    records = records_of(values, encoding)
    decoded = decode(records)
    result = normalized(values, encoding)
    assert result.logs.schema == LOGS.held
    result.logs.validate(full=True)
    kept = result.spans.num_rows + result.logs.num_rows
    assert kept + result.rejects.num_rows + decoded.dropped.total() == decoded.rows_in >= len(values)
    walked = decoded.walked_objects.column("record").to_pylist() if decoded.walked_objects else []
    seen = {*walked, *decoded.logs.column("record").to_pylist(), *decoded.spans.column("record").to_pylist(), *decoded.rejects.column("record").to_pylist()}
    assert len(seen) + decoded.dropped.total() == len(values)
    assert "decoder_error" not in decoded.rejects.column("reason").to_pylist()
    for row in result.logs.column("attributes").to_pylist():
        assert len(dict(row)) == len(row)


@relaxed
@given(OBJECTS)
def test_an_object_loses_no_value_on_its_way(fields: dict[str, Any]) -> None:
    flat, left_out = flatten(fields, exact=True)
    assert left_out == 0
    assert Counter(map(_respelled, flat.values())) == Counter(map(_respelled, _leaves(fields, 1)))


@relaxed
@given(OBJECTS)
def test_a_log_s_row_still_holds_every_text_of_its_object(fields: dict[str, Any]) -> None:
    """Texts end in the columns or in the attributes, as they were; ids, times and flags end there in another spelling."""
    for name in ("log", "kubernetes", "agent", "source_type"):  # no envelopes here
        fields.pop(name, None)
    [row] = normalized([json.dumps({"own": 1, **fields}).encode()], "json").logs.to_pylist()
    columns = [[item for _, item in column] if isinstance(column, list) else [column] for column in row.values()]
    held = Counter(value for column in columns for value in column if isinstance(value, str))
    spelled_anew = {*NAMES["time"], *NAMES["nanos"], *NAMES["flags"], *NAMES["sampled"], *NAMES["trace_id"], *NAMES["span_id"], *NAMES["traceparent"]}
    plain = {name: value for name, value in fields.items() if name not in spelled_anew and isinstance(value, str) and value.isprintable() and value.strip()}
    for value in plain.values():
        assert held[value] > 0, (value, row)


def _respelled(text: str | None) -> str | None:
    """The standard library writes small and large floats in another way than orjson; as values they are the same."""
    try:
        return json.dumps(json.loads(text)) if text and text[0] in "[{" else text
    except ValueError:
        return text


def _leaves(fields: dict[str, Any], level: int) -> list[str | None]:
    found: list[str | None] = []
    for value in fields.values():
        if isinstance(value, dict) and value and level < limits.flatten_depth_max:
            found += _leaves(value, level + 1)
        elif isinstance(value, (dict, list)):
            found.append(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
        else:
            found.append(scalar(value, exact=True))
    return found


@relaxed
@given(st.lists(st.none() | IDS, max_size=20))
def test_columns_of_ids_equal_one_id_at_a_time_and_are_canonical(texts: list[str | None]) -> None:
    for canonical, parse, width in ((canonical_trace_ids, parse_trace_id, 32), (canonical_span_ids, parse_span_id, 16)):
        ids, invalid = canonical(pa.array(texts, pa.string()))
        expected = [None if text is None or LONG_DECIMAL.fullmatch(text.strip()) else parse(text) for text in texts]
        assert ids.to_pylist() == expected
        assert all(found is None or (len(found) == width and set(found) <= set("0123456789abcdef") and found != "0" * width) for found in expected)
        assert not any(wrong and found for wrong, found in zip(invalid.to_pylist(), expected, strict=True))
        again, none_invalid = canonical(ids)
        assert again.to_pylist() == expected
        assert not any(none_invalid.to_pylist())


@relaxed
@given(LINES | st.text())
def test_any_text_is_searched_without_harm(text: str) -> None:
    for search in (ids_in, level_in, time_in, origin_in):
        search(text)
