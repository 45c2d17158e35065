"""The test of the test: ways to break the protocol, each of which the simulator must find.

In: a mutation's name. Out: within the `with`, a product that is broken in that way. Never: a change that outlives it.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from confluent_kafka import TopicPartition

from tests.simulation.broker import NO_MEMBER, Broker
from tests.simulation.client import OWN
from tests.simulation.run import simulate
from tests.simulation.tables import VirtualFiles
from tracebraid.pipeline.flow import Flow, Ingest
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.publish.producer import Publisher
from tracebraid.pipeline.source.cluster import Cluster
from tracebraid.pipeline.source.kafka import KafkaSource
from tracebraid.pipeline.start import Starter
from tracebraid.pipeline.store import cycle, lake
from tracebraid.pipeline.store.lake import Lake

_flush, _transaction, _committed = Flow.flush_lake, Publisher.transaction, Cluster.committed


def _drop_what_failed(flow: Flow) -> None:
    try:
        _flush(flow)
    except TracebraidError:
        flow.closed, flow.closed_bytes = None, 0
        raise


def _messages_first(self: Publisher, messages: Any, offsets: Any, metadata: Any) -> None:
    rejects = [each for each in messages if each.topic == OWN[0]]
    _transaction(self, rejects, {}, metadata)
    _transaction(self, [each for each in messages if each not in rejects], offsets, metadata)


def _offsets_first(self: Publisher, messages: Any, offsets: Any, metadata: Any) -> None:
    rejects = [each for each in messages if each.topic == OWN[0]]
    _transaction(self, [each for each in messages if each not in rejects], offsets, metadata)
    _transaction(self, rejects, {}, metadata)


def _watermarks_apart(self: Publisher, messages: Any, offsets: Any, metadata: Any) -> None:
    told = [each for each in messages if each.topic == OWN[1]]
    _transaction(self, told, {}, metadata)
    _transaction(self, [each for each in messages if each not in told], offsets, metadata)


def _by_name(self: Cluster, partitions: Any) -> Any:
    found = dict.fromkeys(partitions)
    with patch("tests.simulation.client.TopicPartition", lambda topic, number, offset=-1001, _="": TopicPartition(topic, number, offset)):
        return _committed(self, found)


def _revoked_without_a_word(self: Ingest, partitions: Any) -> None:
    """Nothing is finished, and nothing is forgotten."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """`stand_in` in place of `name` of `owner`. `aim`: what brings it out (see plan_of), where seeds of all kinds need hundreds to hit on it.

    `seed`: the first that found it when `--mutations` was last asked: only the time that the tests take hangs on it.
    """

    owner: Any
    name: str
    stand_in: Any
    aim: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


MUTATIONS = {
    "intervals are committed first": Mutation(lake, "TABLES", (lake.TABLES[-1], *lake.TABLES[:-1]), seed=10),
    "no ledger is checked": Mutation(Lake, "_check_ledgers", lambda *_: None, seed=13),
    "what a torn cycle left is written again": Mutation(cycle, "_not_held", lambda batch, _: batch, seed=2),
    "a ledger goes back": Mutation(Lake, "_ledgers_after", lambda _, __, targets: targets, seed=31),
    "a cycle that failed is forgotten, its progress is not": Mutation(Flow, "flush_lake", _drop_what_failed, {"transient": "commit"}, seed=358),
    "an attempt is taken for a success": Mutation(Lake, "_took_place", lambda _, name, __, of: name in of.progress.attempts, seed=10),
    "log entries are not synced": Mutation(VirtualFiles, "sync_log", lambda *_: None, seed=15),
    "files are not looked at before a commit": Mutation(Lake, "_are_fresh", lambda *_: True, {"stop": "look at"}, seed=156),
    "rejects are committed before their offsets": Mutation(Publisher, "transaction", _messages_first, seed=12),
    "offsets are committed before their rejects": Mutation(Publisher, "transaction", _offsets_first, seed=37),
    "watermarks are committed before their offsets": Mutation(Publisher, "transaction", _watermarks_apart),
    "offsets are committed by anybody": Mutation(KafkaSource, "group_metadata", lambda _: NO_MEMBER, seed=70),
    "the group's offsets go by the topic's name": Mutation(Cluster, "committed", _by_name, {"topic made again": ""}, seed=125),
    "the stream's start is not written down": Mutation(Starter, "_pin_stream", lambda *_: None, seed=13),
    "topics made again are not noticed": Mutation(KafkaSource, "stale", lambda _: [], seed=65),
    "a revoked partition stays open": Mutation(Ingest, "revoked", _revoked_without_a_word, seed=8),
    "a lost partition stays open": Mutation(Ingest, "lost", _revoked_without_a_word, seed=2),
    # That tables with rows are fenced too, and that a ledger which stays is marked, takes more than a thousand seeds: tests/unit/store/test_fences.py.
    "no table is fenced before the first rows": Mutation(Lake, "_fence", lambda *_: None, {"stop": "write"}, seed=89),
    "offsets of open transactions are believed": Mutation(Broker, "unstable", lambda *_: False, {"stop": "commit transaction"}, seed=40),
    "doubt is not heeded": Mutation(Ingest, "_no_doubt", lambda _: None, {"abortable": "commit transaction", "rebalance": "", "SIGTERM": ""}, seed=518),
    "records behind a gap are taken": Mutation(Ingest, "_before_gaps", lambda _, found: found, {"unanswered": "watermarks", "retention": ""}, seed=18),
}


@contextmanager
def mutated(name: str) -> Iterator[None]:
    each = MUTATIONS[name]
    with patch.object(each.owner, each.name, each.stand_in):
        yield


def found_at(name: str, seeds: Iterable[int]) -> tuple[int, str] | None:
    """The first seed that finds the mutation, and what it found."""
    with mutated(name):
        for seed in seeds:
            if violation := simulate(seed, aim=MUTATIONS[name].aim).violation:
                return seed, violation.strip().split("\n")[-1]
    return None
