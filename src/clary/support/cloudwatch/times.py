"""Periods and ranges as CloudWatch rounds and checks them. Pure."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from clary.kernel.core.errors import AwsError

_DAY = 24 * 3600
_YEAR_10000 = 253_402_300_800
_HIGH_RESOLUTION = {1, 5, 10, 20, 30}


def epoch(moment: float | datetime) -> float:
    """A timestamp of a request as epoch seconds; one without a zone is UTC. Raises for what no calendar has."""
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not 0 <= moment < _YEAR_10000:
        raise AwsError("InvalidParameterValue", f"The timestamp {moment} is not between the years 1970 and 9999.")
    return float(moment)


def check_period(period: int, name: str = "Period") -> None:
    """Raise unless a period is a multiple of a minute or one of those of high resolution."""
    if period % 60 and period not in _HIGH_RESOLUTION:
        raise AwsError(
            "InvalidParameterValue",
            f"The parameter {name} must be a multiple of 60, or one of 1, 5, 10, 20 and 30; it is {period}.",
        )


def check_range(start: float, end: float) -> None:
    """Raise unless a range has a length."""
    if start >= end:
        raise AwsError("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")


def rounded_start(start: float, period: int, now: float) -> float:
    """Where the first period begins: the start rounded down, the more coarsely the longer ago it is."""
    if period < 60:
        return start // period * period
    age = now - start
    step = 60 if age < 15 * _DAY else 300 if age < 63 * _DAY else 3600
    return start // step * step


def grid(start: float, end: float, period: float) -> Sequence[float]:
    """The beginnings of the periods of a range."""
    return [start + index * period for index in range(max(math.ceil((end - start) / period), 0))]
