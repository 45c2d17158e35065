"""Waits that end when the process is to end."""

from tracebraid.pipeline.kernel.clock import Clock


def test_waits_end_soon_after_a_stop_is_seen_and_calls_get_what_is_left() -> None:
    now_s, stopped = [100.0], [False]
    clock = Clock(monotonic_s=lambda: now_s[0])
    ending = clock.ending(lambda: stopped[0], 8)
    assert (ending.past(130), ending.past(100), ending.left_s(5)) == (False, True, 5)
    stopped[0] = True
    assert (ending.past(130), ending.left_s(5), clock.left_s(5)) == (False, 5, 5)  # seen at 100: all waits end at 108
    now_s[0] = 106
    assert (ending.past(130), ending.left_s(5), ending.past(105)) == (False, 2, True)
    now_s[0] = 108
    assert (ending.past(130), ending.left_s(5), clock.past(130)) == (True, 0.1, False)
