"""What differs between two sets of rules.

In: the rules that are, and those that shall be. Out: names by what becomes of them, with each key that differs. Never: layout or order of keys.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tracebraid.pipeline.rules.write import as_mapping
from tracebraid.schemas.rule import PRESENTATION, Rule


@dataclass(frozen=True, slots=True)
class Changes:
    """Names, sorted. changed: their condition or life differs, so that their state begins anew; described: only PRESENTATION does, and state stays.

    differences: name → lines 'key: before → after', of changed and described rules.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    described: tuple[str, ...]
    unchanged: tuple[str, ...]
    differences: dict[str, list[str]]


def changes(before: Iterable[Rule], after: Iterable[Rule]) -> Changes:
    """Rules are known by their names."""
    old, new = {rule.name: rule for rule in before}, {rule.name: rule for rule in after}
    both = sorted(old.keys() & new.keys())
    changed = tuple(name for name in both if old[name].content_hash != new[name].content_hash)
    described = tuple(name for name in both if name not in changed and any(getattr(old[name], key) != getattr(new[name], key) for key in PRESENTATION))
    return Changes(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=changed,
        described=described,
        unchanged=tuple(name for name in both if name not in changed and name not in described),
        differences={name: differences(old[name], new[name]) for name in (*changed, *described)},
    )


def differences(before: Rule, after: Rule) -> list[str]:
    """A line for each key that differs: 'for: 3m → 5m'; 'nothing' where a key has its default."""
    old, new = as_mapping(before), as_mapping(after)
    keys = [*old, *(key for key in new if key not in old)]
    return [f"{key}: {_told(old.get(key))} → {_told(new.get(key))}" for key in keys if old.get(key) != new.get(key)]


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_told(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_told, value)) + "]"
    return "nothing" if value is None else str(value)
