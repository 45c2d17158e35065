"""Searching texts: its bounds in time and length."""

import time

import pytest

from tracebraid.pipeline.kernel import limits
from tracebraid.pipeline.normalize.log_text import ids_in, level_in, origin_in, time_in

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
ATTACKS = [
    "trace",
    "trace_id:",
    "trace_id=" + "a" * 127 + " ",
    "[",
    "[a,",
    "[a.",
    "2024",
    "2024-01-01 ",
    '{"ts":',
    "span id=",
    "00-",
    "root=1-",
    "12:00:00 ERROR [",
    "level=",
    " ",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_texts_cost_a_bounded_time(attack: str) -> None:
    text = attack * (8_000_000 // len(attack))
    begun = time.process_time()
    for search in (ids_in, level_in, time_in, origin_in):
        search(text)
        search("{" + text)
    assert time.process_time() - begun < 0.5  # some milliseconds where nothing disturbs; minutes if a pattern were not linear


def test_only_the_beginning_of_a_text_is_searched() -> None:
    named = f"trace_id={TRACE_ID}"
    before = limits.id_search_chars_max - len(named)
    assert ids_in(" " * before + named) is not None
    assert ids_in(" " * limits.id_search_chars_max + named) is None


def test_the_span_named_after_the_trace_goes_before_one_named_ahead_of_it() -> None:
    found = ids_in(f"parent spanId={'1' * 16} traceId={TRACE_ID} spanId={'2' * 16}")
    assert found is not None
    assert found.span_id == "2" * 16


def test_the_short_level_of_a_net_console_is_critical_and_that_of_nginx_is_syslogs() -> None:
    assert level_in("crit: Shop.Startup[0]\n      no database") == ("crit", 21)
    assert level_in("2026/01/01 00:00:00 [crit] 7#7: connect() failed") == ("crit", 18)
