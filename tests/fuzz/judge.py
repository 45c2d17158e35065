"""What must hold of a batch.

In: values and an encoding. Out: what did not hold, as a text that a person can act on, or nothing; and how many inputs went which way. Never: an exception
of the product that stays unseen: `decode` reads with the reference what made a kernel raise, so the walkers are also called without it.
"""

import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tests.batches import FIRST_OFFSET, records_of
from tests.property.test_otlp import SEEDS
from tracebraid.pipeline.decode.joined import may_be_line
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.decode.walkers import object_rows
from tracebraid.pipeline.decode.walkers.batch import JSON, NEITHER, PROTOBUF, may_be_walked, walk_records
from tracebraid.pipeline.decode.walkers.memory import LOGS, SPANS, Scratch
from tracebraid.pipeline.decode.walkers.object_rows import may_be_object, walk_json
from tracebraid.pipeline.decode.walkers.text_rows import walk_texts
from tracebraid.pipeline.kernel.held import plain
from tracebraid.pipeline.kernel.records import Decoded, Normalized, Records
from tracebraid.pipeline.normalize.batch import normalize

Values = Sequence[bytes | None]
Judge = Callable[[Values, str], tuple[str, Counter[str]]]
NOW_US = 1_700_000_000_000_000


def judged(judge: Judge, values: Values, encoding: str) -> tuple[str, Counter[str]]:
    """The same, with what it raised as what did not hold."""
    try:
        return judge(values, encoding)
    except Exception:
        return traceback.format_exc(), Counter()


def as_the_reference(values: Values, encoding: str) -> tuple[str, Counter[str]]:
    """Compiled walkers and the reference decoders give the same rows, rejects and counters; memory that was used before gives the same again."""
    records = records_of(values, encoding)
    object_rows._MANY = 1 if len(values) % 2 else 256  # texts before objects, or after them
    decoded, expected = decode(records), decode(records, kernels=False)
    why = _used_memory(records, decoded) or _faults(expected) or _faults(decoded)
    if not why:
        why = difference(_normalized(records, decoded), _normalized(records, expected))
        why = why or _unequal("what was dropped", dict(decoded.dropped), dict(expected.dropped))
    batches = (decoded.walked, decoded.walked_logs, decoded.walked_objects)
    walked = {record for rows in batches if rows for record in rows.column("record").to_pylist()}
    texts = walk_texts(records.batch.column("value"), may_be_line(records), may_be_object(records.batch.column("value")), Scratch())
    walked |= set(np.flatnonzero(texts.records).tolist()) if texts and records.encoding in ("auto", "json", "text") else set()
    json = walked & set(np.flatnonzero(may_be_walked(records.batch.column("value")) == JSON).tolist())
    rejected = expected.rejects.num_rows
    return why, Counter(inputs=len(values), walked=len(walked), json=len(json), rejected=rejected, left=len(values) - len(walked) - rejected)


def as_always(values: Values, encoding: str) -> tuple[str, Counter[str]]:
    """Without a second opinion: no fault of ours, every record accounted for, neighbors as if they were alone."""
    good = SEEDS[{"auto": 0, "otlp_proto": 0, "otlp_json": 2}.get(encoding, 3)]
    records = records_of([good, *values, good], encoding)
    decoded = decode(records)
    found, single = _normalized(records, decoded), records_of([good], encoding)
    alone = _normalized(single, decode(single))
    why = _faults(decoded)
    places = [np.array(batch.column("kafka_offset").to_numpy()) - FIRST_OFFSET for batch in (found.spans, found.logs, found.rejects)]
    counted = len(set(np.concatenate(places).tolist())) + decoded.dropped.total()
    why = why or _unequal("records accounted for", counted, len(values) + 2)
    for place in (0, len(values) + 1):
        for batch, at, own in zip((found.spans, found.logs, found.rejects), places, (alone.spans, alone.logs, alone.rejects), strict=True):
            why = why or _unequal(f"the neighbor at {place}", _rows(batch, np.flatnonzero(at == place)), _rows(own, np.arange(own.num_rows)))
    rejected = found.rejects.num_rows
    return why, Counter(inputs=len(values), rejected=rejected, rows=found.spans.num_rows + found.logs.num_rows)


def difference(found: Normalized, expected: Normalized) -> str:
    """'' where both hold the same rows, else which row and column differ."""
    for name in ("spans", "logs", "rejects"):
        why = _difference(name, getattr(found, name), getattr(expected, name))
        if why:
            return why
    return _unequal("counters", sorted(found.counted.items()), sorted(expected.counted.items())) or _unequal(
        "event times", found.event_time_us, expected.event_time_us
    )


def _normalized(records: Records, decoded: Decoded) -> Normalized:
    found = normalize(records, decoded, now_us=NOW_US)
    for batch in (found.spans, found.logs, found.rejects):
        batch.validate(full=True)
    return found


def _used_memory(records: Records, decoded: Decoded) -> str:
    """The walkers without `decode` around them, in memory that another batch has used."""
    values = records.batch.column("value")
    wanted, scratch = may_be_walked(values), Scratch()
    if records.encoding != "auto":
        wanted[wanted != {"otlp_proto": PROTOBUF, "otlp_json": JSON}.get(records.encoding)] = NEITHER
    backwards = values.take(pa.array(range(len(values) - 1, -1, -1)))
    walk_records(backwards, may_be_walked(backwards), scratch)
    if records.encoding == "json":
        walk_json(backwards, may_be_object(backwards), scratch)
        objects = walk_json(values, may_be_object(values), scratch)
        before, after = (
            {row["record"]: row["attributes"] for row in rows.to_pylist()} if rows else {} for rows in (decoded.walked_objects, objects and objects.rows)
        )
        return _unequal(
            "log objects in memory that was used before", {record: after.get(record) for record in before}, before
        )  # those before lines of text are left
    again = {each.signal: each.rows for each in walk_records(values, wanted, scratch)}
    for signal, before in ((SPANS, decoded.walked), (LOGS, decoded.walked_logs)):
        rows = again.get(signal)
        if rows is None or before is None:
            if rows is not None or before is not None:
                return _unequal("whether anything was walked", rows is not None, before is not None)
            continue
        rows.validate(full=True)
        for name in rows.schema.names:
            if name != "resource" and not _same(rows.column(name), before.column(name)):
                return f"column {name} is another in memory that was used before"
    return ""


def _faults(decoded: Decoded) -> str:
    faults = [row for row in decoded.rejects.to_pylist() if row["reason"] == "decoder_error"] if decoded.rejects.num_rows else []
    return f"a fault of the decoder: {faults[0]}" if faults else ""


def _difference(table: str, found: pa.RecordBatch, expected: pa.RecordBatch) -> str:
    order, wanted = _order(found), _order(expected)
    for place in ("kafka_offset", "record_index"):
        here, there = (batch.column(place).to_numpy()[rows].tolist() for batch, rows in ((found, order), (expected, wanted)))
        if here != there:
            return _unequal(f"{table}: {place}", [each for each in here if each not in there][:5], [each for each in there if each not in here][:5])
    for name in found.schema.names:
        column, other = (plain(batch.column(name)).take(pa.array(rows)) for batch, rows in ((found, order), (expected, wanted)))
        if not _same(column, other):
            pairs = zip(column.to_pylist(), other.to_pylist(), strict=True)
            row, (one, two) = next((row, pair) for row, pair in enumerate(pairs) if repr(pair[0]) != repr(pair[1]))
            offset = found.column("kafka_offset").to_numpy()[order][row]
            return _unequal(f"{table}: {name} of the row from offset {offset} (input {offset - FIRST_OFFSET})", one, two)
    return ""


def _same(one: pa.Array, other: pa.Array) -> bool:
    return bool(one.equals(other)) or repr(one.to_pylist()) == repr(other.to_pylist())  # Arrow's NaN is not itself


def _order(batch: pa.RecordBatch) -> Any:
    return np.lexsort((batch.column("record_index").to_numpy(), batch.column("kafka_offset").to_numpy()))


def _rows(batch: pa.RecordBatch, places: Any) -> list[dict[str, Any]]:
    """Rows without what they have of their record's place."""
    columns = {name: plain(batch.column(name)).take(pa.array(places, pa.int64())).to_pylist() for name in batch.schema.names}
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return sorted(({**row, "kafka_offset": None, "record_key": None} for row in rows), key=lambda row: row["record_index"])


def _unequal(what: str, found: object, expected: object) -> str:
    return "" if repr(found) == repr(expected) else f"{what}: {found!r}, expected {expected!r}"
