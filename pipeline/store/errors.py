"""What storage says, in one line a user can act on.

In: an exception of the operating system, of Arrow or of delta-rs. Out: a TracebraidError, or what kind of conflict it was. Never: a retry.
"""

import errno

from deltalake.exceptions import CommitFailedError, DeltaError
from pyarrow import ArrowException

from tracebraid.pipeline.kernel.errors import TracebraidError, one_line

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
# The same of object stores: what their answers, or the client, say, and what to do. None of it passes by itself.
_REFUSED = (
    (("NoSuchBucket",), "Make the bucket, or set TRACEBRAID_LAKE to another place"),
    (
        ("SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied", "ExpiredToken", "lacked the necessary privileges"),
        "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or storage_options, and their right to read and write there",
    ),
    (("URL scheme is not allowed",), "The endpoint is plain http: set AWS_ALLOW_HTTP=true, or storage_options.aws_allow_http"),
)
_OTHERWISE = "Look at the storage and its credentials, then start again"


def explain(error: BaseException, doing: str) -> TracebraidError:
    """One line for a failure of the storage; `doing`: what was tried, and where. Unknown failures may pass, so they are marked transient."""
    text = str(error)
    for number, spelling, meaning, hint in _KNOWN:
        if getattr(error, "errno", None) == number or spelling in text:
            return TracebraidError(f"cannot {doing}: {meaning}", hint)
    said = f"cannot {doing}: {one_line(error).rstrip('.')}"
    for spellings, hint in _REFUSED:
        if any(spelling in text for spelling in spellings):
            return TracebraidError(said, hint)
    return TracebraidError(said, _OTHERWISE, transient=True)


def is_conflict(error: BaseException) -> bool:
    """Whether another commit came between our snapshot and ours: another owner of a partition, or a change of schema or properties.

    delta-rs has one class for all of them, and for retries that ran out; the next snapshot tells which it was.
    """
    return isinstance(error, CommitFailedError)
