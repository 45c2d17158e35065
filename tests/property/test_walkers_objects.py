"""The compiled walker of log objects in JSON, and their columns by the batch, against the reference decoder and rows that are read one by one."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.batches import records_of
from tracebraid.pipeline.decode.registry import Scratch, decode
from tracebraid.pipeline.kernel.formats import FormatSettings
from tracebraid.pipeline.kernel.held import plain
from tracebraid.pipeline.kernel.moments import LOCAL, NONE, UNUSUAL, ZONED, times_of
from tracebraid.pipeline.kernel.records import Records
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.pipeline.normalize.log_fields import NAMES
from tracebraid.pipeline.normalize.log_time import parse_time
from tracebraid.schemas.table import STRING

import numpy as np  # isort: skip
import pyarrow as pa  # isort: skip

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
_NAMES = sorted({name for names in NAMES.values() for name in names})
names = st.one_of(
    st.sampled_from(_NAMES),
    st.sampled_from(
        ["user", "items", "kubernetes", "stream", "source_type", "agent", "log", "logEvents", "a", "a.b", "b", "Level", "MSG", "resourceSpans", "é"]
    ),
    st.text(max_size=4),
)
times = st.sampled_from(
    [
        *("2023-11-14T22:13:20Z", "2023-11-14T22:13:20.123456789Z", "2023-11-14 22:13:20,5", "2023-11-14T22:13:20.1+02:00", "2023-11-14T22:13:20-0330"),
        *("2023-02-30T00:00:00Z", "2023-11-14T24:00:00Z", "1700000000", "1700000000.1234567", "1700000000123", "170000000012345678", "99999999999", "5"),
        *("14/Nov/2023:22:13:20 +0000", "Nov 14 22:13:20", "1970-01-01T00:00:00Z", "2023-11-14T22:13Z", "2023-11-14T23:59:60Z", "2023-11-14T22:13:20 UTC"),
    ]
)
told = st.sampled_from(
    [
        *(
            TRACE,
            TRACE.upper(),
            SPAN,
            "0",
            "-",
            "",
            " ",
            "0" * 32,
            f"00-{TRACE}-{SPAN}-01",
            f"trace_id={TRACE} span_id={SPAN}",
            "TRACE nothing",
            "1234567890123456789",
        ),
        *(
            "info",
            "ERROR",
            "warn",
            "nonsense",
            "{}",
            "[1]",
            "{x",
            "true",
            "True",
            "1",
            "01",
            "0",
            "20",
            "fatal\n",
            "3ms",
            "shop",
            "x" * 40,
            "y" * 600,
            "\u2003",
            "\x1f",
        ),
        *(
            "java.lang.Error: no",
            "a\n\tat b.c(D.java:1)\n",
            "Traceback (most recent call last):\n  x\nValueError: no",
            "order 42 paid",
            "\u00e9t\u00e9",
            '"\\/\b\f\n\r\t\x01',
        ),
    ]
)
scalars = st.one_of(
    told,
    times,
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**65),
    st.floats(),
    st.floats(-1e6, 1e6).map(lambda each: round(each, 3)),
    st.text(max_size=20),
)
values = st.recursive(scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)), max_leaves=6)
objects = st.dictionaries(names, values, max_size=8)
ordinary = st.fixed_dictionaries(
    {"level": st.sampled_from(["info", "warn", "error", "odd"]), "time": times, "msg": st.one_of(told, st.text(max_size=10))},
    optional={
        "trace_id": st.sampled_from([TRACE, "0", "", TRACE.upper()]),
        "span_id": st.sampled_from([SPAN, "0", "", "x"]),
        **dict.fromkeys(("logger", "name", "thread", "service", "error", "trace_flags", "trace_sampled", "severity", "ts", "err.type", "stack"), told),
        "user": st.dictionaries(st.sampled_from(["id", "name"]), scalars, max_size=2),
        "took": st.floats(0, 1),
    },
)
words = st.sampled_from(["shop", "a.b.C", "main", "x y"])
usual = st.fixed_dictionaries(
    {"level": st.sampled_from(["info", "warn", "ERROR", "odd"]), "msg": st.one_of(words, st.text('ab é"\\', min_size=1, max_size=10))},
    optional={
        **dict.fromkeys(("time", "ts"), times),
        **{name: st.sampled_from([TRACE, "0"]) for name in ("trace_id", "otelTraceID")},
        **{name: st.sampled_from([SPAN, "0"]) for name in ("span_id", "otelSpanID")},
        **dict.fromkeys(("logger", "name", "thread", "service.name", "app", "error", "err.type", "event_name", "severity", "at"), words),
        **{"trace_flags": st.sampled_from(["01", "00", "1"]), "trace_sampled": st.booleans(), "trace": words},
        **{"user": st.dictionaries(st.sampled_from(["id", "name"]), scalars, max_size=2), "took": st.floats(0, 1), "items": st.lists(scalars, max_size=2)},
    },
)


def _spelled(value: Any, how: int) -> bytes:
    """As different libraries write JSON. Infinite numbers and integers beyond 64 bits are for the standard library."""
    if how == 0:
        try:
            return orjson.dumps(value)
        except TypeError:
            pass
    return json.dumps(value, ensure_ascii=how < 2, indent=2 if how == 3 else None).encode("utf-8", "surrogatepass") + (b"\n" if how == 2 else b"")


spelled = st.builds(_spelled, st.one_of(usual, usual, ordinary, objects), st.integers(0, 3))
EDITS = st.lists(st.tuples(st.integers(0, 400), st.sampled_from([*b'{}[],:"\\0.e-tn', 0, 10, 0x1F, 0x80, 0xC3, 0xED, 0xFF])), max_size=3)


def _edited(value: bytes, edits: list[tuple[int, int]]) -> bytes:
    found = bytearray(value)
    for place, byte in edits:
        if found:
            found[place % len(found)] = byte
    return bytes(found)


def _rows(records: Records, kernels: bool, formats: list[FormatSettings]) -> tuple[list[dict[str, Any]], Any, Any]:
    decoded = decode(records, kernels=kernels)
    assert not decoded.fault
    found = normalize(records, decoded, now_us=0, formats=formats)
    rows = pa.record_batch([plain(column) for column in found.logs.columns], names=found.logs.schema.names).to_pylist()
    kept = [{**row, "attributes": row["attributes"] or []} for row in sorted(rows, key=lambda row: (row["kafka_offset"], row["record_index"]))]
    return kept, found.rejects.to_pylist(), (found.counted, found.event_time_us, decoded.dropped)


def _same(values: list[bytes], encoding: str = "auto", formats: list[FormatSettings] | None = None, headers: Any = None) -> None:
    records = records_of(values, encoding, headers=headers)
    walked, read = (_rows(records, kernels, formats or []) for kernels in (True, False))
    for one, other in zip(walked[0], read[0], strict=True):
        assert one == other
    assert walked[1:] == read[1:]


@settings(max_examples=400)
@given(st.lists(spelled, min_size=1, max_size=12), st.sampled_from(["auto", "json"]))
@example([b'{"a":{"b":1},"a.b":2}', b'{"a.b":"x"}'], "auto")
@example([b'{"a":1,"a":2}', b'{"a":{"x":1},"a":{"y":2}}', b"{}", b'{"a":{}}', b'{"a":1} ', b'{"a":1}{"b":2}'], "auto")
@example([b'{"msg":"x","n":' + n + b"}" for n in (b"-0", b"-0.0", b"1.50", b"1e5", b"0.00001", b"123456789012345678901", b"9007199254740993.0")], "json")
@example([b'{"msg":{"a":1}}', b'{"msg":"\\ud800"}', b'{"m\\u0073g":"\\ud83d\\ude00"}', b'{"msg":"\\u0000"}', b'{"msg":"\xff"}'], "auto")
@example([b'{"msg":"a"}', b"\tat b.c(D.java:1)", b'{"msg":"c"}'], "auto")
@example([b"java.lang.Error: no", b'{"msg":"a"}', b'{"msg":"b"}', b"\tat b.c(D.java:1)", b"\tat b.c(D.java:2)", b'{"msg":"c"}'], "auto")
@example([b'{"a":' * 7 + b"1" + b"}" * 7, b'{"a":' * 9 + b"1" + b"}" * 9, b'{"a":' * 60 + b"1" + b"}" * 60, b'{"a":' * 65 + b"1" + b"}" * 65], "auto")
def test_same_rows_as_the_reference(values: list[bytes], encoding: str) -> None:
    _same(values, encoding)


@settings(max_examples=300)
@given(st.lists(st.tuples(spelled, EDITS), min_size=1, max_size=8))
def test_same_rows_of_mutated_bytes(values: list[tuple[bytes, list[tuple[int, int]]]]) -> None:
    _same([_edited(value, edits) for value, edits in values])


@settings(max_examples=100)
@given(
    st.lists(spelled, min_size=1, max_size=5),
    st.lists(st.sampled_from([b"2023-11-14 22:13:20 INFO a", b"\tat b.c(D.java:1)", b"java.lang.Error: no", b"", b"\x0a"])),
)
def test_same_rows_beside_lines_of_text(values: list[bytes], lines: list[bytes]) -> None:
    _same([each for pair in zip(values, lines * len(values), strict=False) for each in pair] or values)


@settings(max_examples=50)
@given(st.lists(st.builds(_spelled, ordinary, st.just(0)), min_size=1, max_size=5), st.booleans())
def test_same_rows_with_a_users_format_and_with_headers(values: list[bytes], headed: bool) -> None:
    formats = [FormatSettings(name="mine", fields={"message": "user.name", "service": "thread"})]
    headers = [[("traceparent", f"00-{TRACE}-{SPAN}-01".encode())]] * len(values) if headed else None
    _same(values, formats=formats, headers=headers)


@pytest.mark.parametrize("name", ["traceparent", "TraceParent", "trace"])
def test_the_source_of_a_trace_id_in_a_users_field_is_called_the_same(name: str) -> None:
    value = orjson.dumps({name: TRACE, "level": "info", "msg": "paid"})
    formats = [FormatSettings(name="mine", fields={"trace_id": name})]
    _same([value], formats=formats)
    (row,), _, _ = _rows(records_of([value]), True, formats)
    assert row["trace_id_source"] == ("traceparent" if name.lower() == "traceparent" else f"field:{name}")


@pytest.mark.parametrize("folder", sorted((Path(__file__).parents[1] / "data" / "logs").glob("*")), ids=lambda path: path.name)
def test_same_rows_of_real_libraries(folder: Path) -> None:
    files = [folder] if folder.is_file() else [path for path in sorted(folder.rglob("*")) if path.is_file()]
    values = [line for path in files for line in path.read_bytes().splitlines() if line.startswith(b"{")]
    if values:
        _same(values)


@pytest.mark.parametrize("odd", [b'{"n":-1%s.5}' % (b"0" * 320), b'{"awslogs":{"data":"%s"}}' % base64.b64encode(gzip.compress(b'{"a":1}', mtime=0))])
def test_numbers_beyond_a_double_and_compressed_records_are_left(odd: bytes) -> None:
    decoded = decode(records_of([odd, b'{"a":1}']))
    assert (decoded.fault, decoded.walked_objects.column("record").to_pylist() if decoded.walked_objects else []) == ("", [1])
    _same([odd, b'{"a":1}', odd])


def test_rows_keep_their_values_when_the_memory_of_their_walk_is_used_again() -> None:
    """One item alone lies end to end whichever of its words are taken, so that a view of them would do: and would show what the next batch has there."""
    scratch = Scratch()
    decoded = decode(records_of([orjson.dumps({"a": "x" * 40_000})]), scratch=scratch)
    decode(records_of([orjson.dumps({"b": "y", "c": "z" * 20_000})]), scratch=scratch)
    assert decoded.walked_objects is not None
    assert decoded.walked_objects.column("attributes").to_pylist() == [[("a", "x" * 40_000)]]


def test_most_of_what_arrives_is_walked() -> None:
    line = {"level": "info", "ts": 1700000000.1234567, "msg": 'a "b"\n', "trace_id": TRACE, "user": {"id": 5, "tags": ["x"]}, "took": 0.123456789, "none": None}
    decoded = decode(records_of([b'{"log":"1 x","stream":"stdout"}', *[orjson.dumps(line)] * 3, b'{"message":{"a":1}}', b'{"a":1,"a":2}']))
    assert decoded.walked_objects is not None
    assert (decoded.walked_objects.num_rows, decoded.logs.num_rows) == (3, 3)
    flat = [("level", "info"), ("ts", "1700000000.1234567"), ("msg", 'a "b"\n'), ("trace_id", TRACE), ("user.id", "5"), ("user.tags", '["x"]')]
    assert decoded.walked_objects.column("attributes").to_pylist() == [[*flat, ("took", "0.123456789"), ("none", None)]] * 3
    assert decoded.walked_objects.column("record").to_pylist() == [1, 2, 3]


@settings(max_examples=500)
@given(
    st.one_of(
        times,
        st.datetimes().map(str),
        st.from_regex(r"\A[0-9]{9,20}(\.[0-9]{1,12})?\Z"),
        st.from_regex(r"\A[0-3][0-9]/(Jan|Feb|Jun|Dec|dec)/(19|20|22)[0-9]{2}:[0-2][0-9]:[0-5]0:[0-6]0 [+-][0-3][0-9][0-6]0\Z"),
        st.from_regex(r"\A20[0-9]{2}-[01][0-9]-[0-3][0-9]T12:00:[0-6]0([.,][0-9]{1,19})?([+-][0-3][0-9]:?[0-6][0-9])?\Z"),
    )
)
def test_times_are_what_log_time_reads(text: str) -> None:
    _check_time(text, None)


_NEAR = st.sampled_from([-(2**63), -1, 0, 10**18, 1_700_000_000_000_000_000, 1_709_164_800_000_000_000, 2**63 - 1]) | st.integers(-(2**62), 2**62)


@settings(max_examples=500)
@given(
    st.one_of(
        st.sampled_from(["Nov 14 22:13:20", "Jan  1 00:00:00", "Feb 29 12:00:00", "Feb 30 12:00:00", "Dec 31 23:59:60", "xxx 14 22:13:20", "Nov 4  22:13:20"]),
        st.from_regex(r"\A[01][0-9][0-3][0-9] [0-2][0-9]:00:[0-6]0\.[0-9]{1,10}\Z"),
        times,
    ),
    _NEAR,
)
def test_times_without_a_year_are_what_log_time_reads(text: str, near: int) -> None:
    _check_time(text, near)


def _check_time(text: str, near: int | None) -> None:
    nanos, kinds = times_of(pa.array([text, None], STRING), *([] if near is None else [np.array([near, near], np.int64)]))
    moment = parse_time(text, near)
    assert kinds[1] == NONE
    if kinds[0] != UNUSUAL:
        assert moment is not None
        assert (nanos[0], kinds[0] == ZONED, kinds[0] in (ZONED, LOCAL)) == (moment.nanos, moment.zoned, True)
