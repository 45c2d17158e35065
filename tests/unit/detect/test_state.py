"""Snapshots as chunks."""

import numpy as np
import pytest

from tracebraid.pipeline.detect import state
from tracebraid.pipeline.kernel.errors import TracebraidError

NOISE = {"a": np.random.default_rng(1).random(500_000), "b/c": np.arange(6).reshape(2, 3), "text": np.array([b"ab", b"c"]), "none": np.empty(0, np.int8)}


def test_chunks_give_back_what_was_put_in_and_none_is_too_large() -> None:
    parts = state.chunks("7", NOISE, "told")
    assert [key for key, _ in parts] == [f"7/{n:04d}" for n in range(len(parts))]
    assert len(parts) > 3
    assert max(len(value) for _, value in parts) <= state.CHUNK_BYTES_MAX
    arrays, text = state.unchunked(parts[::-1])
    assert text == "told"
    assert list(arrays) == list(NOISE)
    assert all(np.array_equal(arrays[name], NOISE[name]) and arrays[name].dtype == NOISE[name].dtype for name in NOISE)


def test_chunks_of_an_earlier_longer_snapshot_are_passed_over() -> None:
    longer, shorter = state.chunks("7", NOISE, "old"), state.chunks("7", {}, "new")
    assert state.unchunked(list({**dict(longer), **dict(shorter)}.items())) == ({}, "new")


@pytest.mark.parametrize("spoil", [lambda parts: parts[:-1], lambda parts: parts[1:], lambda parts: [], lambda parts: [(parts[0][0], b"x"), *parts[1:]]])
def test_half_a_snapshot_is_none(spoil: "object") -> None:
    with pytest.raises(TracebraidError, match="snapshot"):
        state.unchunked(spoil(state.chunks("7", NOISE, "")))  # type: ignore[operator]
