"""The kernels' JSON grammar takes no text that orjson refuses, and reads what it takes as orjson does."""

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracebraid.pipeline.decode.walkers.json_text import skip, space, string, unescaped

_FLOATS = st.floats(-1e90, 1e90).map(lambda number: number if abs(number) > 1e-90 else 0.0)  # three digits of an exponent are the reference's
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | _FLOATS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
_PIECES = st.lists(st.sampled_from([*'{}[],:"\\-+.eE0123u', " ", "\n", "\\u00e9", "\\ud83d\\ude00", "\\n", "true", "false", "null", '"a":', "é"]), max_size=20)


def _taken(text: bytes) -> bool:
    data = np.frombuffer(text, np.uint8)
    at = space(data, 0, len(data))
    end = skip(data, at, len(data)) if at < len(data) else -1
    return end >= 0 and space(data, end, len(data)) == len(data)


@given(_VALUES, st.booleans())
def test_takes_what_orjson_writes(value: object, indented: bool) -> None:
    assert _taken(orjson.dumps(value, option=orjson.OPT_INDENT_2 if indented else 0))


@given(_PIECES)
@example(["{", '"a":', "0", "1", "}"])
@example(["[", "]", ","])
@example(["-"])
def test_takes_nothing_that_orjson_refuses(pieces: list[str]) -> None:
    text = "".join(pieces).encode()
    if text and _taken(text):
        orjson.loads(text)


@given(_VALUES, st.integers(0, 200), st.sampled_from(b'{}[],:"\\-0e\x00\x1f '))
def test_mutated_text_is_taken_only_if_orjson_takes_it(value: object, place: int, byte: int) -> None:
    text = bytearray(orjson.dumps(value))
    text[place % len(text)] = byte
    try:
        text.decode()
    except UnicodeDecodeError:
        return
    if _taken(bytes(text)):
        orjson.loads(text)


@given(st.text())
def test_strings_are_unescaped(value: str) -> None:
    for text in (orjson.dumps(value), b'"' + "".join(f"\\u{code:04X}" for code in memoryview(value.encode("utf-16-le")).cast("H")).encode() + b'"'):
        data = np.frombuffer(text, np.uint8).copy()
        end, _ = string(data, 1, len(data))
        assert end == len(data) - 1
        end = unescaped(data, 1, end, data, 1)
        assert data[1:end].tobytes() == value.encode()


@pytest.mark.parametrize(
    "text", ['"\\ud800"', '"\\udc00"', '"\\ud800\\u0041"', '"\\x"', '"\\u12"', '"\\', '"', '"\x00"', "01", "1.", ".5", "1e", "+1", "nul", "1e400"]
)
def test_refused(text: str) -> None:
    assert not _taken(text.encode())


def test_no_recursion_and_a_limit_of_depth() -> None:
    assert _taken(b"[" * 52 + b"]" * 52)
    assert not _taken(b"[" * 53 + b"]" * 53)
    assert not _taken(b"[" * 100_000)
