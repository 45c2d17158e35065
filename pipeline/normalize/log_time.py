"""A time as a log writes it → nanoseconds since 1970.

In: one text. Out: exact nanoseconds, and whether the text said its zone. Never: a guess of the zone; the caller decides what a local time is worth.

Forms: ISO 8601 and RFC 3339 (`T` or blank, `-` or `/` between the date's parts, `.` or `,` before the fraction), `02/Jan/2006:15:04:05 -0700` and
`Mon, 02 Jan 2006 15:04:05 GMT`, and numbers since 1970 whose magnitude tells seconds from milli-, micro- and nanoseconds. A number
below 10^8 seconds (1973) is no time: it is a duration or a counter. syslog's `Oct 11 22:14:15` and klog's `1011 22:14:15.000000` name no year: theirs
is the one that brings them nearest to a time that the caller knows, and without one they are no time.
"""

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple

SECOND_NS = 1_000_000_000
_YEAR_NS = 31_556_952 * SECOND_NS
_ISO = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,18}))?)? ?(Z|z|UTC|GMT|[+-][0-2]\d(?::?[0-5]\d)?)?", re.ASCII)
_NAMED_MONTH = re.compile(r"(?:[A-Z][a-z]{2}, )?(\d{1,2})[ /-]([A-Z][a-z]{2})[ /-](\d{4})[ :](\d\d):(\d\d):(\d\d) ?(Z|UTC|GMT|[+-][0-2]\d:?[0-5]\d)?", re.ASCII)
_MONTH_FIRST = re.compile(r"([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d)(?: [A-Z]{3,5} (\d{4}))?", re.ASCII)
_KLOG = re.compile(r"(\d\d)(\d\d) (\d\d):(\d\d):(\d\d)\.(\d{1,9})", re.ASCII)
_NUMBER = re.compile(r"\d{9,20}(?:\.\d{1,20})?|\d\.\d{1,20}[eE]\+?\d{1,2}", re.ASCII)
_MONTHS = {name: number for number, name in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1)}
_CHARS_MAX = 64


class Moment(NamedTuple):
    """nanos: since 1970, within int64. zoned: the text said its zone, or is a number; else nanos takes it for UTC."""

    nanos: int
    zoned: bool

    def plus(self, nanos: int) -> "Moment | None":
        """So much later; None where int64 ends before."""
        return _within(self.nanos + nanos, self.zoned)


def parse_time(text: str, near_ns: int | None = None) -> Moment | None:
    """The moment that `text` writes; None where it writes none, or one outside the years 1678 to 2261. `near_ns`: where a year that lacks is looked for."""
    if len(text) > _CHARS_MAX:
        return None
    text = text.strip()
    iso = _ISO.fullmatch(text)
    if iso:
        *date_and_time, fraction, zone = iso.groups()
        return _moment(date_and_time, fraction or "0", zone)
    if _NUMBER.fullmatch(text):
        return _from_number(text)
    named = _NAMED_MONTH.fullmatch(text)
    if named and named.group(2) in _MONTHS:
        day, month, year, *clock, zone = named.groups()
        return _moment([year, str(_MONTHS[month]), day, *clock], "0", zone)
    return _without_year(text, near_ns)


def _without_year(text: str, near_ns: int | None) -> Moment | None:
    found = _MONTH_FIRST.fullmatch(text)
    if found and found.group(1) in _MONTHS:
        month, day, *clock, year = found.groups()
        return _nearest([str(_MONTHS[month]), day, *clock], "0", year, near_ns)
    found = _KLOG.fullmatch(text)
    return _nearest(list(found.groups()[:5]), found.group(6), None, near_ns) if found else None


def _nearest(rest: list[str], fraction: str, year: str | None, near_ns: int | None) -> Moment | None:
    """In `year`, else in the one that brings it nearest to `near_ns`."""
    if year is not None:
        return _moment([year, *rest], fraction, None)
    if near_ns is None:
        return None
    about = 1970 + near_ns // _YEAR_NS
    moments = [moment for each in range(about - 1, about + 2) if (moment := _moment([str(each), *rest], fraction, None))]
    return min(moments, key=lambda moment: abs(moment.nanos - near_ns), default=None)


def _moment(date_and_time: Sequence[str | None], fraction: str, zone: str | None) -> Moment | None:
    """From year, month, day, hour, minute and second as digits."""
    year, month, day, h, m, s = (int(digits or 0) for digits in date_and_time)
    days = _days(year, month, day)
    if days is None or h > 23 or m > 59 or s > 60:  # 60: a leap second, which runs into the next minute
        return None
    seconds = ((days * 24 + h) * 60 + m) * 60 + s - (_offset_s(zone) if zone else 0)
    return _within(seconds * SECOND_NS + int(fraction[:9].ljust(9, "0")), zone is not None)


@lru_cache(maxsize=1024)
def _days(year: int, month: int, day: int) -> int | None:
    try:
        return date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        return None


def _offset_s(zone: str) -> int:
    if zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return seconds if zone[0] == "+" else -seconds


def _from_number(text: str) -> Moment | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if number < 10**8:
        return None
    for bound, unit_ns in ((10**11, SECOND_NS), (10**14, 1_000_000), (10**17, 1_000)):
        if number < bound:
            return _within(int(number * unit_ns), True)
    return _within(int(number), True)


def _within(nanos: int, zoned: bool) -> Moment | None:
    return Moment(nanos, zoned) if -(2**63) < nanos < 2**63 and nanos != 0 else None
