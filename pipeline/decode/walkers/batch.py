"""All records of a batch that hold OTLP spans, or logs, as protobuf or JSON, walked at once.

In: the values of a batch, and which of them may be such records. Out: rows, their resources, and which records they are of.
Never: a record taken that the reference decoder would refuse, or read otherwise.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.decode.walkers import memory as m
from tracebraid.pipeline.decode.walkers.groups import WALKED, walk
from tracebraid.pipeline.decode.walkers.json_text import OPEN
from tracebraid.pipeline.decode.walkers.log_rows import log_rows
from tracebraid.pipeline.decode.walkers.memory import LOGS, SPANS, Ints, Memory, Scratch
from tracebraid.pipeline.decode.walkers.otlp_json import STACK, as_protobuf, begins_otlp
from tracebraid.pipeline.decode.walkers.shared import Shared
from tracebraid.pipeline.decode.walkers.span_rows import span_rows
from tracebraid.pipeline.decode.walkers.spelled import spell
from tracebraid.pipeline.decode.walkers.wire import Bytes
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.compiled import compiled

Starts = npt.NDArray[np.int32]
NEITHER, PROTOBUF, JSON = range(3)  # what a record may be
_FIRST = 0x0A  # the tag of resource_spans and resource_logs
_BYTES_MAX = limits.record_bytes_max
_ROWS = {SPANS: span_rows, LOGS: log_rows}
_ONE = np.empty(0, np.int64)  # partition


@dataclass(frozen=True, slots=True)
class Walked:
    """What was found of one signal. rows: schemas.records.WALKED_SPANS, WALKED_LOGS or WALKED_OBJECTS. resources: RESOURCES. records: bool [n], its own."""

    signal: int
    rows: pa.RecordBatch
    resources: pa.RecordBatch
    records: npt.NDArray[np.bool_]


def may_be_walked(values: pa.BinaryArray) -> Bytes:
    """PROTOBUF or JSON for each record that begins as OTLP does there, and is not too large; else NEITHER."""
    kinds = np.zeros(len(values), np.uint8)
    if values.buffers()[2]:
        _note_kinds(*bytes_of(values), kinds)
    return kinds


def bytes_of(values: pa.BinaryArray) -> tuple[Bytes, Starts]:
    """The bytes of all values, one behind the other, and where each begins."""
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    return _not_to_be_written(np.frombuffer(values.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]), offsets - offsets[0]


def _not_to_be_written(data: Bytes) -> Bytes:
    """Kafka's bytes may not be; where others may, kernels would be compiled once more for them."""
    data.flags.writeable = False
    return data


@compiled
def _note_kinds(data: Bytes, starts: Starts, kinds: Bytes) -> None:
    for record in range(len(kinds)):
        start, stop = starts[record], starts[record + 1]
        if 0 < stop - start <= _BYTES_MAX:
            if data[start] == _FIRST:
                kinds[record] = PROTOBUF
            elif data[start] == OPEN and begins_otlp(data, start, stop):
                kinds[record] = JSON


def walk_records(values: pa.BinaryArray, kinds: Bytes, scratch: Scratch, firsts: Ints = _ONE) -> list[Walked]:
    """`kinds`: as may_be_walked() says, or NEITHER. A record holds one signal: those that are no spans are tried as logs, which costs a look.

    `firsts`: of several partitions, the first record of each but the first; rows of one are not put among another's."""
    if not kinds.any():
        return []
    data, starts = bytes_of(values)
    found, left = [], kinds.copy()
    if (kinds == JSON).any():
        data, starts = _all_as_protobuf(data, starts, left)
    for signal in (SPANS, LOGS):
        walked = _walk_signal((data, starts), left, scratch, signal, firsts) if left.any() else None
        if walked:
            found.append(walked)
            left[walked.records] = NEITHER
    return found


def _all_as_protobuf(data: Bytes, starts: Starts, kinds: Bytes) -> tuple[Bytes, Starts]:
    """Of all that may be walked; JSON that may not is NEITHER then."""
    out, out_starts = np.empty(len(data), np.uint8), np.empty_like(starts)
    as_protobuf(data, starts, kinds, out, out_starts, np.empty(STACK, np.int64))
    return _not_to_be_written(out[: out_starts[-1]]), out_starts


def _walk_signal(held: tuple[Bytes, Starts], wanted: Bytes, scratch: Scratch, signal: int, firsts: Ints) -> Walked | None:
    data, starts = held
    while True:
        marks = wanted.copy()
        memory = _walked(data, starts, marks, scratch, signal)
        if not memory.count(m.U_ROWS):
            return None
        spelled, broken = spell(memory, data)
        shared = Shared(memory, data)
        broken |= shared.broken
        if not broken:
            return Walked(signal, _ROWS[signal](memory, data, spelled, shared, firsts), shared.resources(), marks == WALKED)
        wanted = wanted.copy()
        wanted[list(broken)] = NEITHER  # their values are none, or nest too deep: the others are walked as if these had not been there


def _walked(data: Bytes, starts: Starts, marks: Bytes, scratch: Scratch, signal: int) -> Memory:
    texts, wanted = max(512, len(data) // 512), marks.copy()
    while True:
        memory = scratch.take(len(data), texts)
        if walk(memory.words, data, starts, marks, signal):
            return memory
        texts, marks[:] = 4 * texts, wanted
