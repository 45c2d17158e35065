"""What goes wrong part-way: a new version of one service, and with it a dependency that has grown slow and fails.

In: a time in nanoseconds. Out: which pod runs then, and what the dependency does to a call from its version. Never: an effect on any other service.
"""

from dataclasses import dataclass
from random import Random

from tracebraid.jobs.shop.model import Service
from tracebraid.jobs.shop.services import ACQUIRER, PAYMENT
from tracebraid.jobs.shop.telemetry import Pod


@dataclass(frozen=True, slots=True)
class Fault:
    """`service`'s pods are replaced by `version` from `begins_ns` on, one each `rollout_ns`; the new ones overload `dependency`."""

    begins_ns: int
    service: str = PAYMENT.name
    version: str = "2.4.0"
    dependency: str = ACQUIRER
    slower: float = 14.0
    failing: float = 0.25
    rollout_ns: int = 20_000_000_000

    def replaced(self, service: str, pod: int, now_ns: int) -> bool:
        """Whether pod number `pod` of `service` runs the new version at `now_ns`."""
        return service == self.service and now_ns >= self.begins_ns + pod * self.rollout_ns

    def on(self, host: str, version: str) -> tuple[float, float]:
        """Factor on the latency of `host`, and the share of its calls that fail, for a caller of `version`."""
        return (self.slower, self.failing) if host == self.dependency and version == self.version else (1.0, 0.0)


@dataclass(slots=True)
class Fleet:
    """The pods of each service before the fault, and those that replace them."""

    before: dict[str, tuple[Pod, ...]]
    after: dict[str, tuple[Pod, ...]]
    fault: Fault

    def pick(self, service: Service, now_ns: int, rnd: Random) -> Pod:
        number = int(rnd.random() * service.pods)
        side = self.after if self.fault.replaced(service.name, number, now_ns) else self.before
        return side[service.name][number]
