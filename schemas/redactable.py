"""Which columns of spans and logs redaction may change, and by which attributes they are named.

In: nothing. Out: names. Never: a column by which rows are found, joined or counted: ids, times, words of closed lists, provenance.
"""

import fnmatch

from tracebraid.schemas.logs import LOGS
from tracebraid.schemas.semconv import EXCEPTION, RESOURCE, SPAN
from tracebraid.schemas.spans import SPANS
from tracebraid.schemas.table import ATTRIBUTES, PROVENANCE, STRING

COLUMN = "column:"  # before a column's name, where the key of an attribute could stand
# Their texts are ids and words of closed lists, or the operator's own.
UNTOUCHED = frozenset({"trace_id", "span_id", "parent_span_id", "kind", "status_code", "tenant", "day", *(column.name for column in PROVENANCE)})
FILLED_BY = {promoted.column: promoted.names for promoted in (*RESOURCE, *SPAN, *EXCEPTION)}
_OF_ATTRIBUTES = {"events", "links", *(column.name for table in (SPANS, LOGS) for column in table.columns if column.type == ATTRIBUTES)}
_TEXTS = {column.name for table in (SPANS, LOGS) for column in table.columns if column.type == STRING} - UNTOUCHED
REDACTABLE = frozenset(_TEXTS | _OF_ATTRIBUTES | FILLED_BY.keys())


def redactable(pattern: str) -> list[str]:
    """The columns that `pattern` names, with `*` and `?` for any letters, without regard to case."""
    return sorted(column for column in REDACTABLE if fnmatch.fnmatchcase(column, pattern.lower()))
