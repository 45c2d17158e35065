"""Log objects of a batch, walked at once → rows, schemas.records.WALKED_OBJECTS.

In: the values of a batch, and which of them may be such records. Out: rows in the order of the records, and which records they are of. Never: an object that
is an envelope, a span or OTLP, or whose message is an object: those are the reference decoder's, which knows what is in them.
"""

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.decode.inflate import AWSLOGS
from tracebraid.pipeline.decode.json_value import Inexact, NotJson, dump, parse, scalar
from tracebraid.pipeline.decode.walkers import memory as m
from tracebraid.pipeline.decode.walkers.batch import Walked, bytes_of
from tracebraid.pipeline.decode.walkers.gather import maps
from tracebraid.pipeline.decode.walkers.json_text import OPEN
from tracebraid.pipeline.decode.walkers.memory import Ints, Memory, Scratch
from tracebraid.pipeline.decode.walkers.objects import DECIMALS, LEVELS_MAX, VALUES, WALKED, compare_lists, walk_objects, write_list
from tracebraid.pipeline.decode.walkers.values import put_views
from tracebraid.pipeline.decode.walkers.wire import Bytes
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.held import no_pairs, nothing
from tracebraid.schemas.records import RESOURCES, WALKED_OBJECTS
from tracebraid.schemas.table import ATTRIBUTES, CODED, STRING

Bools = npt.NDArray[np.bool_]
_FIRST, _MANY = 8, 256  # objects that are looked at beforehand, and of how many
# Names at the top of an object that make it, beside others, something else than a log: see envelope.py and sniff.py.
OTHERS = frozenset(
    {
        *("log", "logName", "insertId", "kubernetes", "agent", "@metadata", "input", "source_type", "logGroup", "logEvents"),
        *(f"resource{each}" for each in ("Spans", "Logs", "Metrics", "_spans", "_logs", "_metrics")),
        *("operationName", "operation_name"),
    }
)
_NO_RESOURCE = pa.record_batch([pa.array([[]], ATTRIBUTES), pa.nulls(1, STRING)], schema=RESOURCES)  # nothing tells where they come from
MESSAGES = frozenset({"message", "msg", "body"})  # as objects they have a text of their own beside their fields


def may_be_object(values: pa.BinaryArray) -> Bytes:
    """1 for each record that begins as a JSON object and is not too large, nor may hold what is compressed, else 0."""
    if not len(values) or not values.buffers()[2]:
        return np.zeros(len(values), np.uint8)
    data, starts = bytes_of(values)
    sizes = np.diff(starts)
    likely = (sizes > 0) & (sizes <= limits.record_bytes_max)
    likely[likely] = data[starts[:-1][likely]] == OPEN
    likely &= ~pc.starts_with(values, AWSLOGS).fill_null(False).to_numpy(zero_copy_only=False)
    return likely.astype(np.uint8)


def walk_json(values: pa.BinaryArray, wanted: Bytes, scratch: Scratch) -> Walked | None:
    """`wanted`: 1 for each record of `values` that may be walked. None where none is."""
    if not wanted.any():
        return None
    whole, starts = bytes_of(values)
    texts, path = 512, np.empty(LEVELS_MAX, np.int64)
    while True:
        data, marks = whole.copy(), wanted.copy()
        memory = scratch.take(len(data), texts)
        if walk_objects(memory.words, data, starts, marks, path):
            break
        texts *= 4
    if not memory.count(m.U_ROWS):
        return None
    items, ends, records = memory.items(0), memory.rows[m.R_ITEMS], memory.rows[m.R_RECORD]
    names, others = _names(memory, data)
    codes = np.where(items[:, m.I_KEY] < 0, items[:, m.I_KEY] - m.NULL_KEY, items[:, m.I_KEY])
    spelled, broken = _spell(memory, data)
    left = np.zeros(len(ends), np.bool_)
    left[np.searchsorted(ends, broken, "right")] = True
    if others.any():
        left[np.searchsorted(ends, np.flatnonzero(others[codes]), "right")] = True
    if left.any():
        lengths = np.diff(ends, prepend=0)
        items, ends, records = items[np.repeat(~left, lengths)], np.cumsum(lengths[~left]), records[~left]
        if not len(records):
            return None
    walked = np.zeros(len(values), np.bool_)
    walked[records] = True
    assert (marks[walked] == WALKED).all()
    rows = _batch(records, maps(items, ends, names, [pa.py_buffer(data), pa.py_buffer(spelled)]))
    return Walked(m.OBJECTS, rows, _NO_RESOURCE, walked)


def in_envelopes(values: pa.BinaryArray, wanted: Bytes) -> bool:
    """Whether the first of many such records are no logs by themselves. Then most are logs in envelopes, and are not to be walked as objects in vain."""
    first = np.flatnonzero(wanted)[:_FIRST]
    return bool(np.count_nonzero(wanted) >= _MANY) and walk_json(values.take(pa.array(first)), np.ones(len(first), np.uint8), Scratch()) is None


def _batch(records: Ints, attributes: pa.MapArray) -> pa.RecordBatch:
    rows = len(records)
    zeros = pa.array(np.zeros(rows, np.int32))
    columns = {
        "record": pa.array(records.astype(np.int32)),
        "record_index": zeros,
        "resource": zeros,
        **{name: nothing(rows, CODED) for name in ("scope_name", "scope_version", "scope_schema_url")},
        "scope_attributes": no_pairs(rows, ATTRIBUTES),
        "dropped_attributes_count": pa.array(np.zeros(rows, np.int64)),
        "attributes": attributes,
    }
    return pa.record_batch([columns[name] for name in WALKED_OBJECTS.names], schema=WALKED_OBJECTS)


def _names(memory: Memory, data: Bytes) -> tuple[pa.StringArray, Bools]:
    """Dotted names of keys by their numbers, and which of them only the reference knows how to read."""
    entries = memory.texts(m.KEY)[:, [m.E_START, m.E_LENGTH, m.E_OWNER]].tolist()
    names: list[str] = []
    others = np.zeros(len(entries), np.bool_)
    seen: dict[str, int] = {}
    for number, (start, length, owner) in enumerate(entries):
        own = data[start : start + length].tobytes().decode()
        above = names[owner - 1] if owner else ""  # its parent came before
        if owner and (others[owner - 1] or len(above) > limits.flatten_name_chars_max or above.lower() in MESSAGES):
            others[number] = True  # its records are left, and nobody asks for its whole name, which may repeat much
            names.append(own)
            continue
        name, others[number] = (f"{above}.{own}", False) if owner else (own, own in OTHERS)
        names.append(name)
        before = seen.setdefault(name, number)
        if before != number:  # a.b in one object, a: {b} in another, or both in one
            others[before] = others[number] = True
    return pa.array(names, STRING), others


def _spell(memory: Memory, data: Bytes) -> tuple[bytes, list[int]]:
    """Spell the values that the kernel does not: the bytes that their views point into, and items whose values only an exact reading takes."""
    hard = memory.hard
    items = memory.items(0).reshape(-1)
    others = [hard[hard[:, m.H_LIST] == VALUES], _respelled(data, hard[hard[:, m.H_LIST] == DECIMALS])]
    known: dict[bytes, bytes | None] = {}
    texts: list[bytes] = []
    places: list[int] = []
    broken: list[int] = []
    for item, start, length in np.concatenate(others)[:, [m.H_ITEM, m.H_START, m.H_LENGTH]].tolist():
        value = data[start : start + length].tobytes()
        if value not in known:
            known[value] = _spelled(value)
        text = known[value]
        if text is None:
            broken.append(item)
        else:
            texts.append(text)
            places.append(item)
    out = b"".join(texts)
    if texts:
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        put_views(items, np.column_stack([np.array(places), np.cumsum(lengths) - lengths, lengths]), np.frombuffer(out, np.uint8), 1)
    return out, broken


def _respelled(data: Bytes, hard: Ints) -> Ints:
    """The decimals among `hard` that orjson does not spell as they are: most are."""
    if not len(hard):
        return hard
    out = np.empty(int(hard[:, m.H_LENGTH].sum()) + len(hard) + 1, np.uint8)
    write_list(data, hard, out)
    text = out.tobytes()
    spelled = orjson.dumps(orjson.loads(text))
    if spelled == text:
        return hard[:0]
    others = np.zeros(len(hard), np.bool_)
    compare_lists(out, np.frombuffer(spelled, np.uint8), others)
    return hard[others]


def _spelled(value: bytes) -> bytes | None:
    try:
        parsed = parse(value)
        text = dump(parsed) if isinstance(parsed, (dict, list)) else scalar(parsed)
    except (Inexact, NotJson):
        return None
    return None if text is None else text.encode()
