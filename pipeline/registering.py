"""The JSON Schema of alert messages, registered with a Schema Registry, where people and tools look up what a topic holds.

In: settings. Out: a version of the subject of each topic of alerts. Never: an alert that waits for it; a message with the registry's frame in front.

Source: `POST /subjects/{subject}/versions` of Confluent's Schema Registry, which Karapace, Redpanda and Apicurio speak too. What is registered already gets no
second version, so that every detect asks at its start. 409: what the subject holds is not compatible; 422: the registry does not take such a schema.
"""

import threading
from importlib import resources
from urllib.parse import quote

import orjson
import structlog

from tracebraid.pipeline.kernel.backoff import Backoff
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import TracebraidError
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.notify.http import Post

log = structlog.get_logger()
DIALECT = "http://json-schema.org/draft-07/schema#"  # the schema means the same in it, and every registry can compare schemas of it
MEDIA = "application/vnd.schemaregistry.v1+json"
ASK_FOR_RIGHTS = "Set schema_registry.user and schema_registry.password, or schema_registry.token, of somebody who may write the subject"
HINTS = {
    "401": ASK_FOR_RIGHTS,
    "403": ASK_FOR_RIGHTS,
    "404": "schema_registry.url must end before /subjects",
    "409": "What the subject holds does not go with this schema: see its versions in the registry; delete the subject, or set its compatibility to NONE",
    "422": "The registry must know JSON Schema",
}


def register_aside(settings: Settings, clock: Clock, stop: threading.Event) -> None:
    """Register in a thread of its own, until it is done or `stop` is set; nothing without a registry. Raises UsageError where `ca_file` cannot be read."""
    if settings.schema_registry.url:
        post = Post(settings.schema_registry, clock)
        threading.Thread(target=register, args=(settings, post, clock, stop), name="schema-registry", daemon=True).start()


def register(settings: Settings, post: Post, clock: Clock, stop: threading.Event) -> None:
    """Each subject until the registry has taken or refused it: a line for what fails first, none for its repetitions, one for what comes of it."""
    schema = orjson.loads(resources.files("tracebraid.schemas").joinpath("alert.schema.json").read_text(encoding="utf-8"))
    body = orjson.dumps({"schemaType": "JSON", "schema": orjson.dumps({**schema, "$schema": DIALECT}).decode()})
    for topic in (settings.stream.alerts_topic, settings.stream.alerts_state_topic):
        subject, backoff = f"{topic}-value", Backoff(clock)
        url = f"{settings.schema_registry.url.rstrip('/')}/subjects/{quote(subject, safe='')}/versions"
        while not stop.is_set():
            outcome = post.send(url, body, {"Content-Type": MEDIA, "Accept": MEDIA})
            if not outcome.error:
                log.info("the schema of alerts is registered", subject=subject)
                break
            if not outcome.retry:
                log.error(
                    "the schema of alerts is not registered; alerts go on without", subject=subject, why=outcome.error, hint=HINTS.get(outcome.reason, "")
                )
                break
            pause_s = backoff.failed(TracebraidError(outcome.error, transient=True))
            if backoff.failures == 1:
                log.warning("the schema of alerts is not registered yet, and tried again; alerts go on without", subject=subject, why=outcome.error)
            stop.wait(max(pause_s, outcome.after_s))
    post.close()
