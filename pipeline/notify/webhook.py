"""A webhook: one POST of JSON for each notice.

In: notices. Out: Outcomes. Never: two notices in one request, so that an answer is about one.

Format `tracebraid`: the message of the alerts topic, byte for byte. Format `alertmanager`: what Alertmanager's own webhooks are sent, version 4
(https://prometheus.io/docs/alerting/latest/configuration/#webhook_config), each alert a group of its own.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import orjson

from tracebraid.pipeline.kernel.channels import ChannelSettings
from tracebraid.pipeline.kernel.clock import Clock
from tracebraid.pipeline.notify.http import Notice, Outcome, Post
from tracebraid.pipeline.notify.labels import annotations, filled, fingerprint, labels, rfc3339
from tracebraid.schemas.alert import Evidence, Transition

NO_END = "0001-01-01T00:00:00Z"  # Go's zero time: how Alertmanager says that an alert has not ended


def version_4(alert: Transition, receiver: str, evidence: Evidence | None = None, link: str = "") -> dict[str, Any]:
    """Alertmanager's webhook JSON of one alert; the group's key, labels and annotations are the alert's."""
    status = "firing" if alert.transition == "firing" else "resolved"
    names, notes, url = labels(alert), annotations(alert, evidence, link), filled(link, alert)
    told = {
        "status": status,
        "labels": names,
        "annotations": notes,
        "startsAt": rfc3339(alert.started_us),
        "endsAt": NO_END if status == "firing" else rfc3339(alert.window.end_us),
        "generatorURL": url,
        "fingerprint": fingerprint(names),
    }
    return {
        "version": "4",
        "groupKey": "{}:{" + ", ".join(f"{name}={orjson.dumps(value).decode()}" for name, value in names.items()) + "}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": receiver,
        "groupLabels": names,
        "commonLabels": names,
        "commonAnnotations": notes,
        "externalURL": url,
        "alerts": [told],
    }


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`sha256=` and the HMAC in hex of timestamp, '.', body: an old request cannot be sent again under a new time."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class Webhook:
    """Sends to one address."""

    batch_max = 1

    def __init__(self, settings: ChannelSettings, post: Post, clock: Clock, link: str = "") -> None:
        self.settings, self.post, self.clock, self.link = settings, post, clock, link

    def send(self, notices: Sequence[Notice]) -> Outcome:
        (notice,) = notices
        body = self.body(notice)
        if body is None:
            return Outcome()
        headers = {"Idempotency-Key": notice.identity}
        if secret := self.settings.hmac_secret.get_secret_value():
            timestamp = str(self.clock.unix_nano() // 1_000_000_000)
            headers |= {"X-Tracebraid-Timestamp": timestamp, "X-Tracebraid-Signature": signature(secret, timestamp, body)}
        return self.post.send(self.settings.url[0], body, headers)

    def body(self, notice: Notice) -> bytes | None:
        """What is sent; None for evidence that version 4 cannot tell, as its alert is not known."""
        if self.settings.format == "tracebraid":
            return notice.value
        evidence = notice.message if isinstance(notice.message, Evidence) else None
        alert = notice.about if isinstance(notice.message, Evidence) else notice.message
        return orjson.dumps(version_4(alert, self.settings.name, evidence, self.link)) if alert else None
