"""Logs out of their envelopes → rows of DECODED_LOGS; shared by the JSON and the text decoder.

In: JSON text or plain text of one record. Out: rows of form 'json' or 'text'. Never: a reject for what a log says.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson

from tracebraid.pipeline.decode.envelope import events_of, resource_of, strip_newline, unwrap
from tracebraid.pipeline.decode.flatten import flatten
from tracebraid.pipeline.decode.json_value import Inexact, NotJson, dump, parse
from tracebraid.pipeline.decode.rows import Attributes, DecodeError, Rows, check_rows
from tracebraid.pipeline.kernel import limits


@dataclass(slots=True)
class LogRow:
    """One log, ready to be a row. text: null where it is a JSON object. facts: what the resource is made of, once for each distinct one."""

    text: str | None
    attributes: Attributes
    left_out: int = 0
    envelope: str | None = None
    time: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def read_json(text: bytes | str, most: int) -> list[LogRow] | None:
    """The logs of one JSON value: an object, a list of them, or a string that holds either or plain text. None where it is no JSON.

    Any other value is a log whose text is that value. Raises DecodeError too_large, beyond `most` logs among others.
    """
    for exact in (False, True):
        try:
            value = parse(text, exact)
            values = value if isinstance(value, list) else [value]
            check_rows(len(values), most)
            groups = [events_of(each) for each in values]
            items, repeated = [event for events, _ in groups for event in events], sum(repeated for _, repeated in groups)
            check_rows(len(items), most)
            if repeated > len(text) * limits.repetition_ratio_max:
                raise DecodeError("too_large", f"its {len(items)} logs would repeat {repeated} bytes of what is around them; the record itself has {len(text)}")
            return [_unwrapped(item if isinstance(item, (dict, str)) else dump(item, exact), exact) for item in items]
        except NotJson:
            return None
        except Inexact:
            continue
    return None


def read_text(text: str) -> LogRow:
    """The log that a text is, out of its envelope if it has one."""
    try:
        return _unwrapped(strip_newline(text), exact=False)
    except Inexact:
        return _unwrapped(strip_newline(text), exact=True)


def put(logs: list[LogRow], record: int, rows: Rows) -> None:
    """Append the logs as rows of `record`, indexed from 0; equal facts share one resource."""
    for index, log in enumerate(logs):
        rows.logs.append(
            {
                "record": record,
                "record_index": index,
                "resource": resource_number(log.facts, rows),
                "form": "json" if log.text is None else "text",
                "body": log.text,
                "attributes": log.attributes,
                "dropped_attributes_count": log.left_out,
                "envelope": log.envelope,
                "envelope_time": log.time,
            }
        )


# Fields that hold a log's message, by their names in lower case.
_MESSAGES = frozenset({"message", "msg", "body"})


def _unwrapped(content: dict[str, Any] | str, exact: bool) -> LogRow:
    log = unwrap(content, exact)
    attributes, left_out = flatten(log.fields, exact)
    if log.text is None and (nested := _nested_message(log.fields)):
        attributes = {nested: dump(log.fields[nested], exact), **attributes}  # the whole, to be the body, beside its fields
    return LogRow(log.text, attributes, left_out, log.envelope, log.time, log.facts)


def resource_number(facts: dict[str, Any], rows: Rows) -> int:
    """The resource that an envelope's facts make, the same for equal ones."""
    try:
        key = orjson.dumps(facts)
    except TypeError:  # integers beyond 64 bits, deep nesting
        key = repr(facts).encode()
    return rows.intern(key, lambda: resource_of(facts))


def _nested_message(fields: dict[str, Any]) -> str | None:
    """The name of the message where that is an object, and nothing else is the message."""
    names = [name for name in fields if name.lower() in _MESSAGES]
    return names[0] if names and all(isinstance(fields[name], dict) and fields[name] for name in names) else None
