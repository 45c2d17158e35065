"""Decimal digits → the nearest double, for kernels.

In: up to nineteen digits as an integer, and a power of ten. Out: the bits of a double. Never: a double that is not the nearest: where 128 bits of the power do
not tell (they nearly always do), and for what is subnormal or infinite, it is -1. Source: D. Lemire, "Number Parsing at a Gigabyte per Second" (2021).
"""

import numpy as np

from tracebraid.pipeline.decode.walkers.wire import Bytes, Number, Pair
from tracebraid.pipeline.kernel.compiled import compiled

DIGITS_MAX = 19  # fit into 64 bits
_POWER_MIN, _POWER_MAX = -342, 308
_SURE_MIN, _SURE_MAX = -27, 55  # powers of five that 128 bits hold wholly, or whose reciprocals do
_TIE_MIN, _TIE_MAX = -4, 23  # powers with which a number of 64 bits may lie in the middle of two doubles
_LOW = np.uint64(0xFFFFFFFF)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_U1, _U2, _U3, _U9, _U32, _U61, _U63 = (np.uint64(number) for number in (1, 2, 3, 9, 32, 61, 63))
_HIDDEN = np.uint64(1 << 52)  # the bit of a double that is not written
_BEYOND = np.uint64(1 << 53)


def _power_of_five(power: int) -> int:
    """128 bits, the first of them 1, of 5^power, cut off; of a reciprocal, rounded up."""
    five: int = 5 ** abs(power)
    if power >= 0:
        return five << (128 - five.bit_length()) if five.bit_length() <= 128 else five >> (five.bit_length() - 128)
    bits = (five - 1).bit_length()
    reciprocal: int = (1 << (bits + 127 if power >= _SURE_MIN else 2 * bits + 128)) // five + 1
    return reciprocal >> max(0, reciprocal.bit_length() - 128)


_POWERS = [_power_of_five(power) for power in range(_POWER_MIN, _POWER_MAX + 1)]
_HIGHS = np.array([power >> 64 for power in _POWERS], np.uint64)
_LOWS = np.array([power & 0xFFFFFFFFFFFFFFFF for power in _POWERS], np.uint64)


@compiled
def _product(one: Number, other: Number) -> Pair:
    """(high, low) of the 128 bits of a product."""
    low, high, other_low, other_high = one & _LOW, one >> _U32, other & _LOW, other >> _U32
    lows, crossed = low * other_low, low * other_high
    middle = high * other_low + (lows >> _U32) + (crossed & _LOW)
    return high * other_high + (middle >> _U32) + (crossed >> _U32), middle << _U32 | lows & _LOW


@compiled
def _leading_zeros(number: Number) -> Number:
    zeros = np.int64(0)
    for step in (32, 16, 8, 4, 2, 1):
        if number >> np.uint64(64 - step) == np.uint64(0):
            zeros += step
            number <<= np.uint64(step)
    return zeros


@compiled
def nearest(digits: Number, power: Number) -> Number:
    """The bits of the double nearest to digits * 10^power, `digits` of 64 bits without a sign and not 0; -1 where it is none that is sure."""
    if not _POWER_MIN <= power <= _POWER_MAX:
        return np.int64(-1)
    zeros, row = _leading_zeros(digits), power - _POWER_MIN
    digits <<= np.uint64(zeros)
    high, low = _product(digits, _HIGHS[row])
    if high & np.uint64(0x1FF) == np.uint64(0x1FF):
        more, _ = _product(digits, _LOWS[row])
        low += more
        if more > low:
            high += _U1
    if low == _ALL and not _SURE_MIN <= power <= _SURE_MAX:
        return np.int64(-1)
    top = high >> _U63
    mantissa = high >> (top + _U9)
    exponent = np.int64(((152170 + 65536) * power) >> 16) + 1024 + 63 - (zeros + np.int64(_U1 ^ top))
    if low <= _U1 and _TIE_MIN <= power <= _TIE_MAX and mantissa & _U3 == _U1 and mantissa << (top + _U9) == high:
        mantissa &= ~_U1  # in the middle of two doubles: to the even one
    mantissa = (mantissa + (mantissa & _U1)) >> _U1
    if mantissa >= _BEYOND:
        mantissa, exponent = _HIDDEN, exponent + 1
    if not 0 < exponent < 2047:
        return np.int64(-1)
    return exponent << 52 | np.int64(mantissa & ~_HIDDEN)


@compiled
def double(data: Bytes, at: Number, stop: Number) -> Pair:
    """(the bits of the double that a number of JSON writes, where it ends); ends at -1 where it is none, or has more digits than DIGITS_MAX, or is not sure."""
    negative = at < stop and data[at] == 45
    if negative:
        at += 1
    first, digits, count, power = np.int64(at), np.uint64(0), 0, np.int64(0)
    whole = True
    while at < stop:
        byte = np.int64(data[at])
        if byte == 46 and whole and at > first:
            whole, first = False, np.int64(at + 1)
        elif 48 <= byte <= 57:
            if whole and at == first + 1 and data[first] == 48:
                return np.int64(0), np.int64(-1)
            digits = digits * np.uint64(10) + np.uint64(byte - 48)
            count += 1 if digits != np.uint64(0) else 0
            power -= 0 if whole else 1
        else:
            break
        at += 1
    if at == first or count > DIGITS_MAX:
        return np.int64(0), np.int64(-1)
    if at < stop and data[at] | 32 == 101:
        exponent, at = _exponent(data, at + 1, stop)
        if at < 0:
            return np.int64(0), np.int64(-1)
        power, whole = power + exponent, False
    if digits == np.uint64(0):
        if negative and whole:
            return np.int64(0), np.int64(-1)  # to some it is an integer, which has no sign then
        return np.int64(-0x8000000000000000 if negative else 0), np.int64(at)
    bits = nearest(digits, power)
    if bits < 0:
        return np.int64(0), np.int64(-1)
    return bits | np.int64(-0x8000000000000000 if negative else 0), np.int64(at)


@compiled
def _exponent(data: Bytes, at: Number, stop: Number) -> Pair:
    """(an exponent of up to three digits, where it ends); ends at -1 where it is none."""
    negative = at < stop and data[at] == 45
    if at < stop and (data[at] == 43 or negative):
        at += 1
    first, exponent = np.int64(at), np.int64(0)
    while at < stop and 48 <= data[at] <= 57 and at < first + 4:
        exponent = exponent * 10 + np.int64(data[at]) - 48
        at += 1
    if at == first or at == first + 4:
        return np.int64(0), np.int64(-1)
    return -exponent if negative else exponent, np.int64(at)
