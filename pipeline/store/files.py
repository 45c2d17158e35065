"""Where files of a table lie: a local directory, or an object store. Both write a whole file at once and know its age.

In: relative paths and bytes. Out: durable files. Never: an overwritten file; a name that was used before.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.fs
from deltalake.fs import DeltaStorageHandler

from tracebraid.pipeline.kernel.limits import MIB
from tracebraid.pipeline.store.conditional import SCHEMES, s3_store

if TYPE_CHECKING:
    from obstore.store import S3Store

_PIECE = MIB


@dataclass(frozen=True, slots=True)
class File:
    """A file that is written and durable, but perhaps not committed. `path`: relative to its table; `statistics`: as the Delta log has them."""

    path: str
    bytes: int
    rows: int
    day: str
    statistics: str


class Files(Protocol):
    """The files of one table; paths are relative to its directory."""

    def write_file(self, path: str, data: pa.Buffer) -> None:
        """Write and make durable. On failure nothing stays where that is possible. Raises OSError or ArrowException."""

    def written_at_s(self, path: str) -> float | None:
        """When the file was written, seconds since 1970; None where there is none."""

    def remove_file(self, path: str) -> bool:
        """Remove it if it is there; false where the storage refuses: it is left to the sweep of orphans."""

    def list_files(self) -> Iterable[tuple[str, int]]:
        """Path and bytes of all that lies in the table's directory, its log too."""

    def read_file(self, path: str) -> bytes:
        """The whole of it. Raises FileNotFoundError."""

    def sync_log(self, versions: Iterable[int]) -> None:
        """Make the log entries of these versions durable, with the checkpoints made beside them."""

    def ends_log(self, version: int) -> bool:
        """Whether the log surely has no entry behind that of `version`; false where only a look through all of it tells. Raises OSError."""


@dataclass(frozen=True)
class LocalFiles:
    """Files on a local file system: written under their final name, which nobody reads before the commit, and synced."""

    root: Path

    def write_file(self, path: str, data: pa.Buffer) -> None:
        target = self.root / path
        new_directory = not target.parent.exists()
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(target, "xb", buffering=0) as file:
                rest = memoryview(data)
                while rest:  # a short write is no error of the system: the next one says why
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            sync_directory(target.parent)
            if new_directory:
                sync_directory(self.root)
        except FileExistsError:
            raise
        except BaseException:
            self.remove_file(path)
            raise

    def written_at_s(self, path: str) -> float | None:
        try:
            return (self.root / path).stat().st_mtime
        except FileNotFoundError:
            return None

    def remove_file(self, path: str) -> bool:
        try:
            (self.root / path).unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def list_files(self) -> Iterable[tuple[str, int]]:
        for directory, _, names in os.walk(self.root):
            for name in names:
                path = Path(directory) / name
                with suppress(FileNotFoundError):  # the log is cleaned up meanwhile
                    yield path.relative_to(self.root).as_posix(), path.stat().st_size

    def read_file(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def sync_log(self, versions: Iterable[int]) -> None:
        log = self.root / "_delta_log"
        for version in versions:
            _sync_file(log / f"{version:020}.json")
            if _sync_file(log / f"{version:020}.checkpoint.parquet"):
                _sync_file(log / "_last_checkpoint")
        sync_directory(log)

    def ends_log(self, version: int) -> bool:
        """Entries that have expired are removed together with older ones: as long as that of `version` is there, none behind it was removed. Where a removal
        that was cut off has left such a gap, this says so wrongly, and the commit is refused: delta-rs looks through the log again."""
        log = self.root / "_delta_log"
        return not (log / f"{version + 1:020}.json").exists() and (log / f"{version:020}.json").exists()


@dataclass(frozen=True)
class StoredFiles:
    """Files in an object store, with delta-rs's own client and the same options: a put is whole and durable, or not there."""

    url: str
    options: Mapping[str, str]

    @cached_property
    def _filesystem(self) -> pa.fs.PyFileSystem:
        """One for all: it keeps its connections."""
        return pa.fs.PyFileSystem(DeltaStorageHandler(self.url, dict(self.options)))

    def write_file(self, path: str, data: pa.Buffer) -> None:
        # delta-rs's stream takes bytes alone, and Arrow hands it what was given as a buffer: pieces smaller than the stream's own buffer are copied.
        with self._filesystem.open_output_stream(path, buffer_size=2 * _PIECE) as stream:
            for start in range(0, data.size, _PIECE):
                stream.write(data.slice(start, min(_PIECE, data.size - start)))

    def written_at_s(self, path: str) -> float | None:
        (info,) = self._filesystem.get_file_info([path])
        return None if info.type == pa.fs.FileType.NotFound else info.mtime_ns / 1e9

    def remove_file(self, path: str) -> bool:
        try:
            self._filesystem.delete_file(path)
        except FileNotFoundError:
            return True
        except (OSError, pa.ArrowException):
            return False
        return True

    def list_files(self) -> Iterable[tuple[str, int]]:
        found = self._filesystem.get_file_info(pa.fs.FileSelector("", recursive=True))
        return [(info.path, info.size) for info in found if info.is_file]

    def read_file(self, path: str) -> bytes:
        """Through obstore where that can be: deltalake 1.6.6 holds Python's lock while it opens a file, so all threads of the process would wait."""
        if self._store is not None:
            from obstore.exceptions import BaseError, NotFoundError

            try:
                return bytes(self._store.get(path).bytes())
            except NotFoundError:
                raise FileNotFoundError(path) from None
            except BaseError:
                pass  # whatever it is: the lake's own client says it, or gets through
        with self._filesystem.open_input_file(path) as file:
            data: bytes = file.read()
        return data

    @cached_property
    def _store(self) -> "S3Store | None":
        if urlsplit(self.url).scheme not in SCHEMES:
            return None
        try:
            return s3_store(self.url, self.options)
        except Exception:  # an option that obstore does not know
            return None

    def sync_log(self, versions: Iterable[int]) -> None:
        """Nothing to do: a put that returned is durable."""

    def ends_log(self, version: int) -> bool:
        """Asking for one entry costs what a look through the log does."""
        return False


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_file(path: Path) -> bool:
    """Whether it was there. Log entries may be gone: a checkpoint lets expired ones be removed."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True
