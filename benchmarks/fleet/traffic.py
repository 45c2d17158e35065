"""What a fleet does in some minutes: its requests as arrays, and the same counted as ingest counts them.

In: a World. Out: Requests, Counted. Never: an object a request; numbers that depend on which fleets run beside.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.fleet import parameters as p
from benchmarks.fleet.world import World
from tracebraid.pipeline.kernel.histogram import LOWEST, bucket_of

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
MAX_NS = 60e9


@dataclass(frozen=True, slots=True)
class Requests:
    """Entries in the order of (minute, route). minute: from 0, within the block. lines, lines_missing, lines_failed: int64 [minute, service] of logs."""

    minute: Ints
    route: Ints
    duration_ns: Floats
    error: npt.NDArray[np.bool_]
    lines: Ints
    lines_missing: Ints
    lines_failed: Ints


@dataclass(frozen=True, slots=True)
class Counted:
    """rows, errors: [minute, route]; the lines as in Requests; histogram entries by (minute, route, bucket), minute m's from edges[m] on."""

    rows: Ints
    errors: Ints
    lines: Ints
    lines_missing: Ints
    lines_failed: Ints
    route: Ints
    bucket: Ints
    n: Ints
    edges: Ints


def requests(found: World, first: int, minutes: int) -> Requests:
    """Minutes first to first + minutes - 1."""
    chance, effects = np.random.default_rng((found.seed, 1, first)), found.effects
    at = slice(first, first + minutes)
    n = chance.poisson(found.rate * effects.rate[at])
    routes = n.shape[1]
    owner = np.repeat(np.arange(n.size), n.reshape(-1))
    minute, route = owner // routes, owner % routes
    normal = chance.standard_normal(len(owner))
    taken_ms = np.exp(np.log(found.median_ms)[route] + found.sigma[route] * normal) * effects.slow[at].reshape(-1)[owner]
    heavy = np.flatnonzero(found.heavy[route] & (chance.random(len(owner)) < p.HEAVY_ROWS))
    taken_ms[heavy] *= 1 + chance.pareto(p.HEAVY_ALPHA, len(heavy))
    taken_ms[heavy] = np.minimum(taken_ms[heavy], p.HEAVY_MAX_S * 1e3)
    late = np.flatnonzero(chance.random(len(owner)) < effects.delayed[at].reshape(-1)[owner])
    taken_ms[late] += effects.delay_ms[at].reshape(-1)[owner[late]] * np.exp(0.2 * chance.standard_normal(len(late)))
    error = chance.random(len(owner)) < effects.error[at].reshape(-1)[owner]
    rows, failed = (_by_service(found, np.bincount(owner[chosen], minlength=n.size).reshape(n.shape)) for chosen in (slice(None), error))
    lines_failed = chance.poisson(failed * p.LOG_ERRORS)
    lines = chance.poisson(rows * found.logs) + lines_failed
    missing = chance.binomial(lines, effects.missing[at])
    return Requests(minute, route, np.minimum(np.rint(taken_ms * 1e6), MAX_NS), error, lines, missing, lines_failed)


def _by_service(found: World, counts: Ints) -> Ints:
    return np.stack([counts[:, found.service == each].sum(axis=1) for each in range(found.services)], axis=1)


def counted(found: World, made: Requests, minutes: int) -> Counted:
    routes = len(found.service)
    owner = made.minute * routes + made.route
    keys = (owner << 32) + (bucket_of(made.duration_ns).astype(np.int64) - LOWEST)
    distinct, n = np.unique(keys, return_counts=True)
    of = distinct >> 32
    shape = (minutes, routes)
    return Counted(
        rows=np.bincount(owner, minlength=minutes * routes).reshape(shape),
        errors=np.bincount(owner[made.error], minlength=minutes * routes).reshape(shape),
        lines=made.lines,
        lines_missing=made.lines_missing,
        lines_failed=made.lines_failed,
        route=of % routes,
        bucket=(distinct & 0xFFFFFFFF) + LOWEST,
        n=n,
        edges=np.searchsorted(of, np.arange(minutes + 1) * routes),
    )
