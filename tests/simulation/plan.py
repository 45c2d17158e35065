"""Which faults a seed has, and how often: each seed leaves some out, has others often, and may pick on one step.

In: a seed. Out: a Plan. Never: the same few faults in every seed, for what is rare together is never seen then.
"""

from random import Random

from tests.simulation.world import Plan

# At a point: what befalls the call a process is about to make, with a step that it may befall.
KINDS = {
    "kill": "commit",
    "stop": "commit",
    "rebalance": "commit transaction",
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
ONCE = frozenset({"truncation", "damage", "offsets expired", "offsets reset", "lake removed", "a day passes", "topic made again", "topic deleted"})
STEPS = (
    *(f"{verb} {table}" for verb in ("refresh", "write", "commit", "sync") for table in ("logs", "spans", "rejects", "intervals")),
    *("look at", "remove", "read back", "claim", "open", "poll", "watermarks", "committed offsets", "describe", "list topics", "assign", "unassign"),
    *("init", "produce", "add offsets", "commit transaction", "abort", "leave"),
)


def plan_of(seed: int, aim: tuple[str, str] | None = None) -> Plan:
    """The same for the same seed, on every machine. `aim`: (fault, step), or (event, ""): that one often, at that step, beside what the seed has."""
    chance = Random(f"plan {seed}")
    rates = {kind: 10 ** chance.uniform(-3.3, -2.2 if kind in SELDOM else -1.7) for kind in KINDS if chance.random() < 0.5}
    events = {event: 10 ** chance.uniform(-2.7, -2.2 if event in ONCE else -1.3) for event in EVENTS if chance.random() < 0.35}
    events["produce"] = chance.uniform(0.05, 0.3)
    focus = chance.choice(STEPS) if chance.random() < 0.5 else ""
    if aim and aim[0] in EVENTS:
        events[aim[0]] = 0.05
    elif aim:
        focus, rates[aim[0]] = aim[1], rates.get(aim[0], 0.001)
    return Plan(rates, events, focus, chance.uniform(0.1, 0.5), chance.choice((0.01, 0.05, 0.2)), chance.choice((60, 120, 240)))
