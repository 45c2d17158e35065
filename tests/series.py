"""Series that a learned baseline meets, from seeds: innocent ones, and ones with a fault. Windows of one width; times in µs."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
DAY_S = 86_400
MONDAY_US = 1_699_833_600 * 1_000_000  # midnight UTC


def times(days: float, window_s: int) -> Times:
    return MONDAY_US + np.arange(round(days * DAY_S / window_s), dtype=np.int64) * window_s * 1_000_000


def load(at: Times, mean: float, swing: float, *, weekend: float = 1.0) -> Floats:
    """Rows a window expected through the day; at the weekend this share of it."""
    days = (at - MONDAY_US) / 1e6 / DAY_S
    return mean * (1 + swing * np.sin(2 * np.pi * (days - 0.3))) * np.where(days % 7 >= 5, weekend, 1.0)


def p99(random: np.random.Generator, at: Times) -> Floats:
    """p99 of about 200 durations a window whose logarithm is normal, in ns, higher under load."""
    rows = np.maximum(random.poisson(load(at, 200, 0.6)), 1)
    noise = random.normal(0, 1, len(at)) * 0.5 * np.sqrt(0.01 * 0.99 / rows) / 0.0267
    return 160e6 * load(at, 1, 0.18) * np.exp(noise)


def error_rate(random: np.random.Generator, at: Times, rate: Floats | float) -> Floats:
    rows = np.maximum(random.poisson(load(at, 200, 0.6)), 1)
    return random.binomial(rows, rate) / rows


INNOCENT: dict[str, Callable[[np.random.Generator, Times], Floats]] = {
    "daily load": lambda random, at: random.poisson(load(at, 200, 0.6)).astype(float),
    "weekly load": lambda random, at: random.poisson(load(at, 300, 0.5, weekend=0.5)).astype(float),
    "low count": lambda random, at: random.poisson(load(at, 2, 0.5)).astype(float),
    "p99 of 200": p99,
    "heavy tail": lambda random, at: 20e6 * (random.pareto(2.5, len(at)) + 1),
    "error rate": lambda random, at: error_rate(random, at, 0.005),
    "rare errors": lambda random, at: error_rate(random, at, 0.0002),
    "constant": lambda _, at: np.full(len(at), 42.0),
    "pauses": lambda random, at: 50e6 * (1 + 0.05 * random.normal(0, 1, len(at))) * np.where(random.random(len(at)) < 1 / 360, 4.0, 1.0),
}


def faulty(random: np.random.Generator, at: Times, start_us: int, end_us: int) -> dict[str, Floats]:
    """Series that are ordinary but from start to end."""
    on = (at >= start_us) & (at < end_us)
    ramp = np.where(on, (at - start_us) / (end_us - start_us), 0.0)
    return {
        "latency twice": p99(random, at) * np.where(on, 2.0, 1.0),
        "latency thrice": p99(random, at) * np.where(on, 3.0, 1.0),
        "latency ramp to fourfold": p99(random, at) * (1 + 3 * ramp),
        "a quarter of the load": random.poisson(load(at, 200, 0.6) * np.where(on, 0.25, 1.0)).astype(float),
        "no load": np.where(on, 0.0, random.poisson(load(at, 200, 0.6))),
        "errors 5 %": error_rate(random, at, np.where(on, 0.05, 0.005)),
        "errors where none were": error_rate(random, at, np.where(on, 0.05, 0.0)),
    }
