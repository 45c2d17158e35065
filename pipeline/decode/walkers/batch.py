"""All records of a batch that hold OTLP spans, or logs, as protobuf, walked at once.

In: the values of a batch, and which of them may be such records. Out: rows, their resources, and which records they are of.
Never: a record taken that the reference decoder would refuse, or read otherwise.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.decode.walkers import memory as m
from tracebraid.pipeline.decode.walkers.groups import WALKED, walk
from tracebraid.pipeline.decode.walkers.log_rows import log_rows
from tracebraid.pipeline.decode.walkers.memory import LOGS, SPANS, Memory, Scratch
from tracebraid.pipeline.decode.walkers.shared import Shared
from tracebraid.pipeline.decode.walkers.span_rows import span_rows
from tracebraid.pipeline.decode.walkers.spelled import spell
from tracebraid.pipeline.decode.walkers.wire import Bytes
from tracebraid.pipeline.kernel import limits

_FIRST = 0x0A  # the tag of resource_spans and resource_logs
_ROWS = {SPANS: span_rows, LOGS: log_rows}


@dataclass(frozen=True, slots=True)
class Walked:
    """What was found of one signal. rows: schemas.records.WALKED_SPANS, WALKED_LOGS or WALKED_OBJECTS. resources: RESOURCES. records: bool [n], its own."""

    signal: int
    rows: pa.RecordBatch
    resources: pa.RecordBatch
    records: npt.NDArray[np.bool_]


def may_be_walked(values: pa.BinaryArray) -> Bytes:
    """1 for each record that begins as OTLP in protobuf does and is not too large, else 0."""
    if not values.buffers()[2]:
        return np.zeros(len(values), np.uint8)
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    data, sizes = np.frombuffer(values.buffers()[2], np.uint8), np.diff(offsets)
    likely = (sizes > 0) & (sizes <= limits.record_bytes_max) & (len(data) > 0)
    likely[likely] = data[offsets[:-1][likely]] == _FIRST
    return likely.astype(np.uint8)


def walk_records(values: pa.BinaryArray, wanted: Bytes, scratch: Scratch) -> list[Walked]:
    """`wanted`: 1 for each record of `values` that may be walked. A record holds one signal: those that are no spans are tried as logs, which costs a look."""
    found, left = [], wanted.copy()
    for signal in (SPANS, LOGS):
        walked = _walk_signal(values, left, scratch, signal) if left.any() else None
        if walked:
            found.append(walked)
            left[walked.records] = 0
    return found


def _walk_signal(values: pa.BinaryArray, wanted: Bytes, scratch: Scratch, signal: int) -> Walked | None:
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    data = np.frombuffer(values.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    starts = offsets - offsets[0]
    while True:
        marks = wanted.copy()
        memory = _walked(data, starts, marks, scratch, signal)
        if not memory.count(m.U_ROWS):
            return None
        spelled, broken = spell(memory, data)
        shared = Shared(memory, data)
        broken |= shared.broken
        if not broken:
            return Walked(signal, _ROWS[signal](memory, data, spelled, shared), shared.resources(), marks == WALKED)
        wanted = wanted.copy()
        wanted[list(broken)] = 0  # their values are none, or nest too deep: the others are walked as if these had not been there


def _walked(data: Bytes, starts: npt.NDArray[np.int32], marks: Bytes, scratch: Scratch, signal: int) -> Memory:
    texts, wanted = max(512, len(data) // 512), marks.copy()
    while True:
        memory = scratch.take(len(data), texts)
        if walk(memory.words, data, starts, marks, signal):
            return memory
        texts, marks[:] = 4 * texts, wanted
