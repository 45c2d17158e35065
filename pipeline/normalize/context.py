"""What every signal's normalize is given, and what it hands back.

In: Records and the moment of normalizing. Out: per-record arrays to take rows' values from. Never: a clock.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.event_time import kafka_micros
from tracebraid.pipeline.kernel.formats import Formats, FormatSettings, formats_of
from tracebraid.pipeline.kernel.held import constant, plain
from tracebraid.pipeline.kernel.records import Records
from tracebraid.schemas.table import INT32, STRING, TIMESTAMP


@dataclass(frozen=True, slots=True)
class Context:
    """One Records as arrays by record.

    offsets: int64. kafka_us: int64, microseconds since 1970, brought into the years 1970..9999. tenants: CODED, no nulls.
    now_us: when the rows are normalized, microseconds since 1970. formats: the user's own, of this topic.
    """

    records: Records
    offsets: pa.Int64Array
    kafka_us: pa.Int64Array
    tenants: pa.DictionaryArray
    now_us: int
    formats: Formats = field(default_factory=Formats)

    @classmethod
    def of(cls, records: Records, now_us: int, tenant_header: str = "", formats: Sequence[FormatSettings] = ()) -> "Context":
        kafka_us = kafka_micros(records.batch.column("kafka_time_ms").to_numpy())
        held = formats_of(formats, records.partition.topic)
        return cls(records, records.batch.column("kafka_offset"), pa.array(kafka_us), _tenants(records, tenant_header), now_us, held)

    def row_kafka_us(self, record: pa.Int32Array) -> pa.Int64Array:
        """Kafka timestamp of each row, int64 microseconds since 1970, given the rows' `record`."""
        return self.kafka_us.take(record)

    def with_header(self, wanted: str) -> dict[int, str]:
        """Record → its header of that name, in whatever case, where it has one."""
        headers = self.records.batch.column("headers")
        if not (pc.sum(pc.list_value_length(headers)).as_py() or 0):
            return {}
        found = {}
        for record, pairs in enumerate(headers.to_pylist()):
            for pair in pairs or ():
                if pair["key"] and pair["key"].lower() == wanted and pair["value"]:
                    found[record] = pair["value"].decode("ascii", "replace")
        return found

    def provenance(self, record: pa.Int32Array, record_index: pa.Int32Array) -> dict[str, pa.Array]:
        """The columns of schemas.table.PROVENANCE and `tenant`, for rows with these `record` and `record_index`."""
        partition, rows = self.records.partition, len(record)
        return {
            "tenant": self.tenants.take(record),
            "kafka_cluster": constant(partition.cluster, rows),
            "kafka_topic": constant(partition.topic, rows),
            "kafka_topic_id": constant(partition.topic_id, rows),
            "kafka_partition": pa.repeat(pa.scalar(partition.number, INT32), rows) if self.records.numbers is None else self.records.numbers.take(record),
            "kafka_offset": self.offsets.take(record),
            "record_index": record_index,
            "kafka_time": self.row_kafka_us(record).cast(TIMESTAMP),
            "ingested_at": pa.repeat(pa.scalar(self.now_us, pa.int64()).cast(TIMESTAMP), rows),
        }


@dataclass(frozen=True, slots=True)
class Part:
    """One signal's own columns, by the table's column names; batch.py adds the rest.

    Added unless given here: day, tenant, provenance, the resource's columns, and every column that the decoded batch has under the table's name.
    event_us: int64, microseconds since 1970, null where the row has no time of its own. noticed: (what, service) → rows.
    """

    columns: Mapping[str, pa.Array]
    event_us: pa.Int64Array
    noticed: Counter[tuple[str, str]] = field(default_factory=Counter)


def count_by_service(what: str, chosen: pa.BooleanArray, service_name: pa.Array) -> Counter[tuple[str, str]]:
    """(what, service) → how many rows are `chosen`; service '' where it is null."""
    if not chosen.true_count:
        return Counter()
    services = plain(service_name.filter(chosen)).fill_null("")
    return Counter({(what, pair["values"]): pair["counts"] for pair in pc.value_counts(services).to_pylist()})


def _tenants(records: Records, tenant_header: str) -> pa.DictionaryArray:
    if not tenant_header:
        return constant(records.tenant, records.batch.num_rows)
    named = []
    for headers in records.batch.column("headers").to_pylist():
        values = [header["value"] for header in headers or () if header["key"] == tenant_header and header["value"] is not None]
        named.append(values[-1].decode("utf-8", "replace") if values else records.tenant)  # the last wins, as in Kafka's lastHeader
    return pa.array(named, STRING).dictionary_encode()
