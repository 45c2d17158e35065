"""Avro behind Schema Registry frames: schemas are asked for once, and what cannot be had costs the records that need it, not the others."""

import io
import json
import socketserver
import threading
import time
from contextlib import suppress
from typing import Any

import pytest

from tests.batches import records_of
from tests.registry import Registry, registry
from tests.unit.decode.test_registry import JSON, LOG, PROTO
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.kernel.records import Decoded
from tracebraid.pipeline.kernel.schema_registry import SchemaRegistrySettings
from tracebraid.pipeline.source.schemas import Schemas

fastavro = pytest.importorskip("fastavro", reason="needs fastavro: pip install 'tracebraid[avro]'")
SCHEMA = {
    "type": "record",
    "name": "Log",
    "fields": [
        {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "level", "type": {"type": "enum", "name": "Level", "symbols": ["INFO", "WARN"]}},
        {"name": "message", "type": "string"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "blob", "type": "bytes"},
        {"name": "labels", "type": {"type": "map", "values": ["null", "string"]}},
    ],
}
CONTENT = {"time": 1_767_225_600_123, "level": "WARN", "message": "slow", "price": b"\x04\xd2", "blob": b"\0\xff", "labels": {"a": "b", "none": None}}
FIELDS = {
    "time": "2026-01-01T00:00:00.123000+00:00",
    "level": "WARN",
    "message": "slow",
    "price": "12.34",
    "blob": "AP8=",
    "labels.a": "b",
    "labels.none": None,
}


def avro(schema_id: int = 7) -> bytes:
    out = io.BytesIO()
    plain = {**SCHEMA, "fields": [{**field, "type": "bytes" if field["name"] == "price" else field["type"]} for field in SCHEMA["fields"]]}  # type: ignore[index]
    fastavro.schemaless_writer(out, fastavro.parse_schema(plain), CONTENT)
    return b"\0" + schema_id.to_bytes(4, "big") + out.getvalue()


def client(known: Registry, clock: Clock | None = None) -> Schemas:
    return Schemas(SchemaRegistrySettings(url=known.url), clock or Clock())


def read(schemas: Schemas, *values: bytes, **options: Any) -> Decoded:
    return decode(schemas.given(records_of(values, **options)), kernels=False)


def reasons(decoded: Decoded) -> list[tuple[int, str]]:
    return [(row["record"], row["reason"]) for row in decoded.rejects.to_pylist()]


def test_a_log_in_avro_is_a_log_object() -> None:
    with registry(schemas={7: {"schema": json.dumps(SCHEMA)}}) as known:
        decoded = read(client(known), avro(), LOG, avro(), b"\0\0\0\0\x07" + JSON, b"\0")
    assert [(row["record"], dict(row["attributes"])) for row in decoded.logs.to_pylist() if row["record"] != 1] == [(0, FIELDS), (2, FIELDS)]
    assert reasons(decoded) == [(3, "malformed"), (4, "malformed")]
    assert known.asked == [("/ccompat/schemas/ids/7", 200)]


def test_frames_of_json_and_protobuf_need_no_registry() -> None:
    values = [b"\0\0\0\0\x07" + JSON, b"\0\0\0\0\x08\0" + PROTO]
    with registry(schemas={7: {"schemaType": "JSON", "schema": "{}"}, 8: {"schemaType": "PROTOBUF", "schema": ""}}) as known:
        assert read(client(known), *values).spans.num_rows == 2
    assert decode(records_of(values)).spans.num_rows == 2


@pytest.mark.parametrize(
    "held",
    [None, {}, [], {"schema": 7}, {"schema": "no JSON"}, {"schema": '{"type":"odd"}'}, {"schema": '"string"', "references": [{"name": "x"}]}],
)
def test_what_is_no_avro_schema_costs_its_records(held: Any) -> None:
    with registry(schemas={} if held is None else {7: held}) as known:
        decoded = read(client(known), LOG, avro(), LOG)
    assert (decoded.logs.num_rows, reasons(decoded)) == (2, [(1, "unknown_encoding")])


def test_a_schema_that_is_part_of_itself_costs_its_records_and_not_the_process() -> None:
    chain: dict[str, Any] = {"type": "record", "name": "a.Node", "fields": [{"name": "next", "type": ["null", {"type": "array", "items": "Node"}]}]}
    twice: dict[str, Any] = {"type": "record", "name": "Pair", "fields": [{"name": "one", "type": SCHEMA}, {"name": "other", "type": ["null", "Log"]}]}
    frames = [b"\0\0\0\0\x07" + b"\x02\x02" * 100_000 + b"\0", b"\0\0\0\0\x08" + avro()[5:] + b"\0"]
    with registry(schemas={7: {"schema": json.dumps(chain)}, 8: {"schema": json.dumps(twice)}}) as known:
        decoded = read(client(known), *frames)
    assert (decoded.logs.num_rows, reasons(decoded)) == (1, [(0, "unknown_encoding")])


def test_a_registry_that_fails_is_asked_again_after_a_pause() -> None:
    now_s = [100.0]
    clock = Clock(monotonic_s=lambda: now_s[0])
    with registry(schemas={7: {"schema": json.dumps(SCHEMA)}}, failing=[503]) as known:
        schemas = client(known, clock)
        assert reasons(read(schemas, avro(), avro(8))) == [(0, "unknown_encoding"), (1, "unknown_encoding")]
        assert len(known.asked) == 1
        now_s[0] += limits.registry_pause_s - 1
        assert reasons(read(schemas, avro())) == [(0, "unknown_encoding")]
        now_s[0] += 2
        assert read(schemas, avro()).logs.num_rows == 1
    assert read(schemas, avro()).logs.num_rows == 1  # it is known, though the registry is away
    now_s[0] += limits.registry_pause_s
    assert reasons(read(schemas, avro(9))) == [(0, "unknown_encoding")]


def test_ids_that_nobody_knows_are_asked_for_seldom() -> None:
    with registry() as known:
        schemas = client(known)
        for _ in range(2):
            read(schemas, *(avro(number) for number in range(10)))
        assert len(known.asked) == 10
        read(schemas, *(avro(number) for number in range(100, 200)))
        assert len(known.asked) == 10 + limits.registry_ids_max


def test_ids_of_other_schemas_do_not_keep_avro_from_being_asked_for() -> None:
    others = {number: {"schemaType": "PROTOBUF", "schema": ""} for number in range(limits.registry_ids_max + 4)}
    with registry(schemas={**others, 100: {"schema": json.dumps(SCHEMA)}}) as known:
        schemas, values = client(known), [*(avro(number) for number in others), avro(100)]
        found = [read(schemas, *values).logs.num_rows for _ in range(3)]
    assert (found[-1], len(known.asked)) == (1, len(others) + 1)


def test_a_topic_of_many_schemas_is_read_from_its_first_batch_on() -> None:
    with registry(schemas={number: {"schema": json.dumps(SCHEMA)} for number in range(40)}) as known:
        assert read(client(known), *(avro(number) for number in range(40))).logs.num_rows == 40


def test_a_slow_registry_holds_nobody_up_for_long() -> None:
    now_s = [100.0]

    def later() -> float:
        now_s[0] += 1.0  # whenever it is looked at
        return now_s[0]

    with registry(schemas={number: {"schema": json.dumps(SCHEMA)} for number in range(40)}) as known:
        decoded = read(client(known, Clock(monotonic_s=later)), *(avro(number) for number in range(40)))
    assert 0 < decoded.logs.num_rows < limits.registry_batch_s


def test_an_answer_that_is_too_large_is_none_and_is_not_read_to_its_end() -> None:
    """Whatever it says of its length, and however long it goes on."""
    sent = 0

    class Endless(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            nonlocal sent
            self.rfile.readline()
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"schema":"')
            with suppress(OSError):
                while sent < 100 * limits.MIB:
                    sent += self.request.send(b"a" * limits.MIB)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Endless) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            schemas = Schemas(SchemaRegistrySettings(url=f"http://127.0.0.1:{server.server_address[1]}"), Clock())
            assert reasons(read(schemas, avro(), LOG)) == [(0, "unknown_encoding")]
        finally:
            server.shutdown()
            thread.join()
    assert sent < 20 * limits.MIB


def test_a_registry_that_lets_its_answer_drip_is_not_waited_for() -> None:
    now_s = [100.0]

    def later() -> float:
        now_s[0] += 3.0
        return now_s[0]

    class Dripping(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            with suppress(OSError):
                while True:
                    self.wfile.write(b"a")
                    time.sleep(0.01)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dripping) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            schemas = Schemas(SchemaRegistrySettings(url=f"http://127.0.0.1:{server.server_address[1]}"), Clock(monotonic_s=later))
            assert reasons(read(schemas, avro(), LOG)) == [(0, "unknown_encoding")]
        finally:
            server.shutdown()
            thread.join()


def test_a_schema_that_is_larger_than_any_is_none_and_all_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    large = json.dumps({**SCHEMA, "doc": "d" * limits.avro_schema_bytes_max})
    with registry(schemas={7: {"schema": large}, **{number: {"schema": json.dumps(SCHEMA)} for number in range(8, 40)}}) as known:
        schemas = client(known)
        monkeypatch.setattr(limits, "registry_cached_bytes_max", 3 * len(json.dumps(SCHEMA)))
        decoded = read(schemas, *(avro(number) for number in range(7, 40)))
        assert (decoded.logs.num_rows, reasons(decoded)) == (32, [(0, "unknown_encoding")])
        assert len(schemas._known) <= 3


def test_without_a_registry_or_frames_nothing_is_asked() -> None:
    none = Schemas(SchemaRegistrySettings(), Clock())
    records = records_of([avro()])
    assert none.given(records) is records
    assert reasons(decode(records)) == [(0, "unknown_encoding")]
    with registry() as known:
        for values, encoding in (([LOG], "auto"), ([avro()], "text")):
            records = records_of(values, encoding)
            assert client(known).given(records) is records
    assert known.asked == []


def test_a_header_may_name_avro() -> None:
    headers = [[("content-type", b"application/avro")]] * 2
    with registry(schemas={7: {"schema": json.dumps(SCHEMA)}}) as known:
        decoded = read(client(known), avro(), avro()[5:], headers=headers)
    assert (decoded.logs.column("record").to_pylist(), reasons(decoded)) == ([0], [(1, "unknown_encoding")])


def test_broken_avro_stays_alone() -> None:
    whole = avro()
    with registry(schemas={7: {"schema": json.dumps(SCHEMA)}}) as known:
        schemas = client(known)
        cuts = [whole[:size] for size in range(6, len(whole))] + [whole + b"\0", whole[:5] + b"\xff" * 40]
        decoded = read(schemas, *(value for cut in cuts for value in (whole, cut)))
    assert decoded.logs.column("record").to_pylist() == list(range(0, 2 * len(cuts), 2))
    assert {reason for _, reason in reasons(decoded)} == {"malformed"}
    assert len(reasons(decoded)) == len(cuts)
