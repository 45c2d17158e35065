"""A user's patterns over a batch of texts.

In: the patterns of a topic, bodies. Out: for each text that one matches, the fields of its groups. Never: a pattern in Python: Arrow's RE2 is linear
whatever the pattern, and takes the batch at once.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.normalize.log_lines import Line

_MESSAGE = "message"


def read_formats(patterns: Sequence[tuple[str, str]], bodies: pa.StringArray) -> dict[int, Line]:
    """By row, what the first pattern that fits says. A group without text is no field. The lines behind the first belong to the message."""
    found: dict[int, Line] = {}
    for name, pattern in patterns:
        groups = pc.extract_regex(bodies, pattern)
        for row in pc.indices_nonzero(groups.is_valid()).to_pylist():
            if row in found:
                continue
            fields = {group: text for group, text in groups[row].as_py().items() if text}
            whole = _MESSAGE in fields
            behind = bodies[row].as_py().partition("\n")[2]
            if whole and behind:
                fields[_MESSAGE] += f"\n{behind}"
            found[row] = Line(f"format {name}", fields, whole)
    return found
