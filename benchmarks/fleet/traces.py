"""Whole traces of a fleet, one by one, from users in: what a lake would hold of its requests.

In: a World, one of its faults, a chance. Out: Trace. Never: an array over all requests; counts of a minute, which traffic.py makes.

A request of a service takes its own time, by the same law as in traffic.py, and waits for what it calls: that callers are delayed and fail follows from the
calls, and is not drawn again. What is delayed by 'cascading time-outs' is given up by its callers after p.TIMEOUT_MS; in a retry storm calls come again and
again, all but the last of them failed or given up. A failure that is a fault's fails the callers of its service as often as the effects say; what fails at
other times they can do without. Clocks agree.
"""

import math
import random
from dataclasses import dataclass, field

import numpy as np

from benchmarks.fleet import parameters as p
from benchmarks.fleet.traffic import MAX_NS, Floats
from benchmarks.fleet.world import Happening, World

MS = 1_000_000


@dataclass(slots=True)
class Made:
    """One span. Numbers of its trace: place, parent; of the fleet: service, route (None: a call, seen by its caller). Times in nanoseconds."""

    place: int
    parent: int | None
    service: int
    route: int | None
    start_ns: int
    end_ns: int = 0
    error: bool = False


@dataclass(slots=True)
class Trace:
    """route: of the request that it was made for; shown: the place of that."""

    id: str
    minute: int
    route: int
    spans: list[Made] = field(default_factory=list)
    shown: int = 0

    def moved(self, end_ns: int) -> "Trace":
        """So that the request it was made for ends then."""
        by_ns = end_ns - self.spans[self.shown].end_ns
        for each in self.spans:
            each.start_ns, each.end_ns = each.start_ns + by_ns, each.end_ns + by_ns
        return self


@dataclass(frozen=True, slots=True)
class Reply:
    """What a caller sees. late: delayed by the fault; failed: by the fault, too."""

    end_ns: int
    error: bool
    failed: bool
    late: bool


class Traces:
    """A fleet's traces around one fault."""

    def __init__(self, world: World, fault: Happening, chance: random.Random) -> None:
        self.world, self.fault, self.chance = world, fault, chance
        fixed = np.random.default_rng((world.seed, 2))
        self.clients = fixed.random(world.services) < p.TRACE_CLIENTS
        self.side_by_side = fixed.random(world.services) < p.TRACE_SIDE_BY_SIDE
        self.routes = [np.flatnonzero(world.service == each).tolist() for each in range(world.services)]
        self.changed = self._changed()
        lost = world.calls.copy()
        lost[:, fault.service] *= self.changed if fault.kind == "throughput collapse" else 1.0
        self.calls = {now: (calls, _ways(calls)) for now, calls in ((False, world.calls), (True, lost))}

    def _changed(self) -> float:
        """By which factor the fault changed how many requests its service sees: in the fault, against the ten minutes before."""
        rate, mine = self.world.effects.rate, self.world.service == self.fault.service
        before, now = (rate[at][:, mine].mean() for at in (slice(self.fault.begin - 10, self.fault.begin), slice(self.fault.begin, self.fault.end)))
        return float(now / before)

    def of(self, service: int, route: int, minute: int) -> Trace:
        """One in which `service` answers `route`; starts at 0. The way to it is drawn by how often it is taken."""
        trace, way = Trace(f"{self.chance.getrandbits(128) | 1:032x}", minute, route), self._way(service, minute)
        self._serve(trace, (0, self._route(0, minute) if way else route), None, 0, way)
        return trace

    def active(self, minute: int) -> bool:
        return self.fault.begin <= minute < self.fault.end

    def _way(self, service: int, minute: int) -> list[int]:
        """The services from the first one's callee to `service`; nothing for the first."""
        calls, ways = self.calls[self.active(minute)]
        way = []
        while service:
            way.append(service)
            (service,) = self.chance.choices(range(service), weights=(ways[:service] * calls[:service, service]).tolist())
        return way[::-1]

    def _route(self, service: int, minute: int) -> int:
        mine = self.routes[service]
        return self.chance.choices(mine, weights=[self.world.rate[each] * float(self.world.effects.rate[minute, each]) for each in mine])[0]

    def _serve(self, trace: Trace, what: tuple[int, int], parent: int | None, start_ns: int, way: list[int], *, alone: bool = False) -> Reply:
        """One request and all that it calls. what: service, route; way: services that are called from here on, one by the other; alone: it calls none."""
        service, route = what
        mine = Made(len(trace.spans), parent, service, route, start_ns)
        trace.spans.append(mine)
        own_ns, late = self._own_ns(service, route, trace.minute)
        failed, mine.error = self._fails(service, route, trace.minute, late=late)
        calls = self.calls[self.active(trace.minute)][0][service]
        called = [] if alone else [each for each in range(service + 1, self.world.services) if each in way[:1] or self.chance.random() < calls[each]]
        part = own_ns // (2 if self.side_by_side[service] else len(called) + 1)
        at, upto = start_ns + part, start_ns + part
        for each in called:
            end_ns, passed = self._call(trace, mine, each, at, way if each in way[:1] else [])
            mine.error |= passed
            failed |= passed
            upto = max(upto, end_ns)
            at = at if self.side_by_side[service] else end_ns + part
        mine.end_ns = upto + part if called else start_ns + own_ns
        return Reply(mine.end_ns, mine.error, failed, late)

    def _call(self, trace: Trace, caller: Made, callee: int, at_ns: int, way: list[int]) -> tuple[int, bool]:
        """(when the caller goes on, whether it fails with it)."""
        ill = callee == self.fault.service and self.active(trace.minute)
        shown = way == [callee]
        route = trace.route if shown else self._route(callee, trace.minute)
        tries = 1 + poisson(max(self.changed - 1, 0.0), self.chance) if ill and self.fault.kind == "retry storm" else 1
        for number in range(tries):
            last = number == tries - 1
            seen, parent = None, caller.place
            network_ns = round(self.chance.uniform(*p.TRACE_NETWORK_MS) * MS / 2) if self.clients[caller.service] else 0
            if self.clients[caller.service]:
                seen = Made(len(trace.spans), caller.place, caller.service, None, at_ns)
                trace.spans.append(seen)
                parent = seen.place
            if shown:
                trace.shown = len(trace.spans)
            reply = self._serve(trace, (callee, route), parent, at_ns + network_ns, way[1:], alone=not last)
            end_ns, given_up = self._waited(at_ns, reply, ill=ill, last=last)
            end_ns += network_ns if not given_up else 0
            if seen:
                seen.end_ns, seen.error = end_ns, reply.error or given_up
            at_ns = end_ns
        return at_ns, self._passed(reply, ill=ill, given_up=given_up)

    def _waited(self, start_ns: int, reply: Reply, *, ill: bool, last: bool) -> tuple[int, bool]:
        """(when the caller goes on, whether it has given the call up)."""
        took_ns = reply.end_ns - start_ns
        if not last and not reply.error:
            return start_ns + round(took_ns * self.chance.uniform(*p.TRACE_PATIENCE)), True
        if ill and self.fault.kind == "cascading time-outs" and reply.late and took_ns > p.TIMEOUT_MS * MS:
            return start_ns + round(p.TIMEOUT_MS * MS), True
        return reply.end_ns, False

    def _passed(self, reply: Reply, *, ill: bool, given_up: bool) -> bool:
        """Whether the call fails its caller; further up nobody can do without it."""
        if not ill:
            return reply.failed
        if given_up and self.fault.kind == "cascading time-outs":
            return self.chance.random() < p.PASSED_ON * p.TIMEOUT_ERRORS
        return reply.failed and self.chance.random() < p.PASSED_ON

    def _own_ns(self, service: int, route: int, minute: int) -> tuple[int, bool]:
        """(nanoseconds, whether the fault delayed it). As traffic.requests draws it."""
        world, effects, chance = self.world, self.world.effects, self.chance
        taken_ms = world.median_ms[route] * math.exp(world.sigma[route] * chance.gauss(0, 1)) * float(effects.slow[minute, route])
        if world.heavy[route] and chance.random() < p.HEAVY_ROWS:
            taken_ms = min(taken_ms * chance.paretovariate(p.HEAVY_ALPHA), p.HEAVY_MAX_S * 1e3)
        # What delays other services there is that they wait for this one.
        late = service == self.fault.service and chance.random() < effects.delayed[minute, route]
        if late:
            taken_ms += float(effects.delay_ms[minute, route]) * math.exp(0.2 * chance.gauss(0, 1))
        return round(min(taken_ms * MS, MAX_NS)), late

    def _fails(self, service: int, route: int, minute: int, *, late: bool) -> tuple[bool, bool]:
        """(by the fault, at all). Where a fault delays some requests and fails some, those that fail are of those delayed."""
        effects, chance = self.world.effects, self.chance
        usual, delayed = float(effects.error[0, route]), float(effects.delayed[minute, route])
        more = 1 - (1 - float(effects.error[minute, route])) / (1 - usual) if service == self.fault.service else 0.0
        failed = chance.random() < (more if not delayed else more / delayed if late else 0.0)
        return failed, failed or chance.random() < usual


def _ways(calls: Floats) -> Floats:
    """How often each service is called in a trace, over all ways from the first."""
    ways = np.zeros(len(calls))
    ways[0] = 1.0
    for each in range(1, len(calls)):
        ways[each] = ways[:each] @ calls[:each, each]
    return ways


def poisson(mean: float, chance: random.Random) -> int:
    """A count of that mean, which is below 700."""
    found, left = 0, chance.random()
    while left > math.exp(-mean):
        found, left = found + 1, left * chance.random()
    return found
