"""What storage says, in one line."""

import errno

import pytest

from tracebraid.pipeline.store.errors import explain


@pytest.mark.parametrize(
    ("error", "line", "transient"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "cannot write to /lake: the disk is full. Free space there", False),
        (OSError("Generic LocalFileSystem error: No space left on device (os error 28)"), "cannot write to /lake: the disk is full", False),
        (PermissionError(errno.EACCES, "Permission denied"), "cannot write to /lake: permission denied. Give this user the right", False),
        (OSError("Read-only file system (os error 30)"), "cannot write to /lake: the file system is read-only", False),
        (OSError(errno.EIO, "Input/output error"), "cannot write to /lake: the device reports", False),
        (OSError("connection reset\nwhile sending"), "cannot write to /lake: connection reset: while sending. Look at the storage", True),
        (
            OSError(
                "Kernel error -> Generic S3 error\n   \x1b[31m↳\x1b[0m Error performing list request\n  \x1b[31m↳\x1b[0m Connection refused (os error 111)\n"
            ),
            "cannot write to /lake: Kernel error -> Generic S3 error: Error performing list request: Connection refused (os error 111). Look",
            True,
        ),
        (OSError("a\n<Error><Code>NoSuchBucket</Code><Message>None.</Message>"), "cannot write to /lake: NoSuchBucket: None. Make the bucket", False),
        (OSError("<Code>AccessDenied</Code><Message>No</Message>"), "cannot write to /lake: AccessDenied: No. Check AWS_ACCESS_KEY_ID", False),
        (OSError("<Code>SlowDown</Code>"), "cannot write to /lake: SlowDown. Look at the storage", True),
        (OSError("HTTP error\n ↳ URL scheme is not allowed"), "cannot write to /lake: HTTP error: URL scheme is not allowed. The endpoint is plain", False),
        (OSError("x" * 500 + " refused"), f"cannot write to /lake: {'x' * 148} … {'x' * 140} refused. Look", True),
        (OSError(), "cannot write to /lake: OSError. Look at the storage", True),
    ],
)
def test_one_line_with_what_to_do(error: OSError, line: str, transient: bool) -> None:
    explained = explain(error, "write to /lake")
    assert str(explained).startswith(line)
    assert "\n" not in str(explained)
    assert explained.transient is transient
