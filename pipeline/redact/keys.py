"""Rules that name attributes by their keys, and the columns that such keys fill.

In: settings. Out: for distinct keys, and for columns, the rule that holds. Never: a rule for the columns by which rows are found: ids, times, provenance.

Keys are matched whole, without regard to the case of letters. A column is named by an attribute that fills it, or as `column:NAME`: an attribute `name` is
not meant to take the names of spans with it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.redaction import RedactSettings
from tracebraid.pipeline.redact.arrays import Codes
from tracebraid.schemas.redactable import COLUMN, FILLED_BY, REDACTABLE
from tracebraid.schemas.table import STRING


@dataclass(frozen=True, slots=True)
class KeyRule:
    """`what`: drop, hash, or mask: the whole value, where its key says what it is. `name`: what the counter calls it.

    `fits`: for RE2, of whole keys; of columns' names where it is of a `column`.
    """

    what: str
    name: str
    fits: str
    column: bool = False


NO_RULE = -1


def key_rules(settings: RedactSettings) -> tuple[KeyRule, ...]:
    """In the order of their precedence."""
    named = tuple(_rule(what, key) for what, keys in (("drop", settings.drop), ("hash", settings.hash)) for key in keys)
    return (*named, KeyRule("mask", "token", "(?is)^(?:.*[._-])?authorization$")) if "token" in settings.mask else named


def on_keys(rules: Sequence[KeyRule], keys: pa.StringArray) -> Codes:
    """The number of the first rule that fits each key; NO_RULE where none does."""
    found = np.full(len(keys), NO_RULE)
    for number, rule in enumerate(rules):
        if rule.column:
            continue
        fits = pc.match_substring_regex(keys, rule.fits).to_numpy(zero_copy_only=False)
        found[(found == NO_RULE) & fits] = number
    return found


def on_columns(rules: Sequence[KeyRule]) -> dict[str, KeyRule]:
    """The first rule that names each column; columns without one are left out."""
    found: dict[str, KeyRule] = {}
    for column in sorted(REDACTABLE):
        for rule in rules:
            names = pa.array([column] if rule.column else FILLED_BY.get(column, ()), STRING)
            if pc.any(pc.match_substring_regex(names, rule.fits)).as_py():
                found[column] = rule
                break
    return found


def _rule(what: str, key: str) -> KeyRule:
    column, name = key.startswith(COLUMN), key.removeprefix(COLUMN)
    letters = "".join({"*": ".*", "?": "."}.get(letter) or re.escape(letter) for letter in name)
    return KeyRule(what, f"{what}:{key}", f"(?is)^(?:{letters})$", column)
