"""A lake on a real S3 server is read as one on a disk; options are the store's own names."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.unit.verify.damage import filled
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.store.lake import Lake
from tracebraid.pipeline.verify.place import Place
from tracebraid.pipeline.verify.reader import Options, examine, verify
from tracebraid.pipeline.verify.report import Finding

if TYPE_CHECKING:
    from tests.brokers.s3 import S3


def test_a_lake_on_s3(s3: "S3", tmp_path: Path) -> None:
    """The server keeps an object as a file, so a lake can be put there, and damaged there."""
    lake = s3.directory / "data" / s3.bucket / "verified"
    damage = filled(lake)
    url, options = f"s3://{s3.bucket}/verified/", Options(storage=s3.options)
    here = examine(str(lake), None).summary
    assert examine(url, None, options=options).summary == here
    assert here["findings"] == 0
    path = damage.delete_file("logs", 2)
    assert replace(verify(url, None, options=options)[0], detail="") == Finding("file_missing", table="logs", file=path)
    with pytest.raises(TracebraidError, match=r"there is no lake at s3://.*/nowhere: it has no table intervals"):
        verify(f"s3://{s3.bucket}/nowhere", None, options=options)
    with pytest.raises(TracebraidError, match=r"cannot list s3://lakes/verified/intervals/_delta_log"):
        verify(url.rstrip("/"), None, options=Options(storage={**s3.options, "aws_secret_access_key": "wrong"}))


def test_a_lake_that_the_store_made_on_s3(s3: "S3") -> None:
    url = f"s3://{s3.bucket}/made"
    Lake.open(url, s3.options, Clock())
    assert examine(url, None, options=Options(storage=s3.options)).summary["files"] == 0


@pytest.mark.parametrize("spelled", ["{}", "file://{}", "{}/../{name}"])
def test_spellings_of_a_directory(tmp_path: Path, spelled: str) -> None:
    place = tmp_path / "a lake"
    filled(place)
    url = spelled.format(str(place).replace(" ", "%20") if "file" in spelled else place, name=place.name)
    assert examine(url, None).summary["partitions"] == 2
    assert Place.of(url, {}).root == str(place)
