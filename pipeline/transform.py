"""Step 3 of the flow: what one batch of records becomes, and the net beneath it.

In: Records. Out: pieces of them in their order, each with what it decoded to and its rows as the tables hold them. Never: a record without an outcome, or one
that takes its neighbors with it; a row that is not redacted.

Hostile bytes stop in decode. What is behind it is ours alone, and should never raise. Where it does, over one record of a batch or over some, the batch is
halved until those are alone: they become rejects of reason `internal_error` with their bytes, all others keep their rows, and the partition moves on. Each
piece is transformed by itself, so its account holds as any batch's. What is not of a record (no memory, no files, settings) ends the process as ever.
A batch whose records are too many rows to be made one by one at once is cut, too.
"""

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from traceback import extract_tb

import structlog

from tracebraid.pipeline.decode.registry import Crowded, Scratch, decode, refuse
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.records import Decoded, Normalized, Records
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.pipeline.redact.rows import redact

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Transformed:
    """Records, and what became of them."""

    records: Records
    decoded: Decoded
    rows: Normalized


class Transform:
    """decode, normalize and redact with these settings. Not shared between threads."""

    def __init__(self, settings: Settings, *, kernels: bool = True) -> None:
        self.settings, self.kernels = settings, kernels and settings.ingest.kernels
        self._scratch, self._told = Scratch(), set[tuple[str, str]]()

    def pieces(self, records: Records, now_us: int, into: "Callable[[Transformed], None]" = lambda _: None) -> Iterator[Transformed]:
        """One piece, `records` itself, unless something of ours fails. `now_us`: see normalize. `into`: takes each piece, or raises and has taken nothing;
        where it fails over a record, that one is a reject as if its rows had failed."""
        left, halves = [records], 0
        while left:
            piece = left.pop()
            try:
                decoded = decode(piece, kernels=self.kernels, scratch=self._scratch, together=limits.batch_rows_max)
                made = Transformed(piece, decoded, self._rows(piece, decoded, now_us))
                into(made)
            except Crowded as crowded:
                left += _cut(piece, crowded.record)
                continue
            except Exception as error:
                if not _is_of_a_record(error):
                    raise
                rows = piece.batch.num_rows
                if rows > 1 and halves < limits.halves_max:
                    halves += 1
                    left += _cut(piece, rows // 2)
                    continue
                self._tell(piece, error)
                decoded = refuse(piece, f"{type(error).__name__}: {error}")
                made = Transformed(piece, decoded, self._rows(piece, decoded, now_us))
                into(made)
            yield made

    def _rows(self, records: Records, decoded: Decoded, now_us: int) -> Normalized:
        settings = self.settings
        return redact(normalize(records, decoded, now_us=now_us, tenant_header=settings.ingest.tenant_header, formats=settings.formats), settings)

    def _tell(self, records: Records, error: Exception) -> None:
        """Once for each kind of fault and place of it, with the way there; what the exception says may repeat the record, and stays with the reject."""
        way = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)]
        kind = type(error).__name__, way[-1]
        if kind not in self._told:
            self._told.add(kind)
            place = f"{records.partition} at {records.first_offset}"
            log.error("a record became a reject by a fault of tracebraid's; please report it", why=kind[0], first=place, traceback=way)


def _cut(records: Records, at: int) -> list[Records]:
    """What is from record `at` on, and what is before it."""
    return [replace(records, batch=records.batch.slice(at)), replace(records, batch=records.batch.slice(0, at))]


def _is_of_a_record(error: Exception) -> bool:
    """Whether other records would fare better. Times beyond what the system's clock counts raise an OSError, too."""
    if isinstance(error, (MemoryError, ImportError, UsageError)):
        return False
    return not isinstance(error, OSError) or error.errno == errno.EOVERFLOW
