"""Conditions on columns that are held as numbers of a dictionary: the same as on texts."""

import pyarrow as pa
import pytest

from tests.measures import batch_of
from tracebraid.pipeline.kernel.held import as_held
from tracebraid.pipeline.rules.rows import condition
from tracebraid.schemas.spans import SPANS

TEXTS = ("SERVER", None, "CLIENT", "SERVER", "INTERNAL", None, "SERVER")


@pytest.mark.parametrize(
    "text",
    [
        "kind = 'SERVER'",
        "kind in ('SERVER', 'CLIENT')",
        "not kind = 'SERVER'",
        "kind is null",
        "kind is null or kind = 'CLIENT'",
        "kind = 'SERVER' and status_code = 'ERROR'",
        "kind = 'SERVER' or duration > 3ns",
        "1 = 1",
    ],
)
def test_conditions_on_coded_texts(text: str) -> None:
    plain = batch_of(SPANS, [{"kind": kind, "status_code": "ERROR" if row % 2 else None, "duration_ns": row} for row, kind in enumerate(TEXTS)])
    held = pa.record_batch([as_held(column, field.type) for column, field in zip(plain.columns, SPANS.held, strict=True)], schema=SPANS.held)
    for start, length in ((0, 7), (2, 4), (1, 1), (3, 0)):
        assert condition("spans", text, held.slice(start, length)).to_pylist() == condition("spans", text, plain.slice(start, length)).to_pylist()
