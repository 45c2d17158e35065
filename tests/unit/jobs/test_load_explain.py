"""`tracebraid load --explain`: whole answers for files of real libraries, of several kinds, and for a user's formats."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.property.test_otlp import SEEDS
from tests.unit.normalize.test_log_libraries import DATA
from tracebraid.jobs.load import command

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
KNOWN = {
    "zap.jsonl": "zap",
    "logrus.jsonl": "logrus",
    "zerolog.jsonl": "zerolog",
    "slog.jsonl": "slog",
    "logstash-logback-encoder.jsonl": "logstash-logback-encoder",
    "logback-ecs-encoder.jsonl": "ECS",
    "log4j2-ecs-layout.jsonl": "ECS",
    "log4j2-json-layout.jsonl": "log4j2 (JsonTemplateLayout)",
    "log4j2-logstash-layout.jsonl": "log4j2 (LogstashJsonEventLayoutV1)",
    "pino.jsonl": "pino",
    "winston.jsonl": "winston",
    "bunyan.jsonl": "bunyan",
    "structlog.jsonl": "structlog",
    "python-json-logger.jsonl": "python-json-logger",
    "rust-tracing.jsonl": "Rust tracing",
    "klog.txt": "klog",
    "logfmt.txt": "logfmt",
    "syslog-rfc5424.txt": "syslog (RFC 5424)",
    "syslog-rfc3164.txt": "syslog (RFC 3164)",
}


def run(*arguments: str) -> str:
    result = CliRunner().invoke(command, ["--explain", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def told(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("--json", *arguments).splitlines()]


@pytest.mark.parametrize("name", KNOWN)
def test_every_library_is_known_by_its_lines(name: str) -> None:
    assert {kind["format"] for kind in told(str(DATA / name))} == {KNOWN[name]}


def test_each_column_says_where_it_is_from(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes((DATA / "zap.jsonl").read_bytes().splitlines()[0])
    assert run(str(path)).splitlines() == [
        f"{path}: 1 × json, logs, zap; record 0:",
        *(
            f"    {column:<15}  {value:<60}  from {origin}"
            for column, value, origin in (
                ("time", "2026-11-21T19:37:10.935215500Z", "field ts"),
                ("severity_text", "info", "field level"),
                ("severity_number", "9", "severity_text"),
                ("body", "order placed", "field msg"),
                ("logger", "shop.orders", "field logger"),
                ("trace_id", TRACE_ID, "field trace_id"),
                ("span_id", SPAN_ID, "field span_id"),
            )
        ),
        "    attributes: caller, order_id, items, total, paid",
    ]


def test_a_file_of_several_kinds_has_a_sample_of_each(tmp_path: Path) -> None:
    envelope = {"log": "12:00:00.123 [main] WARN  com.x.Y - hi\nE: m\n\tat a.B", "stream": "stdout", "time": "2026-01-01T12:00:00Z"}
    spans = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": TRACE_ID, "spanId": SPAN_ID, "name": "x"}]}]}]}
    path = tmp_path / "mixed.jsonl"
    path.write_text("\n".join([json.dumps(envelope), json.dumps(spans), '{"a":1}', json.dumps(envelope), '{"resourceSpans": 7}']), encoding="utf-8")
    kinds = told(str(path))
    assert [(kind["recognized"], kind["envelope"], kind["format"], kind["records"], kind["first_record"]) for kind in kinds[:3]] == [
        ("json, logs", "docker", None, 2, 0),
        ("otlp_json, spans", None, None, 1, 1),
        ("json, logs", None, None, 1, 2),
    ]
    assert kinds[3]["recognized"].startswith("rejected (malformed): ")
    assert kinds[0]["columns"] == {
        "time": ["2026-01-01T12:00:00.000000000Z", "envelope"],
        "severity_text": ["WARN", "text"],
        "severity_number": [13, "severity_text"],
        "body": [envelope["log"], "the whole text"],
        "logger": ["com.x.Y", "text"],
        "thread": ["main", "text"],
        "exception_type": ["E", "stack trace"],
        "exception_message": ["m", "stack trace"],
        "exception_stacktrace": ["E: m\n\tat a.B", "stack trace"],
    }


def test_messages_of_protobuf_are_told_too(tmp_path: Path) -> None:
    path = tmp_path / "both.binpb"
    path.write_bytes(b"".join(len(value).to_bytes(4, "big") + value for value in SEEDS[:2]))  # which compiled walkers would take
    assert [(kind["recognized"], kind["records"]) for kind in told(str(path))] == [("otlp_proto, spans", 1), ("otlp_proto, logs", 1)]


def test_a_user_s_formats_are_named(tmp_path: Path) -> None:
    config, path = tmp_path / "tracebraid.toml", tmp_path / "till.log"
    config.write_text(
        "[[formats]]\nname = 'till'\npattern = '(?P<level>[A-Z]+) (?P<till>\\d+) (?P<message>.*)'\n[[formats]]\nname = 'kasse'\nfields = {level = 'stufe'}",
        encoding="utf-8",
    )
    path.write_text('WARN 7 low\n{"stufe": "error", "msg": "x"}\n', encoding="utf-8")
    first, second = told(str(path), "--config", str(config))
    assert (first["format"], first["columns"]["severity_text"], first["attributes"]) == ("format till", ["WARN", "field level"], ["till"])
    assert (second["format"], second["columns"]["severity_text"]) == ("format kasse", ["error", "field stufe"])


def test_nothing_is_written_and_a_file_without_records_says_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.touch()
    assert run(str(path)) == f"{path}: no records\n"
    assert list(tmp_path.iterdir()) == [path]
