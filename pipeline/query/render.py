"""Values as text: JSON lines and CSV for programs, tables for people.

In: column names and rows as DuckDB gives them to Python. Out: text. Never: a control character to a terminal.
Times are ISO 8601 with Z, maps and structs JSON objects, integers of any size exact, bytes text where they are UTF-8, else base64.
"""

import base64
import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import IO, Any

import orjson

CELL_CHARS_MAX = 200
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
# Format characters that reorder or hide text; C0 and C1 controls are found by their numbers.
_HIDING = frozenset([0x61C, 0xFEFF, *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), *range(0xE0000, 0xE0080)])


def visible(text: str, chars_max: int | None = None) -> str:
    """The text on one line, with what a terminal would obey, or hide, written as escapes; cut with an ellipsis."""
    if chars_max is not None and len(text) > chars_max:
        text = text[: chars_max - 1] + "…"
    if text.isprintable() and text.isascii():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    number = ord(character)
    if number < 0x20 or 0x7F <= number < 0xA0 or number in _HIDING or 0xD800 <= number < 0xE000:
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character, f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")
    return character


def to_json(value: Any) -> bytes:
    """One value, a row say, as JSON on one line."""
    try:
        return orjson.dumps(value, default=_default, option=_OPTIONS)
    except (TypeError, orjson.JSONEncodeError):
        return orjson.dumps(_spelled(value), default=_default, option=_OPTIONS)


def _default(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value)) if value.is_finite() else None
    if isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(value)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return base64.b64encode(raw).decode()
    return f"{value.total_seconds():g}s" if isinstance(value, timedelta) else str(value)


def _spelled(value: Any) -> Any:
    """The value with integers beyond 64 bits as they are written."""
    if isinstance(value, dict):
        return {str(key): _spelled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(item) for item in value]
    return orjson.Fragment(str(value)) if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63 else value


def to_text(value: Any) -> str:
    """One value in a cell of a table or a CSV file; null is the empty text."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    if isinstance(value, datetime):
        # A UTC offset of zero is Z; a time without a zone stays without.
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    said = to_json(value)
    return str(orjson.loads(said)) if said.startswith(b'"') else said.decode()


def write_json(out: IO[bytes], names: Sequence[str], blocks: Iterator[list[tuple[Any, ...]]]) -> int:
    """One JSON object a row. Returns the count of rows."""
    written = 0
    for rows in blocks:
        out.write(b"".join(to_json(dict(zip(names, row, strict=True))) + b"\n" for row in rows))
        written += len(rows)
    return written


def write_csv(out: IO[bytes], names: Sequence[str], blocks: Iterator[list[tuple[Any, ...]]]) -> int:
    """CSV (RFC 4180, UTF-8) with a header. Returns the count of rows."""
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    writer.writerow(names)
    written = 0
    for rows in blocks:
        writer.writerows([to_text(value) for value in row] for row in rows)
        written += len(rows)
    text.detach()
    return written


def hexdump(data: bytes) -> Iterator[str]:
    """Offset, 16 bytes in hex, and the same as ASCII, a line each."""
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        yield f"{start:08x}  {row.hex(' ', 1):<47}  {''.join(chr(byte) if 0x20 <= byte < 0x7F else '.' for byte in row)}"


def print_table(
    names: Sequence[str], rows: Sequence[Sequence[Any]], *, more: bool, hint: str = "--json, --csv or --parquet FILE give all", wide: bool = False
) -> None:
    """A table at a terminal; where the columns do not fit its width, and not `wide`, each row as a list of what is not null.

    more: rows were left off, and `hint` says how to get them.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    cells = [[visible(to_text(value), CELL_CHARS_MAX) for value in row] for row in rows]
    wanted = [max([min(len(name), 20), *(min(len(row[place]), 24) for row in cells)], default=0) for place, name in enumerate(names)]
    if not wide and sum(wanted) + 3 * len(names) > console.width and len(names) > 6:
        for number, row in enumerate(cells, 1):
            console.print(Text(f"row {number}", style="bold"))
            width = max(len(name) for name in names)
            for name, cell, value in zip(names, row, rows[number - 1], strict=True):
                if value is not None:
                    console.print(Text.assemble((f"  {visible(name):<{width}}  ", "dim"), cell))
    else:
        table = Table(box=None, header_style="bold", pad_edge=False, show_edge=False)
        for place, name in enumerate(names):
            numeric = any(isinstance(row[place], int | float | Decimal) and not isinstance(row[place], bool) for row in rows)
            table.add_column(visible(name), justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
    note = f"the first {len(rows)} rows; {hint}" if more else f"{len(rows)} row{'s' * (len(rows) != 1)}"
    console.print(Text(f"({note})", style="dim"))
