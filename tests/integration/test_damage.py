"""A batch that the broker holds but nobody can read: declared lost, exactly it, and the partition goes on."""

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.integration.test_ingest import intervals_are_whole, numbers, settings_for, with_rejects_topic
from tracebraid import connect
from tracebraid.pipeline.flow import run_ingest
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.records import Partition
from tracebraid.pipeline.source.damage import first_readable

pytestmark = pytest.mark.broker
BATCH = 7  # records a batch


def spoil(broker: Any, topic: str, *needles: bytes) -> None:
    """Overwrite what the broker has on its disk, as a failing disk does."""
    (path,) = (broker.process.directory / "data").glob(f"{topic}-0/*.log")
    data = Path(path).read_bytes()
    with open(path, "r+b") as file:
        for needle in needles:
            file.seek(data.index(needle))
            file.write(b"#" * 6)


def filled(broker: Any, name: str, batches: int) -> str:
    if not broker.owned or not hasattr(broker.process, "directory"):
        pytest.skip("needs the broker's own files: a broker run from Kafka's jars")
    topic: str = broker.create_topic(broker.unique(name))
    producer = Producer({**broker.client, "linger.ms": 100})
    for batch in range(batches):
        for number in range(batch * BATCH, (batch + 1) * BATCH):
            producer.produce(topic, f'{{"msg":"needle{number:05}","number":{number}}}'.encode())
        producer.flush()
    return topic


@pytest.mark.parametrize("spoiled", [[3], [3, 4], [0], [9]])
def test_a_damaged_batch_is_a_declared_loss_and_the_partition_goes_on(broker: Any, tmp_path: Path, spoiled: list[int]) -> None:
    topic = filled(broker, "damage", 10)
    spoil(broker, topic, *(b"needle%05d" % (batch * BATCH + 2) for batch in spoiled))
    settings = with_rejects_topic(broker, settings_for(broker, tmp_path, topic))
    run_ingest(settings, drain=True)
    gone = range(spoiled[0] * BATCH, (spoiled[-1] + 1) * BATCH)
    assert numbers(settings) == [number for number in range(10 * BATCH) if number not in gone]
    lost = connect(settings.lake).execute("select first_offset, last_offset, reason[:8] from intervals where kind = 'lost'").fetchall()
    assert lost == [(gone[0], gone[-1], "damaged:")]
    intervals_are_whole(settings)


def test_the_edge_of_a_long_damage_is_found(broker: Any) -> None:
    topic = filled(broker, "edge", 60)
    spoil(broker, topic, *(b"needle%05d" % (batch * BATCH) for batch in range(5, 52)))
    partition = Partition("c", topic, "id", 0)
    assert first_readable(broker.client, partition, 5 * BATCH, 60 * BATCH, Clock()) == 52 * BATCH
