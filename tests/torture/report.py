"""The report of a run, as lines of text.

In: an Outcome. Out: tables. Never: a judgment of its own but whether each step was hit often enough.
"""

from collections.abc import Iterator

from tests.torture.run import Outcome
from tests.torture.schedule import EACH, hits
from tests.torture.steps import STEPS, TORN

COLUMNS = {"kill": "killed there", "killed": "killed at random", "stop": "stopped there", "stopped": "stopped at random"}


def lines(outcome: Outcome) -> Iterator[str]:
    yield f"{'step passed last':<20} {'where':<75} " + " ".join(f"{title:>17}" for title in COLUMNS.values())
    for step, where in {"": "      before the first step", **STEPS}.items():
        counts = [outcome.fallen[action, step] for action in COLUMNS]
        yield f"{step or '-':<20} {where:<75} " + " ".join(f"{count:>17}" for count in counts)
    yield f"{'all':<96} " + " ".join(f"{sum(n for (a, _), n in outcome.fallen.items() if a == action):>17}" for action in COLUMNS)
    yield ""
    yield f"SIGKILLs: {outcome.kills}; of them between two tables of one cycle: {sum(outcome.fallen['kill', step] for step in TORN)} on purpose"
    for (what, table), count in sorted(outcome.fallen.items()):
        if what not in COLUMNS:
            yield f"commits that {what}, of table {table}: {count}"
    for kind, count in sorted(outcome.world.items()):
        yield f"{kind}: {count}"
    if outcome.terms_s:
        yield f"SIGTERM: {len(outcome.terms_s)}, the longest took {max(outcome.terms_s):.1f} s"
    for said, count in outcome.exits.most_common():
        yield f"ended by themselves, exit code {said}: {count}"
    scarce = [step for step in STEPS if hits(outcome.fallen, step) < EACH]
    yield f"steps at which fewer than {EACH} SIGKILLs fell: {', '.join(scarce) or 'none'}"
    yield f"{outcome.records} numbers produced, {outcome.rows} rows in the lake, {outcome.rejects} rejects published, {outcome.seconds:.0f} s under fire"
    yield from (f"note: {note}" for note in outcome.notes)
    yield f"PROBLEMS: {len(outcome.problems)}" if outcome.problems else "0 missing, 0 doubled"
    yield from outcome.problems
