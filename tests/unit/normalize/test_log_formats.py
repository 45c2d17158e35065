"""A user's formats, from records to rows."""

import json
import time
from typing import Any

from tests.unit.normalize.log_build import KAFKA_MS, own_columns, records_of
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.kernel.formats import FormatSettings
from tracebraid.pipeline.normalize.batch import normalize

NOON = 1_767_268_800 * 10**9  # 2026-01-01T12:00:00Z
TILL = FormatSettings(name="till", pattern=r"(?P<time>\S+) (?P<level>[A-Z]+) (?P<service>\w+)/(?P<trace_id>[0-9a-f]{16})(?: (?P<till>\d+))? # (?P<message>.*)")
KASSE = FormatSettings(name="kasse", topics=("topic",), fields={"time": "zeit", "level": "stufe", "message": "was", "trace_id": "kontext.korrelation"})


def rows_of(formats: tuple[FormatSettings, ...], *values: bytes) -> list[dict[str, Any]]:
    records = records_of(values)
    rows = normalize(records, decode(records), now_us=KAFKA_MS * 1000, formats=formats).logs.to_pylist()
    return [own_columns(row) for row in sorted(rows, key=lambda row: row["kafka_offset"])]


def test_a_pattern_takes_a_line_apart() -> None:
    line = "2026-01-01T12:00:00Z WARN shop/463ac35c9f6413ad 7 # low stock, level=info a=b"
    assert rows_of((TILL,), line.encode()) == [
        {"time_unix_nano": NOON, "severity_number": 13, "severity_text": "WARN", "service_name": "shop", "body": "low stock, level=info a=b"}
        | {"trace_id": "0" * 16 + "463ac35c9f6413ad", "trace_id_source": "field:trace_id", "attributes": {"till": "7"}}
    ]


def test_a_pattern_goes_before_what_would_be_recognized_and_others_stay_as_they_are() -> None:
    own = FormatSettings(name="pairs", pattern=r"level=(?P<stufe>\w+) msg=(?P<message>.*)")
    assert rows_of((own,), b"level=info msg=x y", b"level=info msg=x other=1", b"other=1 level=info msg=x", b'{"msg":"level=info msg=z"}') == [
        {"body": "x y", "attributes": {"stufe": "info"}},
        {"body": "x other=1", "attributes": {"stufe": "info"}},
        {"severity_number": 9, "severity_text": "info", "body": "x", "attributes": {"other": "1"}},
        {"body": "level=info msg=z"},
    ]


def test_without_a_message_the_whole_line_stays_the_body_and_is_searched() -> None:
    own = FormatSettings(name="bare", pattern=r"(?P<shop>\w+): .*")
    assert rows_of((own,), b"north: ERROR trace_id=463ac35c9f6413ad") == [
        {"severity_number": 17, "severity_text": "ERROR", "trace_id": "0" * 16 + "463ac35c9f6413ad", "trace_id_source": "text"}
        | {"body": "north: ERROR trace_id=463ac35c9f6413ad", "attributes": {"shop": "north"}}
    ]


def test_the_lines_behind_the_first_belong_to_the_message() -> None:
    line = "2026-01-01T12:00:00Z ERROR shop/463ac35c9f6413ad # failed\nE: no money\n\tat a.B"
    [row] = rows_of((TILL,), line.encode())
    assert (row["body"], row["exception_type"], row["exception_message"]) == ("failed\nE: no money\n\tat a.B", "E", "no money")


def test_fields_are_found_by_the_names_of_the_settings() -> None:
    log = {"zeit": "2026-01-01T12:00:00Z", "stufe": "warn", "was": "hi", "msg": "other", "level": "info", "kontext": {"korrelation": "463ac35c9f6413ad"}}
    expected = {"time_unix_nano": NOON, "severity_number": 13, "severity_text": "warn", "body": "hi", "trace_id": "0" * 16 + "463ac35c9f6413ad"}
    expected |= {"trace_id_source": "field:kontext.korrelation", "attributes": {"msg": "other", "level": "info"}}
    assert rows_of((KASSE,), json.dumps(log).encode()) == [expected]
    assert rows_of((KASSE.model_copy(update={"topics": ("elsewhere",)}),), json.dumps(log).encode())[0]["body"] == "other"


def test_a_pattern_that_backtracks_elsewhere_is_linear_here() -> None:
    own = FormatSettings(name="slow", pattern=r"(?P<a>(?:(?:x+x+)+)y)")
    begun = time.process_time()
    assert rows_of((own,), b"x" * 100_000) == [{"body": "x" * 100_000}]
    assert time.process_time() - begun < 5  # for ever in an engine that backtracks
