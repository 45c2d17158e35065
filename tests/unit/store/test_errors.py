"""What storage says, in one line."""

import errno

import pytest
from deltalake.exceptions import DeltaError, SchemaMismatchError, TableNotFoundError

from tracebraid.pipeline.store.errors import explain

PERMANENT, PASSES, UNKNOWN = (False, False), (True, False), (True, True)


@pytest.mark.parametrize(
    ("error", "line", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "cannot write to /lake: the disk is full. Free space there", PASSES),
        (OSError("Generic LocalFileSystem error: No space left on device (os error 28)"), "cannot write to /lake: the disk is full", PASSES),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "cannot write to /lake: the disk quota is used up. Free space there or raise the quota", PASSES),
        (PermissionError(errno.EACCES, "Permission denied"), "cannot write to /lake: permission denied. Give this user the right", PERMANENT),
        (OSError("Read-only file system (os error 30)"), "cannot write to /lake: the file system is read-only", PERMANENT),
        (OSError(errno.EFBIG, "File too large"), "cannot write to /lake: the file size limit is too small", PERMANENT),
        (OSError(errno.EIO, "Input/output error"), "cannot write to /lake: the device reports", UNKNOWN),
        (OSError(errno.ESTALE, "Stale file handle"), "cannot write to /lake: [Errno 116] Stale file handle. Look at the storage", PASSES),
        (OSError("connection reset\nwhile sending"), "cannot write to /lake: connection reset: while sending. Look at the storage", PASSES),
        (
            OSError(
                "Kernel error -> Generic S3 error\n   \x1b[31m↳\x1b[0m Error performing list request\n  \x1b[31m↳\x1b[0m Connection refused (os error 111)\n"
            ),
            "cannot write to /lake: Kernel error -> Generic S3 error: Error performing list request: Connection refused (os error 111). Look",
            PASSES,
        ),
        (OSError("Server returned non-2xx status code: 503 Service Unavailable"), "cannot write to /lake: Server returned non-2xx", PASSES),
        (OSError("status code: 429 Too Many Requests"), "cannot write to /lake: status code", PASSES),
        (DeltaError("operation timed out"), "cannot write to /lake: operation timed out", PASSES),
        (OSError("a\n<Error><Code>NoSuchBucket</Code><Message>None.</Message>"), "cannot write to /lake: NoSuchBucket: None. Make the bucket", PERMANENT),
        (OSError("<Code>AccessDenied</Code><Message>No</Message>"), "cannot write to /lake: AccessDenied: No. Check AWS_ACCESS_KEY_ID", PERMANENT),
        (OSError("status code: 403 Forbidden"), "cannot write to /lake: status code: 403 Forbidden. Check AWS_ACCESS_KEY_ID", PERMANENT),
        (OSError("<Code>RequestTimeTooSkewed</Code>"), "cannot write to /lake: RequestTimeTooSkewed. Set this machine's clock", PERMANENT),
        (OSError("<Code>SlowDown</Code>"), "cannot write to /lake: SlowDown. Look at the storage", PASSES),
        (OSError("HTTP error\n ↳ URL scheme is not allowed"), "cannot write to /lake: HTTP error: URL scheme is not allowed. The endpoint is plain", PERMANENT),
        (SchemaMismatchError("Column a has type b"), "cannot write to /lake: Column a has type b. The table is not as tracebraid left it", PERMANENT),
        (TableNotFoundError("Not a Delta table"), "cannot write to /lake: Not a Delta table. The table is not as tracebraid left it", PERMANENT),
        (OSError("x" * 500 + " refused"), f"cannot write to /lake: {'x' * 148} … {'x' * 140} refused. Look", UNKNOWN),
        (OSError(), "cannot write to /lake: OSError. Look at the storage", UNKNOWN),
    ],
)
def test_one_line_with_what_to_do(error: Exception, line: str, kind: tuple[bool, bool]) -> None:
    explained = explain(error, "write to /lake")
    assert str(explained).startswith(line)
    assert "\n" not in str(explained)
    assert (explained.transient, explained.unknown) == kind
