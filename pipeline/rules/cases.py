"""Unit tests of rules, from YAML: rows in, firing alerts out.

In: text and the name of its source. Out: cases, or one error that tells each mistake by file, line and column. Never: a file, a rule.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.rules.document import Document
from tracebraid.pipeline.rules.errors import ExpressionError, RuleError
from tracebraid.pipeline.rules.fields import DURATION, resolve, table_of
from tracebraid.pipeline.rules.keys import Reader
from tracebraid.pipeline.rules.parse import number_of
from tracebraid.pipeline.rules.syntax import Name
from tracebraid.schemas.rule import SIGNALS
from tracebraid.schemas.table import INT32, INT64

MINUTE_US = 60_000_000
ROWS_MAX = 10_000  # in one interval of one kind
INTERVALS_MAX = 10_000
_REPEATED = re.compile(r"(.*?)(?:x(\d{1,5}))?", re.S)
_QUANTITY = re.compile(r"-?\d+(?:\.\d*)?(?: ?[A-Za-z%]+)?")
_WINDOW = re.compile(r"(\S+) *- *(\S*)")
Value = str | int | float | None
Fired = tuple[tuple[int, int | None], ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one kind. count: how many in each interval. row: column or attribute → its value in all; each: → its value in each interval."""

    signal: str
    count: tuple[int, ...]
    row: dict[str, Value]
    each: dict[str, tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class Expected:
    """One alert. firing: (from, to) in microseconds since the test began; to: None where it fires at the end."""

    rule: str
    series: tuple[tuple[str, str], ...]
    firing: Fired


@dataclass(frozen=True, slots=True)
class Case:
    """One test. Whatever is not in `alerts` must not fire."""

    name: str
    line: int
    interval_us: int
    rows: tuple[Rows, ...]
    alerts: tuple[Expected, ...]

    @property
    def intervals(self) -> int:
        return max((len(each.count) for each in self.rows), default=0)


@dataclass(frozen=True, slots=True)
class Cases:
    """One file. rule_files: as they are written there."""

    source: str
    rule_files: tuple[str, ...]
    cases: tuple[Case, ...]


def load_cases(text: str, source: str) -> Cases:
    """Raises RuleError with every mistake in it."""
    document = Document(text, source)
    reader = Reader(document)
    if document.root is None:
        raise document.error(1, 1, "no test", "a file of tests has rule_files and tests")
    keys = reader.mapping(document.root, ("rule_files", "tests"), "a file of tests")
    for key in ("rule_files", "tests"):
        if key not in keys and not reader.mistakes:
            reader.mistake(document.root, f"tests without {key}", f"add `{key}:`")
    files = tuple(text for text, _ in reader.texts(keys["rule_files"][1], "rule_files")) if "rule_files" in keys else ()
    nodes = reader.sequence(keys["tests"][1], "tests", limits.rules_max) if "tests" in keys else ()
    cases = tuple(_case(reader, node) for node in nodes)
    if reader.mistakes:
        raise RuleError(source, reader.mistakes)
    return Cases(source, files, cases)


def _case(reader: Reader, node: yaml.Node) -> Case:
    keys = reader.mapping(node, ("name", "interval", "rows", "alerts"), "a test")
    line, _ = reader.document.place(node)
    interval_us = reader.duration(keys["interval"][1], "interval", limits.rule_window_s_max, least_us=1_000_000) if "interval" in keys else MINUTE_US
    rows = [_rows(reader, each) for each in reader.sequence(keys["rows"][1], "rows", limits.rules_max)] if "rows" in keys else []
    if not rows and not reader.mistakes:
        reader.mistake(node, "a test without rows", "add `rows:`, as {on: spans, count: 60x10, row: {service_name: checkout}}")
    alerts = [_expected(reader, each) for each in reader.sequence(keys["alerts"][1], "alerts", limits.rules_max)] if "alerts" in keys else []
    name = reader.text(keys["name"][1], "name") if "name" in keys else f"line {line}"
    return Case(name, line, interval_us, tuple(rows), tuple(alerts))


def _rows(reader: Reader, node: yaml.Node) -> Rows:
    keys = reader.mapping(node, ("on", "count", "row", "each"), "rows")
    if keys and "count" not in keys:
        reader.mistake(node, "rows without count", "say how many there are in each interval, as 60x10 0x5 60x10")
    signal = "spans" if "on" not in keys or reader.choice(keys["on"][1], "on", SIGNALS) == "spans" else "logs"
    count = [(int(text) if text.isdecimal() else -1) for text in _listed(reader, keys["count"][1], "count")] if "count" in keys else []
    if any(not 0 <= each <= ROWS_MAX for each in count):
        reader.mistake(keys["count"][1], "count is no list of whole numbers", f"as 60x10 0x5 60x10; an interval may have {ROWS_MAX} rows")
        count = []
    row = {name: _value(reader, signal, name, value) for name, (_, value) in (reader.mapping(keys["row"][1]) if "row" in keys else {}).items()}
    each = {}
    for name, (_, value) in (reader.mapping(keys["each"][1]) if "each" in keys else {}).items():
        each[name] = tuple(_value(reader, signal, name, value, text) for text in _listed(reader, value, name))
        if len(each[name]) != len(count) and count:
            reader.mistake(value, f"{len(each[name])} values of {name} for {len(count)} intervals", "give one each, as 70x3 80x2")
    return Rows(signal, tuple(count), row, each)


def _listed(reader: Reader, node: yaml.Node, what: str) -> list[str]:
    """'60x3 0' → ['60', '60', '60', '0']."""
    found: list[str] = []
    for word in reader.text(node, what).split():
        match = _REPEATED.fullmatch(word)
        assert match
        found += [match[1]] * (int(match[2]) if match[2] else 1)
    if not 1 <= len(found) <= INTERVALS_MAX:
        reader.mistake(node, f"{what} has values for {len(found)} intervals", f"there may be {INTERVALS_MAX}")
    return found[:INTERVALS_MAX]


def _value(reader: Reader, signal: str, name: str, node: yaml.Node, text: str | None = None) -> Value:
    """What stands for a column or attribute, in its type: columns of numbers take units."""
    text = reader.text(node, name) if text is None else text
    try:
        field = resolve(signal, Name(name, 0))
        if text == "null":
            return None
        columns = {column.name: column.type for column in table_of(signal).columns}
        if columns.get("duration_ns" if field.name == DURATION else field.name) not in (INT32, INT64):
            return text
        if _QUANTITY.fullmatch(text):
            number = number_of(text.lstrip("-").replace(" ", ""), 0).value
            if isinstance(number, int | float):
                return -int(number) if text.startswith("-") else int(number)
        reader.mistake(node, f"{name} cannot be {text or 'empty'}", "it is a number")
    except ExpressionError as error:
        reader.mistake(node, error.what, error.hint)
    return None


def _expected(reader: Reader, node: yaml.Node) -> Expected:
    keys = reader.mapping(node, ("rule", "series", "firing"), "an alert")
    for key in ("rule", "firing"):
        if keys and key not in keys:
            reader.mistake(node, f"an alert without {key}", "as {rule: slow, series: {service_name: checkout}, firing: [3m - 7m]}")
    rule = reader.text(keys["rule"][1], "rule") if "rule" in keys else ""
    found = reader.mapping(keys["series"][1]) if "series" in keys else {}
    series = tuple(sorted((name, reader.text(value, name)) for name, (_, value) in found.items()))
    return Expected(rule, series, tuple(_window(reader, text, each) for text, each in _texts(reader, keys)))


def _texts(reader: Reader, keys: dict[str, tuple[yaml.ScalarNode, yaml.Node]]) -> Sequence[tuple[str, yaml.Node]]:
    return reader.texts(keys["firing"][1], "firing") if "firing" in keys else []


def _window(reader: Reader, text: str, node: yaml.Node) -> tuple[int, int | None]:
    """'3m - 7m' or '3m -'."""
    match = _WINDOW.fullmatch(text.strip())
    try:
        start, end = (_offset_us(each) for each in (match[1], match[2])) if match else (None, None)
    except ExpressionError as error:
        reader.mistake(node, error.what, error.hint)
        return 0, None
    if start is None or (end is not None and end <= start):
        reader.mistake(node, f"firing cannot be {text or 'empty'}", "write from - to since the beginning, as 3m - 7m, or 3m - where it fires at the end")
        return 0, None
    return start, end


def _offset_us(text: str) -> int | None:
    found = number_of(text, 0) if re.fullmatch(r"\d+(?:\.\d*)?[a-z]+", text) else None
    return int(found.value) // 1000 if found and found.unit == "ns" and isinstance(found.value, int | float) else None
