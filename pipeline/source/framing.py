"""Where one record of a file ends and the next begins.

In: a file, compressed (gzip, zstd) or not. Out: records as bytes, one at a time. Never: more of the file in memory than one chunk and one record.

Layouts, told apart by their first bytes, since names lie:
- lines: JSON objects (the Collector's file exporter, any JSON lines) or text;
- messages, each behind its length as four bytes, big-endian: the file exporter with `format: proto`, and with `compression: zstd`, where
  each message is compressed by itself (file_writer.go of the Collector's fileexporter). No text begins with a byte below five;
- one JSON document over several lines: one record.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import zstandard

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.errors import TracebraidError

CHUNK_BYTES = limits.MIB
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
PREFIX_BYTES = 4
ZSTD_PIECE_BYTES = 4 * limits.KIB  # inflates to 128 MiB at the very most: a block of 128 KiB takes four bytes
BROKEN = (EOFError, zlib.error, zstandard.ZstdError, gzip.BadGzipFile)
DOCUMENT_STARTS = (b"{", b"[")


class Broken(Exception):
    """The file breaks off or is not what its first bytes say; the message says where."""


def open_file(path: Path) -> io.BufferedReader:
    """The file at `path`. Raises TracebraidError of one line where it cannot be opened."""
    try:
        return path.open("rb")
    except OSError as error:
        raise TracebraidError(f"cannot read {path}: {error.strerror}", "Check the path and its rights") from None


def records(raw: BinaryIO) -> Iterator[bytes]:
    """The records of `raw`, blank lines left out. Raises Broken after the last whole record before a fault."""
    stream = _Stream(_inflated(raw))
    yield from _framed(stream)
    if stream.fault:
        raise Broken(stream.fault)


class _Stream:
    """Reads until the end or a fault, which it keeps, so that all records before it come out first."""

    def __init__(self, source: BinaryIO) -> None:
        self.source = source
        self.fault = ""

    def read(self) -> bytes:
        """About a chunk; b'' at the end and from a fault on."""
        if self.fault:
            return b""
        try:
            return self.source.read(CHUNK_BYTES)
        except BROKEN as error:
            self.fault = f"its compression is broken: {error if str(error) else 'it ends too early'}"
            return b""


def _inflated(raw: BinaryIO) -> BinaryIO:
    start = raw.read(4)
    raw.seek(0)
    if start.startswith(GZIP):
        return cast("BinaryIO", gzip.GzipFile(fileobj=raw))
    if start == ZSTD:
        return cast("BinaryIO", _Zstd(raw))
    return raw


class _Zstd(io.RawIOBase):
    """A zstd stream of any number of frames; unlike the library's reader it minds a frame that breaks off."""

    def __init__(self, raw: BinaryIO) -> None:
        self.raw = raw
        self.frame = zstandard.ZstdDecompressor().decompressobj()
        self.rest = b""
        self.begun = False

    def read(self, size: int = -1) -> bytes:
        """Some bytes, as many as one piece of the input gives; b'' at the end."""
        while True:
            piece, self.rest = self.rest or self.raw.read(ZSTD_PIECE_BYTES), b""
            if not piece:
                if self.begun:
                    raise EOFError
                return b""
            inflated = self.frame.decompress(piece)
            self.begun = True
            if self.frame.eof:
                self.rest = self.frame.unused_data
                self.frame = zstandard.ZstdDecompressor().decompressobj()
                self.begun = False
            if inflated:
                return inflated


def _framed(stream: _Stream) -> Iterator[bytes]:
    head = stream.read()
    while head and len(head) < PREFIX_BYTES + 1 and (more := stream.read()):
        head += more
    if len(head) > PREFIX_BYTES and head[0] <= limits.record_bytes_max >> 24:
        return _messages(stream, head)
    if head.split(b"\n", 1)[0].strip() in DOCUMENT_STARTS:
        return _document(stream, head)
    return _lines(stream, head)


def _lines(stream: _Stream, chunk: bytes) -> Iterator[bytes]:
    kept = b""
    while chunk:
        *lines, kept = (kept + chunk).split(b"\n")
        for line in lines:
            if (stripped := line.rstrip(b"\r")) and not stripped.isspace():
                yield stripped
        if len(kept) > limits.record_bytes_max:
            raise Broken(f"a line is longer than {limits.record_bytes_max // limits.MIB} MiB")
        chunk = stream.read()
    if kept.strip() and not stream.fault:  # else it may be half a line
        yield kept.rstrip(b"\r")


def _document(stream: _Stream, document: bytes) -> Iterator[bytes]:
    while chunk := stream.read():
        document += chunk
        if len(document) > limits.record_bytes_max:
            raise Broken(f"the document is longer than {limits.record_bytes_max // limits.MIB} MiB; write one object a line")
    if not stream.fault:
        yield document


def _messages(stream: _Stream, buffer: bytes) -> Iterator[bytes]:
    at = 0
    while True:
        while len(buffer) - at < PREFIX_BYTES or len(buffer) - at - PREFIX_BYTES < int.from_bytes(buffer[at : at + PREFIX_BYTES], "big"):
            if len(buffer) - at >= PREFIX_BYTES and (size := int.from_bytes(buffer[at : at + PREFIX_BYTES], "big")) > limits.record_bytes_max:
                raise Broken(f"a message claims {size} bytes, the limit is {limits.record_bytes_max}")
            chunk = stream.read()
            if not chunk:
                if at < len(buffer) and not stream.fault:
                    raise Broken("it ends within a message")
                return
            buffer, at = buffer[at:] + chunk, 0
        size = int.from_bytes(buffer[at : at + PREFIX_BYTES], "big")
        message = buffer[at + PREFIX_BYTES : at + PREFIX_BYTES + size]
        at += PREFIX_BYTES + size
        if message.startswith(ZSTD):
            message = _one_frame(message)
        if message:
            yield message


def _one_frame(message: bytes) -> bytes:
    """A message that was compressed by itself. Raises Broken where it inflates beyond the limit."""
    stream, inflated = _Stream(cast("BinaryIO", _Zstd(io.BytesIO(message)))), b""
    while piece := stream.read():
        inflated += piece
        if len(inflated) > limits.inflated_bytes_max:
            raise Broken(f"a message inflates to more than {limits.inflated_bytes_max // limits.MIB} MiB")
    if stream.fault:
        raise Broken(stream.fault)
    return inflated
