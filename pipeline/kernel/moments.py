"""Times as logs usually write them → nanoseconds since 1970, for a whole column in one compiled loop.

In: texts. Out: nanoseconds and what kind of time each was. Never: another moment than normalize/log_time.py reads; what is unusual is said to be so, and left
to that. Usual are ISO 8601 and RFC 3339 with seconds, plain numbers since 1970, access logs' `02/Jan/2006:15:04:05 -0700`,
and where a time near them is known syslog's and klog's without a year.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tracebraid.pipeline.kernel.compiled import compiled

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Number = Any  # an integer of 64 bits
Pair = tuple[Number, Number]
UNUSUAL, ZONED, LOCAL, NONE = range(4)
_SECOND_NS = 1_000_000_000
_CHARS_MAX = 64
_DIGITS_MAX = 19
_NUMBER_CHARS_MAX = 28  # so many digits Python's decimals keep
_FRACTION_CHARS_MAX = 18
_NANOS_MAX = 2**63 - 1
_FIRST_YEAR, _LAST_YEAR = 1900, 2200  # within what nanoseconds in 64 bits hold
_MONTHS = np.array([int.from_bytes(name, "little") for name in b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()], np.int64)
_ACCESS_CHARS, _SYSLOG_CHARS, _KLOG_CHARS = len("02/Jan/2006:15:04:05 -0700"), len("Jan  2 15:04:05"), len("0102 15:04:05.")
_YEAR_NS = 31_556_952 * _SECOND_NS
_NOT_NEAR = np.empty(0, np.int64)


def times_of(texts: pa.StringArray, near: Ints = _NOT_NEAR) -> tuple[Ints, npt.NDArray[np.uint8]]:
    """Nanoseconds since 1970 that texts write, and whether each is ZONED, LOCAL, NONE (a null) or UNUSUAL: then the number says nothing.

    Usual are ISO 8601 and RFC 3339, plain numbers since 1970, and access logs' times, as normalize/log_time.py reads them. `near`: for each text when about it
    is, in nanoseconds; then syslog's and klog's times are usual, too.
    """
    nanos, kinds = np.zeros(len(texts), np.int64), np.full(len(texts), NONE, np.uint8)
    offsets, data = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1], texts.buffers()[2]
    if data:
        _times(np.frombuffer(data, np.uint8), offsets, near, (nanos, kinds))
    if texts.null_count:
        kinds[texts.is_null().to_numpy(zero_copy_only=False)] = NONE
    return nanos, kinds


@compiled
def _times(data: Bytes, offsets: npt.NDArray[np.int32], near: Ints, out: tuple[Ints, Bytes]) -> None:
    nanos, kinds = out
    for row in range(len(kinds)):
        start, stop = np.int64(offsets[row]), np.int64(offsets[row + 1])
        kind, value = UNUSUAL, np.int64(0)
        if 9 <= stop - start <= _CHARS_MAX:
            if data[start + 4] == 45 or data[start + 4] == 47:
                kind, value = _iso(data, start, stop)
            elif data[start + 2] == 47:
                kind, value = _access(data, start, stop)
            elif len(near) and (stop - start == _SYSLOG_CHARS or data[start + 4] == 32):
                kind, value = _without_year(data, start, stop, np.int64(near[row]))
            else:
                kind, value = _number(data, start, stop)
        nanos[row], kinds[row] = value, kind


@compiled
def _digits(data: Bytes, at: Number, count: Number) -> Number:
    """The number that so many digits write; below 0 where one is none."""
    number = np.int64(0)
    for place in range(at, at + count):
        digit = np.int64(data[place]) - 48
        if digit < 0 or digit > 9:
            return np.int64(-(1 << 40))
        number = 10 * number + digit
    return number


@compiled
def _iso(data: Bytes, start: Number, stop: Number) -> Pair:
    if stop - start < 19:
        return UNUSUAL, np.int64(0)
    seconds, right = _seconds(data, start)
    fraction, at = _fraction(data, start + 19, stop)
    kind, offset = _zone(data, at, stop)
    nanos = (seconds - offset) * _SECOND_NS + fraction
    return (kind, nanos) if right and at >= 0 and nanos != 0 else (UNUSUAL, np.int64(0))


@compiled
def _access(data: Bytes, start: Number, stop: Number) -> Pair:
    if stop - start != _ACCESS_CHARS:
        return UNUSUAL, np.int64(0)
    seconds, right = _seconds_of((_digits(data, start + 7, 4), _month(data, start + 3), _digits(data, start, 2)), data, start + 12)
    kind, offset = _zone(data, start + 21, stop)
    right &= data[start + 6] == 47 and data[start + 11] == 58 and data[start + 20] == 32 and kind == ZONED
    nanos = (seconds - offset) * _SECOND_NS
    return (ZONED, nanos) if right and nanos != 0 else (UNUSUAL, np.int64(0))


@compiled
def _without_year(data: Bytes, start: Number, stop: Number, near: Number) -> Pair:
    """Syslog's `Jan  2 15:04:05` or klog's `0102 15:04:05.000000`, in the year that brings it nearest."""
    month, day, clock, fraction = _month(data, start), np.int64(-1), start + 7, np.int64(0)
    if stop - start == _SYSLOG_CHARS and month > 0:
        day = _digits(data, start + 5, 1) if data[start + 4] == 32 else _digits(data, start + 4, 2)
        right = data[start + 3] == 32 and data[start + 6] == 32
    else:
        month, day, clock = _digits(data, start, 2), _digits(data, start + 2, 2), start + 5
        right = data[start + 4] == 32 and stop - start > _KLOG_CHARS and data[start + _KLOG_CHARS - 1] == 46
        fraction, end = _fraction(data, start + _KLOG_CHARS - 1, stop) if right else (np.int64(0), np.int64(0))
        right = right and end == stop and stop - start <= _KLOG_CHARS + 9
    about, best, found = 1970 + near // _YEAR_NS, np.int64(0), False
    if not right or not _FIRST_YEAR < about < _LAST_YEAR:
        return UNUSUAL, np.int64(0)
    for year in range(about - 1, about + 2):
        seconds, exists = _seconds_of((np.int64(year), month, day), data, clock)
        nanos = seconds * _SECOND_NS + fraction
        if exists and nanos != 0 and (not found or abs(nanos - near) < abs(best - near)):
            best, found = nanos, True
    return (LOCAL, best) if found else (UNUSUAL, np.int64(0))


@compiled
def _month(data: Bytes, at: Number) -> Number:
    """The number of the month whose three letters stand there, 0 where they are none's."""
    packed = np.int64(data[at]) | np.int64(data[at + 1]) << 8 | np.int64(data[at + 2]) << 16
    for number in range(len(_MONTHS)):
        if _MONTHS[number] == packed:
            return np.int64(number + 1)
    return np.int64(0)


@compiled
def _seconds(data: Bytes, start: Number) -> tuple[Number, bool]:
    """Seconds since 1970 of a date and a time of day, as if in UTC; and whether they are such."""
    seconds, right = _seconds_of((_digits(data, start, 4), _digits(data, start + 5, 2), _digits(data, start + 8, 2)), data, start + 11)
    return seconds, right and data[start + 7] in (45, 47) and data[start + 10] in (32, 84, 116)


@compiled
def _seconds_of(date: tuple[Number, Number, Number], data: Bytes, at: Number) -> tuple[Number, bool]:
    """The same, given year, month and day, and where the time of day stands."""
    year, month, day = date
    hour, minute, second = _digits(data, at, 2), _digits(data, at + 3, 2), _digits(data, at + 6, 2)
    right = _FIRST_YEAR <= year <= _LAST_YEAR and 1 <= month <= 12 and 1 <= day <= _month_days(year, month) and data[at + 2] == 58 and data[at + 5] == 58
    right = right and 0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 60  # 60: a leap second
    return ((_days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second, right


@compiled
def _fraction(data: Bytes, at: Number, stop: Number) -> Pair:
    """(nanoseconds, where they end); ends at -1 where there are too many digits, or none behind a point."""
    fraction, unit = np.int64(0), np.int64(_SECOND_NS)
    if at >= stop or data[at] not in (44, 46):
        return fraction, np.int64(at)
    first = np.int64(at + 1)
    at = first
    while at < stop and 48 <= data[at] <= 57:
        unit //= 10
        fraction += unit * (np.int64(data[at]) - 48)
        at += 1
    return fraction, (np.int64(at) if 0 < at - first <= _FRACTION_CHARS_MAX else np.int64(-1))


@compiled
def _zone(data: Bytes, at: Number, stop: Number) -> Pair:
    """(LOCAL, ZONED or UNUSUAL, how many seconds before UTC)."""
    if at < 0 or at == stop:
        return LOCAL, np.int64(0)
    sign, length = data[at], stop - at
    if length == 1 and sign in (90, 122):
        return ZONED, np.int64(0)
    hours, minutes = np.int64(-1), np.int64(0)
    if sign in (43, 45) and length in (3, 5, 6):
        hours = _digits(data, at + 1, 2)
        if length > 3:
            minutes = _digits(data, stop - 2, 2)
        if length == 6 and data[at + 3] != 58:
            hours = np.int64(-1)
    usual = 0 <= hours <= 29 and 0 <= minutes <= 59
    return (ZONED if usual else UNUSUAL), (hours * 60 + minutes) * (60 if sign == 43 else -60)


@compiled
def _month_days(year: Number, month: Number) -> Number:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


@compiled
def _days(year: Number, month: Number, day: Number) -> Number:
    """Days since 1970 in the Gregorian calendar; years are taken to begin in March, so that the odd day is their last."""
    if month <= 2:
        year, month = year - 1, month + 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469


@compiled
def _number(data: Bytes, start: Number, stop: Number) -> Pair:
    """A number whose size tells seconds from milli-, micro- and nanoseconds, cut to whole nanoseconds."""
    at, whole = start, np.int64(0)
    while at < stop and at - start < _DIGITS_MAX and 48 <= data[at] <= 57:
        whole = 10 * whole + np.int64(data[at]) - 48
        at += 1
    unit = np.int64(_SECOND_NS) if whole < 10**11 else np.int64(1_000_000) if whole < 10**14 else np.int64(1000) if whole < 10**17 else np.int64(1)
    usual = at - start >= 9 and 10**8 <= whole < _NANOS_MAX // unit
    nanos = whole * unit
    if at < stop:
        usual &= data[at] == 46 and at + 1 < stop and at - start < _DIGITS_MAX and stop - start <= _NUMBER_CHARS_MAX
        for place in range(at + 1, stop):
            usual &= 48 <= data[place] <= 57
            unit //= 10
            nanos += unit * (np.int64(data[place]) - 48)
    return (ZONED if usual else UNUSUAL), nanos
