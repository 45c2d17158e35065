"""Which fault comes when: by chance from a seed, what has fallen least first; or from a list.

In: what has fallen so far. Out: what the next life of a consumer has to expect, which fault of the world is due. Never: a clock.
"""

import math
import random
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from tests.torture.steps import STEPS

RARE = ("start pinned", "loss written", "lost")  # these come with faults of the world or of others, not in every life
WORLD = ("broker killed and restarted", "partition added", "topic made again", "retention overtook", "disk full")
TWICE = ("topic made again", "retention overtook")  # what is rare comes with them
WORLD_EACH = 6
EACH = 5  # kills at each step
LIFE_S = 25.0  # a life whose step does not come by is ended from outside


@dataclass(frozen=True)
class Fate:
    """Orders for the worker (see worker.Orders), and what is done from outside: `how` (kill, stop, term) after `after_s`. static: a static member.
    joined: another joins the group as soon as it has partitions, of which some are taken away then."""

    action: str = ""
    step: str = ""
    nth: int = 1
    also: tuple[str, ...] = ()
    doubtful: float = 0.0
    how: str = "kill"
    after_s: float = LIFE_S
    static: bool = False
    joined: bool = False


def hits(fallen: Counter[tuple[str, str]], step: str) -> int:
    """SIGKILLs that fell there, on purpose or at random."""
    return fallen["kill", step] + fallen["killed", step]


class Chance:
    """Fates from a seed. A full run: every kind of fault of the world WORLD_EACH times, those of TWICE twice as often, spread over it."""

    def __init__(self, seed: int, kills: int, *, disk: bool, broker: bool) -> None:
        self.random = random.Random(seed)
        kinds = [kind for kind in WORLD if (disk or kind != "disk full") and (broker or kind != "broker killed and restarted")]
        each = max(1, round(WORLD_EACH * min(1.0, kills / 200)))
        world = [kind for kind in kinds for _ in range(each * (2 if kind in TWICE else 1))]
        self.random.shuffle(world)
        self.world = [(0.05 + 0.9 * number / len(world), kind) for number, kind in enumerate(world)]

    def next_fate(self, fallen: Counter[tuple[str, str]], _: Collection[tuple[str, str]] = ()) -> Fate:
        """fallen: (action, step) → how often."""
        chance, static = self.random.random(), self.random.random() < 0.5
        also = tuple(step for step in RARE if self.random.random() < 0.5 or hits(fallen, step) < EACH)
        soon_s = self.random.uniform(1.5, 8)
        fate = Fate(also=also, doubtful=0.02, static=static, after_s=soon_s)
        if chance < 0.80:
            action = "kill" if chance < 0.68 else "stop"
            step = self._least(action, fallen)
            nth = self.random.randint(1, 3) if hits(fallen, step) >= EACH else 1
            return replace(fate, action=action, step=step, nth=nth, after_s=LIFE_S, joined=step in ("revoking", "revoked"))
        return replace(fate, how="kill" if chance < 0.88 else "stop" if chance < 0.93 else "term", also=())

    def _least(self, action: str, fallen: Counter[tuple[str, str]]) -> str:
        steps = [step for step in STEPS if step not in RARE]
        counts = [hits(fallen, step) if action == "kill" else fallen[action, step] for step in steps]
        return self.random.choices(steps, [1 / (1 + count) ** 2 for count in counts])[0]

    def world_due(self, progress: float) -> str:
        return self.world.pop(0)[1] if self.world and self.world[0][0] <= progress else ""


class Script:
    """Each fault of a list once, in its order; a life that ends without its fault has it again. world: kinds and when, by the share of faults fallen.

    rare: steps at which whoever passes them first is killed. Where a fate names steps in `also`, it comes again until a kill has fallen at each."""

    def __init__(self, fates: Sequence[Fate], world: Sequence[tuple[float, str]] = (), rare: Sequence[str] = ()) -> None:
        self.fates, self.world, self.rare = list(fates), list(world), rare
        self.wanted = Counter({(fate.action, fate.step) for fate in fates} | {("kill", step) for step in (*rare, *(s for fate in fates for s in fate.also))})

    def next_fate(self, fallen: Counter[tuple[str, str]], under_way: Collection[tuple[str, str]] = ()) -> Fate:
        """under_way: what those that live have to expect; it is not given a second time."""
        rare = tuple(step for step in self.rare if not fallen["kill", step])
        for fate in self.fates:
            also = tuple(step for step in fate.also if not fallen["kill", step])
            if (also or not fallen[fate.action, fate.step]) and (fate.action, fate.step) not in under_way:
                return replace(fate, also=rare + also)
        return Fate(also=rare, how="term", after_s=math.inf)

    def share(self, fallen: Counter[tuple[str, str]]) -> float:
        """Of what is wanted, how much has fallen."""
        return sum(min(count, fallen[key]) for key, count in self.wanted.items()) / self.wanted.total()

    def world_due(self, progress: float) -> str:
        return self.world.pop(0)[1] if self.world and self.world[0][0] <= progress else ""
