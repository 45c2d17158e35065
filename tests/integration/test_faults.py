"""The flow while something fails: storage that comes back, topics made again, owners that come between, errors in the middle of a batch."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_ingest import intervals_are_whole, numbers, produce, read_to_end, settings_for, with_rejects_topic
from tracebraid import connect
from tracebraid.pipeline import start
from tracebraid.pipeline.flow import Flow, Ingest, run_ingest
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import OwnershipLost, TracebraidError
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.publish.producer import Publisher
from tracebraid.pipeline.store.cycle import OpenCycle
from tracebraid.pipeline.store.lake import Lake

pytestmark = pytest.mark.broker
DEADLINE_S = 30


def ingest_of(settings: Settings, *, stream: bool = False) -> Ingest:
    clock = Clock()
    lake = Lake.open(settings.lake, {}, clock)
    group = f"tracebraid-{lake.lake_id}"
    lake.claim(group)
    publisher = Publisher.transactional(settings.client_config(), group, clock) if stream else None
    return Ingest(Flow(settings, lake, group, metrics=Metrics(), clock=clock, stream=stream), publisher)


def step_until(ingest: Ingest, there: Callable[[], object], *, drain: bool = False) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not there():
        assert time.monotonic() < deadline, "it does not happen"
        ingest.step(drain=drain)


def with_fault(monkeypatch: pytest.MonkeyPatch, after_step: Callable[[str], None]) -> None:
    """Every lake that an ingest opens has `after_step`."""
    claim = Lake.claim

    def claimed(lake: Lake, group: str) -> None:
        claim(lake, group)
        lake.after_step = after_step

    monkeypatch.setattr(Lake, "claim", claimed)


@pytest.mark.parametrize("step", ["checked", "written", "committed logs", "committed rejects"])
def test_storage_that_fails_and_comes_back_costs_nothing(broker: Any, tmp_path: Path, step: str) -> None:
    """The same cycle is given again; meanwhile nothing is read, and the group stays alive beyond its session."""
    topic = broker.create_topic(broker.unique("storage"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic, flush_records=100))
    client = {"session.timeout.ms": "1500", "max.poll.interval.ms": "1500", "heartbeat.interval.ms": "200"}
    settings = Settings(**{**settings.model_dump(), "client": client})
    produce(broker, topic, 0, 500, poison_every=50)
    ingest = ingest_of(settings)
    failing = [step]

    def fail(at: str) -> None:
        if at in failing and ingest.flow.closed:
            failing.append("checked")  # what is committed is not committed again
            raise TracebraidError("the store does not answer", transient=True)

    ingest.flow.lake.after_step = fail
    lost: list[Any] = []
    owner = ingest.source.owner
    ingest.source.owner = type(owner)(assigned=owner.assigned, revoked=owner.revoked, lost=lambda gone: (lost.extend(gone), owner.lost(gone))[1])
    step_until(ingest, lambda: ingest.blocked)
    produce(broker, topic, 500, 1000)
    read, until = ingest.flow.records_read, time.monotonic() + 3
    while time.monotonic() < until:
        ingest.step()
    assert ingest.blocked == "the store does not answer"
    assert (ingest.flow.records_read, ingest.source.paused, lost) == (read, True, [])
    failing.clear()
    ingest.source.aim()
    step_until(ingest, ingest.done, drain=True)
    assert (ingest.blocked, ingest.source.paused, ingest.flow.totals.records) == ("", False, 1000)
    ingest.close()
    assert numbers(settings) == [n for n in range(1000) if n % 50 or n >= 500]
    intervals_are_whole(settings)


def test_storage_that_fails_for_good_ends_the_process(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = broker.create_topic(broker.unique("full"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 100)

    def full(at: str) -> None:
        if at == "committed logs":
            raise TracebraidError("the disk is full")

    with_fault(monkeypatch, full)
    with pytest.raises(TracebraidError, match="the disk is full"):
        run_ingest(settings, drain=True)
    monkeypatch.undo()
    run_ingest(settings, drain=True)
    assert numbers(settings) == list(range(100))


def test_storage_that_fails_and_nobody_knows_why_is_tried_a_few_times(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = broker.create_topic(broker.unique("strange"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 100)
    run_ingest(settings, drain=True)
    produce(broker, topic, 100, 200)
    tried: list[str] = []

    def strange(at: str) -> None:
        tried.append(at)
        raise TracebraidError("cannot write: it said 42", "Look at it", unknown=True)

    with_fault(monkeypatch, strange)
    monkeypatch.setattr(limits, "unknown_failures_max", 3)
    with pytest.raises(TracebraidError, match=r"it said 42 \(3 times\)\. Look at it") as error:
        run_ingest(settings, drain=True)
    assert (tried, error.value.transient) == (["checked"] * 3, False)
    monkeypatch.undo()
    run_ingest(settings, drain=True)
    assert numbers(settings) == list(range(200))


def test_a_drain_waits_for_the_storage(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = broker.create_topic(broker.unique("waits"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 100)
    failures = ["committed logs", "checked", "checked"]

    def fail(at: str) -> None:
        if failures[:1] == [at]:
            failures.pop(0)
            raise TracebraidError("the store does not answer", transient=True)

    with_fault(monkeypatch, fail)
    assert run_ingest(settings, drain=True).records == 100
    assert failures == []
    assert numbers(settings) == list(range(100))


def test_an_error_in_the_middle_of_a_batch_commits_nothing_of_it(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving the group revokes partitions, and revoking commits; but not what an error left half done."""
    topic = broker.create_topic(broker.unique("half"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 100)
    add = OpenCycle.add

    def half(self: OpenCycle, *arguments: Any) -> None:
        add(self, *arguments)
        for part in self._open.values():
            part.batches["logs"].clear()
            part.rows["logs"] = 0
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(OpenCycle, "add", half)
        with pytest.raises(MemoryError):
            run_ingest(settings, drain=True)
    run_ingest(settings, drain=True)
    assert numbers(settings) == list(range(100))
    intervals_are_whole(settings)


def test_a_topic_made_again_under_an_open_cycle_is_not_taken_for_the_old_one(broker: Any, tmp_path: Path) -> None:
    """At the end of a run too: what was read of the new topic by the old one's offsets is dropped, and read as the new one's."""
    topic = broker.create_topic(broker.unique("remade"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic, flush_age_s=600))
    produce(broker, topic, 0, 50)
    ingest = ingest_of(settings)
    ingest._verify = lambda: None  # type: ignore[method-assign]  # the last look, of finish(), is the one in question
    step_until(ingest, lambda: ingest.flow.records_read == 50)
    ingest.flush_lake()
    broker.delete_topic(topic)
    broker.create_topic(topic)
    produce(broker, topic, 100, 200)
    step_until(ingest, lambda: ingest.flow.records_read > 50)
    ingest.finish()
    ingest.close()
    run_ingest(settings, drain=True)
    assert numbers(settings) == [*range(50), *range(100, 200)]
    intervals_are_whole(settings)


def test_rejects_of_a_topic_made_again_are_published_although_the_group_has_offsets_of_the_old_one(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("stream"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 60, poison_every=10)
    run_ingest(settings, drain=True)
    old = ingest_of(settings, stream=True)
    step_until(old, old.source.partitions)
    (partition,) = old.source.partitions()
    broker.delete_topic(topic)
    broker.create_topic(topic)
    assert old.publisher
    old.publisher.transaction([], {partition: 60}, old.source.group_metadata())  # the broker forgot the group's offsets with the topic, and gets them again
    old.close()
    produce(broker, topic, 100, 160, poison_every=10)
    run_ingest(settings, drain=True)
    assert len(read_to_end(broker, settings.stream.rejects_topic)) == 12


def test_a_transaction_without_an_answer_at_a_rebalance_publishes_nothing_twice(broker: Any, tmp_path: Path) -> None:
    """Partitions that stay were in the same transaction as those that went: for them too the group's offsets tell what happened."""
    topic = broker.create_topic(broker.unique("unsure"), 2)
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    settings = settings.model_copy(update={"stream": settings.stream.model_copy(update={"flush_ms": 7000})})
    produce(broker, topic, 0, 100, partitions=2, poison_every=5)
    ingest = ingest_of(settings, stream=True)
    step_until(ingest, lambda: ingest.flow.records_read == 100)
    assert ingest.publisher
    transaction = ingest.publisher.transaction

    def unanswered(*arguments: Any) -> None:
        ingest.publisher.transaction = transaction  # type: ignore[union-attr, method-assign]
        transaction(*arguments)
        raise OwnershipLost("it may have been committed or not")

    ingest.publisher.transaction = unanswered  # type: ignore[method-assign]
    stop = threading.Event()
    other = threading.Thread(target=lambda: run_ingest(settings, stop=stop))
    other.start()
    step_until(ingest, lambda: len(ingest.source.partitions()) == 1)
    ingest.finish() if not ingest.doubt else ingest.step()
    step_until(ingest, lambda: ingest.source.at_end(ingest.source.partitions()[0]))
    ingest.finish()
    ingest.close()
    stop.set()
    other.join(DEADLINE_S)
    assert len(read_to_end(broker, settings.stream.rejects_topic)) == 20
    assert numbers(settings) == [n for n in range(100) if n % 5]
    intervals_are_whole(settings)


def test_retention_behind_the_lake_but_ahead_of_the_stream_is_no_loss_to_the_lake(broker: Any, tmp_path: Path) -> None:
    topic = broker.create_topic(broker.unique("behind"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 100)
    ingest = ingest_of(settings, stream=True)
    step_until(ingest, ingest.source.partitions)
    ingest.step()
    ingest.flow.flush_lake()
    ingest.close()
    run_ingest(settings, drain=True)
    ingest = ingest_of(settings, stream=True)
    assigned = ingest.starter.assigned

    def late(partitions: Any) -> dict[Any, int]:
        assigned(partitions)
        for partition in partitions:
            ingest.flow.progress[partition].stream_next = 20
        broker.delete_records(topic, 40)
        return dict.fromkeys(partitions, 20)

    ingest.starter.assigned = late  # type: ignore[method-assign]
    step_until(ingest, ingest.source.partitions)
    ingest.starter.assigned = assigned  # type: ignore[method-assign]
    produce(broker, topic, 100, 120)
    ingest.source.aim()
    step_until(ingest, ingest.done, drain=True)
    ingest.close()
    assert numbers(settings) == list(range(120))
    assert connect(settings.lake).execute("select count(*) from intervals where kind = 'lost'").fetchall() == [(0,)]
    intervals_are_whole(settings)


def test_a_ledger_that_moves_while_a_partition_is_assigned_leaves_it_read(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention and another consumer at once: out of the callback, the error would leave the partition ours and unread, without a word."""
    topic = broker.create_topic(broker.unique("moves"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 50)
    run_ingest(settings, drain=True)
    produce(broker, topic, 50, 100)
    broker.delete_records(topic, 70)
    ingest = ingest_of(settings)
    account, refusals = start.account, [1]

    def refused_once(*arguments: Any) -> None:
        if refusals[0]:
            refusals[0] = 0
            raise OwnershipLost("another writer has it")
        account(*arguments)

    monkeypatch.setattr(start, "account", refused_once)
    step_until(ingest, ingest.done, drain=True)
    ingest.close()
    assert refusals == [0]
    assert numbers(settings) == [*range(50), *range(70, 100)]
    assert connect(settings.lake).execute("select first_offset, last_offset from intervals where kind = 'lost'").fetchall() == [(50, 69)]


def test_a_broker_that_does_not_answer_for_a_while_ends_nothing(broker: Any, tmp_path: Path) -> None:
    """The look at the topics' ids before a commit is a call to a broker: where it fails, nothing is committed, and nothing is lost."""
    topic = broker.create_topic(broker.unique("silent"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic, flush_records=20))
    produce(broker, topic, 0, 100, poison_every=10)
    ingest = ingest_of(settings)
    verify, silent = ingest.source.verify, [5]

    def silent_at_first() -> Any:
        if silent[0]:
            silent[0] -= 1
            raise TracebraidError("no broker answers", transient=True)
        return verify()

    ingest.source.verify = silent_at_first  # type: ignore[method-assign]
    step_until(ingest, ingest.done, drain=True)
    ingest.close()
    assert silent == [0]
    assert numbers(settings) == [number for number in range(100) if number % 10]
    intervals_are_whole(settings)


def test_transactions_that_fail_again_and_again_do_not_hold_the_lake_back(broker: Any, tmp_path: Path) -> None:
    """As a twin that fences us each time does it. The stream is tried ever more seldom, and once it goes it has every reject once."""
    topic = broker.create_topic(broker.unique("fenced"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic, flush_age_s=3))
    produce(broker, topic, 0, 1000, poison_every=100)
    ingest = ingest_of(settings, stream=True)
    step_until(ingest, ingest.source.partitions)
    assert ingest.publisher
    transaction, tried = ingest.publisher.transaction, []

    def fenced(*_: Any) -> None:
        tried.append(time.monotonic())
        raise OwnershipLost("it was aborted: another producer has our transactional.id")

    ingest.publisher.transaction = fenced  # type: ignore[method-assign]
    until, waits = time.monotonic() + 8, ingest.flow.metrics.stream_waits
    while time.monotonic() < until:
        ingest.step()
    assert 3 <= len(tried) <= 6  # at 0.5 s each without pauses: 16
    assert ingest.flow.totals.records == 1000
    assert ingest.blocked.startswith("it was aborted")
    assert waits._value.get() == 1
    ingest.publisher.transaction = transaction  # type: ignore[method-assign]
    produce(broker, topic, 1000, 1100, poison_every=100)
    ingest.source.aim()
    step_until(ingest, ingest.done, drain=True)
    assert (ingest.blocked, waits._value.get(), ingest.flow.totals.records) == ("", 0, 1100)
    ingest.close()
    assert sorted(message.value() for message in read_to_end(broker, settings.stream.rejects_topic)) == sorted(
        b"\xff\xfe\xfd%d" % number for number in range(0, 1100, 100)
    )
    assert numbers(settings) == [number for number in range(1100) if number % 100]
    intervals_are_whole(settings)


def test_storage_that_fails_during_a_restart_is_waited_for_and_sigterm_is_not_held_up(broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = broker.create_topic(broker.unique("restart"))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    produce(broker, topic, 0, 100)
    ingest = ingest_of(settings)
    step_until(ingest, lambda: ingest.flow.records_read == 100)
    with monkeypatch.context() as broken:

        def unanswered(*_: Any) -> None:
            raise TracebraidError("cannot read the lake: timed out", transient=True)

        broken.setattr(Lake, "read_ledgers", unanswered)
        ingest.doubt = OwnershipLost("somebody else came between")
        until = time.monotonic() + 2
        while time.monotonic() < until:
            began_s = time.monotonic()
            ingest.step()
            assert time.monotonic() - began_s < 1  # so a stop is heeded
        assert ingest.blocked == "cannot read the lake: timed out"
        assert not ingest.done()
        ingest.finish()
    ingest.source.aim()
    step_until(ingest, ingest.done, drain=True)
    ingest.close()
    assert numbers(settings) == list(range(100))
    intervals_are_whole(settings)
