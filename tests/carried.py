"""What each encoding of the Collector's Kafka exporter cannot carry: a row as it was sent → the row that arrives.

In: rows of SPANS as OTLP would give them, maps as dicts. Out: the same by the rules of one encoding. Written from the documents of Jaeger and Zipkin and from
opentelemetry-collector-contrib 0.155, not from the code under test.
"""

from typing import Any

Row = dict[str, Any]


def carried(encoding: str, row: Row) -> Row:
    """`row` as it is after a way through `encoding`."""
    return _RULES[encoding](row) if encoding in _RULES else row


def _jaeger(row: Row) -> Row:
    """No flags, schema URLs, scope attributes, or counts of what was dropped; a link has neither trace state nor attributes of its own."""
    return row | {
        "flags": 0,
        "scope_attributes": {},
        "scope_schema_url": None,
        "resource_schema_url": None,
        "dropped_attributes_count": 0,
        "dropped_events_count": 0,
        "dropped_links_count": 0,
        "events": [event | {"dropped_attributes_count": 0} for event in row["events"]],
        "links": [
            link | {"trace_state": None, "flags": 0, "attributes": {"opentracing.ref_type": "follows_from"}, "dropped_attributes_count": 0}
            for link in row["links"]
        ],
    }


_RULES = {"jaeger_proto": _jaeger, "jaeger_json": _jaeger}
