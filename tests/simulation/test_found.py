"""What seeds have found, told without chance, so that no change of the simulator's dice hides it again."""

from collections.abc import Callable, Sequence

import pytest

from tests.simulation.borders import joined
from tests.simulation.broker import Broker
from tests.simulation.tables import Store
from tests.simulation.world import Plan, Process, World
from tracebraid.pipeline.flow import Flow, Ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import OwnershipLost, TracebraidError
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.kernel.settings import Settings, TopicSettings
from tracebraid.pipeline.publish.producer import Publisher
from tracebraid.pipeline.source.kafka import KafkaSource
from tracebraid.pipeline.source.partitions import Damaged, Owner
from tracebraid.pipeline.store.lake import Lake

QUIET = Plan({}, {}, "", 0.0, 0.0, 0)


def _alone(life: Callable[[World, Broker, Clock], None]) -> Store:
    """Run `life` as the one process of a world without faults."""
    world = World(0, QUIET)
    broker, store = Broker(world.chance, world.tell), Store(world)
    process = Process("p1", decoder=1)

    def to_its_end() -> None:
        life(world, broker, world.clock(process))
        process.dead = True

    with joined(world, broker, store):
        world.start(process, to_its_end)
        while world.alive():
            world.turn()
            broker.rebalance()
    return store


def test_a_topic_made_again_while_no_broker_answers_is_taken_once_one_does() -> None:
    """Otherwise its partitions are held by nobody, and the next look at them ends the process with a stack trace."""
    read: list[tuple[str, int]] = []

    def life(world: World, broker: Broker, clock: Clock) -> None:
        broker.create("orders", 1)
        silent = False

        def assigned(partitions: Sequence[Partition]) -> dict[Partition, int]:
            if silent:
                broker.down_until_s = world.now_s + 40
            return dict.fromkeys(partitions, 0)

        def given_up(_: Sequence[Partition]) -> None:
            """Nothing is open."""

        source = KafkaSource({}, [TopicSettings(name="orders")], "group", Owner(assigned, given_up, given_up), clock)
        while not source.partitions():
            source.poll()
        (old,) = source.partitions()
        broker.delete("orders")
        new = broker.create("orders", 1)
        broker.produce(new.logs[0], ("s", "s"), marker=0)
        silent = True
        with pytest.raises(TracebraidError, match="no broker answers"):
            source.verify()
        silent = False
        assert source.partitions() == [old]
        while world.now_s < broker.down_until_s:
            clock.sleep(1)
        assert source.verify() == [old]
        while not read:
            read.extend((records.partition.topic_id, records.first_offset) for records in source.poll())
        source.close()

    _alone(life)
    assert read == [("id-1", 0)]


def test_damage_that_was_told_of_before_a_new_start_is_stepped_over_only_once_it_is_met_again() -> None:
    """Otherwise both sinks step over records that they are only about to read: lost to the lake, and never published to the stream."""
    published: list[int] = []

    def life(world: World, broker: Broker, clock: Clock) -> None:
        (log,) = broker.create("orders", 1).logs
        for _ in range(200):
            broker.produce(log, ("r", "r"), marker=0)
        log.damaged = range(150, 153)
        settings = Settings(lake="virtual://lake", topics=(TopicSettings(name="orders"),))
        lake = Lake.open(settings.lake, {}, clock, create=True)
        publisher = Publisher.transactional({}, "group", clock)
        ingest = Ingest(Flow(settings, lake, "group", metrics=Metrics(), clock=clock, stream=True), publisher)
        while not ingest.source.partitions():
            ingest.step()
        ingest.source.events.append(Damaged(ingest.source.partitions()[0], 150, 153, "told of before"))
        ingest._restart(OwnershipLost("somebody came between"))
        while not ingest.done():
            ingest.step(drain=True)
        published.extend(int(facts["tracebraid.offset"]) for _, facts in broker.published)
        ingest.close()

    store = _alone(life)
    assert published == [*range(150), *range(153, 200)]
    rows = [row for path in store.logs["intervals"].paths() for row in store.files["intervals", path].rows or ()]
    assert [(row["first_offset"], row["last_offset"]) for row in rows if row["kind"] == "lost"] == [(150, 152)]
