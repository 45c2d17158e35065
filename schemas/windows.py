"""Topic `tracebraid.windows`: what ingest tells detect, in the order in which it happened.

Messages are JSON objects with `kind` and `version`. So far one kind: `watermarks`, sent to every partition of the topic in each of
ingest's transactions that moved something.
"""

from dataclasses import dataclass

VERSION = 1


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far one source partition has come in the stream.

    next_offset: all below it is accounted for by this transaction or earlier ones. event_time_us: the latest plausible event time among
    the records that this owner has read, microseconds since 1970; None before the first. caught_up: its owner has met the end of the
    partition and read nothing since; only then is a silent partition an idle one.
    """

    cluster: str
    topic: str
    topic_id: str
    partition: int
    next_offset: int
    event_time_us: int | None
    caught_up: bool
