"""What redaction does to rows, a case at a time; tests/property/test_redact.py holds it to an oracle."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.batches import records_of
from tests.unit.decode.test_registry import PROTO
from tracebraid.pipeline.decode.registry import decode
from tracebraid.pipeline.kernel.metrics import Metrics
from tracebraid.pipeline.kernel.records import Normalized
from tracebraid.pipeline.kernel.settings import Settings
from tracebraid.pipeline.normalize.batch import normalize
from tracebraid.pipeline.redact.cards import mask_cards
from tracebraid.pipeline.redact.patterns import masked, patterns_of
from tracebraid.pipeline.redact.rows import redact

ALL = ("email", "card", "token", "url_password")
KEY = "0123456789abcdef"


def rows_of(values: list[bytes], **chosen: Any) -> Normalized:
    records = records_of(values)
    return redact(normalize(records, decode(records), now_us=1), Settings.model_validate(chosen))


def log(fields: dict[str, Any], **chosen: Any) -> dict[str, Any]:
    (row,) = rows_of([json.dumps(fields).encode()], redact=chosen).logs.to_pylist()
    return dict(row)


def masked_text(text: str, *names: str) -> str:
    values, _ = masked(pa.array([text]), patterns_of(Settings.model_validate({"redact": {"mask": names or ALL}}).redact))
    return str(values[0].as_py())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("to john.doe+x@mail.example.com, now", "to [redacted:email], now"),
        ("/u/john%40example.com/x", "/u/[redacted:email]/x"),
        ("package@1.2.3 and user@localhost", "package@1.2.3 and user@localhost"),
        ("GET Authorization: Bearer abc.DEF-123", "GET Authorization: Bearer [redacted:token]"),
        ('{"authorization":"opaque"}', '{"authorization":"[redacted:token]"}'),
        ("map[Authorization:[Basic dXNlcjpwYXNz]]", "map[Authorization:[Basic [redacted:token]]]"),
        ("Bearer authentication failed; basic checks passed", "Bearer authentication failed; basic checks passed"),
        ("jwt eyJhbGciOiJI.eyJzdWIiOiIx.sig_-1 end", "jwt [redacted:token] end"),
        ("postgres://app:s3cr@t@db:5432/x", "postgres://app:[redacted:url_password]@db:5432/x"),
        ("https://example.com:8443/a@b and redis://:pw@h", "https://example.com:8443/a@b and redis://:[redacted:url_password]@h"),
        ("mail is ünï@exämple.de", "mail is [redacted:email]"),
        ("", ""),
    ],
)
def test_what_is_masked_and_what_is_not(text: str, wanted: str) -> None:
    assert masked_text(text) == wanted


@pytest.mark.parametrize("number", ["4111111111111111", "5105 1051 0510 5100", "3782-822463-10005", "6011000990139424", "30569309025904", "2221000000000009"])
def test_card_numbers_are_found_alone_and_in_sentences(number: str) -> None:
    assert mask_cards(number, "#") == "#"
    assert mask_cards(f"pay:{number}, {number} 12;", "#") == "pay:#, # 12;"
    assert mask_cards(f"{number}.{number}", "#") == "#.#"


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",
        "x4111111111111111",
        "41111111111111119999",
        "0.4111111111111111",
        "1700000000123456789",
        "4111  1111  1111  1111",
        "4bf92f3577b34da6",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert mask_cards(text, "#") == text


def test_keys_are_dropped_and_hashed_wherever_they_are_told() -> None:
    row = log({"msg": "x", "user.id": "u-1", "Session.SECRET": "s", "nested": {"secret": 1, "b": 2}}, drop=["*.secret"], hash=["user.id"], key=KEY)
    # As: printf u-1 | openssl dgst -sha256 -hmac 0123456789abcdef
    assert dict(row["attributes"]) == {"user.id": "hmac:9faa1b049c0fba732d92e9844d49635e", "nested.b": "2"}


def test_equal_values_have_equal_hashes_in_columns_and_attributes() -> None:
    row = log({"msg": "x", "service": "shop", "owner": "shop"}, hash=["service.name", "own*"], key=KEY)
    assert row["service_name"] == dict(row["attributes"])["owner"] != "shop"


def test_keys_are_of_attributes_and_columns_are_named_as_such() -> None:
    fields = {"msg": "body", "logger": "l", "service": "shop", "a.name": "x", "body": "y"}
    by_key, by_column = log(fields, drop=["*"]), log(fields, drop=["column:BODY", "column:lo*r"])
    assert (by_key["body"], by_key["logger"], by_key["service_name"], by_key["attributes"]) == ("body", "l", None, [])
    assert (by_column["body"], by_column["logger"], by_column["service_name"]) == (None, None, "shop")
    assert dict(by_column["attributes"]) == {"a.name": "x", "body": "y"}


def test_ids_stay_whatever_they_look_like() -> None:
    row = log({"msg": "x", "trace_id": "4111" * 8, "span_id": "4111111111111111"}, mask=ALL, drop=["trace_id"])
    assert (row["trace_id"], row["span_id"]) == ("4111" * 8, "4111111111111111")


def test_keys_that_are_secrets_are_masked_and_stay_apart() -> None:
    row = log({"msg": "x", "a@b.cc": 1, "c@d.ee": 2, "[redacted:email]": 3}, mask=["email"])
    assert sorted(row["attributes"]) == [("[redacted:email]", "3"), ("[redacted:email]#2", "1"), ("[redacted:email]#3", "2")]


def test_a_header_named_authorization_is_masked_whole() -> None:
    row = log({"msg": "x", "http.request.header.authorization": "opaque"}, mask=["token"])
    assert dict(row["attributes"]) == {"http.request.header.authorization": "[redacted:token]"}


def test_what_was_changed_is_counted_by_rule() -> None:
    values = [json.dumps({"msg": f"m{number} a@b.cc", "user": "u", "gone": 1, "trace_id": "zz", "service": "s"}).encode() for number in range(5)]
    made = rows_of(values, redact={"drop": ["g*"], "hash": ["user", "service.name"], "key": KEY, "mask": ["email"]})
    assert made.redacted == Counter({"drop:g*": 5, "hash:user": 5, "hash:service.name": 5, "email": 5})
    assert {service[:5] for _, service in made.counted} == {"hmac:"}
    metrics, records = Metrics(), records_of(values)
    metrics.count_read(records, decode(records).dropped, made, "")
    assert metrics.registry.get_sample_value("tracebraid_redacted_total", {"topic": "telemetry", "rule": "email"}) == 5


def test_rows_without_anything_to_redact_are_the_same_arrays() -> None:
    records = records_of([b'{"msg":"plain","a":"1"}'])
    found = normalize(records, decode(records), now_us=1)
    assert redact(found, Settings()) is found
    made = redact(found, Settings.model_validate({"redact": {"mask": ALL, "drop": ["x"]}}))
    assert all(new is old or new.equals(old) for new, old in zip(made.logs.columns, found.logs.columns, strict=True))
    assert made.redacted == Counter()


def test_hostile_texts_take_linear_time() -> None:
    for text in ("4444 " * 200_000, "a@" * 500_000, "1" * 1_000_000, "://a:" * 200_000, "Bearer " * 150_000, "eyJaaaaaaaaa." * 80_000, "'a" * 500_000 + "@"):
        assert masked_text(text)


def test_rejects_keep_hash_and_reason_alone() -> None:
    (kept,) = rows_of([b"\xff\xfe secret"]).rejects.to_pylist()
    (hashed,) = rows_of([b"\xff\xfe secret"], rejects={"keep": "hash"}).rejects.to_pylist()
    assert (kept["record_value"], kept["record_key"]) == (b"\xff\xfe secret", b"key-0")
    assert {name for name in hashed if hashed[name] != kept[name]} == {"record_value", "record_key", "message"}
    assert (hashed["record_value"], hashed["record_key"], hashed["record_headers"]) == (None, None, None)
    assert (hashed["value_sha256"], hashed["value_bytes"], hashed["reason"]) == (kept["value_sha256"], 9, "malformed")
    assert hashed["message"] == "The bytes break the rules of the encoding."


def test_what_no_row_has_is_masked_as_well() -> None:
    """A file keeps all of a dictionary, rows or not."""
    normalized = rows_of([PROTO] * 2)
    spans = normalized.spans
    unused = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array(["a", "to john@example.com"]))
    absent = pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int32()), pa.array(["to john@example.com"]))
    for name, column in (("name", unused), ("status_message", absent)):
        assert spans.schema.field(name).type == column.type
        spans = spans.set_column(spans.schema.get_field_index(name), spans.schema.field(name), column)
    keys = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array(["a", "john@example.com"]))
    attributes = pa.MapArray.from_arrays(pa.array([0, 1, 2], pa.int32()), keys, pa.array(["b", "c"]))
    spans = spans.set_column(spans.schema.get_field_index("attributes"), spans.schema.field("attributes"), attributes)
    found = redact(replace(normalized, spans=spans), Settings.model_validate({"redact": {"mask": ["email"]}}))
    assert found.redacted == {}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_batches([found.spans]), sink, compression="none", store_schema=False)
    assert b"john@" not in sink.getvalue().to_pybytes()
    assert found.spans.to_pylist() == spans.to_pylist()
