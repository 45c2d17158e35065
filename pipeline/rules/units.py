"""What may be compared with what, and the unit of what arithmetic makes.

Units: 'ns' a duration, 'By' a size, '1/s' a rate, '1' a share, '%' a share written as a percentage, '' a plain number: a count, an attribute, a bare literal.
"""

from dataclasses import dataclass

MISTAKEN = "mistaken"  # of what holds a mistake, which was told
_NAMES = {"ns": "a duration", "By": "a size", "1/s": "a rate", "1": "a share", "%": "a percentage"}


@dataclass(frozen=True, slots=True)
class Quantity:
    """unit of a number; literal: its text where it was written as one, else ''. attribute: it comes from an attribute, which has no unit."""

    unit: str
    literal: str = ""
    attribute: bool = False

    def __str__(self) -> str:
        if self.literal:
            return f"the {'bare number' if not self.unit else _NAMES[self.unit].partition(' ')[2]} {self.literal}"
        return _NAMES.get(self.unit, "an attribute, which has no unit," if self.attribute else "a plain number")


def clash(left: Quantity, right: Quantity) -> tuple[str, str] | None:
    """What is wrong with comparing or adding the two, and what to do; None where nothing is."""
    units = {left.unit, right.unit}
    plain = next((side for side in (left, right) if not side.unit), None)
    rate = plain is not None and plain.literal and units == {"", "1/s"}
    if MISTAKEN in units or len(units) == 1 or rate or units in ({"1", "%"}, {"", "1"}, {"", "By"}):
        return None
    what = f"{left} and {right} do not go together"
    if plain is not None and "ns" in units:
        return what, f"give it a unit, as in {plain.literal}ms" if plain.literal else "a duration goes with durations: the attribute `duration`, or 500ms"
    if plain is not None and "%" in units:
        percentage = left if left.unit == "%" else right
        return what, f"write {float(percentage.literal.rstrip('%') or 0) / 100:g} if it is a share" if percentage.literal else "write it as a plain number"
    if "%" in units and "ns" in units:
        return what, "compare a duration with a duration, as in 500ms, or with its baseline(…)"
    return what, "compare like with like, or divide by the same kind"


def product(left: Quantity, right: Quantity) -> Quantity | None:
    """Of a multiplication; None where it makes no sense."""
    shares = ("", "1", "%")
    if MISTAKEN in (left.unit, right.unit):
        return Quantity(MISTAKEN)
    if left.unit not in shares and right.unit not in shares:
        return None
    if left.unit in shares and right.unit in shares:
        return Quantity("1" if {left.unit, right.unit} & {"1", "%"} and "" not in {left.unit, right.unit} else "")
    return Quantity(right.unit if left.unit in shares else left.unit)


def quotient(left: Quantity, right: Quantity) -> Quantity | None:
    """Of a division; None where it makes no sense. Like by like is a share, except where the divisor is a bare literal."""
    if MISTAKEN in (left.unit, right.unit):
        return Quantity(MISTAKEN)
    if left.unit == right.unit and not (right.literal and not right.unit):
        return Quantity("1")
    if right.unit in ("", "1", "%"):
        return Quantity("1" if left.unit == "%" else left.unit)
    return None
