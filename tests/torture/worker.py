"""One consumer: `tracebraid ingest` as users run it, with a hook at each step of the protocol that may end or stop the process there.

In: arguments of `tracebraid ingest`; TORTURE, a JSON object (the fields of Orders). Out: a line in the file of faults for each that fell, before
it falls; the step that was passed last, in a file of its own. Never: a change of what the product does, but where `broken` asks for one.
"""

import functools
import json
import os
import random
import signal
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

VARIABLE = "TORTURE"
STEP_BYTES = 32


@dataclass(frozen=True)
class Orders:
    """What is to befall one life of a consumer: `action` (kill, stop; '' for nothing) at the `nth` passing of `step`; a kill at the first of `also`.

    doubtful: probability that a commit to the lake ends in a timeout, whether it took place or not. broken: a fault of the product's to put in
    (swapped, unchecked or reader), for the test of the test.
    """

    slot: str
    faults: str
    last_step: str
    action: str = ""
    step: str = ""
    nth: int = 1
    also: tuple[str, ...] = ()
    doubtful: float = 0.0
    seed: int = 0
    broken: str = ""

    def environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


class Hook:
    """Counts steps as they are passed, and carries out the orders."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.passed: Counter[str] = Counter()
        self.last = ""
        self.random = random.Random(orders.seed)
        self.step_file = os.open(orders.last_step, os.O_WRONLY | os.O_CREAT, 0o644)
        self.leaving = 0

    def passing(self, step: str) -> None:
        self.last = step
        self.passed[step] += 1
        os.pwrite(self.step_file, step.ljust(STEP_BYTES).encode(), 0)
        orders = self.orders
        if step in orders.also:
            self.fall("kill", step)
        elif orders.action and step == orders.step and self.passed[step] == orders.nth:
            self.fall(orders.action, step)

    def fall(self, action: str, step: str) -> None:
        self.note(action, step)
        os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)

    def note(self, what: str, step: str) -> None:
        """A line, whole whoever else writes, and there whatever comes next."""
        line = f"{what}\t{step}\t{self.orders.slot}\t{os.getpid()}\n"
        file = os.open(self.orders.faults, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(file, line.encode())
        os.close(file)


def around(owner: Any, name: str, wrapper: Any) -> None:
    """`wrapper(method, self, …)` in place of `owner.name`."""
    method = getattr(owner, name)

    @functools.wraps(method)
    def wrapped(self: Any, *arguments: Any, **named: Any) -> Any:
        return wrapper(functools.partial(method, self), self, *arguments, **named)

    setattr(owner, name, wrapped)


def install(hook: Hook) -> None:
    """Put the hook wherever a step ends: the product's own `after_step`, and around calls where it has none."""
    from tracebraid.pipeline import start
    from tracebraid.pipeline.flow import Flow, Ingest
    from tracebraid.pipeline.publish.producer import Publisher
    from tracebraid.pipeline.source.kafka import KafkaSource
    from tracebraid.pipeline.store.lake import Lake

    def lake(method: Any, self: Any, *arguments: Any) -> None:
        method(*arguments)
        self.after_step = hook.passing

    def publisher(method: Any, self: Any, *arguments: Any) -> None:
        method(*arguments)
        self.after_step = lambda step: hook.passing("stream committed" if step == "committed" else step)

    def after(step: str, only_after: str = "") -> Any:
        def wrapper(method: Any, _: Any, *arguments: Any, **named: Any) -> Any:
            result = method(*arguments, **named)
            if not only_after or hook.last == only_after:
                hook.passing(step)
            return result

        return wrapper

    def account(method: Any, _: Any, intervals: Any, ledger: Any) -> None:
        method(intervals, ledger)
        hook.passing("loss written" if intervals[0].kind == "lost" else "start pinned")

    around(Lake, "__init__", lake)
    around(Publisher, "__init__", publisher)
    around(Lake, "read_ledgers", after("ledgers read"))
    around(start, "account", account)
    around(KafkaSource, "poll", after("polled"))
    around(Flow, "flush_lake", after("lake flushed", "committed intervals"))
    around(Ingest, "flush_stream", after("stream flushed", "stream committed"))
    install_leaving(hook, Ingest)


def install_leaving(hook: Hook, ingest: Any) -> None:
    def revoked(method: Any, _: Any, partitions: Any) -> None:
        if partitions:
            hook.passing("revoking")
        hook.leaving += 1
        try:
            method(partitions)
        finally:
            hook.leaving -= 1

    def finish(method: Any, _: Any) -> None:
        hook.leaving += 1
        try:
            method()
        finally:
            hook.leaving -= 1
        if hook.leaving:
            hook.passing("revoked")

    def lost(method: Any, _: Any, partitions: Any) -> None:
        if partitions and not hook.leaving:
            hook.passing("lost")
        method(partitions)

    around(ingest, "revoked", revoked)
    around(ingest, "finish", finish)
    around(ingest, "lost", lost)


def doubt(hook: Hook) -> None:
    """Some commits end in a timeout: half of them took place."""
    from deltalake import DeltaTable

    def commit(method: Any, self: Any, *arguments: Any, **named: Any) -> None:
        table = self.table_uri.rstrip("/").rpartition("/")[2]
        if hook.random.random() >= hook.orders.doubtful:
            method(*arguments, **named)
        elif hook.random.random() < 0.5:
            method(*arguments, **named)
            hook.note("timed out, took place", table)
            raise OSError("the operation timed out")
        else:
            hook.note("timed out, did not take place", table)
            raise OSError("the operation timed out")

    around(DeltaTable, "create_write_transaction", commit)


def break_product(how: str) -> None:
    """Faults that the harness must find. swapped: intervals are committed first; unchecked: nobody compares ledgers; reader: rows of a torn
    cycle are written again."""
    from tracebraid.pipeline.store import cycle, lake, tables

    if how == "swapped":
        lake.TABLES = (tables.TABLES[-1], *tables.TABLES[:-1])  # type: ignore[attr-defined]
    elif how == "unchecked":
        lake.Lake._check_ledgers = lambda *_: None  # type: ignore[method-assign]
    else:
        assert how == "reader", how
        cycle._not_held = lambda batch, held: batch


def main() -> None:
    orders = Orders(**json.loads(os.environ.pop(VARIABLE)))
    hook = Hook(orders)
    install(hook)
    if orders.doubtful:
        doubt(hook)
    if orders.broken:
        break_product(orders.broken)
    from tracebraid.jobs.main import main as tracebraid

    sys.argv = ["tracebraid", "ingest", *sys.argv[1:]]
    tracebraid()


if __name__ == "__main__":
    main()
