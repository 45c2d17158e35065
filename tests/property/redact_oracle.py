"""Redaction as one would say it: a row at a time, a text at a time, in plain Python; and rows for it to be tried on."""

import fnmatch
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

KEY = "a key of sixteen and more"
MASKS = ("url_password", "token", "email", "card")
# Texts of the tests are of these letters, so that Python's re and RE2 mean the same by a letter.
_L, _W = "A-Za-zé", "A-Za-zé0-9"
_URL = re.compile(r"""(://[^\s/:"'<>]*:)[^\s/"'<>]+@""", re.A)
_HEADER = re.compile(r"""((?i:authorization)[\\"']*\s*[:=]\s*[\\"'\[]*(?:(?i:bearer|basic|digest|negotiate|token|apikey)[ \t]+)?)[^\s\\"',;\]\[{}]+""", re.A)
_SCHEME = re.compile(r"\b((?i:bearer|basic)(?:[ \t:=]|%20)+)([A-Za-z0-9._~+/=-]+)", re.A)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", re.A)
_LOCAL = rf"[{_W}._+~-]+"
_EMAIL = re.compile(rf"{_LOCAL}(?:'{_LOCAL})*(?:@|%40)(?:[{_W}](?:[{_W}-]*[{_W}])?\.)+(?:xn--[A-Za-z0-9-]+|[{_L}]{{2,}})")


@dataclass(frozen=True)
class Oracle:
    drop: Sequence[str]
    hash: Sequence[str]
    patterns: Sequence[tuple[str, str]]

    def text(self, text: str) -> str:
        """With everything masked that the built-in patterns and the user's find."""
        text = _URL.sub(r"\1[redacted:url_password]@", text)
        text = _JWT.sub("[redacted:token]", _SCHEME.sub(_credential, _HEADER.sub(r"\1[redacted:token]", text)))
        text = _cards(_EMAIL.sub("[redacted:email]", text))
        for name, pattern in self.patterns:
            text = re.sub(pattern, f"[redacted:{name}]", text, flags=re.A)
        return text

    def what(self, names: Sequence[str]) -> str:
        for what, rules in (("drop", self.drop), ("hash", self.hash)):
            if any(fnmatch.fnmatchcase(name.lower(), rule.lower()) for rule in rules for name in names):
                return what
        return ""

    def pairs(self, pairs: Sequence[tuple[str, str | None]] | None) -> list[tuple[str, str | None]] | None:
        if pairs is None:
            return None
        found: list[tuple[str, str | None]] = []
        kept = [(key, value, self.what([key])) for key, value in pairs]
        plain = {key for key, _ in pairs if self.text(key) == key}
        for key, value, what in kept:
            told, number = self.text(key), 1
            while told != key and told in plain:
                number += 1
                told = f"{self.text(key)}#{number}"
            plain.add(told)
            whole = "[redacted:token]" if re.fullmatch(r"(.*[._-])?authorization", key, re.I | re.S) else None
            if what != "drop":
                found.append((told, None if value is None else hashed(value) if what == "hash" else whole or self.text(value)))
        return found


def hashed(value: str) -> str:
    return "hmac:" + hmac.new(KEY.encode(), value.encode(), hashlib.sha256).hexdigest()[:32]


def _credential(found: "re.Match[str]") -> str:
    token = found[2]
    # RE2's alternatives in their order: as far as one goes that has a digit, a padding or a capital inside; else a long one of letters.
    for end in range(len(token), 0, -1):
        if re.fullmatch(r"[A-Za-z0-9._~+/-]*(?:[0-9=]|[a-z][A-Z])[A-Za-z0-9._~+/=-]*", token[:end]):
            return f"{found[1]}[redacted:token]{token[end:]}"
    letters = re.match(r"[A-Za-z._~+/-]{20,}", token)
    return f"{found[1]}[redacted:token]{token[letters.end() :]}" if letters else found[0]


def _cards(text: str) -> str:
    start = 0
    while start < len(text):
        for end in range(min(len(text), start + 40), start + 12, -1):
            if _is_card(text, start, end):
                text = f"{text[:start]}[redacted:card]{text[end:]}"
                start += len("[redacted:card]") - 1
                break
        start += 1
    return text


def _is_card(text: str, start: int, end: int) -> bool:
    if not re.fullmatch(r"[0-9]{4,}([ -][0-9]+)*", text[start:end]):
        return False
    before, after = text[:start][-1:], text[end:][:1]
    if before.isalnum() or after.isalnum() or re.search(r"[0-9]\.\Z", text[:start]):
        return False
    digits = [int(letter) for letter in text[start:end] if letter.isdigit()]
    length, number = len(digits), "".join(map(str, digits))
    issued = (
        (length in (13, 16, 19) and number[0] == "4")
        or (length == 16 and (51 <= int(number[:2]) <= 55 or 2221 <= int(number[:4]) <= 2720 or 3528 <= int(number[:4]) <= 3589))
        or (length == 15 and number[:2] in ("34", "37"))
        or (length in (16, 19) and (number[:4] == "6011" or 644 <= int(number[:3]) <= 659))
        or (length == 14 and (300 <= int(number[:3]) <= 305 or number[:2] in ("36", "38", "39")))
        or (16 <= length <= 19 and number[:2] == "62")
    )
    doubled = [digit if place % 2 == 0 else sum(map(int, str(2 * digit))) for place, digit in enumerate(reversed(digits))]
    return bool(issued and sum(doubled) % 10 == 0)


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with their links and events as the oracle changes them: copies."""
    return [{name: [dict(each) for each in value] if name in ("events", "links") and value else value for name, value in row.items()} for row in rows]
