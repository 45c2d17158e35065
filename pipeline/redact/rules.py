"""The settings as rules that batches are put through, made once.

In: settings. Out: Rules. Never: a rule made anew for a batch.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa

from tracebraid.pipeline.kernel.redaction import RedactSettings
from tracebraid.pipeline.redact.keys import KeyRule, key_rules, on_columns
from tracebraid.pipeline.redact.patterns import Pattern, patterns_of
from tracebraid.schemas.table import STRING

HASHED = "hmac:"
DIGITS = 32  # 128 bits: two values of a year's traffic do not meet


@dataclass(frozen=True, slots=True)
class Rules:
    """keys: by precedence. columns: the rule that names a column. patterns: in the order in which they are applied."""

    keys: tuple[KeyRule, ...]
    columns: Mapping[str, KeyRule]
    patterns: tuple[Pattern, ...]
    secret: bytes

    def hashed(self, values: pa.StringArray) -> pa.StringArray:
        """Equal values give equal texts, whatever their key, table or day, as long as the secret is the same."""
        made = (hmac.digest(self.secret, value.encode(), "sha256").hex()[:DIGITS] for value in values.to_pylist())
        return pa.array([HASHED + text for text in made], STRING)


@lru_cache(maxsize=4)
def rules_of(settings: RedactSettings) -> Rules:
    keys = key_rules(settings)
    return Rules(keys, on_columns(keys), patterns_of(settings), settings.key.get_secret_value().encode())
