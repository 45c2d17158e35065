"""The Avro schemas that records name, from the Schema Registry of the settings.

In: records of one partition. Out: the same, with the schemas that their frames name. Never: a record held up for long, or refused here: without its schema
decode makes it a reject, which keeps its bytes and can be sent again; more of an answer than `registry_answer_bytes_max`.

Source: `GET /schemas/ids/{id}` of Confluent's Schema Registry; an id means the same schema for ever, so each is asked for once. While the registry does not
answer, it is asked again after `registry_pause_s`; ids that it does not know are remembered as such for as long.
"""

import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.errors import UsageError
from tracebraid.pipeline.kernel.records import Records
from tracebraid.pipeline.kernel.schema_registry import SchemaRegistrySettings

if TYPE_CHECKING:
    import urllib3

log = structlog.get_logger()
_FRAME = struct.Struct(">bI")  # byte 0, schema id


class Schemas:
    """A client of one registry and what it has said. Not shared between threads. Raises UsageError where `ca_file` cannot be read."""

    def __init__(self, settings: SchemaRegistrySettings, clock: Clock) -> None:
        self.settings, self.clock = settings, clock
        self._known: dict[int, str] = {}
        self._known_bytes = 0
        self._unknown: dict[int, float] = {}  # id → when it may be asked for again
        self._silent_until_s = 0.0
        self._pool = _pool(settings) if settings.url else None

    def given(self, records: Records) -> Records:
        """`records` with the Avro schemas of its frames, by id; the same object where there is no registry or no frame."""
        if self._pool is None or records.encoding != "auto":
            return records
        values = records.batch.column("value")
        framed = values.filter(pc.fill_null(pc.starts_with(values, b"\0"), pa.scalar(False)))
        if not len(framed):
            return records
        heads = pc.unique(pc.binary_slice(framed, 0, _FRAME.size)).to_pylist()
        ids = {_FRAME.unpack(head)[1] for head in heads if len(head) == _FRAME.size}
        found = {each: self._known[each] for each in ids if each in self._known}
        misses, until_s = 0, self.clock.monotonic_s() + limits.registry_batch_s
        for each in sorted(ids - found.keys()):
            if misses == limits.registry_ids_max or self.clock.past(until_s) or not self._may_ask(each):
                continue
            schema = self._ask(each)
            if schema is None:
                misses += 1
            else:
                found[each] = schema
        return replace(records, schemas=found)

    def _may_ask(self, schema_id: int) -> bool:
        return self.clock.monotonic_s() >= max(self._silent_until_s, self._unknown.get(schema_id, 0.0))

    def _ask(self, schema_id: int) -> str | None:
        from urllib3.exceptions import HTTPError

        assert self._pool is not None
        try:
            answer = self._pool.request("GET", f"{self.settings.url.rstrip('/')}/schemas/ids/{schema_id}", redirect=False, preload_content=False)
            status, body = answer.status, self._body(answer)
        except (HTTPError, OSError) as error:
            self._silent(type(error).__name__)
            return None
        if status in (401, 403, 408, 429) or status >= 500:
            self._silent(f"it answered {status}")
            return None
        schema = _avro(body) if status == 200 else None
        if schema is None:
            if len(self._unknown) >= limits.registry_cached_max:
                self._unknown.clear()
            self._unknown[schema_id] = self.clock.monotonic_s() + limits.registry_pause_s
            return None
        self._known_bytes += len(schema)
        if len(self._known) >= limits.registry_cached_max or self._known_bytes > limits.registry_cached_bytes_max:
            self._known.clear()
            self._known_bytes = len(schema)
        self._known[schema_id] = schema
        return schema

    def _body(self, answer: "urllib3.BaseHTTPResponse") -> bytes:
        """All of it; b'' where it is larger than a schema is. Raises TimeoutError where it drips in: what is read at once may still take `timeout_s`."""
        found, until_s = b"", self.clock.monotonic_s() + self.settings.timeout_s
        try:
            while piece := answer.read1(limits.registry_answer_bytes_max, decode_content=False):
                found += piece
                if len(found) > limits.registry_answer_bytes_max:
                    return b""
                if self.clock.past(until_s):
                    raise TimeoutError
            return found
        finally:
            answer.close()

    def _silent(self, why: str) -> None:
        self._silent_until_s = self.clock.monotonic_s() + limits.registry_pause_s
        log.warning("the schema registry gives no schemas: records of Avro are rejects meanwhile", why=why, seconds=limits.registry_pause_s)


def _avro(body: bytes) -> str | None:
    """The schema of an answer, if it is one of Avro that stands by itself."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(answer, Mapping) or answer.get("schemaType") not in (None, "AVRO") or answer.get("references"):
        return None
    schema = answer.get("schema")
    return schema if isinstance(schema, str) and len(schema) <= limits.avro_schema_bytes_max else None


def _pool(settings: SchemaRegistrySettings) -> "urllib3.PoolManager":
    import urllib3  # 0.01 s of a start, which most do without

    headers = {"Accept": "application/vnd.schemaregistry.v1+json", **{name: secret.get_secret_value() for name, secret in settings.headers.items()}}
    if token := settings.token.get_secret_value():
        headers["Authorization"] = f"Bearer {token}"
    context = urllib3.util.create_urllib3_context()
    if settings.verify_tls:
        try:
            context.load_verify_locations(settings.ca_file) if settings.ca_file else context.load_default_certs()
        except OSError as error:
            what = f"{settings.called}: cannot read ca_file {settings.ca_file}: {error.strerror or error}"
            raise UsageError(what, "Give the path of a PEM file") from None
    else:
        context.check_hostname = False
    timeout = urllib3.Timeout(connect=settings.timeout_s, read=settings.timeout_s)
    required = "CERT_REQUIRED" if settings.verify_tls else "CERT_NONE"
    return urllib3.PoolManager(headers=headers, retries=False, timeout=timeout, ssl_context=context, cert_reqs=required)
