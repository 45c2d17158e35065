"""Table `rejects`: records, or parts of them, that could not be decoded, with their bytes."""

from tracebraid.schemas.table import BINARY, HEADERS, INT64, PARTITION_COLUMN, PROVENANCE, STRING, Column, Table

REJECTS = Table(
    name="rejects",
    version=1,
    comment="What could not be decoded: the original bytes, with the reason.",
    sort_by=("kafka_topic", "kafka_partition", "kafka_offset"),
    columns=(
        PARTITION_COLUMN,
        Column("reason", STRING, "Reason code.", True),
        Column("message", STRING, "What the decoder said.", True),
        Column("encoding", STRING, "Encoding that was tried.", True),
        Column("record_key", BINARY, "Key of the record."),
        Column("record_value", BINARY, "Value of the record: the original bytes, the first 64 KiB of a larger one."),
        Column("record_headers", HEADERS, "Headers of the record."),
        Column("value_bytes", INT64, "Size of the original value in bytes.", True),
        Column("value_sha256", STRING, "SHA-256 of the original value, in hex.", True),
        Column("tenant", STRING, "Tenant, from a header, the topic or the settings.", True),
        *PROVENANCE,
    ),
)
# Reason codes: a closed list, since alerts and dashboards group by them.
REASONS = {
    "malformed": "The bytes break the rules of the encoding.",
    "invalid_utf8": "A text field is not UTF-8.",
    "not_an_object": "The JSON value is not an object where one is needed.",
    "otlp_metrics": "The record holds OTLP metrics, which tracebraid does not store.",
    "ambiguous": "The bytes fit several encodings and the topic gives no hint.",
    "unknown_encoding": "A header or a Schema Registry frame names an encoding or a schema that tracebraid does not read, or cannot get.",
    "too_deep": "Nesting beyond the limit.",
    "too_large": "A count or a size beyond the limit.",
    "decoder_error": "The decoder failed: a fault of tracebraid's; please report it.",
    "internal_error": "It was decoded, and no row could be made of it: a fault of tracebraid's; please report it.",
}
