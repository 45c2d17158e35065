"""The one place where the product is joined to the virtual world: the names it takes from confluent_kafka, deltalake and Parquet.

In: a world with its broker and store. Out: within the `with`, the product's own code (the flow, the source, the publisher, the lake) runs on
them, unchanged. Never: a name of the product's own logic replaced, but for decode, normalize and the encoding of Parquet.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import structlog

from tests.simulation import transform as cheap
from tests.simulation.broker import Broker
from tests.simulation.client import Admin, Consumer, Producer
from tests.simulation.tables import Aside, OneAtATime, Store, Tables, VirtualFiles
from tests.simulation.world import World
from tracebraid.pipeline import flow, transform
from tracebraid.pipeline.publish import producer
from tracebraid.pipeline.source import cluster, damage, kafka
from tracebraid.pipeline.store import ahead, lake, parquet, tables, transactions


@contextmanager
def joined(world: World, broker: Broker, store: Store) -> Iterator[None]:
    """The product in this world, one world at a time."""
    decode, normalize = cheap.stand_ins(lambda: world.running.decoder if world.running else 1)

    def admin(*_: Any, **__: Any) -> Admin:
        return Admin(world, broker)

    def log_line(_: Any, level: str, event: Mapping[str, Any]) -> Any:
        if world.telling:
            facts = ", ".join(f"{name}={value}" for name, value in event.items() if name != "event")
            world.tell(f"says ({level}): {event['event']}{f' ({facts})' if facts else ''}")
        raise structlog.DropEvent

    names = (
        (kafka, "Consumer", lambda *_, **__: Consumer(world, broker)),
        (damage, "Consumer", lambda *_, **__: Consumer(world, broker)),
        *((module, "close", lambda consumer, *_: consumer.close()) for module in (kafka, damage)),  # one process is one thread here
        (cluster, "AdminClient", admin),
        (producer, "AdminClient", admin),
        (producer, "apart", lambda call, _: call() is None),  # likewise
        (producer, "Producer", lambda config, **_: Producer(world, broker, config)),
        (flow, "apply", lambda *_: []),
        (transform, "decode", decode),
        (transform, "normalize", normalize),
        (tables, "DeltaTable", Tables(store)),
        (lake, "table_files", lambda _, name, __: VirtualFiles(store, name)),
        (transactions, "ThreadPoolExecutor", OneAtATime),
        (parquet, "encode_rows", cheap.encode_rows),
        (ahead, "encode_rows", cheap.encode_rows),
        (flow, "ThreadPoolExecutor", lambda *_: Aside(world)),
        (parquet, "uuid4", store.name),
    )
    before = structlog.get_config()
    structlog.configure(processors=[log_line], cache_logger_on_first_use=False)
    patches = [patch.object(module, name, stand_in) for module, name, stand_in in names]
    try:
        for each in patches:
            each.start()
        yield
    finally:
        patch.stopall()
        structlog.configure(**before)
