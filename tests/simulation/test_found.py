"""What seeds have found, told without chance, so that no change of the simulator's dice hides it again."""

from collections.abc import Callable, Sequence

import pytest

from tests.simulation.borders import joined
from tests.simulation.broker import Broker
from tests.simulation.tables import Store
from tests.simulation.world import Plan, Process, World
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.kernel.settings import TopicSettings
from tracebraid.pipeline.source.kafka import KafkaSource
from tracebraid.pipeline.source.partitions import Owner

QUIET = Plan({}, {}, "", 0.0, 0.0, 0)


def _alone(life: Callable[[World, Broker, Clock], None]) -> None:
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
