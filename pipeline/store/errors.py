"""What storage says, in one line a user can act on.

In: an exception of the operating system, of Arrow or of delta-rs. Out: a TracebraidError, or what kind of conflict it was. Never: a retry.

An error is permanent if it takes somebody's hand: the process says so in one line and ends, nothing being committed, and whoever supervises it
starts it again. It is transient if storage is known to get over it, or to be given room while we wait. The rest is unknown: tried a few times.
"""

import errno
import re

from deltalake.exceptions import CommitFailedError, DeltaError, DeltaProtocolError, SchemaMismatchError, TableNotFoundError
from pyarrow import ArrowException

from tracebraid.pipeline.kernel.errors import TracebraidError, one_line

# Whatever a call into the storage raises. delta-rs raises its own class, OSError or plain exceptions by the kind of store.
STORAGE_ERRORS = (OSError, DeltaError, ArrowException)

_ROOM = "Free space there{}: nothing of this cycle is lost. Ingest tries it again by itself; start anything else again"
_RIGHT = "Give this user the right to write there, or set TRACEBRAID_LAKE to another place"
# errno, how delta-rs and Arrow spell it in their messages, what it means, what to do, whether it passes (None: nobody knows). The first that fits speaks.
_KNOWN: tuple[tuple[int, str, str, str, bool | None], ...] = (
    (errno.ENOSPC, "No space left on device", "the disk is full", _ROOM.format(""), True),
    (errno.EDQUOT, "Disk quota exceeded", "the disk quota is used up", _ROOM.format(" or raise the quota"), True),
    (errno.EFBIG, "File too large", "the file size limit is too small", "Raise the limit (ulimit -f), then start again", False),
    (errno.EROFS, "Read-only file system", "the file system is read-only", "Mount it writable, or set TRACEBRAID_LAKE to another place", False),
    (errno.EACCES, "Permission denied", "permission denied", _RIGHT, False),
    (errno.EPERM, "Operation not permitted", "the operation is not permitted", _RIGHT, False),
    (errno.ENOTDIR, "Not a directory", "part of the path is a file", "Set TRACEBRAID_LAKE to a directory", False),
    (errno.EIO, "Input/output error", "the device reports an input/output error", "Look at the device and the kernel log, then start again", None),
)
# The same of object stores: what their answers, or the client, say, and what to do. None of it passes by itself.
_REFUSED = (
    (("NoSuchBucket", "InvalidBucketName"), "Make the bucket, or set TRACEBRAID_LAKE to another place"),
    (("RequestTimeTooSkewed",), "Set this machine's clock"),
    (
        (
            *("SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied", "ExpiredToken", "InvalidToken", "AuthenticationFailed"),
            *("lacked the necessary privileges", "403 Forbidden", "401 Unauthorized"),
        ),
        "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or storage_options, and their right to read and write there",
    ),
    (("URL scheme is not allowed",), "The endpoint is plain http: set AWS_ALLOW_HTTP=true, or storage_options.aws_allow_http"),
)
# Of the table itself: what we would write does not fit it any more.
_UNFIT = (SchemaMismatchError, DeltaProtocolError, TableNotFoundError)
# What passes: the way to the store, and a store that is busy, restarting or in trouble of its own.
_PASSING_NUMBERS = frozenset(
    {errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.EHOSTUNREACH, errno.ENETUNREACH}
    | {errno.EAGAIN, errno.EBUSY, errno.ESTALE, errno.EINTR}
)
_PASSING = re.compile(
    r"(?i:timed? ?out|connection (?:refused|reset|closed|error)|broken pipe|error sending request|failed to lookup address|unreachable)"
    r"|SlowDown|ServiceUnavailable|InternalError|Throttl|TooManyRequests|RequestLimitExceeded|\b(?:5\d\d|429|408) [A-Z]"
)
_OTHERWISE = "Look at the storage and its credentials, then start again"


def explain(error: BaseException, doing: str) -> TracebraidError:
    """One line for a failure of the storage, marked transient or unknown; `doing`: what was tried, and where."""
    text = str(error)
    for number, spelling, meaning, hint, passes in _KNOWN:
        if getattr(error, "errno", None) == number or spelling in text:
            return TracebraidError(f"cannot {doing}: {meaning}", hint, transient=passes is True, unknown=passes is None)
    said = f"cannot {doing}: {one_line(error).rstrip('.')}"
    for spellings, hint in _REFUSED:
        if any(spelling in text for spelling in spellings):
            return TracebraidError(said, hint)
    if isinstance(error, _UNFIT):
        return TracebraidError(said, "The table is not as tracebraid left it: restore its log, or set TRACEBRAID_LAKE to another place")
    passing = getattr(error, "errno", None) in _PASSING_NUMBERS or bool(_PASSING.search(text))
    return TracebraidError(said, _OTHERWISE, transient=passing, unknown=not passing)


def is_conflict(error: BaseException) -> bool:
    """Whether another commit came between our snapshot and ours: another owner of a partition, or a change of schema or properties.

    delta-rs has one class for all of them, and for retries that ran out; the next snapshot tells which it was.
    """
    return isinstance(error, CommitFailedError)
