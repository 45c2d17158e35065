"""What the torture produces is what its check takes it for: each number in its table, with its rows, in every encoding and envelope."""

from tests.batches import records_of
from tests.torture import workload
from tests.torture.workload import POISON_EVERY, kind_of, rows_of, value_of
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.kernel.held import plain
from tracebraid.pipeline.normalize.batch import normalize


def test_every_number_is_where_the_check_looks_for_it() -> None:
    numbers = range(3 * POISON_EVERY * len(workload.POISONS))
    records = records_of([value_of(number) for number in numbers])
    normalized = normalize(records, decode(records), now_us=0)
    first = records.first_offset
    found: dict[int, list[str]] = {}
    for table, batch in (("spans", normalized.spans), ("logs", normalized.logs), ("rejects", normalized.rejects)):
        attributes = [None] * batch.num_rows if table == "rejects" else [dict(each) for each in plain(batch.column("attributes")).to_pylist()]
        for offset, fields in zip(batch.column("kafka_offset").to_pylist(), attributes, strict=True):
            assert fields is None or fields["number"] == str(offset - first)
            found.setdefault(offset - first, []).append(table)
    assert found == {number: [kind_of(number)] * rows_of(number) for number in numbers}
    assert sum(kind_of(number) == "rejects" for number in numbers) * POISON_EVERY == len(numbers)
