"""The file source: captures on disk as records, as if a topic held them.

In: a path, an encoding. Out: Records of one partition in bounded batches; an offset is the index of the record in the file.
Never: the whole file in memory; a record twice (the partition's id is the hash of the content, so a ledger knows the file again).
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.records import Partition, Records
from tracebraid.pipeline.source.event_time import event_time_ms
from tracebraid.pipeline.source.framing import Broken, open_file, records
from tracebraid.schemas.records import RECORDS
from tracebraid.schemas.table import BINARY, HEADERS, INT64

CLUSTER = "files"


class FileSource:
    """The records of one file: iterate over it once. `bytes_read` of `bytes_total` (as on disk) tell how far it got."""

    def __init__(self, path: Path, encoding: str = "auto", tenant: str = "", clock: Clock | None = None) -> None:
        """Reads the file once for its hash. Raises TracebraidError where it cannot be read."""
        self.path, self.encoding, self.tenant, self.clock = path, encoding, tenant, clock or Clock()
        with open_file(path) as raw:
            try:
                content = hashlib.file_digest(raw, "sha256").hexdigest()
            except OSError as error:  # a directory opens and does not read, on some systems
                raise TracebraidError(f"cannot read {path}: {error.strerror}", "Check the path and its rights") from None
            self.bytes_total = raw.tell()
        self.partition = Partition(CLUSTER, str(path), content[:16], 0)
        self.bytes_read = 0

    def __iter__(self) -> Iterator[Records]:
        """Batches of at most limits.poll_records_max records and about limits.poll_bytes_max bytes.

        A record's kafka_time is its own event time; one that names none takes that of the record before it, the first one the present.
        Raises TracebraidError of one line, after all whole records before it, where the file is broken.
        """
        values: list[bytes] = []
        size = offset = 0
        self._time_ms = self.clock.unix_nano() // 1_000_000
        with open_file(self.path) as raw:
            try:
                for value in records(raw):
                    values.append(value)
                    size += len(value)
                    if size >= limits.poll_bytes_max or len(values) >= limits.poll_records_max:
                        self.bytes_read = raw.tell()
                        yield self._batch(values, offset)
                        offset += len(values)
                        values, size = [], 0
                fault = ""
            except Broken as broken:
                fault = str(broken)
            self.bytes_read = raw.tell()
            if values:
                yield self._batch(values, offset)
        if fault:
            what = f"{self.path} is broken after {offset + len(values)} records, near byte {self.bytes_read} of {self.bytes_total}: {fault}"
            raise TracebraidError(what, "The records before that were taken")

    def _batch(self, values: list[bytes], first: int) -> Records:
        times = []
        for value in values:
            time_ms = event_time_ms(value)
            self._time_ms = self._time_ms if time_ms is None else time_ms
            times.append(self._time_ms)
        count = len(values)
        columns = [
            pa.array(range(first, first + count), INT64),
            pa.array(times, INT64),
            pa.nulls(count, BINARY),
            pa.array(values, BINARY),
            pa.nulls(count, HEADERS),
        ]
        return Records(self.partition, pa.record_batch(columns, schema=RECORDS), self.encoding, self.tenant)
