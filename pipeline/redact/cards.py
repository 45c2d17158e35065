"""Card numbers: groups of digits that an issuer's prefix, its lengths and the check digit bear out.

In: a text. Out: the same text with each number replaced. Never: more than a fixed number of steps for each group of digits.

Source: ISO/IEC 7812 (prefixes and lengths as the issuers publish them; the check digit is Luhn's). Digits stand together or in groups with one space
or hyphen between, the first of four at least. A number neither begins nor ends inside a group, a word or a decimal fraction.
"""

import re

RUN = "[0-9](?:[ -]?[0-9]){12}"  # for RE2: what has none, has no card number
DIGITS_MAX = 19
_GROUP = re.compile("[0-9]+")  # deterministic: linear in Python's re as well
_ISSUERS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"6011|64[4-9]|65"), (16, 19)),
    (re.compile(r"30[0-5]|36|38|39"), (14,)),
    (re.compile(r"35(?:2[89]|[3-8])"), (16,)),
    (re.compile(r"62"), (16, 17, 18, 19)),
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def mask_cards(text: str, mask: str) -> str:
    """`text` with `mask` in the place of each card number, from the left, the longest first."""
    parts, kept = [], 0
    for group in _GROUP.finditer(text):
        start = group.start()
        if start < kept or not 4 <= group.end() - start <= DIGITS_MAX or not _begins(text, start, kept):
            continue
        lengths = next((lengths for issuer, lengths in _ISSUERS if issuer.match(text, start)), ())
        end = _end(text, start, lengths) if lengths else 0
        if end:
            parts += [text[kept:start], mask]
            kept = end
    return "".join([*parts, text[kept:]]) if parts else text


def _begins(text: str, start: int, kept: int) -> bool:
    """`kept`: where the number before ended: what follows that after a point is no fraction."""
    before = text[start - 1] if start else ""
    fraction = before == "." and start > 1 and text[start - 2].isdigit() and start - 1 != kept
    return not (before.isalnum() or fraction)


def _end(text: str, start: int, lengths: tuple[int, ...]) -> int:
    """Where the longest card number ends that begins there, of these lengths; 0 for none."""
    digits, place, found = "", start, 0
    while group := _GROUP.match(text, place, place + DIGITS_MAX + 1):
        digits, place = digits + group.group(), group.end()
        if len(digits) > DIGITS_MAX:
            break
        if len(digits) in lengths and not text[place : place + 1].isalnum() and _checks(digits):
            found = place
        if text[place : place + 1] not in (" ", "-"):
            break
        place += 1
    return found


def _checks(digits: str) -> bool:
    odd, even = map(int, digits[-1::-2]), map(int, digits[-2::-2])
    return (sum(odd) + sum(_DOUBLED[digit] for digit in even)) % 10 == 0
