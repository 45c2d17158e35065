"""What storage says, in one line a user can act on.

In: an exception of the operating system, of Arrow or of delta-rs. Out: a TracebraidError, or what kind of conflict it was. Never: a retry.
"""

import errno

from deltalake.exceptions import CommitFailedError, DeltaError
from pyarrow import ArrowException

from tracebraid.pipeline.kernel.errors import TracebraidError

# Whatever a call into the storage raises. delta-rs raises its own class, OSError or plain exceptions by the kind of store.
STORAGE_ERRORS = (OSError, DeltaError, ArrowException)

# errno, how delta-rs and Arrow spell it in their messages, what to do. The first that fits speaks.
_KNOWN = (
    (
        errno.ENOSPC,
        "No space left on device",
        "the disk is full",
        "Free space there, then start again: nothing of this cycle is lost, it is read again from Kafka",
    ),
    (errno.EDQUOT, "Disk quota exceeded", "the disk quota is used up", "Free space there or raise the quota, then start again"),
    (errno.EFBIG, "File too large", "the file size limit is too small", "Raise the limit (ulimit -f), then start again"),
    (errno.EROFS, "Read-only file system", "the file system is read-only", "Mount it writable, or set TRACEBRAID_LAKE to another place"),
    (errno.EACCES, "Permission denied", "permission denied", "Give this user the right to write there, or set TRACEBRAID_LAKE to another place"),
    (
        errno.EPERM,
        "Operation not permitted",
        "the operation is not permitted",
        "Give this user the right to write there, or set TRACEBRAID_LAKE to another place",
    ),
    (errno.ENOTDIR, "Not a directory", "part of the path is a file", "Set TRACEBRAID_LAKE to a directory"),
    (errno.EIO, "Input/output error", "the device reports an input/output error", "Look at the device and the kernel log, then start again"),
)
_OTHERWISE = "Look at the storage and its credentials, then start again"


def explain(error: BaseException, doing: str) -> TracebraidError:
    """One line for a failure of the storage; `doing`: what was tried, and where. Unknown failures may pass, so they are marked transient."""
    text = str(error)
    for number, spelling, meaning, hint in _KNOWN:
        if getattr(error, "errno", None) == number or spelling in text:
            return TracebraidError(f"cannot {doing}: {meaning}", hint)
    first_line = text.strip().split("\n", 1)[0] or type(error).__name__
    return TracebraidError(f"cannot {doing}: {first_line[:300]}", _OTHERWISE, transient=True)


def is_conflict(error: BaseException) -> bool:
    """Whether another commit came between our snapshot and ours: another owner of a partition, or a change of schema or properties.

    delta-rs has one class for all of them, and for retries that ran out; the next snapshot tells which it was.
    """
    return isinstance(error, CommitFailedError)
