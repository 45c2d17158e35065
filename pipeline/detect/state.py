"""Arrays and texts as chunks of bytes that fit into Kafka messages, and back.

In: named numpy arrays and a text. Out: (key, bytes), each at most CHUNK_BYTES_MAX. Never: pickled objects; half a snapshot.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.kernel.errors import TracebraidError

Arrays = dict[str, npt.NDArray[np.generic]]
CHUNK_BYTES_MAX = 900_000
VERSION = 1
_HEAD = 16 + 4 + 4 + 8  # digest of the whole, version, number of chunks, bytes of the whole before compression


def chunks(name: str, arrays: Mapping[str, npt.NDArray[np.generic]], text: str) -> list[tuple[str, bytes]]:
    """Keys are `name`/0000 and so on. Each chunk names the whole it is a part of."""
    listed = [(key, array.dtype.str, array.shape) for key, array in arrays.items()]
    head = json.dumps({"arrays": listed, "text": text}).encode()
    body = b"".join([len(head).to_bytes(8, "little"), head, *(np.ascontiguousarray(array).tobytes() for array in arrays.values())])
    packed: bytes = pa.compress(body, codec="zstd", asbytes=True)
    room = CHUNK_BYTES_MAX - _HEAD
    pieces = [packed[at : at + room] for at in range(0, len(packed), room)]
    digest = hashlib.blake2b(packed, digest_size=16).digest()
    lead = digest + VERSION.to_bytes(4, "little") + len(pieces).to_bytes(4, "little") + len(body).to_bytes(8, "little")
    return [(f"{name}/{number:04d}", lead + piece) for number, piece in enumerate(pieces)]


def unchunked(parts: Sequence[tuple[str, bytes]]) -> tuple[Arrays, str]:
    """What chunks() was given; what an earlier, longer snapshot left is passed over. Raises TracebraidError for what is not whole, or of another version."""
    ordered = sorted(parts)
    if not ordered or len(ordered[0][1]) < _HEAD:
        raise TracebraidError("a snapshot of detect has no beginning", "it starts from the windows that are kept")
    lead = ordered[0][1][:_HEAD]
    version, count = int.from_bytes(lead[16:20], "little"), int.from_bytes(lead[20:24], "little")
    if version != VERSION:
        raise TracebraidError(f"a snapshot of detect is of version {version}, not {VERSION}", "it starts from the windows that are kept")
    packed = b"".join(value[_HEAD:] for _, value in ordered[:count] if value[:_HEAD] == lead)
    if hashlib.blake2b(packed, digest_size=16).digest() != lead[:16]:
        raise TracebraidError(f"the snapshot {ordered[0][0]} of detect is not whole", "it starts from the windows that are kept")
    body = pa.decompress(packed, decompressed_size=int.from_bytes(lead[24:32], "little"), codec="zstd", asbytes=True)
    edge = 8 + int.from_bytes(body[:8], "little")
    told = json.loads(body[8:edge])
    arrays: Arrays = {}
    for name, kind, shape in told["arrays"]:
        dtype = np.dtype(kind)
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(body, dtype, count, edge).reshape(shape).copy()
        edge += count * dtype.itemsize
    return arrays, str(told["text"])
