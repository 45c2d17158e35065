"""tracebraid: alerts that understand traces, straight from Kafka, over plain Parquet."""
