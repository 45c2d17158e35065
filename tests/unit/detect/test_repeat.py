"""When an alert is sent again."""

import numpy as np

from tracebraid.pipeline.detect.repeat import sends

HOUR_US = 3_600_000_000


def test_again_only_if_twice_as_severe_or_two_hours_later() -> None:
    severity = np.array([1.0, 1.5, 2.5, 1.0, 1.0])
    sent = np.array([0.0, 1.2, 1.2, 5.0, 5.0])
    sent_us = np.array([0, 9, 9, 9, 10], dtype=np.int64) * HOUR_US
    assert sends(severity, sent, sent_us, 11 * HOUR_US + HOUR_US // 2).tolist() == [True, True, True, True, False]
    assert sends(severity, sent, sent_us, 10 * HOUR_US + HOUR_US // 2).tolist() == [True, False, True, False, False]


def test_what_was_no_alert_keeps_nothing_back_that_is_more_severe() -> None:
    now = np.array([HOUR_US] * 3)
    assert sends(np.array([0.4, 0.7, 1.1]), np.array([0.6, 0.6, 0.9]), now, now).tolist() == [False, True, True]
