"""Batches of a seed, judged; what fails, made smaller.

In: a seed, and which of its batches. Out: counts and failures. Never: more than one process; `python -m tests.fuzz` starts several.
"""

import faulthandler
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.fuzz.inputs import object_batch, other_batch, span_batch, text_batch
from tests.fuzz.judge import Judge, Values, as_always, as_the_reference, judged

Make = Callable[[Random], tuple[list[bytes | None], str]]
MODES: dict[str, tuple[Make, Judge]] = {
    "spans": (span_batch, as_the_reference),
    "objects": (object_batch, as_the_reference),
    "texts": (text_batch, as_the_reference),
    "others": (other_batch, as_always),
}
WALKED_SHARE_MIN = 0.15  # of the inputs: where fewer are walked, the walkers have not been tried
JSON_SHARE_MIN = 0.01  # likewise of OTLP as JSON
_TRIES = 400  # to make an input smaller
_HANGS_S = 300  # so long for a task: then it is at a loop without an end


@dataclass(frozen=True, slots=True)
class Failure:
    """A batch in which something did not hold, and the smallest values that show it still."""

    mode: str
    seed: int
    batch: int
    encoding: str
    why: str
    values: list[bytes | None]

    def __str__(self) -> str:
        lines = [f"batch {self.batch}, encoding {self.encoding}: {self.why}"]
        lines += ["  none" if value is None else f"  {value.hex() or '(empty)'}" for value in self.values]
        return "\n".join([*lines, f"  python -m tests.fuzz --mode {self.mode} --seed {self.seed} --batch {self.batch}"])


@dataclass(slots=True)
class Tally:
    """What a run came to."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.counts += other.counts
        self.failures += other.failures

    def too_few_walked(self, mode: str) -> bool:
        inputs = self.counts["inputs"]
        return self.counts["walked"] < WALKED_SHARE_MIN * inputs or (mode == "spans" and self.counts["json"] < JSON_SHARE_MIN * inputs)


def chance_of(seed: int, batch: int) -> Random:
    return Random(seed << 32 | batch)


def run_batches(mode: str, seed: int, batches: range, inputs_max: int | None = None) -> Tally:
    """At most `inputs_max` inputs, and a batch more."""
    make, judge = MODES[mode]
    tally = Tally()
    for batch in batches:
        if inputs_max is not None and tally.counts["inputs"] >= inputs_max:
            break
        values, encoding = make(chance_of(seed, batch))
        why, counts = judged(judge, values, encoding)
        tally.counts += counts
        if why:
            small = shrunk(values, lambda values, encoding=encoding: bool(judged(judge, values, encoding)[0]))  # type: ignore[misc]
            tally.failures.append(Failure(mode, seed, batch, encoding, judged(judge, small, encoding)[0] or why, small))
    return tally


def task(mode: str, seed: int, batches: range) -> Tally:
    """In a process of its own, which ends where it hangs."""
    faulthandler.dump_traceback_later(_HANGS_S, exit=True)
    try:
        return run_batches(mode, seed, batches)
    finally:
        faulthandler.cancel_dump_traceback_later()


def shrunk(values: Values, fails: Callable[[Values], bool]) -> list[bytes | None]:
    """Fewer of the values, then fewer of their bytes, as long as it fails."""
    found, tries = list(values), _TRIES

    def still(candidate: Values) -> bool:
        nonlocal tries
        tries -= 1
        return tries >= 0 and fails(candidate)

    size = max(1, len(found) // 2)
    while size and tries > 0:
        at = 0
        while at < len(found):
            candidate = found[:at] + found[at + size :]
            if candidate and still(candidate):
                found = candidate
            else:
                at += size
        size //= 2
    for place, value in enumerate(found):
        for smaller in _smaller(value or b""):
            found[place] = _while_it_fails(found, place, smaller, still)
    return found


def _smaller(value: bytes) -> list[int]:
    sizes, size = [], len(value) // 2
    while size:
        sizes.append(size)
        size //= 2
    return sizes


def _while_it_fails(found: list[bytes | None], place: int, size: int, still: Callable[[Values], bool]) -> bytes | None:
    """The value at `place` without every piece of `size` bytes that the failure does not need."""
    value, at = found[place], 0
    while value is not None and at < len(value):
        candidate = value[:at] + value[at + size :]
        if still([*found[:place], candidate, *found[place + 1 :]]):
            value = candidate
        else:
            at += size
    return value
