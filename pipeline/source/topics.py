"""Which topics are read, and how each is to be understood.

In: names that exist, TopicSettings. Out: names to subscribe to, the settings of a name (the first that fits wins). Never: a call to Kafka.

Patterns are Python's regular expressions, matched against the whole name here and not by the client: one dialect says both what is
read and what its encoding is, and neither Kafka's internal topics nor tracebraid's own are caught by a pattern.
"""

import re
from collections.abc import Collection, Iterable, Sequence

from tracebraid.pipeline.kernel.settings import TopicSettings

INTERNAL = ("__", "tracebraid.")


def settings_of(topic: str, settings: Sequence[TopicSettings]) -> TopicSettings | None:
    """The first of `settings` whose name is `topic` or whose pattern matches all of it."""
    return next((each for each in settings if each.name == topic or (each.pattern and re.fullmatch(each.pattern, topic))), None)


def wanted(existing: Iterable[str], settings: Sequence[TopicSettings], own: Collection[str] = ()) -> list[str]:
    """Names to subscribe to, sorted: every name that `settings` spells out, and every existing one that a pattern fits, but never `own`."""
    named = {each.name for each in settings if each.name}
    patterns = [re.compile(each.pattern) for each in settings if each.pattern]
    found = {name for name in existing if not name.startswith(INTERNAL) and name not in own and any(pattern.fullmatch(name) for pattern in patterns)}
    return sorted(named | found)
