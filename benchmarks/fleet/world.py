"""One fleet: services, who calls whom, and what happens to them; all of it follows from the fleet's number.

In: a seed. Out: World, with arrays over time of what each route and service does. Never: a row, a clock, a rule.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from benchmarks.fleet import parameters as p

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Chance = np.random.Generator
KINDS = (
    "latency step",
    "latency ramp",
    "error burst",
    "throughput collapse",
    "bad canary",
    "missing trace ids",
    "GC pauses",
    "cascading time-outs",
    "retry storm",
)
TOTAL = p.WARM + p.SCORED


@dataclass(frozen=True, slots=True)
class Happening:
    """A fault, or what is none ('deploy', 'restart', 'clock skew'). begin, end: minutes; touched: services that it may show on."""

    kind: str
    service: int
    begin: int
    end: int
    touched: frozenset[int]


@dataclass(slots=True)
class Effects:
    """[minute, route]: rate and slow are factors; a share `delayed` of requests takes delay_ms longer; error: share. [minute, service]: missing."""

    rate: Singles
    slow: Singles
    delayed: Singles
    delay_ms: Singles
    error: Singles
    missing: Singles


@dataclass(slots=True)
class World:
    """service, rate a minute, median_ms, sigma, heavy: by route; logs: lines a request, by service.

    calls[a, b]: share of a's requests that call b; through[a, b]: that b sees at all, 1 on the diagonal.
    """

    seed: int
    services: int
    service: npt.NDArray[np.int64]
    rate: Floats
    median_ms: Floats
    sigma: Floats
    heavy: npt.NDArray[np.bool_]
    logs: Floats
    calls: Floats
    through: Floats
    effects: Effects
    happenings: list[Happening] = field(default_factory=list)

    @property
    def faults(self) -> list[Happening]:
        return [each for each in self.happenings if each.kind in KINDS]

    def name(self, service: int) -> str:
        return f"f{self.seed}-s{service}"


def world(seed: int) -> World:
    """The fleet of that number, the same in every process."""
    chance = np.random.default_rng((seed, 0))
    services = int(chance.integers(p.SERVICES[0], p.SERVICES[1] + 1))
    calls, through = _calls(chance, services)
    service, rate = _routes(chance, services)
    routes = len(service)
    median_ms = _spread(chance, p.MEDIAN_MS, routes)
    error = _spread(chance, p.ERRORS, services)[service]
    effects = Effects(
        rate=_load(chance)[:, None].repeat(routes, axis=1),
        slow=np.ones((TOTAL, routes), np.float32),
        delayed=np.zeros((TOTAL, routes), np.float32),
        delay_ms=np.zeros((TOTAL, routes), np.float32),
        error=np.broadcast_to(error, (TOTAL, routes)).astype(np.float32),
        missing=np.broadcast_to(chance.uniform(*p.LOG_MISSING, services), (TOTAL, services)).astype(np.float32),
    )
    found = World(
        seed=seed,
        services=services,
        service=service,
        rate=rate,
        median_ms=median_ms,
        sigma=chance.uniform(*p.SIGMA, routes),
        heavy=chance.random(routes) < p.HEAVY_SHARE,
        logs=chance.uniform(*p.LOGS, services),
        calls=calls,
        through=through,
        effects=effects,
    )
    _innocence(found, chance)
    _faults(found, chance)
    return found


def _calls(chance: Chance, services: int) -> tuple[Floats, Floats]:
    """(calls, through). Calls go to services of higher number; over several ways the likeliest counts."""
    calls, through = np.zeros((services, services)), np.eye(services)
    for callee in range(1, services):
        count = min(callee, int(chance.integers(p.CALLERS[0], p.CALLERS[1] + 1)))
        for caller in chance.choice(callee, count, replace=False):
            calls[caller, callee] = chance.uniform(*p.CALLED)
            through[:, callee] = np.maximum(through[:, callee], through[:, caller] * calls[caller, callee])
    return calls, through


def _routes(chance: Chance, services: int) -> tuple[npt.NDArray[np.int64], Floats]:
    service, rate = [], []
    for each in range(services):
        kinds = [p.BUSY, p.MEDIUM, *([p.SPARSE] if chance.random() < p.SPARSE_SHARE else [])]
        service += [each] * len(kinds)
        rate += [float(_spread(chance, kind, 1)[0]) for kind in kinds]
    return np.array(service), np.array(rate)


def _spread(chance: Chance, between: tuple[float, float], count: int) -> Floats:
    """Evenly in the logarithm."""
    return np.exp(chance.uniform(float(np.log(between[0])), float(np.log(between[1])), count))


def _load(chance: Chance) -> Singles:
    """The day, and a noise that wanders."""
    minute = np.arange(TOTAL)
    day = 1 + chance.uniform(*p.DAILY) * np.sin(2 * np.pi * (minute / 1440 + chance.random()))
    keep, noise, at = 0.5**0.1, chance.normal(size=TOTAL) * p.WANDER, 0.0
    wander = np.empty(TOTAL)
    for place, step in enumerate(noise * np.sqrt(1 - keep**2)):
        at = keep * at + step
        wander[place] = at
    return (day * np.exp(wander)).astype(np.float32)


def _callers(found: World, service: int) -> frozenset[int]:
    return frozenset(np.flatnonzero(found.through[:, service] > 0).tolist())


def _innocence(found: World, chance: Chance) -> None:
    effects = found.effects
    if chance.random() < p.DEPLOYS:
        service, begin = int(chance.integers(found.services)), int(p.WARM + chance.integers(p.SCORED - 180))
        effects.slow[begin:, found.service == service] *= chance.uniform(*p.DEPLOY_FACTOR)
        found.happenings.append(Happening("deploy", service, begin, TOTAL, frozenset([service])))
    for _ in range(p.RESTARTS * TOTAL // 1440):
        service, begin = int(chance.integers(found.services)), int(chance.integers(TOTAL))
        mine, end = found.service == service, begin + p.RESTART_MINUTES
        effects.rate[begin:end, mine] *= chance.uniform(*p.RESTART_RATE)
        effects.slow[begin:end, mine] *= chance.uniform(*p.RESTART_SLOW)
        found.happenings.append(Happening("restart", service, begin, end, frozenset([service])))
    if chance.random() < p.SKEWS:
        service, begin = int(chance.integers(found.services)), int(p.WARM + chance.integers(p.SCORED - p.SKEW_MINUTES))
        effects.rate[begin : begin + p.SKEW_MINUTES, found.service == service] *= 1 - chance.uniform(*p.SKEW_LOST)
        found.happenings.append(Happening("clock skew", service, begin, begin + p.SKEW_MINUTES, frozenset([service])))


def _faults(found: World, chance: Chance) -> None:
    """At most one in each part of the day, far enough from the next that each is told from it."""
    if found.seed % p.NO_FAULT_EVERY == p.NO_FAULT_EVERY - 1:
        return
    part = p.SCORED // p.PARTS
    for number in range(p.PARTS):
        if chance.random() < p.FAULT_SHARE:
            minutes = int(chance.integers(p.MINUTES[0], p.MINUTES[1] + 1))
            begin = int(p.WARM + number * part + chance.integers(part // 2))
            kind = KINDS[(found.seed * p.PARTS + number) % len(KINDS)]
            lowest = 1 if kind == "cascading time-outs" else 0  # it needs a caller
            fault(found, kind, int(chance.integers(lowest, found.services)), slice(begin, begin + minutes), chance)


def fault(found: World, kind: str, service: int, at: slice, chance: Chance) -> None:
    """Writes it into the effects. at: its minutes."""
    effects, touched = found.effects, _callers(found, service)
    mine, begin, end = found.service == service, int(at.start), int(at.stop)
    own_ms = float(np.median(found.median_ms[mine]))
    if kind == "latency step":
        _slower(found, service, at, np.full(end - begin, chance.uniform(*p.STEP)), own_ms)
    elif kind == "latency ramp":
        _slower(found, service, at, np.linspace(1, chance.uniform(*p.RAMP), end - begin), own_ms)
    elif kind == "error burst":
        _failing(found, service, at, chance.uniform(*p.BURST))
    elif kind == "throughput collapse":
        left = chance.uniform(*p.COLLAPSE)
        share = found.through[service]
        effects.rate[at] *= (1 - share * (1 - left))[found.service].astype(np.float32)
        touched |= frozenset(np.flatnonzero(share > 0).tolist())
    elif kind == "bad canary":
        pods = chance.uniform(*p.CANARY_PODS)
        _delayed(found, service, at, pods, own_ms * chance.uniform(*p.CANARY_SLOW))
        _failing(found, service, at, pods * chance.uniform(*p.CANARY_ERRORS))
    elif kind == "missing trace ids":
        effects.missing[at, service] = chance.uniform(*p.MISSING)
    elif kind == "GC pauses":
        _delayed(found, service, at, chance.uniform(*p.GC_ROWS), chance.uniform(*p.GC_MS))
    elif kind == "cascading time-outs":
        share = chance.uniform(*p.TIMEOUT_SHARE)
        _delayed(found, service, at, share, p.TIMEOUT_MS)
        _failing(found, service, at, share * p.TIMEOUT_ERRORS)
    else:
        effects.rate[at, mine] *= chance.uniform(*p.RETRY_RATE)
        _failing(found, service, at, chance.uniform(*p.RETRY_ERRORS))
        _slower(found, service, at, np.full(end - begin, chance.uniform(*p.RETRY_SLOW)), own_ms)
    found.happenings.append(Happening(kind, service, begin, end, touched))


def _slower(found: World, service: int, at: slice, factor: Floats, own_ms: float) -> None:
    """The service's own time by a factor a minute; callers wait for what it takes longer."""
    effects, mine = found.effects, found.service == service
    effects.slow[at, mine] *= factor[:, None].astype(np.float32)
    share = np.where(mine, 0, found.through[found.service, service])
    callers = share > 0
    effects.delayed[at, callers] = share[callers]
    effects.delay_ms[at, callers] = ((factor - 1) * own_ms)[:, None]


def _delayed(found: World, service: int, at: slice, share: float, delay_ms: float) -> None:
    shares = share * found.through[found.service, service]
    touched = shares > 0
    found.effects.delayed[at, touched] = shares[touched]
    found.effects.delay_ms[at, touched] = delay_ms


def _failing(found: World, service: int, at: slice, share: float) -> None:
    passed = found.through[found.service, service] * np.where(found.service == service, 1.0, p.PASSED_ON) * share
    found.effects.error[at] = 1 - (1 - found.effects.error[at]) * (1 - passed).astype(np.float32)
