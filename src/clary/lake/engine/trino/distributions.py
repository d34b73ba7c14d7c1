"""Distribution functions that DuckDB has none of. What is asked of values that have none is NaN."""

from collections.abc import Callable
from functools import wraps
from math import exp, inf, lgamma, log, log1p, nan
from statistics import NormalDist, StatisticsError

_STEPS = 10_000
_NEAR = 1e-16
_TINY = 1e-300


def _or_nan(function: Callable[..., float]) -> Callable[..., float]:
    @wraps(function)
    def answered(*arguments: float) -> float:
        try:
            return function(*arguments)
        except (ValueError, StatisticsError, ZeroDivisionError, OverflowError):
            return nan

    return answered


@_or_nan
def normal_cdf(mean: float, deviation: float, value: float) -> float:
    return NormalDist(mean, deviation).cdf(value)


@_or_nan
def inverse_normal_cdf(mean: float, deviation: float, share: float) -> float:
    return NormalDist(mean, deviation).inv_cdf(share)


@_or_nan
def beta_cdf(a: float, b: float, value: float) -> float:
    """The regularized incomplete beta function."""
    if value in (0, 1):
        return value
    if value > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(b, a, 1 - value)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(value) + b * log1p(-value))
    return front / _fraction(a, b, value) / a


@_or_nan
def t_cdf(value: float, freedom: float) -> float:
    if abs(value) == inf:
        return float(value > 0)
    beyond = beta_cdf(freedom / 2, 0.5, freedom / (freedom + value * value)) / 2
    return beyond if value < 0 else 1 - beyond


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function (DLMF 8.17.22), from its front on, by Lentz's method."""
    made, up, down = 1.0, 1.0, 0.0
    for step in range(1, _STEPS):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        down = 1 / (1 + term * down or _TINY)
        up = 1 + term / up or _TINY
        made *= up * down
        if abs(up * down - 1) < _NEAR:
            break
    return made
