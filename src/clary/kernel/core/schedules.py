"""Schedule expressions as AWS writes them: `at(...)`, `rate(...)` and `cron(...)` of six fields. Pure.

Cron here is AWS's: minutes, hours, day of the month, month, day of the week (1 is Sunday), year; one of the two days is
`?`; and it knows `L` (last), `W` (the weekday nearest to a day of the month) and `#` (the n-th such weekday).
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_RATE = re.compile(r"([1-9]\d{0,8}) (minute|minutes|hour|hours|day|days)")
_UNITS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
_FIRST_YEAR, _LAST_YEAR = 1970, 2199


class Schedule(Protocol):
    """When something is due. Times are epoch seconds."""

    def next_after(self, moment: float) -> float | None:
        """The first time after `moment`; None when there is none."""


@dataclass(frozen=True, slots=True)
class At:
    """Once."""

    moment: float

    def next_after(self, moment: float) -> float | None:
        return self.moment if self.moment > moment else None


@dataclass(frozen=True, slots=True)
class Rate:
    """Every so many seconds, counted from `anchor`; the anchor itself does not count."""

    seconds: float
    anchor: float

    def next_after(self, moment: float) -> float | None:
        passed = max((moment - self.anchor) // self.seconds, 0.0)
        return self.anchor + (passed + 1) * self.seconds


@dataclass(frozen=True, slots=True)
class Cron:
    """At every minute that all fields match, in a time zone. A local time that a clock change skips is skipped."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    years: frozenset[int]
    day_of_month: str
    day_of_week: str
    zone: tzinfo

    def next_after(self, moment: float) -> float | None:
        for day in self._days(datetime.fromtimestamp(moment, self.zone).date()):
            for hour in self.hours:
                for minute in self.minutes:
                    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
                    at = local.timestamp()
                    if at > moment and datetime.fromtimestamp(at, self.zone).hour == hour:
                        return at
        return None

    def _days(self, start: date) -> Iterator[date]:
        for year in range(start.year, _LAST_YEAR + 1):
            if year not in self.years:
                continue
            for month in sorted(self.months):
                last = date(year, month, calendar.monthrange(year, month)[1])
                for number in sorted(self._numbers(last)):
                    day = last.replace(day=number)
                    if day >= start:
                        yield day

    def _numbers(self, last: date) -> set[int]:
        """The days of the month that ends on `last` that match."""
        if self.day_of_month != "?":
            return {number for part in self.day_of_month.split(",") for number in _of_month(part, last)}
        return {number for part in self.day_of_week.split(",") for number in _of_week(part, last)}


def parse_schedule(text: str, *, timezone: str = "UTC", anchor: float = 0.0) -> Schedule:
    """Read a schedule expression. Raises ValueError that says what is wrong with it.

    `at` and `cron` are in the time zone, an IANA name; `rate` is counted from `anchor`.
    """
    kind, opened, rest = text.strip().partition("(")
    if not opened or not rest.endswith(")") or kind not in {"at", "rate", "cron"}:
        raise ValueError(f"{text!r} is not a schedule: expected at(...), rate(...) or cron(...)")
    inside, zone = rest[:-1].strip(), _zone(timezone)
    if kind == "at":
        return _at(inside, zone)
    if kind == "rate":
        found = _RATE.fullmatch(inside)
        if found is None or (found[1] == "1") == found[2].endswith("s"):
            raise ValueError(f"rate({inside}) is not a rate: expected as in rate(1 hour) or rate(5 minutes)")
        return Rate(int(found[1]) * _UNITS[found[2].removesuffix("s")], anchor)
    return _cron(inside, zone)


def _zone(name: str) -> tzinfo:
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone: expected an IANA name, as in Europe/Berlin") from None


def _at(text: str, zone: tzinfo) -> At:
    try:
        return At(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=zone).timestamp())
    except ValueError:
        raise ValueError(f"at({text}) is not a time: expected at(yyyy-mm-ddThh:mm:ss)") from None


def _cron(text: str, zone: tzinfo) -> Cron:
    fields = text.upper().split()
    if len(fields) != 6:
        raise ValueError(f"cron({text}) has {len(fields)} fields: expected minutes hours day month weekday year")
    minutes, hours, day, month, weekday, year = fields
    if (day == "?") == (weekday == "?"):
        raise ValueError(f"cron({text}): exactly one of the day of the month and the day of the week must be ?")
    probe = date(2024, 1, 31)
    for part in () if day == "?" else day.split(","):
        _of_month(part, probe)
    for part in () if weekday == "?" else weekday.split(","):
        _of_week(part, probe)
    return Cron(
        tuple(sorted(_values(minutes, 0, 59))),
        tuple(sorted(_values(hours, 0, 23))),
        frozenset(_values(month, 1, 12, _MONTHS)),
        frozenset(_values(year, _FIRST_YEAR, _LAST_YEAR)),
        day,
        weekday,
        zone,
    )


def _of_month(part: str, last: date) -> set[int]:
    if part == "L":
        return {last.day}
    if part.endswith("W"):
        wanted = last.day if part == "LW" else _number(part[:-1], 1, 31)
        return {_nearest_weekday(wanted, last)} if wanted <= last.day else set()
    return {number for number in _values(part, 1, 31) if number <= last.day}


def _nearest_weekday(wanted: int, last: date) -> int:
    """The weekday nearest to a day, within its month."""
    weekday = last.replace(day=wanted).weekday()
    if weekday == calendar.SATURDAY:
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == calendar.SUNDAY:
        return wanted + 1 if wanted < last.day else wanted - 2
    return wanted


def _of_week(part: str, last: date) -> set[int]:
    if part == "L":
        part = "7"
    if part.endswith("L"):
        return set(_such_days(_number(part[:-1], 1, 7, _WEEKDAYS), last)[-1:])
    if "#" in part:
        weekday, _, nth = part.partition("#")
        which = _number(nth, 1, 5)
        return set(_such_days(_number(weekday, 1, 7, _WEEKDAYS), last)[which - 1 : which])
    return {day for weekday in _values(part, 1, 7, _WEEKDAYS) for day in _such_days(weekday, last)}


def _such_days(weekday: int, last: date) -> list[int]:
    """The days of a month that are this weekday, 1 being Sunday."""
    first = last.replace(day=1)
    ahead = (weekday - 1 - (first.weekday() + 1)) % 7
    return [(first + timedelta(days=ahead + 7 * week)).day for week in range(5) if 1 + ahead + 7 * week <= last.day]


def _values(field: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, stepped, step = part.partition("/")
        first, ranged, end = span.partition("-")
        if span == "*":
            start, stop = low, high
        else:
            start = _number(first, low, high, names)
            stop = _number(end, low, high, names) if ranged else high if stepped else start
        if start > stop:
            raise ValueError(f"{part!r} ends before it begins")
        found |= set(range(start, stop + 1, _number(step, 1, high) if stepped else 1))
    return found


def _number(text: str, low: int, high: int, names: dict[str, int] | None = None) -> int:
    number = (names or {}).get(text)
    if number is None and text.isascii() and text.isdigit() and len(text) <= 4:
        number = int(text)
    if number is None or not low <= number <= high:
        raise ValueError(f"{text!r} is not between {low} and {high}")
    return number
