"""What real libraries wrote, line by line, as rows: every column of each, and what all of them were told to log."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.normalize.log_build import logs_of

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data" / "logs"
FILES = sorted(path.name for path in DATA.iterdir() if path.suffix in (".jsonl", ".txt"))
LIBRARIES = [name for name in FILES if name.endswith(".jsonl") or name in ("klog.txt", "logback.txt", "python-logging.txt")]
TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
# tools/fixtures/logs/events.md, and its numbers of severity.
EVENTS = [
    ("order placed", 9),
    ("stock is low", 13),
    ("payment failed", 17),
    ("signed in", 9),
    ("Grüße aus 東京 🚀", 9),
    ("first line\nsecond line\n\tthird line", 9),
]
WITHOUT_FIELDS = ("log4j2", "logback", "python-logging", "klog")
WITHOUT_CLASS = ("zap", "logrus", "zerolog", "slog", "klog", "rust-tracing")  # their languages' errors have none


def records(name: str) -> list[bytes]:
    """The records of a file: its lines, or in layouts of text the lines of a log together, as shippers join them."""
    text = (DATA / name).read_bytes().rstrip(b"\n")
    if name in ("logback.txt", "python-logging.txt"):
        return [record.rstrip(b"\n") for record in re.split(rb"(?m)^(?=\d{4}-)", text) if record]
    return text.split(b"\n")


@pytest.mark.parametrize("name", FILES)
def test_every_line_gives_its_row(name: str) -> None:
    expected: list[dict[str, Any]] = json.loads((DATA / "expected" / f"{name}.json").read_text(encoding="utf-8"))
    assert logs_of(*records(name)) == expected


@pytest.mark.parametrize("name", LIBRARIES)
def test_all_libraries_say_the_same(name: str) -> None:
    """Independent of the rows written down: these come from what the generators were told."""
    rows = logs_of(*records(name))
    events = [EVENTS[number] for number in (0, 1, 2, 4)] if name == "klog.txt" else EVENTS
    assert [row["severity_number"] for row in rows] == [number for _, number in events]
    for row, (message, _) in zip(rows, events, strict=True):
        assert message in row["body"] if name.endswith(".txt") or message == "payment failed" else row["body"] == message
        assert row["time_unix_nano"] % (366 * 86400 * 10**9) > 0
        if not (name == "klog.txt" and message == "stock is low"):  # klog's unstructured calls have no fields
            assert row["trace_id"] == ("0" * 16 + TRACE_ID[16:] if name == "logrus.jsonl" else TRACE_ID)
            assert row["span_id"] == SPAN_ID
    assert "card refused" in rows[2]["exception_message"]
    assert name.startswith(WITHOUT_CLASS) or rows[2]["exception_type"].split("$")[-1].split(".")[-1] in ("PaymentError", "PaymentException")
    if not name.startswith(WITHOUT_FIELDS):
        fields = {key.removeprefix("fields."): value for key, value in rows[0].get("attributes", {}).items()}
        assert {"order_id": "o-17", "items": "3", "total": "42.5", "paid": "true"}.items() <= fields.items()


def test_every_file_has_its_version_and_the_version_is_what_the_generators_ask_for() -> None:
    rows = re.findall(r"^\| (\S+\.\w+) \| ([^|]+?)(?: \| ([^|]+?))? \|$", (DATA / "VERSIONS.md").read_text(encoding="utf-8"), re.M)
    assert sorted(name for name, _, _ in rows) == FILES
    pins = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tools" / "fixtures" / "logs").rglob("*") if path.is_file())
    for _, library, version in rows:
        assert not version or library == "Python" or version in pins, library
