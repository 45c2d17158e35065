"""Where the lake lies: a directory or an object store, through Arrow's own file systems.

In: the lake's place and the store's options, as the settings have them. Out: names and bytes of files. Never: a write.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.fs

from tracebraid.pipeline.kernel.errors import TracebraidError, UsageError

# What storage raises: the operating system's errors, and Arrow's.
FAILURES = (OSError, pa.ArrowException)
# Arrow's argument → names of the same option in the settings, in lower case and without `aws_`.
_S3 = {
    "access_key": ("access_key_id",),
    "secret_key": ("secret_access_key",),
    "session_token": ("session_token", "token"),
    "region": ("region", "default_region"),
    "endpoint_override": ("endpoint_url", "endpoint", "endpoint_url_s3"),
}


@dataclass(frozen=True)
class Place:
    """Files below one root; paths have slashes and no scheme."""

    url: str
    filesystem: pa.fs.FileSystem
    root: str

    @classmethod
    def of(cls, lake: str, options: Mapping[str, str]) -> Self:
        """`lake`: a directory or a URL. `options`: of the object store. Raises UsageError for a URL that Arrow does not know."""
        parts = urlsplit(lake)
        if "://" not in lake or parts.scheme == "file":
            path = unquote(parts.path) if parts.scheme == "file" else lake
            return cls(lake, pa.fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(path)))
        if parts.scheme in ("s3", "s3a"):
            return cls(lake, pa.fs.S3FileSystem(**_s3_arguments(options)), f"{parts.netloc}/{parts.path.strip('/')}")
        try:
            filesystem, root = pa.fs.FileSystem.from_uri(lake)
        except (*FAILURES, ValueError) as error:
            raise UsageError(f"the lake's place {lake} cannot be read: {_first_line(error)}", "Give a directory, or an s3:// or gs:// URL") from None
        return cls(lake, filesystem, root.rstrip("/"))

    def names(self, directory: str) -> list[str]:
        """Names of the files right in `directory`; none where it is not there. Raises TracebraidError."""
        selector = pa.fs.FileSelector(f"{self.root}/{directory}", allow_not_found=True)
        try:
            return [info.base_name for info in self.filesystem.get_file_info(selector) if info.type == pa.fs.FileType.File]
        except FAILURES as error:
            raise TracebraidError(f"cannot list {self.url}/{directory}: {_first_line(error)}", "Look at the storage and its credentials") from None

    def exists(self, path: str) -> bool:
        (info,) = self.filesystem.get_file_info([f"{self.root}/{path}"])
        return bool(info.type == pa.fs.FileType.File)

    def open(self, path: str) -> pa.NativeFile:
        """The file, to be read anywhere. Raises FAILURES."""
        return self.filesystem.open_input_file(f"{self.root}/{path}")

    def read(self, path: str) -> bytes:
        """The whole file. Raises FAILURES."""
        with self.open(path) as file:
            return bytes(file.read())


def _s3_arguments(options: Mapping[str, str]) -> dict[str, Any]:
    given = {name.lower().removeprefix("aws_"): value for name, value in options.items()}
    arguments: dict[str, Any] = {}
    for argument, names in _S3.items():
        if value := next((given[name] for name in names if given.get(name)), ""):
            arguments[argument] = value
    if endpoint := arguments.get("endpoint_override"):
        arguments["scheme"] = urlsplit(endpoint).scheme or "https"
        arguments["endpoint_override"] = endpoint.partition("://")[2] or endpoint
    if given.get("virtual_hosted_style_request", "").lower() == "true":
        arguments["force_virtual_addressing"] = True
    if given.get("skip_signature", "").lower() == "true":
        arguments["anonymous"] = True
    return arguments


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:300]
