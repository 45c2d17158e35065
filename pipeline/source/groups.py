"""How many members a consumer group has.

In: client settings, a group. Out: a number. Never: a consumer, or anything changed.
"""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tracebraid.pipeline.kernel.broker import ErrorLog, client_logger, explain
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.source.cluster import MOCK

CALL_S = 5.0


def members(client: Mapping[str, str], group: str, clock: Clock) -> int | None:
    """0 for a group that is not there; None where the cluster is the embedded one, which tells nothing of groups. Raises TracebraidError of one line."""
    errors = ErrorLog(clock)
    config: dict[str, Any] = {**client, "error_cb": errors}
    try:
        admin = AdminClient(config, logger=client_logger())
        if (admin.list_topics(timeout=CALL_S).cluster_id or "").startswith(MOCK):
            return None
        return len(admin.describe_consumer_groups([group], request_timeout=CALL_S)[group].result().members)
    except KafkaException as error:
        failure = error.args[0]
        if failure.name() == "GROUP_ID_NOT_FOUND":
            return 0
        raise explain(*errors.cause(failure.name(), failure.str()), client.get("bootstrap.servers", ""), f"describing group {group}") from None
