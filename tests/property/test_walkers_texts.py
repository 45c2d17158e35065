"""Lines of text read by the batch, bare and in envelopes, against the reference decoders and rows that are read one by one."""

import base64
import gzip
import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.batches import records_of
from tests.fuzz.judge import difference
from tests.fuzz.texts import line
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.decode.walkers.memory import Scratch
from tracebraid.pipeline.decode.walkers.object_rows import may_be_object
from tracebraid.pipeline.decode.walkers.text_rows import Texts, walk_texts
from tracebraid.pipeline.kernel.formats import FormatSettings
from tracebraid.pipeline.kernel.line_pairs import pairs_of
from tracebraid.pipeline.kernel.lines import F_KIND, F_LEVEL, LINES, PAIRS, UPPER, WORDS, lines_of
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.pipeline.normalize.context import Context
from tracebraid.pipeline.normalize.log_shapes import read_shapes
from tracebraid.pipeline.normalize.log_text import level_in
from tracebraid.pipeline.normalize.log_texts import read_texts
from tracebraid.pipeline.normalize.logfmt import read_logfmt
from tracebraid.pipeline.normalize.severity import severity_number

import numpy as np  # isort: skip
import pyarrow as pa  # isort: skip

SHAPED = ("access, common", "access, combined", "syslog, new", "syslog, old", "klog")
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
_LOGS = Path(__file__).parents[1] / "data" / "logs"
_CLOCK = "2026-01-01T12:00:00.123Z"
LINES_OF = {
    "logback": f"2026-01-01 12:00:00.123 INFO  [main] a.b.C : done trace_id={TRACE} span_id={SPAN}",
    "Spring Boot": f"{_CLOCK}  WARN 1 --- [           main] a.b.C    : done",
    "TrainTicket": f"12:00:00.123 ERROR o.a.C.[.[/]#175 TraceID: {TRACE} SpanID: {SPAN} done",
    "Python": "2026-01-01 12:00:00,123 - a.b - ERROR - done",
    "logfmt": f'time={_CLOCK} level=warn msg="all done" trace_id={TRACE} user=u-1',
    "access, common": '10.0.0.1 - alice [14/Nov/2023:22:13:20 +0100] "GET /orders?page=2 HTTP/1.1" 200 5123',
    "access, combined": f'::1 - - [14/Nov/2023:22:13:20 +0100] "POST /orders HTTP/1.1" 404 - "https://a/b" "curl" trace_id={TRACE}',
    "syslog, new": f"<165>1 {_CLOCK} web-1 orders 1000 ID47 - done trace_id={TRACE}",
    "syslog, old": "<34>Nov  4 22:13:20 web-1 sshd[77]: done",
    "klog": "W1114 22:13:20.123456       1 main.go:5] done",
    "prose": "the server listens on port 80",
}


def _wrapped(envelope: str, text: str, number: int) -> bytes:
    pod = {"pod_name": f"p-{number % 2}", "labels": {"app": "shop"}}
    filebeat = {"@timestamp": _CLOCK, "message": text, "agent": {"type": "filebeat"}, "log": {"offset": number, "file": {"path": "/a"}}}
    made = {
        "bare": text.encode(),
        "cri": f"{_CLOCK} stderr F {text}".encode(),
        "docker": json.dumps({"log": f"{text}\n", "stream": "stdout", "time": _CLOCK}).encode(),
        "fluent-bit": json.dumps({"log": text, "date": 1_767_268_800.123456, "kubernetes": pod, "n": number}).encode(),
        "filebeat": json.dumps(filebeat).encode(),
        "vector": json.dumps({"message": text, "timestamp": _CLOCK, "source_type": "file", "host": "h"}).encode(),
        "gcp": json.dumps({"textPayload": text, "timestamp": _CLOCK, "logName": "l", "insertId": f"i-{number}", "resource": {"type": "x"}}).encode(),
    }
    return made[envelope]


def _walked(values: list[bytes]) -> Texts | None:
    column = records_of(values).batch.column("value")
    objects = may_be_object(column)
    return walk_texts(column, 1 - objects, objects, Scratch())


def _shaped(values: list[bytes]) -> list[tuple[Any, Any]]:
    """The rows of `values` that are read by their shape."""
    records = records_of(values)
    context, logs = Context.of(records, 0), decode(records).logs
    return read_shapes(context, logs, read_texts(context, logs))


def _check(values: list[bytes], formats: list[FormatSettings] | None = None) -> None:
    records = records_of(values)
    both = [normalize(records, decode(records, kernels=kernels), now_us=0, formats=formats or ()) for kernels in (True, False)]
    assert difference(both[0], both[1]) == ""


@pytest.mark.parametrize("envelope", ["bare", "cri", "docker", "fluent-bit", "filebeat", "vector", "gcp"])
@pytest.mark.parametrize("shape", LINES_OF)
def test_usual_lines_are_read_by_the_batch(envelope: str, shape: str) -> None:
    values = [_wrapped(envelope, LINES_OF[shape], number) for number in range(8)]
    texts = _walked(values)
    assert texts is not None
    assert texts.records.all()
    assert texts.rows.schema == LINES
    records = records_of(values)
    read = read_texts(Context.of(records, 0), decode(records).logs)
    assert len(read.usual) == (0 if shape in ("logfmt", *SHAPED) else 8)
    assert [len(rows) for rows, _ in _shaped(values)] == ([8] if shape in SHAPED else [])
    assert ((read.kinds & PAIRS) > 0).all() == (shape == "logfmt")
    _check(values)


@pytest.mark.parametrize("envelope", ["cri", "docker", "fluent-bit", "filebeat", "vector", "gcp"])
def test_objects_in_an_envelope_are_walked(envelope: str) -> None:
    values = [_wrapped(envelope, json.dumps({"level": "info", "msg": "done", "took": number, "trace_id": TRACE}), number) for number in range(8)]
    texts = _walked(values)
    assert texts is not None
    assert texts.records.all()
    assert set(texts.rows.column("form").to_pylist()) == {"json"}
    _check(values)


@pytest.mark.parametrize(
    ("envelope", "said"),
    [
        *(
            ("filebeat", said)
            for said in ({"log": {"level": "info"}}, {"log.level": "info"}, {"log": "x"}, {"log.offset": 1}, {"ecs": 1}, {"message": {"a": 1}})
        ),
        *(("vector", said) for said in ({"file": "/b"}, {"source_type": "x"}, {"timestamp": "2026-01-01T13:00:00Z"}, {"host": "i"}, {"kubernetes": {"a": 1}})),
        ("gcp", {"insertId": "x"}),
        ("gcp", {f"k{number}": number for number in range(1024)}),
    ],
)
def test_objects_with_names_of_their_envelope_give_the_same_rows(envelope: str, said: dict[str, Any]) -> None:
    _check([_wrapped(envelope, json.dumps({"msg": "done", **(said if number % 3 else {})}), number) for number in range(12)])


@pytest.mark.parametrize("body", [{"a": 1}, {}, "x", [1]])
def test_an_envelope_s_message_is_an_object_s_where_it_has_none(body: object) -> None:
    said = {"@timestamp": _CLOCK, "message": '{"level":"warn"}', "input": {"type": "log"}, "body": body}
    _check([json.dumps({**said, "n": number}).encode() for number in range(8)])


@pytest.mark.parametrize(
    "odd",
    [
        b'{"log":"x","log":"y","time":"a"}',
        b'{"log":"x","time":"a","kubernetes":{"pod_name":"p","n":1}}',
        b'{"log":"\\ud800","time":"a"}',
        b'{"log":"{\\"log\\":\\"x\\",\\"time\\":\\"a\\"}","time":"a"}',
        b'{"log":"2026-01-01T12:00:00Z stdout F x","time":"a"}',
        b'{"log":"x","operationName":"y","time":"a"}',
        b'{"log":"x","time":1e400}',
        b'{"log":"x","time":123456789012345678901}',
        b'{"log":"x","time":1%s.5}' % (b"0" * 320),
        b'{"n":1%s.5,"n":1,"log":"x","time":"a"}' % (b"0" * 320),
        b'{"awslogs":{"data":"%s"},"log":"x","time":"a"}' % base64.b64encode(gzip.compress(b"y", mtime=0)),
        b"2026-01-01T12:00:00Z stdout F 2026-01-01T12:00:00Z stdout F x",
        b"H4sIAAAA",
        b"\x00x",
        b" " * 50 + b"x",
        b"x\xff",
    ],
)
def test_what_is_not_sure_is_left(odd: bytes) -> None:
    found = _walked([odd] * 8)
    assert found is None or not found.rows.num_rows or b'"log","y"' in odd or b'"log":"y"' in odd  # of a name twice the last one counts, by the reference, too
    assert not decode(records_of([odd] * 8)).fault
    _check([odd, *([odd] * 8), b"plain"])


@pytest.mark.parametrize(
    "odd",
    [
        '%s - - [14/Nov/2023:22:13:20 +0000] "GET / HTTP/1.1" 200 1' % ("x" * 256),
        '::1 %s - [14/Nov/2023:22:13:20 +0000] "GET / HTTP/1.1" 200 1' % ("x" * 65),
        '::1 - - [31/Nov/2023:22:13:20 +0000] "GET / HTTP/1.1" 200 1',
        '::1 - - [14/Nov/2023:22:13:20 +0000] "GET /level=warn HTTP/1.1" 200 1',
        '::1 - - [14/Nov/2023:22:13:20 +0000] "GET / HTTP/1.1" 200 1 service.name=shop',
        '::1 - - [14/Nov/2023:22:13:20 +0000] "GET / HTTP/1.1" 200 1\nmore',
        '::1 [x] "y"',
        f'<34>1 {_CLOCK} a b c d [e@1 f="g"] h',
        f"<34>1 {_CLOCK} {'x' * 256} b c d - h",
        f"<34>1 {_CLOCK} a 3ms c d - h",
        "<34>1 2023-02-30T22:13:20Z a b c d - h",
        "<34>Nov 14 22:13:20 UTC 2023 web-1 a: b",
        "<34>Feb 30 22:13:20 web-1 a: b",
        f"<34>Nov 14 22:13:20 web-1 {'x' * 49}: b",
        'I1114 22:13:20.123456       1 main.go:5] "done" a="b"',
        f"I1114 22:13:20.123456       1 {'x' * 201}:5] done",
    ],
)
def test_shapes_that_are_not_sure_are_left(odd: str) -> None:
    values = [odd.encode(), LINES_OF["access, common"].encode()] * 4
    assert [row for rows, _ in _shaped(values) for row in rows.tolist()] == [1, 3, 5, 7]
    _check(values)


def test_fields_that_a_shape_has_too_are_left() -> None:
    line, pod = LINES_OF["access, combined"], {"pod_name": "p"}
    values = [json.dumps({"log": line, "kubernetes": pod, **said}).encode() for said in ({"url.path": "x"}, {"level": "warn"}, {"a": "b"}) for _ in range(4)]
    assert [row for rows, _ in _shaped(values) for row in rows.tolist()] == [8, 9, 10, 11]
    _check(values)
    _check(values, [FormatSettings(name="mine", fields={"logger": "url.path"})])
    _check(values, [FormatSettings(name="mine", pattern="^::1 (?P<rest>.*)$")])
    headers = [[("traceparent", f"00-{TRACE}-{SPAN}-01".encode())]] * len(values)
    records = records_of(values, headers=headers)
    assert difference(*(normalize(records, decode(records, kernels=kernels), now_us=0) for kernels in (True, False))) == ""


@pytest.mark.parametrize("kafka_ms", [-1, 0, 1_704_067_199_999, 1_704_067_200_000, 1_709_164_800_000, 1_719_878_400_000, 7_258_118_400_000, 2**62])
def test_a_year_that_lacks_is_the_same_beside_any_kafka_time(kafka_ms: int) -> None:
    days = ("Jan  1 00:00:00", "Dec 31 23:59:60", "Feb 29 12:00:00", "Jul  2 00:00:00", "JAN  1 00:00:00")
    clocks = ("0101 00:00:00.000000", "1231 23:59:59.999999999", "0229 00:00:00.1", "0000 00:00:00.1")
    lines = [*(f"<{number}>{day} web-1 sshd: done" for number in (0, 191, 192, 999) for day in days), *(f"I{clock} 1 main.go:5] done" for clock in clocks)]
    records = records_of([text.encode() for text in lines], kafka_ms=kafka_ms)
    assert difference(*(normalize(records, decode(records, kernels=kernels), now_us=0) for kernels in (True, False))) == ""


def test_few_of_a_frame_are_left() -> None:
    assert _walked([_wrapped("docker", "x", 0)] * 3) is None
    assert _walked([_wrapped("docker", "x", 0)] * 4) is not None


def test_a_batch_with_parts_of_lines_is_joined_by_the_reference() -> None:
    head = b"2026-01-01T12:00:00Z stdout "
    values = [head + b"P " + b"x" * 9000, head + b"F y", head + b"F z"] * 3
    records = records_of(values)
    place = records.batch.schema.get_field_index("key")
    decoded = decode(replace(records, batch=records.batch.set_column(place, records.batch.schema.field(place), pa.nulls(len(values), pa.binary()))))
    assert decoded.dropped == {"joined": 3}
    assert [len(body) for body in decoded.logs.column("body").to_pylist()] == [9001, 1] * 3


@given(st.lists(st.integers(0, 2**32), min_size=1, max_size=30), st.sampled_from(["bare", "docker", "cri"]))
@settings(max_examples=150, deadline=None)
def test_lines_of_all_shapes_give_the_same_rows(seeds: list[int], envelope: str) -> None:
    _check([_wrapped(envelope, line(Random(seed)), number) for number, seed in enumerate(seeds)])


@pytest.mark.parametrize("name", [path.name for path in sorted(_LOGS.iterdir()) if path.suffix in (".txt", ".jsonl")])
@pytest.mark.parametrize("envelope", ["bare", "docker", "filebeat", "cri"])
def test_lines_of_real_libraries_give_the_same_rows(name: str, envelope: str) -> None:
    texts = (_LOGS / name).read_text(encoding="utf-8").splitlines()
    _check([_wrapped(envelope, text, number) for number, text in enumerate(texts * 4)])


def test_traces_are_joined_across_rows_that_are_read_otherwise() -> None:
    pod = _wrapped("fluent-bit", "x", 0)
    trace = [
        "a.B: no",
        "\tat a.b(C.java:1)",
        "Caused by: x.Y: z",
        "",
        "2026-01-01 12:00:00 INFO [main] a.B - next",
        "Traceback (most recent call last):",
        "  File",
        "K: x",
    ]
    in_pod = [pod.replace(b'"x"', json.dumps(text).encode()) for text in [LINES_OF["logback"], *trace]]
    in_other = [each.replace(b"p-0", b"p-1") for each in in_pod]
    mixed = [value for pair in zip(in_pod, in_other, strict=True) for value in pair]
    objects = [_wrapped("docker", json.dumps({"level": "error", "msg": "failed", "trace_id": TRACE}), 0), *(text.encode() for text in trace)]
    _check([*mixed * 2, *objects * 4, b'{"level":"error","msg":"bare"}', *(text.encode() for text in trace)])


def test_a_users_format_and_names_go_before() -> None:
    pattern = FormatSettings(name="mine", pattern=r"^(?P<level>\w+)/(?P<message>.*)$")
    fields = FormatSettings(name="fields", fields={"trace_id": "ref"})
    values = [b"WARN/hello there", *(_wrapped("docker", text, 0) for text in LINES_OF.values())] * 4
    _check([*values, b"ref=%s a=b" % TRACE.encode()], [pattern, fields])


def test_words_of_levels_are_those_of_the_patterns() -> None:
    for word in WORDS:
        text = f"x {word} y" if word in UPPER else f"x [{word}] y"
        assert level_in(text) == (word, severity_number(word)), word
        assert WORDS[lines_of(pa.array([text]))[F_LEVEL, 0]] == word


@given(st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_lines_of_pairs_are_those_of_logfmt(seed: int) -> None:
    text = line(Random(seed))
    texts = pa.array([text])
    rows, ends, keys, values = pairs_of(texts, np.flatnonzero(lines_of(texts)[F_KIND] & PAIRS))
    if len(rows):
        assert dict(zip(keys.to_pylist(), values.to_pylist(), strict=True)) == read_logfmt(text)
        assert ends.tolist() == [0, len(keys)]
