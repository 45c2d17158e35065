"""What is looked for in texts, and how it is masked: the built-in patterns and the user's own.

In: distinct texts. Out: the same with what was found masked, and which changed. Never: more than linear time in the texts: RE2 matches, and only what
it lets through is looked at otherwise.

Order: passwords in URLs before addresses, which they look like; then tokens, addresses, card numbers, and the user's patterns in their order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tracebraid.pipeline.kernel.redaction import BUILTINS, RedactSettings
from tracebraid.pipeline.redact.arrays import Codes, replaced
from tracebraid.pipeline.redact.cards import RUN, mask_cards
from tracebraid.schemas.table import STRING

# Scheme, user and password: what stands after the first colon, up to the last @ before a slash, a quote or a space.
URL_PASSWORD = r"""(://[^\s/:"'<>]*:)[^\s/"'<>]+@"""
# The header as it is logged: whatever it holds, with a scheme or without. Its value ends at a quote, a comma, a bracket or a space.
_HEADER = r"""((?i:authorization)[\\"']*\s*[:=]\s*[\\"'\[]*(?:(?i:bearer|basic|digest|negotiate|token|apikey)[ \t]+)?)[^\s\\"',;\]\[{}]+"""
# A scheme of RFC 7235 and its credentials. "Basic authentication" has none: those have a digit, a padding, a capital inside, or are long.
_CREDENTIAL = r"(?:[A-Za-z0-9._~+/-]*(?:[0-9=]|[a-z][A-Z])[A-Za-z0-9._~+/=-]*|[A-Za-z._~+/-]{20,})"
_SCHEME = r"\b((?i:bearer|basic)(?:[ \t:=]|%20)+)" + _CREDENTIAL
_JWT = r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
# Whatever is not ASCII counts as a letter: Unicode's classes take RE2 6 ms to compile, and it compiles for each array.
_LETTER, _DIGIT = r"A-Za-z\x{80}-\x{10FFFF}", "0-9"
_LOCAL = rf"[{_LETTER}{_DIGIT}._+~-]+"
_LABEL = rf"[{_LETTER}{_DIGIT}](?:[{_LETTER}{_DIGIT}-]*[{_LETTER}{_DIGIT}])?"
EMAIL = rf"{_LOCAL}(?:'{_LOCAL})*(?:@|%40)(?:{_LABEL}\.)+(?:xn--[A-Za-z0-9-]+|[{_LETTER}]{{2,}})"


@dataclass(frozen=True, slots=True)
class Pattern:
    """`maybe`: which texts may hold it, as a boolean array, cheaply. `mask`: those texts, masked."""

    name: str
    maybe: Callable[[pa.StringArray], pa.BooleanArray]
    mask: Callable[[pa.StringArray], pa.StringArray]


def mask_of(name: str) -> str:
    return f"[redacted:{name}]"


def patterns_of(settings: RedactSettings) -> tuple[Pattern, ...]:
    """The patterns of these settings, in the order in which they are applied."""
    own = tuple(_own(each.name, each.pattern) for each in settings.patterns)
    return tuple(_BUILTIN[name] for name in BUILTINS if name in settings.mask) + own


def masked(values: pa.StringArray, patterns: Sequence[Pattern]) -> tuple[pa.StringArray, dict[str, Codes]]:
    """`values` masked, and for each pattern that changed some their places, rising."""
    hits: dict[str, Codes] = {}
    for pattern in patterns:
        places = np.flatnonzero(pattern.maybe(values).to_numpy(zero_copy_only=False))
        if not len(places):
            continue
        before = values.take(pa.array(places))
        after = pattern.mask(before)
        changed = pc.not_equal(before, after)
        places = places[changed.to_numpy(zero_copy_only=False)]
        if len(places):
            values = replaced(values, places, after.filter(changed))
            hits[pattern.name] = places
    return values, hits


def _own(name: str, pattern: str) -> Pattern:
    def maybe(texts: pa.StringArray) -> pa.BooleanArray:
        return pc.match_substring_regex(texts, pattern)

    def mask(texts: pa.StringArray) -> pa.StringArray:
        return pc.replace_substring_regex(texts, pattern, mask_of(name))

    return Pattern(name, maybe, mask)


def _mask_url_passwords(texts: pa.StringArray) -> pa.StringArray:
    return pc.replace_substring_regex(texts, URL_PASSWORD, rf"\1{mask_of('url_password')}@")


def _maybe_email(texts: pa.StringArray) -> pa.BooleanArray:
    return pc.or_(pc.match_substring(texts, "@"), pc.match_substring(texts, "%40"))


def _mask_emails(texts: pa.StringArray) -> pa.StringArray:
    return pc.replace_substring_regex(texts, EMAIL, mask_of("email"))


def _mask_tokens(texts: pa.StringArray) -> pa.StringArray:
    for pattern, kept in ((_HEADER, r"\1"), (_SCHEME, r"\1"), (_JWT, "")):
        texts = pc.replace_substring_regex(texts, pattern, kept + mask_of("token"))
    return texts


def _mask_cards(texts: pa.StringArray) -> pa.StringArray:
    return pa.array([mask_cards(text, mask_of("card")) for text in texts.to_pylist()], STRING)


_BUILTIN = {
    "url_password": Pattern("url_password", lambda texts: pc.match_substring(texts, "://"), _mask_url_passwords),
    "token": Pattern("token", lambda texts: pc.match_substring_regex(texts, r"(?i:bearer|basic|authorization)|eyJ"), _mask_tokens),
    "email": Pattern("email", _maybe_email, _mask_emails),
    "card": Pattern("card", lambda texts: pc.match_substring_regex(texts, RUN), _mask_cards),
}
assert tuple(_BUILTIN) == BUILTINS
