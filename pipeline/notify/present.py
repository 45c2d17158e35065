"""What is the case now: the last transition of each rule and series, from the compacted state topic and from what was just read, whichever is newer.

In: transitions, from both topics; evidence. Out: what fires, with what has resolved lately; the alert that evidence is about; the labels of a rule.
Never: an alert that has resolved longer ago than Alertmanager needs to be told of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from zlib import crc32

import orjson
from pydantic import ValidationError

from tracebraid.schemas.alert import Evidence, Transition

RESOLVED_KEPT_S = 15 * 60  # as long as Prometheus tells of what has resolved, for an Alertmanager that was away
_RANK = {"pending": 0, "firing": 1, "resolved": 2, "cancelled": 2}
Key = tuple[str, tuple[tuple[str, str], ...]]


def read(value: bytes) -> Transition | Evidence:
    """A message of the alerts topic, or of its state. What a later version has added is passed over. Raises ValueError in one line."""
    try:
        fields = orjson.loads(value)
        kind = fields.get("kind") if isinstance(fields, dict) else None
        if kind == "transition":
            return Transition.model_validate(fields, extra="ignore")
        if kind == "evidence":
            return Evidence.model_validate(fields, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    raise ValueError("neither a transition nor evidence")


def key_of(message: Transition | Evidence) -> Key:
    return message.rule, tuple(sorted(message.series.items()))


def key_of_text(key: bytes) -> Key:
    """Of the state topic's own key. Raises ValueError where it is none."""
    try:
        rule, series = orjson.loads(key)
        return str(rule), tuple(sorted((str(name), str(value)) for name, value in series))
    except (TypeError, ValueError):
        raise ValueError("its key is none") from None


@dataclass(frozen=True, slots=True)
class Standing:
    """`told_ms`: when it was published."""

    alert: Transition
    told_ms: int
    evidence: Evidence | None = None

    @property
    def order(self) -> tuple[int, int, int]:
        return self.alert.started_us, self.alert.window.end_us, _RANK[self.alert.transition]


class Present:
    """By rule and series; without `hold` the labels of rules alone. Not for several threads."""

    def __init__(self, *, hold: bool = True) -> None:
        self._hold = hold
        self.rule_labels: dict[str, dict[str, str]] = {}
        self._held: dict[Key, Standing] = {}

    def learn(self, message: Transition | Evidence, told_ms: int) -> None:
        """Take over what is newer than what is held: the two topics are read apart, so each may tell old news."""
        held = self._held.get(key_of(message))
        if isinstance(message, Evidence):
            if held and held.alert.id == message.id:
                self._held[key_of(message)] = replace(held, evidence=message)
            return
        self.rule_labels[message.rule] = {**message.labels, "severity": message.severity}
        found = Standing(message, told_ms)
        if self._hold and (held is None or found.order >= held.order):
            self._held[key_of(message)] = replace(found, evidence=held.evidence if held and held.alert.id == message.id else None)

    def forget(self, key: Key) -> None:
        """Its tombstone came."""
        held = self._held.get(key)
        if held and held.alert.transition != "firing":
            del self._held[key]

    def about(self, evidence: Evidence) -> Transition | None:
        """The alert that `evidence` is about, where it is known and has fired."""
        held = self._held.get(key_of(evidence))
        return held.alert if held and held.alert.id == evidence.id and held.alert.transition in ("firing", "resolved") else None

    def firing(self) -> int:
        return sum(held.alert.transition == "firing" for held in self._held.values())

    def standing(self, key: Key) -> Standing | None:
        return self._held.get(key)

    def to_tell(self, now_ms: int) -> Iterator[tuple[Key, Standing]]:
        """What fires, and what has resolved in the last RESOLVED_KEPT_S; what is older is forgotten."""
        for key, held in list(self._held.items()):
            if held.alert.transition != "firing" and now_ms - held.told_ms > RESOLVED_KEPT_S * 1000:
                del self._held[key]
            elif held.alert.transition in ("firing", "resolved"):
                yield key, held


def share(alert: Transition, parts: int) -> int:
    """Which of `parts` the alert belongs to: whoever has that partition of the alerts topic tells of it again."""
    return crc32(alert.id.encode()) % parts
