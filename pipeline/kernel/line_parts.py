"""Parts of texts → texts, copied in compiled loops.

In: texts, and from where to where their parts lie. Out: Arrow arrays. Never: a look at a text.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.kernel.compiled import compiled
from tracebraid.pipeline.kernel.texts import copy_bytes

Bytes = npt.NDArray[np.uint8]


def parts_of(texts: pa.StringArray, starts: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32], *, empty: bool = False) -> pa.StringArray:
    """The parts of the texts that begin at these places; null where a length is 0, or below 0 if they may be `empty`."""
    ends, there = np.zeros(len(starts) + 1, np.int32), lengths >= 0 if empty else lengths > 0
    np.cumsum(np.maximum(lengths, 0), out=ends[1:])
    out = np.empty(int(ends[-1]), np.uint8)
    if len(out):
        _copy_parts(bytes_of(texts), np.ascontiguousarray(starts), ends, out)
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(ends), pa.py_buffer(out), pa.py_buffer(np.packbits(there, bitorder="little")))


def hex_of(texts: pa.StringArray, starts: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32], width: int) -> pa.StringArray:
    """Ids that begin at these places, in lower case and filled up with 0 at their front; null where a length is 0."""
    there = lengths > 0
    ends = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(there * width, out=ends[1:])
    out = np.empty(int(ends[-1]), np.uint8)
    if len(out):
        _copy_hex(bytes_of(texts), starts, lengths, (ends, out))
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(ends), pa.py_buffer(out), pa.py_buffer(np.packbits(there, bitorder="little")))


def bytes_of(texts: pa.StringArray) -> Bytes:
    """All bytes that the texts lie in."""
    data = np.frombuffer(texts.buffers()[2], np.uint8)
    data.flags.writeable = False  # as Kafka's bytes: kernels would be compiled once more for others
    return data


@compiled
def _copy_parts(data: Bytes, starts: npt.NDArray[np.int32], ends: npt.NDArray[np.int32], out: Bytes) -> None:
    for row in range(len(starts)):
        copy_bytes(data, np.int64(starts[row]), out, np.int64(ends[row]), np.int64(ends[row + 1] - ends[row]))


@compiled
def _copy_hex(data: Bytes, starts: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32], taken: tuple[npt.NDArray[np.int32], Bytes]) -> None:
    ends, out = taken
    for row in range(len(starts)):
        begin = np.int64(ends[row])
        zeros = np.int64(ends[row + 1]) - begin - lengths[row]
        if lengths[row] == 0:
            continue
        for place in range(zeros):
            out[begin + place] = 48
        for place in range(lengths[row]):
            out[begin + zeros + place] = data[starts[row] + place] | 32
