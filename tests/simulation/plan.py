"""Which faults a seed has, and how often: each seed leaves some out, has others often, and may pick on one step.

In: a seed. Out: a Plan. Never: the same few faults in every seed, for what is rare together is never seen then.
"""

from collections.abc import Mapping
from random import Random
from types import MappingProxyType

from tests.simulation.world import Plan

# At a point: what befalls the call a process is about to make, with a step that it may befall.
KINDS = {
    "kill": "commit",
    "stop": "commit",
    "new generation": "commit transaction",
    "transient": "commit",
    "disk full": "write",
    "read-only": "write",
    "I/O error": "sync",
    "short write": "write",
    "conflict": "commit",
    "happened": "commit",
    "happened, conflict": "commit",
    "happened, permanent": "commit",
    "not leader": "watermarks",
    "not coordinator": "committed offsets",
    "coordinator loading": "add offsets",
    "request timed out": "committed offsets",
    "unanswered": "watermarks",
    "undelivered": "produce",
    "abortable": "commit transaction",
    "fatal": "commit transaction",
    "happened, fatal": "commit transaction",
    "bad message": "poll",
    "transport error": "poll",
}
SELDOM = frozenset({"kill", "disk full", "read-only", "I/O error", "fatal", "happened, permanent"})
# Between points: what happens to the cluster, the storage or the machines.
EVENTS = (
    "produce",
    "rebalance",
    "SIGTERM",
    "SIGKILL",
    "lake removed",
    "retention",
    "partition added",
    "topic made again",
    "topic deleted",
    "truncation",
    "damage",
    "offsets expired",
    "offsets reset",
    "broker down",
    "power cut",
    "table altered",
    "table compacted",
    "clock jump",
    "clock apart",
    "a day passes",
)
NO_AIM: Mapping[str, str] = MappingProxyType({})
ONCE = frozenset({"truncation", "damage", "offsets expired", "offsets reset", "lake removed", "a day passes", "topic made again", "topic deleted"})
STEPS = (
    *(f"{verb} {table}" for verb in ("refresh", "write", "commit", "sync") for table in ("logs", "spans", "rejects", "intervals")),
    *("look at", "remove", "read back", "claim", "open", "poll", "watermarks", "committed offsets", "describe", "list topics", "assign", "unassign"),
    *("init", "produce", "add offsets", "commit transaction", "abort", "leave"),
)


def plan_of(seed: int, aim: Mapping[str, str] = NO_AIM) -> Plan:
    """The same for the same seed, on every machine. `aim`: faults with the step at which each falls often, events with ''; beside what the seed has."""
    chance = Random(f"plan {seed}")
    rates = {kind: 10 ** chance.uniform(-3.3, -2.2 if kind in SELDOM else -1.7) for kind in KINDS if chance.random() < 0.5}
    events = {event: 10 ** chance.uniform(-2.7, -2.2 if event in ONCE else -1.3) for event in EVENTS if chance.random() < 0.35}
    events["produce"] = chance.uniform(0.05, 0.3)
    focus = chance.choice(STEPS) if chance.random() < 0.5 else ""
    focus_rate = chance.uniform(0.1, 0.5)
    for fault, step in aim.items():
        if step:
            focus, focus_rate, rates[fault] = step, 0.5, rates.get(fault, 0.001)
        else:
            events[fault] = 0.05
    return Plan(rates, events, focus, focus_rate, chance.choice((0.01, 0.05, 0.2)), chance.choice((60, 120, 240)))
