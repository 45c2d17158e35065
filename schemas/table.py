"""The shape of one table: its columns, their types, their comments and its version.

In: nothing. Out: Arrow schemas. Never: I/O, or behavior beyond validation.
"""

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

STRING = pa.string()
INT32 = pa.int32()
INT64 = pa.int64()
BOOL = pa.bool_()
BINARY = pa.binary()
DATE = pa.date32()
# Delta's common denominator. Nanoseconds would need reader version 3, which few engines have, so exact times sit beside it as BIGINT.
TIMESTAMP = pa.timestamp("us", tz="UTC")
# MAP(VARCHAR, VARCHAR): numbers and booleans in JSON spelling, nested values as JSON text.
ATTRIBUTES = pa.map_(STRING, STRING)
# How batches hold them between stages: texts that repeat as numbers of a dictionary; of logs that are not normalized yet, other values of maps as views into
# the bytes that arrived.
CODED = pa.dictionary(INT32, STRING)
HELD_ATTRIBUTES = pa.map_(CODED, pa.string_view())
# And from normalize on, in the order of rows, so that the values of a row lie behind one another.
STORED_ATTRIBUTES = pa.map_(CODED, STRING)
HEADERS = pa.list_(pa.struct([pa.field("key", STRING), pa.field("value", BINARY)]))
# Where Arrow gets a bare Python value it infers its type, and for that looks on the disk for a module each time: a tenth of a millisecond.
TRUE, FALSE = pa.scalar(True, BOOL), pa.scalar(False, BOOL)
LATEST_US = 4_102_444_800_000_000  # the year 2100: no time in a message of ours is later


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `required` columns hold no nulls."""

    name: str
    type: pa.DataType
    comment: str
    required: bool = False

    @property
    def field(self) -> pa.Field:
        return pa.field(self.name, self.type, nullable=not self.required, metadata={"comment": self.comment})


@dataclass(frozen=True)
class Table:
    """One table of the lake. `version` rises with every change of its columns; newer readers read older files."""

    name: str
    version: int
    comment: str
    columns: tuple[Column, ...]
    sort_by: tuple[str, ...]
    coded: frozenset[str] = frozenset()  # columns that batches hold as CODED or STORED_ATTRIBUTES

    @cached_property
    def arrow(self) -> pa.Schema:
        """The Arrow schema, partition column first, with each column's comment in its field metadata."""
        return pa.schema([column.field for column in self.columns])

    @cached_property
    def held(self) -> pa.Schema:
        """The same as batches between stages hold it."""
        held = {STRING: CODED, ATTRIBUTES: STORED_ATTRIBUTES}
        return pa.schema([field.with_type(held[field.type]) if field.name in self.coded else field for field in self.arrow])


PARTITION_COLUMN = Column("day", DATE, "UTC date of the event time; of the Kafka timestamp where the event time is not plausible. Partition column.", True)
PROVENANCE = (
    Column("kafka_cluster", STRING, "Id of the Kafka cluster; 'files' for rows loaded without a broker.", True),
    Column("kafka_topic", STRING, "Name of the topic; for rows loaded without a broker the path of the file.", True),
    Column("kafka_topic_id", STRING, "Id of the topic, new when a topic is deleted and made again; a hash of the content for a file.", True),
    Column("kafka_partition", INT32, "Partition of the topic.", True),
    Column("kafka_offset", INT64, "Offset of the record in its partition.", True),
    Column("record_index", INT32, "Index of the row among the rows of its record, from 0, in the order of the wire.", True),
    Column("kafka_time", TIMESTAMP, "Timestamp of the Kafka record.", True),
    Column("ingested_at", TIMESTAMP, "When tracebraid normalized the row.", True),
)
