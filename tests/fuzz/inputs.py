"""A batch of inputs, made of its seed alone.

In: a Random. Out: values as records would have. Never: an input that depends on a batch before it: so a batch is found again by its number.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from tests.fuzz.json_messages import json_message
from tests.fuzz.messages import spans_message, tagged, varint
from tests.fuzz.objects import log_object
from tests.fuzz.texts import texts
from tests.property.test_otlp import SEEDS
from tests.property.test_spans_mutated import WHOLE, odd
from tracebraid.pipeline.decode.registry import DECODERS

SIZES = (1, 10, 100, 1000, 1000, 1000)
_INVALID = Path(__file__).parents[1] / "data" / "invalid"
_ROUND = (1, 7, 8, 9, 12, 13, 16)  # sizes at which kernels take another way
_LENGTHS = (0, 1, 0x7F, 0x80, 0xFF, 0x4000, 1 << 28, 1 << 31, 1 << 32, 1 << 63, (1 << 64) - 1)
_PATH = {"log": "hello 4bf92f3577b34da6a3ce929d0e0e4736\n", "stream": "stdout", "time": "2026-01-01T00:00:00.5Z"}
_EVENTS = [{"id": "1", "timestamp": 1_767_225_600_000, "message": '{"level":"info","msg":"hello"}'}]
_CLOUDWATCH = {"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logStream": "s", "subscriptionFilters": ["f"], "logEvents": _EVENTS}
_GOOGLE = {"logName": "projects/p/logs/l", "insertId": "i", "resource": {"type": "k8s_container"}, "timestamp": "2026-01-01T00:00:00Z", "textPayload": "hello"}
_LINES = (
    b"2026-01-01T00:00:00.123456789Z stdout F hello",
    b"2026-01-01T00:00:00.123456789Z stderr P half of a line",
    b'time=2026-01-01T00:00:00Z level=warn msg="hello there" trace_id=4bf92f3577b34da6a3ce929d0e0e4736 n=1.5',
    b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    b"\x00\x00\x00\x00\x07" + SEEDS[3],
    b"\x00\x00\x00\x00\x07\x00" + SEEDS[0],
    b"\xef\xbb\xbf" + SEEDS[3],
    SEEDS[3] + b"\n" + SEEDS[3],
    b"[" + SEEDS[3] + b"," + SEEDS[3] + b"]",
)
_DOCUMENTS = (
    *(json.dumps(document).encode() for document in (_PATH, _CLOUDWATCH, _GOOGLE, {"message": json.dumps(_PATH), "@timestamp": "2026-01-01T00:00:00Z"})),
    *(value for encoding, value in WHOLE.items() if encoding.endswith("json")),
    *SEEDS[2:4],
)


def others() -> list[bytes]:
    """Records of every encoding but spans of OTLP: those of the tests, those that break an encoding, and lines."""
    files = sorted(path for path in _INVALID.iterdir() if path.is_file())
    return [*SEEDS, *WHOLE.values(), *_LINES, *_DOCUMENTS, *(path.read_bytes() for path in files if path.stat().st_size < 4096)]


def changed(value: bytes, chance: Random, donors: Sequence[bytes]) -> bytes:
    """`value` after one to four flips, cuts, splices and edits of a length."""
    found = bytearray(value)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at = chance.randrange(len(found) + 1)
        choice = chance.randrange(8)
        if choice == 0:
            del found[at:]
        elif choice == 1:
            del found[at : at + chance.choice(_ROUND)]
        elif choice == 2:
            found[at:at] = chance.randbytes(chance.choice(_ROUND))
        elif choice == 3:
            donor = chance.choice(donors)
            start = chance.randrange(len(donor) + 1)
            found[at : at + chance.choice((0, 8, 64))] = donor[start : start + chance.choice((8, 16, 64))]
        elif choice == 4:
            found[at : at + 1] = varint(chance.choice(_LENGTHS), chance.choice((0, 0, 1, 5)))
        elif choice == 5 and at < len(found):
            found[at] = (found[at] + chance.choice((-2, -1, 1, 2))) & 0xFF
        elif choice == 6 and at < len(found):
            found[at] ^= 1 << chance.randrange(8)
        elif at < len(found):
            found[at] = chance.choice((0, 0x0A, 0x12, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return bytes(found)


def _random(chance: Random) -> bytes:
    content = chance.randbytes(chance.choice((1, 4, 16, 80)))
    return chance.choice((content, b"\n" + content, tagged(1, content), tagged(1, tagged(2, tagged(2, content)))))


def span_batch(chance: Random) -> tuple[list[bytes | None], str]:
    """Inputs for the walkers, and the encoding to read them as: generated and changed messages, random bytes, and records of other encodings between."""
    count, foreign = chance.choice(SIZES), _OTHERS
    json_share = chance.choice((0.0, 0.0, 0.1, 0.5, 1.0))
    made = [json_message(chance) if chance.random() < json_share else spans_message(chance) for _ in range(min(count, 4) + count * 2 // 5)]
    values: list[bytes | None] = []
    while len(values) < count:
        draw = chance.random()
        if draw < 0.45 and made:
            values.append(made.pop())
        elif draw < 0.75:
            values.append(changed(chance.choice(made) if made and draw < 0.7 else SEEDS[0], chance, made or SEEDS))
        elif draw < 0.85:
            values.append(_random(chance))
        elif draw < 0.99:
            values.append(chance.choice(foreign))
        else:
            values.append(chance.choice((b"", None)))
    return values, chance.choice(("auto", "auto", "otlp_json" if json_share > 0.4 else "otlp_proto"))


def object_batch(chance: Random) -> tuple[list[bytes | None], str]:
    """Log objects, whole and changed, and other records between."""
    made = [log_object(chance) for _ in range(chance.choice(SIZES))]
    for place in range(len(made)):
        draw = chance.random()
        if draw < 0.3:
            made[place] = changed(made[place], chance, made)
        elif draw < 0.33:
            made[place] = chance.choice(_OTHERS)
    return list(made), chance.choice(("auto", "auto", "json"))


def text_batch(chance: Random) -> tuple[list[bytes | None], str]:
    """Lines of text, bare and in envelopes, whole and changed, and other records between."""
    made = texts(chance, chance.choice(SIZES))
    share = chance.choice((0.0, 0.05, 0.3))
    for place in range(len(made)):
        draw = chance.random()
        if draw < share:
            made[place] = changed(made[place], chance, made)
        elif draw < share + 0.02:
            made[place] = chance.choice((chance.choice(_OTHERS), log_object(chance)))
    return list(made), chance.choice(("auto", "auto", "auto", "json", "text"))


def other_batch(chance: Random) -> tuple[list[bytes | None], str]:
    """Changed records of the other encodings, and random bytes; read as 'auto', or as any one encoding."""
    count = min(chance.choice(SIZES), 200)
    make: tuple[Callable[[], bytes], ...] = (
        lambda: changed(chance.choice(_OTHERS), chance, _OTHERS),
        lambda: changed(chance.choice(_OTHERS), chance, _OTHERS),
        lambda: odd(chance.choice(_DOCUMENTS), chance.getrandbits(64)),
        lambda: _random(chance),
    )
    return [chance.choice(make)() for _ in range(count)], chance.choice(("auto", "auto", "auto", *DECODERS))


_OTHERS = others()
