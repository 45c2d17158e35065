"""Text logs: lines as a program wrote them, bare or in a container runtime's lines.

In: UTF-8 bytes. Out: rows of form 'text', or 'json' where a line is a JSON object. Never: a reject, but for bytes that are not UTF-8.

A record stays one row however many lines it has (a stack trace is one log), unless every line says that it is a log of its own: a CRI line, or a JSON
object on the first line, as log shippers join them. Then a line that is broken JSON is a text row among the others. Successive partial CRI
lines (flag P) of a stream are joined up to the next full one.
"""

from tracebraid.pipeline.decode.envelope import CRI
from tracebraid.pipeline.decode.log_rows import LogRow, put, read_json, read_text
from tracebraid.pipeline.decode.rows import DecodeError, Rows, check_rows


def decode_text(value: bytes, record: int, rows: Rows) -> None:
    """Append the logs of one record. Raises DecodeError: invalid_utf8, too_large."""
    put(read_lines(value, rows.most), record, rows)


def read_lines(value: bytes, most: int) -> list[LogRow]:
    """The logs of one record by the rules above, `most` of them; none where it is blank. Raises DecodeError."""
    try:
        text = value.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DecodeError("invalid_utf8", f"byte {error.start} of the text is not UTF-8") from None
    if not text.strip():
        return []
    first = text.lstrip()[0]
    if first == "{":
        return _json_lines(text, most) or [read_text(text)]
    if first.isdigit() and "\n" in text:
        lines = _joined_cri_lines(_lines(text, most))
        if lines is not None:
            return [read_text(line) for line in lines]
    return [read_text(text)]


def _json_lines(text: str, most: int) -> list[LogRow] | None:
    """A row a line, if the first line is a JSON object by itself; the object's, if the whole text is one; else None."""
    whole = read_json(text, most)
    if whole is not None:
        return whole
    lines = _lines(text, most)
    if len(lines) < 2 or read_json(lines[0], most) is None:
        return None
    logs: list[LogRow] = []
    for line in lines:
        read = read_json(line, most) if line.lstrip()[:1] == "{" else None
        logs += [read_text(line)] if read is None else read
        check_rows(len(logs), most)  # a line may be several events
    return logs


def _joined_cri_lines(lines: list[str]) -> list[str] | None:
    """The lines with partial ones joined to the next full one of their stream; None where one of them is no CRI line."""
    joined: list[str] = []
    partial: dict[str, list[str]] = {}
    for line in lines:
        match = CRI.fullmatch(line)
        if match is None:
            return None
        _, stream, flag, text = match.groups()
        parts = partial.setdefault(stream, [])
        parts.append(text or "" if parts else line)
        if flag == "F":
            joined.append("".join(partial.pop(stream)))
    return [*joined, *map("".join, partial.values())]


def _lines(text: str, most: int) -> list[str]:
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    check_rows(len(lines), most)
    return lines
