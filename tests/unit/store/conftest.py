"""Places for a lake: a directory, and an object store with the same contract."""

from pathlib import Path
from uuid import uuid4

import pytest

from tests.unit.store.build import Place


@pytest.fixture(params=["directory", "S3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place for a lake that is not there yet."""
    if request.param == "directory":
        return Place(str(tmp_path), {}, tmp_path)
    s3 = request.getfixturevalue("s3")
    prefix = f"lake-{uuid4().hex[:8]}"
    return Place(f"s3://{s3.bucket}/{prefix}", s3.options, s3.directory / "data" / s3.bucket / prefix)
