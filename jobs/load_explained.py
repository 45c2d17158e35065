"""`tracebraid load --explain`: what is recognized in a file's records, and where the columns of their rows come from.

In: files. Out: for each kind of record one sample and a count. Never: a write, or a record past the first limits.poll_records_max of a file.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tracebraid.pipeline.decode.registry import choose, decode
from tracebraid.pipeline.decode.rows import DecodeError
from tracebraid.pipeline.kernel.records import Decoded, Records
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.normalize.log_told import Told, tell_logs
from tracebraid.pipeline.source.files import FileSource

_VALUE_CHARS_MAX = 60


def explain(settings: Settings, path: Path, encoding: str) -> list[dict[str, Any]]:
    """For each kind of what the file's first records are: records, rows, the first one's index, what was recognized; of a log its columns and their origins."""
    records = next(iter(FileSource(path, encoding, settings.tenant)), None)
    if records is None:
        return []
    decoded = decode(records, kernels=False)  # all rows then stand in the same two batches
    told: dict[int, Told] = {}
    for each in tell_logs(records, decoded, settings.formats):
        told.setdefault(each.record, each)
    kinds: dict[tuple[str, str | None, str | None], dict[str, Any]] = {}
    counts: Counter[tuple[str, str | None, str | None]] = Counter()
    for record, what in enumerate(_verdicts(records, decoded)):
        log = told.get(record)
        kind = (what, log.envelope if log else None, log.format if log else None)
        counts[kind] += 1
        kinds.setdefault(kind, {"first_record": record, **_shown(log)})
    named = ({"recognized": what, "envelope": envelope, "format": known} for what, envelope, known in kinds)
    return [{"file": str(path), **name, "records": counts[kind], **sample} for name, (kind, sample) in zip(named, kinds.items(), strict=True)]


def as_lines(kinds: list[dict[str, Any]]) -> Iterator[str]:
    """The same for a person."""
    for kind in kinds:
        inside = "".join(f", {part}" for part in (kind["envelope"] and f"envelope {kind['envelope']}", kind["format"]) if part)
        yield f"{kind['file']}: {kind['records']:,} × {kind['recognized']}{inside}; record {kind['first_record']}:"
        width = max((len(column) for column in kind["columns"]), default=0)
        for column, (value, origin) in kind["columns"].items():
            yield f"    {column:<{width}}  {_short(value):<{_VALUE_CHARS_MAX}}  from {origin}"
        if kind["attributes"]:
            yield f"    attributes: {', '.join(kind['attributes'])}"


def _verdicts(records: Records, decoded: Decoded) -> Iterator[str]:
    """Of each record its encoding and what it gave; of one that was refused, why."""
    rejects = decoded.rejects
    refused = dict(
        zip(rejects.column("record").to_pylist(), zip(*(rejects.column(name).to_pylist() for name in ("reason", "message")), strict=True), strict=True)
    )
    spans, logs = (Counter(rows.column("record").to_pylist()) for rows in (decoded.spans, decoded.logs))
    for record, value in enumerate(records.batch.column("value").to_pylist()):
        given = [name for name, rows in (("spans", spans), ("logs", logs)) if record in rows]
        if record in refused:
            yield "rejected ({}): {}".format(*refused[record])
        else:
            yield f"{_encoding(records.encoding, value)}, {' and '.join(given) or 'nothing in it'}"


def _encoding(configured: str, value: bytes | None) -> str:
    if configured != "auto" or not value:
        return configured
    try:
        return choose(value, None)[0]
    except DecodeError:
        return configured


def _shown(log: Told | None) -> dict[str, Any]:
    return {"columns": {name: list(said) for name, said in log.columns.items()} if log else {}, "attributes": log.attributes if log else []}


def _short(value: Any) -> str:
    text = str(value).replace("\n", "⏎").replace("\t", " ")
    text = "".join(character if character.isprintable() else "�" for character in text)
    return text if len(text) <= _VALUE_CHARS_MAX else text[: _VALUE_CHARS_MAX - 1] + "…"
