"""Which messages a channel is sent.

In: a message, the channel's settings, what rules' labels are. Out: '' (to be sent), or why not. Never: the same news twice, as far as the memory reaches.
"""

from collections import OrderedDict
from collections.abc import Mapping

from tracebraid.pipeline.kernel.channels import ChannelSettings
from tracebraid.schemas.alert import Evidence, Transition

REMEMBERED_MAX = 20_000


def why_not(message: Transition | Evidence, settings: ChannelSettings, rule_labels: Mapping[str, Mapping[str, str]]) -> str:
    """'' where `message` is one that the channel is to be sent, else the reason."""
    what = "evidence" if isinstance(message, Evidence) else "pending" if message.transition == "cancelled" else message.transition
    if what not in settings.send:
        return "not asked for"
    has = {**message.labels, "severity": message.severity} if isinstance(message, Transition) else rule_labels.get(message.rule, {})
    matches = all(has.get(name, "") in choice for name, choice in settings.only.items())
    return "" if matches else "other labels"


class Recent:
    """What was delivered lately, by identity; the oldest is forgotten first."""

    def __init__(self, remembered_max: int = REMEMBERED_MAX) -> None:
        self._max = remembered_max
        self._seen: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, identity: str) -> bool:
        return identity in self._seen

    def add(self, identity: str) -> None:
        self._seen[identity] = None
        self._seen.move_to_end(identity)
        while len(self._seen) > self._max:
            self._seen.popitem(last=False)
