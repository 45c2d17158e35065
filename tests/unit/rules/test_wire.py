"""Messages of the rules topic, whole and broken."""

import orjson
import pytest

from tracebraid.pipeline.rules.errors import RuleError
from tracebraid.pipeline.rules.load import load_rules, starter_text
from tracebraid.pipeline.rules.wire import RuleMessage, decode, encode

RULES = load_rules(starter_text(), "starter.yaml")
KEY, VALUE = encode(RULES[0], 1_700_000_000_000_000)


def test_messages_read_back() -> None:
    for rule in RULES:
        assert decode(*encode(rule, 60_000_000)) == RuleMessage(rule.name, rule, 60_000_000, rule.content_hash)


def test_tombstone_removes() -> None:
    assert decode(b"silence", None) == decode(b"silence", b"") == RuleMessage("silence", None)


def changed(**keys: object) -> bytes:
    return orjson.dumps({**orjson.loads(VALUE), **keys})


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        (None, VALUE, "without a key"),
        (KEY, b"{", "no JSON"),
        (KEY, b"[]", "version 1"),
        (KEY, changed(version=2), "version 1"),
        (KEY, changed(yaml=5), "another type"),
        (KEY, changed(effective_from_us=True), "another type"),
        (KEY, changed(effective_from_us=-1), "another type"),
        (KEY, changed(effective_from_us=(1 << 64) - 1), "or range"),
        (KEY, changed(content_hash=None), "another type"),
        (KEY, changed(yaml="- name: [", content_hash=""), "on the topic:"),
        (KEY, changed(yaml=""), "holds 0 rules"),
        (b"other", VALUE, "another name"),
        (KEY, b"x" * 1_000_000, "1000000 bytes"),
        (b"\xff", changed(yaml="- name: a\n  on: spans\n  when: cuont() > 1"), "did you mean count"),
    ],
)
def test_other_messages_are_refused_in_one_line(key: bytes | None, value: bytes, told: str) -> None:
    with pytest.raises(RuleError, match=told) as error:
        decode(key, value)
    assert "\n" not in str(error.value)
