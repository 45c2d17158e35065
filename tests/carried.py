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


def _zipkin(row: Row) -> Row:
    """No flags, schema URLs or count of dropped attributes; microseconds; what Zipkin has no place for (the scope's attributes, a resource's that are no
    convention's) is among the span's attributes, and an HTTP status is there under its old name too."""
    moved = {key: value for key, value in row["resource_attributes"].items() if "." not in key}
    status = row["http_response_status_code"]
    return row | {
        "flags": 0,
        "attributes": row["attributes"] | moved | row["scope_attributes"] | ({"http.status_code": str(status)} if status else {}),
        "resource_attributes": {key: value for key, value in row["resource_attributes"].items() if key not in moved},
        "scope_attributes": {},
        "scope_schema_url": None,
        "resource_schema_url": None,
        "dropped_attributes_count": 0,
        "events": [event | {"time_unix_nano": event["time_unix_nano"] // 1000 * 1000} for event in row["events"]],
        "links": [link | {"flags": 0} for link in row["links"]],
    }


def _zipkin_json(row: Row) -> Row:
    """As protobuf; names of spans and services are in lower case."""
    found = _zipkin(row)
    return found | {"name": found["name"].lower(), "service_name": found["service_name"] and found["service_name"].lower()}


_RULES = {"jaeger_proto": _jaeger, "jaeger_json": _jaeger, "zipkin_proto": _zipkin, "zipkin_json": _zipkin_json}
