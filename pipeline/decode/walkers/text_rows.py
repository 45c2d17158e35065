"""Logs that are texts, bare or in their envelopes, or objects in envelopes, of a batch at once → rows, kernel/lines.py's LINES.

In: the values of a batch, and which of them may be lines, and which JSON objects. Out: rows but for their resources, whose numbers the reference decoders
share, and which records they are of. Never: a log within two envelopes, or a line of a record that holds several: those are the reference decoder's.
"""

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from tracebraid.pipeline.decode.walkers import frames as f
from tracebraid.pipeline.decode.walkers import plain_lines as p
from tracebraid.pipeline.decode.walkers.batch import bytes_of
from tracebraid.pipeline.decode.walkers.frame_meaning import Frame, meaning_of
from tracebraid.pipeline.decode.walkers.gather import slices
from tracebraid.pipeline.decode.walkers.memory import Scratch
from tracebraid.pipeline.decode.walkers.object_rows import MESSAGES, OTHERS, walk_json
from tracebraid.pipeline.decode.walkers.wire import Bytes
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.held import as_held, no_pairs, nothing, take
from tracebraid.pipeline.kernel.held import plain as plain_of
from tracebraid.pipeline.kernel.line_pairs import joined
from tracebraid.pipeline.kernel.lines import LINES
from tracebraid.schemas.table import ATTRIBUTES, CODED, INT32, STRING

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
Rows = npt.NDArray[np.intp]
_FEW = 4  # records of a frame that are not worth asking what it means
_BYTES_MAX = 2**31 - 1  # of one column's texts
_STREAM = "log.iostream"
_LINES = [Frame(0, None, (), None, {}), *(Frame(0, 0, ((_STREAM, stream),), "cri", {}) for stream in ("stdout", "stderr"))]
_AS_WRITTEN = np.array([p.AS_IT_IS, p.WITH_ESCAPES, p.AS_IT_IS, p.AS_IT_IS], np.int64)  # by the kind of a hole


@dataclass(frozen=True, slots=True)
class Texts:
    """rows: LINES, whose `resource` is the number of a frame yet. frames: what is said of each. records: bool [n], their own."""

    rows: pa.RecordBatch
    frames: list[Frame]
    records: Bools

    def with_resources(self, numbers: list[int]) -> pa.RecordBatch:
        """The rows, given the number of each frame's resource."""
        place = LINES.get_field_index("resource")
        found = np.array(numbers, np.int32)[self.rows.column(place).to_numpy()]
        return self.rows.set_column(place, LINES.field(place), pa.array(found, INT32))


def as_lines(logs: pa.RecordBatch) -> pa.RecordBatch:
    """DECODED_LOGS as LINES."""
    if logs.schema == LINES:
        return logs
    return pa.record_batch([as_held(logs.column(field.name), CODED) if field.name == "envelope" else logs.column(field.name) for field in LINES], schema=LINES)


def in_order(logs: pa.RecordBatch, texts: pa.RecordBatch) -> pa.RecordBatch:
    """All of them, in the order of their records."""
    if not logs.num_rows:
        return texts
    both = pa.concat_batches([as_lines(logs), texts])
    return both.take(pa.array(np.argsort(both.column("record").to_numpy(), kind="stable")))


def walk_texts(values: pa.BinaryArray, lines: Bytes, objects: Bytes, scratch: Scratch) -> Texts | None:
    """`lines`, `objects`: 1 for each record that may be read as such; None where none is."""
    if not (lines.any() or objects.any()) or not values.buffers()[2]:
        return None
    data, starts = bytes_of(values)
    walk = _Walk(data, starts, len(values))
    if lines.any():
        walk.add_lines(lines)
    if objects.any():
        walk.add_objects(objects)
    return walk.rows(scratch)


class _Walk:
    """Values that rows are made of: each is three numbers, where it is from, where it begins, how long it is; from nowhere (-1) is none."""

    def __init__(self, data: Bytes, starts: Numbers, records: int) -> None:
        self._data, self._starts = data, starts
        self._frames: list[Frame] = list(_LINES)
        self._frame_of = np.full(records, -1, np.int64)
        self._content, self._time = np.full((records, 3), -1, np.int64), np.full((records, 3), -1, np.int64)
        self._first_of, self._holes = np.zeros(records, np.int32), np.empty((0, 3), np.int64)
        self._constants = bytearray()

    def add_lines(self, wanted: Bytes) -> None:
        found = np.empty((4, len(wanted)), np.int32)
        p.find_lines(self._data, self._starts, wanted, found)
        rows = np.flatnonzero(found[p.L_KIND] != p.NONE)
        begin = self._starts[rows].astype(np.int64)
        self._frame_of[rows] = found[p.L_KIND, rows] - p.BARE
        self._content[rows] = np.column_stack([np.full(len(rows), p.AS_IT_IS), begin + found[p.L_START, rows], found[p.L_LENGTH, rows]])
        timed = found[p.L_TIME_LENGTH, rows] > 0
        self._time[rows[timed]] = np.column_stack([np.full(timed.sum(), p.AS_IT_IS), begin[timed], found[p.L_TIME_LENGTH, rows[timed]]])

    def add_objects(self, wanted: Bytes) -> None:
        frame_of, first_of = np.empty(len(wanted), np.int32), self._first_of
        holes, frames = np.empty(3 * (len(self._data) // 4 + 2 * f.HOLES_MAX), np.int64), np.empty(2 * f.FRAMES_MAX, np.int64)
        tables = (frame_of, first_of, holes, frames, np.full(2 * f.SLOTS, -1, np.int64))
        count = f.find_frames(self._data, self._starts, wanted, tables)
        self._holes = holes.reshape(-1, 3)
        usual = np.bincount(frame_of[frame_of >= 0], minlength=count) >= _FEW
        numbers, contents = np.full(count + 1, -1, np.int64), np.zeros(count + 1, np.int64)
        times = np.full(count + 1, -1, np.int64)
        for number in np.flatnonzero(usual).tolist():
            meaning = self._meaning(int(frames[2 * number]), int(frames[2 * number + 1]))
            if meaning is not None:
                numbers[number], contents[number] = len(self._frames), meaning.content
                times[number] = meaning.time if isinstance(meaning.time, int) else -1
                self._frames.append(meaning)
        rows = np.flatnonzero(numbers[frame_of] >= 0)
        own = frame_of[rows]
        self._frame_of[rows] = numbers[own]
        self._content[rows] = self._from_holes(first_of[rows].astype(np.int64) + contents[own])
        timed = times[own] >= 0
        self._time[rows[timed]] = self._from_holes(first_of[rows[timed]].astype(np.int64) + times[own[timed]], spell=True)
        for number in set(self._frame_of[rows].tolist()):
            if isinstance(self._frames[number].time, str):
                self._time[self._frame_of == number] = self._constant(self._frames[number].time)

    def _meaning(self, record: int, holes: int) -> Frame | None:
        start, first = int(self._starts[record]), int(self._first_of[record])
        places = self._holes[first : first + holes].copy()
        places[:, f.H_START] -= start
        return meaning_of(self._data[start : self._starts[record + 1]].tobytes(), [(begin, length, kind) for begin, length, kind in places.tolist()])

    def _from_holes(self, places: Ints, *, spell: bool = False) -> Ints:
        """Values from holes; numbers of which Python decides how they are spelled are from nowhere, unless they are to be spelled."""
        held = self._holes[places]
        found = np.column_stack([_AS_WRITTEN[held[:, f.H_KIND]], held[:, f.H_START], held[:, f.H_LENGTH]])
        for row in np.flatnonzero(held[:, f.H_KIND] == f.OTHER_NUMBER).tolist():
            start, length = held[row, : f.H_KIND].tolist()
            found[row] = self._constant(str(orjson.loads(self._data[start : start + length].tobytes()))) if spell else -1
        return found

    def _constant(self, text: str) -> tuple[int, int, int]:
        held, begin = text.encode(), len(self._constants)
        self._constants += held
        return p.CONSTANT, begin, len(held)

    def rows(self, scratch: Scratch) -> Texts | None:
        """Those whose text is no more than a text, or a log object, and whose values are sure."""
        records = np.flatnonzero(self._frame_of >= 0)
        if not len(records):
            return None
        texts, ends, broken = self._written(self._content[records])
        lengths, kinds = np.empty(len(records), np.int32), np.empty(len(records), np.uint8)
        p.judge_texts(texts, ends, lengths, kinds)
        begins = ends[:-1].astype(np.int64)
        times, timed = self._texts(self._time[records])
        sure = timed & ~broken & (self._content[records, p.V_FROM] >= 0)
        parts = []
        plain = np.flatnonzero(sure & (kinds == p.PLAIN))
        if len(plain):
            attributes, right = self._attributes(records[plain])
            said = {"form": "text", "body": slices(texts, begins[plain], lengths[plain].astype(np.int64)), "attributes": attributes}
            part = self._rows(records[plain], times.take(pa.array(plain)), said)
            parts.append(part if right.all() else part.take(pa.array(np.flatnonzero(right))))
        objects = np.flatnonzero(sure & (kinds == p.OBJECT))
        for places, fields in self._objects(records[objects], (texts, begins[objects], lengths[objects].astype(np.int64)), scratch):
            chosen = objects[places]
            said = {"form": "json", "body": nothing(len(chosen), STRING), "attributes": fields}
            parts.append(self._rows(records[chosen], times.take(pa.array(chosen)), said))
        if not parts:
            return None
        rows = reduce(in_order, parts)
        walked = np.zeros(len(self._frame_of), np.bool_)
        walked[rows.column("record").to_numpy()] = True
        return Texts(rows, self._frames, walked)

    def _rows(self, records: Rows, times: pa.StringArray, said: dict[str, Any]) -> pa.RecordBatch:
        frames = self._frame_of[records]
        columns = _columns(len(records)) | said | {"record": pa.array(records.astype(np.int32)), "resource": pa.array(frames.astype(np.int32))}
        columns |= {"envelope_time": times, "form": pa.repeat(pa.scalar(said["form"], STRING), len(records))}
        columns["envelope"] = pa.array([frame.envelope for frame in self._frames], STRING).dictionary_encode().take(pa.array(frames))
        return pa.record_batch([columns[name] for name in LINES.names], schema=LINES)

    def _objects(self, records: Rows, places: tuple[Bytes, Ints, Ints], scratch: Scratch) -> list[tuple[Rows, pa.MapArray]]:
        """Which of these objects in their envelopes are walked, and their fields: the envelopes' are put behind their own before it, or else after."""
        texts, begins, lengths = places
        if not len(records):
            return []
        ends = [_written_behind(frame) for frame in self._frames]
        suffixes = np.array([self._constant(end or "}") for end in ends], np.int64)
        frames = self._frame_of[records]
        contents = np.column_stack([np.full(len(records), p.AS_IT_IS), begins, lengths - 1])
        out, offsets, _ = self._written(np.stack([contents, suffixes[frames]], 1).reshape(-1, 3), texts)
        values = pa.BinaryArray.from_buffers(pa.binary(), len(records), [None, pa.py_buffer(np.ascontiguousarray(offsets[::2])), pa.py_buffer(out.tobytes())])
        found = walk_json(values, np.ones(len(records), np.uint8), scratch)
        if found is None:
            return []
        rows, maps = np.flatnonzero(found.records), found.rows.column("attributes")
        whole = np.array([end is not None for end in ends], np.bool_)[frames[rows]]
        parts = [(rows[whole], plain_of(take(maps, np.flatnonzero(whole))))] if whole.any() else []
        return parts if whole.all() else [*parts, self._beside(records, rows[~whole], take(maps, np.flatnonzero(~whole)))]

    def _beside(self, records: Rows, rows: Rows, own: pa.MapArray) -> tuple[Rows, pa.MapArray]:
        """Objects with the fields of their envelopes behind their own, of those that have none at the top that an envelope has, too, or might have."""
        outer, sure = self._attributes(records[rows])
        frames = self._frame_of[records[rows]]
        heads = {number: {name.partition(".")[0] for name, _ in self._frames[number].attributes} for number in np.unique(frames).tolist()}
        taken, names = frozenset[str]().union(*heads.values()), own.keys.dictionary.to_pylist()
        doubtful = np.array([name.partition(".")[0] in taken for name in names], np.bool_)[own.keys.indices.to_numpy()]
        ends = own.offsets.to_numpy()
        sure[np.repeat(np.arange(len(rows)), np.diff(ends))[doubtful]] = False
        sure &= ~np.isin(frames, [number for number, names in heads.items() if any(name.lower() in MESSAGES for name in names)])
        fields, once = joined((ends, own.keys.cast(STRING), own.items.cast(STRING)), outer)
        chosen = np.flatnonzero(sure & once & (np.diff(fields.offsets.to_numpy()) <= limits.attributes_per_row_max))
        return rows[chosen], plain_of(take(fields, chosen))

    def _written(self, values: Ints, data: Bytes | None = None) -> tuple[Bytes, Numbers, Bools]:
        """Values one behind the other, where each ends, and which are none. `data`: where those are from that are no constants."""
        lengths = np.where(values[:, p.V_FROM] >= 0, values[:, p.V_LENGTH], 0)
        size, ends, broken = int(lengths.sum()), np.zeros(len(values) + 1, np.int32), np.zeros(len(values), np.bool_)
        if size > _BYTES_MAX:
            raise OverflowError(f"{size} bytes of texts in one column")
        out = np.empty(size, np.uint8)
        absent = np.flatnonzero(values[:, p.V_FROM] < 0)
        if len(absent):
            values = values.copy()
            values[absent] = p.CONSTANT, 0, 0
        p.write_values(self._data if data is None else data, np.frombuffer(bytes(self._constants), np.uint8), values.reshape(-1), (out, ends, broken))
        out.flags.writeable = False  # as Kafka's bytes: kernels would be compiled once more for others
        return out, ends, broken

    def _texts(self, values: Ints) -> tuple[pa.StringArray, Bools]:
        """The values as texts, null where one is from nowhere; and which are sure."""
        out, ends, broken = self._written(values)
        valid = np.packbits(values[:, p.V_FROM] >= 0, bitorder="little")
        return pa.StringArray.from_buffers(len(values), pa.py_buffer(ends), pa.py_buffer(out), pa.py_buffer(valid)), ~broken

    def _attributes(self, records: Rows) -> tuple[pa.MapArray, Bools]:
        """The maps of these records, and which are sure."""
        names: dict[str, int] = {}
        table, sizes = [], []
        for frame in self._frames:
            sizes.append(len(frame.attributes))
            for name, value in frame.attributes:
                code = names.setdefault(name, len(names))
                table.append((code, value, -1, -1, -1) if isinstance(value, int) else (code, -1, *(self._constant(value) if value is not None else (-1, 0, 0))))
        frames = self._frame_of[records]
        counts = np.array(sizes, np.int64)[frames]
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        row = np.repeat(np.arange(len(records)), counts)
        begins = np.cumsum([0, *sizes])[:-1]
        items = np.array(table, np.int64).reshape(-1, 5)[begins[frames][row] + np.arange(len(row)) - ends[row]]
        values, held = items[:, 2:].copy(), items[:, 1] >= 0
        values[held] = self._from_holes(self._first_of[records[row[held]]] + items[held, 1])
        texts, right = self._texts(values)
        right[held] &= values[held, p.V_FROM] >= 0
        sure = np.ones(len(records), np.bool_)
        sure[row[~right]] = False
        keys = pa.array(list(names), STRING).take(pa.array(items[:, 0]))
        return pa.MapArray.from_arrays(pa.array(ends.astype(np.int32)), keys, texts).cast(ATTRIBUTES), sure


def _written_behind(frame: Frame) -> str | None:
    """What is put behind the fields of an object in place of its closing brace; None where an envelope's field might not keep its name, or differs by row, or
    would not be walked."""
    named = [(name, value) for name, value in frame.attributes if not isinstance(value, int)]
    if len(named) < len(frame.attributes) or any("." in name or name in OTHERS for name, _ in named if name != _STREAM):
        return None
    return "".join(f",{orjson.dumps(name).decode()}:{orjson.dumps(value).decode()}" for name, value in named) + "}"


def _columns(rows: int) -> dict[str, pa.Array]:
    """The columns of LINES in which all have the same."""
    nulls = {field.name: nothing(rows, field.type) for field in LINES if field.type != ATTRIBUTES}
    zeros = {"record_index": pa.array(np.zeros(rows, np.int32)), "dropped_attributes_count": pa.array(np.zeros(rows, np.int64))}
    return nulls | zeros | {"scope_attributes": no_pairs(rows, ATTRIBUTES)}
