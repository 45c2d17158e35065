"""Messages of topic `tracebraid.rules`: one rule each, compacted by its name.

In: rules and the window from which they hold; keys and values of messages. Out: bytes; what a message says. Never: Kafka.

Key: the rule's name. Value: JSON {"version": 1, "yaml": …, "effective_from_us": …, "content_hash": …}; no value removes the rule.
"""

from dataclasses import dataclass

import orjson

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.kernel.errors import one_line
from tracebraid.pipeline.rules.errors import Mistake, RuleError
from tracebraid.pipeline.rules.load import load_rules
from tracebraid.pipeline.rules.write import to_yaml
from tracebraid.schemas.rule import Rule
from tracebraid.schemas.table import LATEST_US

VERSION = 1
AHEAD_US = 5_000_000  # by then every ingest measures the rule, and every detect knows it


@dataclass(frozen=True, slots=True)
class RuleMessage:
    """rule: None removes the one of that name. effective_from_us: start of the first window it holds for; of a removal 0, for Kafka's tombstones hold nothing:
    there it is boundary_us() of the message's Kafka timestamp and the `every` of the rule that goes.

    content_hash: as its sender took it, which an older or newer version may take otherwise: compare it with others of the topic.
    """

    name: str
    rule: Rule | None
    effective_from_us: int = 0
    content_hash: str = ""


def boundary_us(now_us: int, every_us: int) -> int:
    """The first boundary of windows that is at least AHEAD_US ahead."""
    return -(-(now_us + AHEAD_US) // every_us) * every_us


def encode(rule: Rule, effective_from_us: int) -> tuple[bytes, bytes]:
    """Key and value."""
    value = {"version": VERSION, "yaml": to_yaml([rule]), "effective_from_us": effective_from_us, "content_hash": rule.content_hash}
    return rule.name.encode(), orjson.dumps(value)


def decode(key: bytes | None, value: bytes | None) -> RuleMessage:
    """Raises RuleError, in one line a mistake, for whatever else stands there; its source is 'rule NAME on the topic'."""
    name = (key or b"").decode("utf-8", "replace")
    source = f"rule {name[:100]!r} on the topic"
    if not name:
        raise _refused(source, "a message without a key", "the key is the rule's name")
    if not value:
        return RuleMessage(name, None)
    if len(value) > 2 * limits.rule_file_bytes_max:
        raise _refused(source, f"a message of {len(value)} bytes")
    try:
        message = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise _refused(source, f"no JSON: {one_line(error)}") from None
    if not isinstance(message, dict) or message.get("version") != VERSION:
        raise _refused(source, f"no message of version {VERSION}", "apply it with a tracebraid of this version")
    text, since, content_hash = message.get("yaml"), message.get("effective_from_us"), message.get("content_hash")
    if not isinstance(text, str) or not isinstance(content_hash, str) or not isinstance(since, int) or isinstance(since, bool) or not 0 <= since <= LATEST_US:
        raise _refused(source, "yaml, effective_from_us or content_hash is not there, or of another type or range")
    rules = load_rules(text, source)
    if len(rules) != 1 or rules[0].name != name:
        raise _refused(source, f"holds {len(rules)} rules, or one of another name", "a message holds the one rule its key names")
    return RuleMessage(name, rules[0], since, content_hash)


def _refused(source: str, what: str, hint: str = "") -> RuleError:
    return RuleError(source, [Mistake(1, 1, what, hint)])
