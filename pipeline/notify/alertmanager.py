"""Alertmanager's v2 API, `POST /api/v2/alerts`: grouping, silences, inhibition and routing are its work.

In: notices; what fires now. Out: Outcomes. Never: an alert that fires for ever because we stopped: each is good for three re-sends.

Source: api/v2/openapi.yaml and types.Alert.Merge of prometheus/alertmanager 0.25: an alert is known by its labels; of two that overlap the later one
that arrives decides when it ends, and the earliest start stays.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from tracebraid.pipeline.kernel.channels import ChannelSettings
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.notify.http import Notice, Outcome, Post
from tracebraid.pipeline.notify.labels import annotations, filled, labels, rfc3339
from tracebraid.schemas.alert import Evidence, Transition

PATH = "/api/v2/alerts"
RESENDS_GOOD_FOR = 3


def postable(alert: Transition, now_us: int, good_for_s: float, evidence: Evidence | None = None, link: str = "") -> dict[str, Any]:
    """One alert as the API takes it. Firing: ends `good_for_s` ahead. Resolved: ended at its window's end, which is event time, so never ahead of now."""
    ends_us = now_us + int(good_for_s * 1e6) if alert.transition == "firing" else min(alert.window.end_us, now_us)
    url = {"generatorURL": filled(link, alert)} if link else {}
    return {
        "labels": labels(alert),
        "annotations": annotations(alert, evidence, link),
        "startsAt": rfc3339(min(alert.started_us, now_us, ends_us)),
        "endsAt": rfc3339(ends_us),
        **url,
    }


class Alertmanager:
    """Sends to every member of a cluster; delivered once one has taken it: the others get what fires, and what has just resolved, with the next re-send."""

    batch_max = 64

    def __init__(self, settings: ChannelSettings, post: Post, clock: Clock, link: str = "") -> None:
        self.urls = [url if url.rstrip("/").endswith(PATH) else url.rstrip("/") + PATH for url in settings.url]
        self.post, self.clock, self.link = post, clock, link
        self.good_for_s = RESENDS_GOOD_FOR * settings.resend_s

    def send(self, notices: Sequence[Notice]) -> Outcome:
        """Transitions, and evidence as new annotations of its alert; evidence about an alert that is not known is nothing to tell."""
        told = [(each.about, each.message) if isinstance(each.message, Evidence) else (each.message, None) for each in notices]
        return self.tell([(alert, evidence) for alert, evidence in told if alert is not None])

    def tell(self, alerts: Sequence[tuple[Transition, Evidence | None]]) -> Outcome:
        now_us = self.clock.unix_micro()
        body = orjson.dumps([postable(alert, now_us, self.good_for_s, evidence, self.link) for alert, evidence in alerts])
        outcomes = [self.post.send(url, body) for url in self.urls] if alerts else [Outcome()]
        # What one has taken, its cluster will tell; what none has taken is tried again if any may take it later.
        return min(outcomes, key=lambda each: (bool(each.error), not each.retry))
