"""Messages of tracebraid.windows, read so that nothing behind need doubt them.

In: values and headers as they came. Out: batches of PARTIALS, sources, watermarks, releases. Never: a message whose lists, times or numbers would end
whoever reads it, and so end him again after each new start: what is not sound is a ValueError.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.records import Partition
from tracebraid.schemas.table import LATEST_US
from tracebraid.schemas.windows import COUNTS, PARTIALS, SOURCE_HEADER, VERSION, VERSION_HEADER, Watermark

Headers = Mapping[str, bytes | None]
_INT_MAX = (1 << 63) - 1
_COUNT_MAX = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Covered:
    """Which offsets of which source partition a message covers; `part`: of a flush in several messages."""

    source: Partition
    first_offset: int
    next_offset: int
    part: int


def read_partials(value: bytes | None, headers: Headers) -> pa.RecordBatch:
    """A batch of PARTIALS. Raises ValueError, in one line, for what is none, or of another version."""
    version = headers.get(VERSION_HEADER)
    if version != str(VERSION).encode():
        raise ValueError(f"version {version!r} is not {VERSION}")
    try:
        batch = pa.ipc.read_record_batch(pa.py_buffer(value or b""), PARTIALS)
        batch.validate(full=True)
    except (OSError, EOFError, pa.ArrowException) as error:
        raise ValueError(f"no partial windows: {str(error).splitlines()[0]}") from None
    if why := _unsound(batch):
        raise ValueError(why)
    return batch


def read_covered(headers: Headers) -> Covered:
    """Of a message of kind `partials`. Raises ValueError."""
    place = _object(headers.get(SOURCE_HEADER))
    return Covered(Partition(*_source(place)), *(_whole(place, name) for name in ("first_offset", "next_offset", "part")))


def read_watermarks(message: Mapping[str, Any]) -> list[Watermark]:
    """Raises ValueError."""
    found = []
    for each in _objects(message):
        event_us = None if each.get("event_time_us") is None else _whole(each, "event_time_us", LATEST_US, least=-LATEST_US)
        if not isinstance(each.get("caught_up"), bool):
            raise ValueError("caught_up is not there, or of another type")
        found.append(Watermark(*_source(each), _whole(each, "next_offset"), event_us, each["caught_up"]))
    return found


def read_release(message: Mapping[str, Any]) -> tuple[list[tuple[str, str, str, int]], int]:
    """(sources, until_us). Raises ValueError."""
    return [_source(each) for each in _objects(message)], _whole(message, "until_us", LATEST_US)


def read_object(value: bytes | None) -> dict[str, Any]:
    """A message of the other kinds. Raises ValueError."""
    return _object(value)


def _object(value: bytes | None) -> dict[str, Any]:
    found = orjson.loads(value or b"")
    if not isinstance(found, dict):
        raise ValueError("no JSON object")
    return found


def _objects(message: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    found = message.get("sources")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError("sources is not there, or of another type")
    return found


def _source(place: Mapping[str, Any]) -> tuple[str, str, str, int]:
    cluster, topic, topic_id = (place.get(name) for name in ("cluster", "topic", "topic_id"))
    if not isinstance(cluster, str) or not isinstance(topic, str) or not isinstance(topic_id, str):
        raise ValueError("cluster, topic or topic_id is not there, or no text")
    return cluster, topic, topic_id, _whole(place, "partition", _COUNT_MAX)


def _whole(place: Mapping[str, Any], name: str, most: int = _INT_MAX, *, least: int = 0) -> int:
    found = place.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
        raise ValueError(f"{name} is not there, or out of its range")
    return found


def _unsound(batch: pa.RecordBatch) -> str:
    """'' for a batch as ingest makes it, else what is wrong with it."""
    columns = {name: batch.column(name) for name in batch.schema.names}
    if any(each.null_count for each in columns.values()):
        return "a column holds nulls"
    pane_us = columns["pane_us"].to_numpy()
    if pane_us.size and not 0 <= int(pane_us.min()) <= int(pane_us.max()) <= LATEST_US:
        return "pane_us is out of its range"
    counts, labels = columns["counts"].flatten(), columns["labels"].flatten()
    short = len(batch) and pc.min(columns["counts"].value_lengths()).as_py() < len(COUNTS)
    if short or counts.null_count or labels.null_count or not _within(counts, _COUNT_MAX):
        return "counts or labels are not whole"
    return _unsound_columns(columns["columns"].flatten()) or _unsound_lists(columns["exemplars"].flatten(), columns["observations"].flatten())


def _unsound_columns(columns: pa.StructArray) -> str:
    fields = dict(zip(columns.type.names, columns.flatten(), strict=True)) if len(columns) else {}
    if not fields:
        return ""
    bucket, bucket_n = fields["bucket"], fields["bucket_n"]
    if columns.null_count or any(each.null_count for each in (fields["n"], bucket, bucket_n, bucket.flatten(), bucket_n.flatten())):
        return "a column of numbers holds nulls"
    if not _within(fields["n"], _COUNT_MAX) or not _within(bucket_n.flatten(), _COUNT_MAX) or not bucket.value_lengths().equals(bucket_n.value_lengths()):
        return "buckets are not whole"
    for name in ("sum", "min", "max", "last"):
        if not np.isfinite(fields[name].fill_null(0.0).to_numpy()).all():
            return f"{name} is not finite"
    return ""


def _unsound_lists(exemplars: pa.StructArray, observations: pa.StructArray) -> str:
    if exemplars.null_count or observations.null_count:
        return "exemplars or observations hold nulls"
    if len(exemplars):
        trace_id, value, failing = exemplars.flatten()
        ids = pc.all(pc.match_substring_regex(trace_id, "^[0-9a-f]{1,32}$")).as_py()
        if trace_id.null_count or failing.null_count or not ids or not np.isfinite(value.fill_null(0.0).to_numpy()).all():
            return "an exemplar is none"
    if len(observations) and any(each.null_count for each in observations.flatten()):
        return "an observation is none"
    return ""


def _within(numbers: pa.Array, most: int) -> bool:
    found = numbers.to_numpy()
    return not found.size or bool(found.min() >= 0 and found.max() <= most)
