"""Times in JSON, read to the nanosecond: Hive's and ISO's notations, epochs, and the patterns of Joda-Time."""

import calendar
import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

NANOSECONDS = 1_000_000_000
# Numbers from here on are milliseconds: as seconds they would be in the year 5138.
_MILLISECONDS_FROM = 10**11
_NO_TIME = 10**18
_NOTATION = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[T ](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?)?\s?(Z|UTC|[+-]\d{2}:?\d{2})?"
)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_QUOTED = re.compile(r"'((?:[^']|'')*)'")
_MONTHS = tuple(calendar.month_name[1:])
_EPOCH_DAY = date(1970, 1, 1).toordinal()

Reader = Callable[[Any], int]


def nanoseconds(value: Any) -> int:
    """Nanoseconds since 1970 of a number (seconds, or milliseconds where it is large) or a text. Raises ValueError."""
    if isinstance(value, str):
        found = _NOTATION.fullmatch(value.strip())
        if found is not None:
            year, month, day, hour, minute, second, fraction, zone = found.groups()
            clock = int(hour or 0), int(minute or 0), int(second or 0)
            return _moment(int(year), int(month), int(day), clock, fraction or "", _offset(zone))
        if _NUMBER.fullmatch(value.strip()) is None:
            raise ValueError(f"{value[:64]!r} is no time as yyyy-MM-dd HH:mm:ss, in ISO 8601, or since 1970")
    elif isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"a {type(value).__name__} is no time")
    number = Decimal(str(value).strip())
    if not abs(number) < _NO_TIME:
        raise ValueError(f"{str(value)[:64]} is no time since 1970")
    return int(number * (NANOSECONDS // 1000 if abs(number) >= _MILLISECONDS_FROM else NANOSECONDS))


def days(value: Any) -> int:
    """Days since 1970 of a text `yyyy-MM-dd`. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"a {type(value).__name__} is no date as yyyy-MM-dd")
    found = re.fullmatch(r"\s*(\d{4})-(\d{1,2})-(\d{1,2})\s*", value)
    if found is None:
        raise ValueError(f"{value[:64]!r} is no date as yyyy-MM-dd")
    return date(*(int(part) for part in found.groups())).toordinal() - _EPOCH_DAY


def time_of_day(value: Any) -> int:
    """Nanoseconds since midnight of a text `HH:mm:ss`. Raises ValueError."""
    found = re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{str(value)[:64]!r} is no time of a day as HH:mm:ss")
    hour, minute, second, fraction = found.groups()
    return _moment(1970, 1, 1, (int(hour), int(minute), int(second or 0)), fraction or "", timedelta())


def joda_reader(patterns: Sequence[str]) -> Reader:
    """What reads a time by the first of these patterns that it fits. Raises ValueError for a pattern of none."""
    readers = [_milliseconds if pattern == "millis" else _joda(pattern) for pattern in patterns]

    def read(value: Any) -> int:
        for reader in readers:
            found = reader(value)
            if found is not None:
                return found
        raise ValueError(f"{str(value)[:64]!r} is no time as {' or '.join(patterns)}")

    return read


def _milliseconds(value: Any) -> int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number and not (isinstance(value, str) and re.fullmatch(r"-?\d+", value)):
        return None
    return int(value) * 1_000_000


def _joda(pattern: str) -> Callable[[Any], int | None]:
    """Reads texts of one pattern; None for others."""
    expression, place = "", 0
    while place < len(pattern):
        letter = pattern[place]
        if letter == "'":
            quoted = _QUOTED.match(pattern, place)
            if quoted is None:
                raise ValueError(f"a quote is not closed in {pattern!r}")
            expression += re.escape(quoted[1].replace("''", "'") or "'")
            place = quoted.end()
        elif letter.isascii() and letter.isalpha():
            count = len(list(next(groupby(pattern[place:]))[1]))
            expression += _joda_field(pattern, letter, count)
            place += count
        else:
            expression += re.escape(letter)
            place += 1
    try:
        compiled = re.compile(expression, re.IGNORECASE)
    except re.error:
        raise ValueError(f"{pattern!r} has the same part of a time twice") from None
    if "y" not in compiled.groupindex:
        raise ValueError(f"{pattern!r} says no year")

    def read(value: Any) -> int | None:
        found = compiled.fullmatch(str(value)) if isinstance(value, str | int) else None
        return None if found is None else _joda_moment(found.groupdict())

    return read


def _joda_field(pattern: str, letter: str, count: int) -> str:
    months = "|".join(_MONTHS) if count > 3 else "|".join(name[:3] for name in _MONTHS)
    days_of_week = "|".join(calendar.day_name if count > 3 else calendar.day_abbr)
    two = "(?P<{}>\\d{{1,2}})" if count == 1 else "(?P<{}>\\d{{2}})"
    fields = {
        "y": "(?P<y>\\d{2})" if count == 2 else "(?P<y>\\d{4})",
        "Y": "(?P<y>\\d{4})",
        "M": f"(?P<M>{months})" if count > 2 else two.format("M"),
        "S": f"(?P<S>\\d{{{min(count, 9)}}})",
        "a": "(?P<a>AM|PM)",
        "E": f"(?:{days_of_week})",
        "Z": "(?P<Z>Z|[+-]\\d{2}:?\\d{2})",
        "z": "(?P<z>UTC|GMT|Z)",
        "D": "(?P<D>\\d{1,3})",
        **{each: two.format(each) for each in "dHhkKms"},
    }
    if letter not in fields:
        raise ValueError(f"{letter * count!r} in {pattern!r} is no part of a time")
    return fields[letter]


def _joda_moment(parts: dict[str, str | None]) -> int | None:
    year = int(parts["y"] or 0)
    if len(parts["y"] or "") == 2:
        year += 1900 if year >= 70 else 2000
    month = parts.get("M") or "1"
    number = int(month) if month.isdigit() else [name[:3] for name in _MONTHS].index(month[:3].title()) + 1
    hour = int(parts.get("H") or parts.get("k") or parts.get("h") or parts.get("K") or 0)
    if parts.get("a"):
        hour = hour % 12 + (12 if str(parts["a"]).upper() == "PM" else 0)
    clock = hour % 24 if parts.get("k") else hour, int(parts.get("m") or 0), int(parts.get("s") or 0)
    try:
        moment = _moment(year, number, int(parts.get("d") or 1), clock, parts.get("S") or "", _offset(parts.get("Z")))
    except ValueError:
        return None
    return moment + (int(parts["D"] or 1) - 1) * 86_400 * NANOSECONDS if parts.get("D") else moment


def _moment(year: int, month: int, day: int, clock: tuple[int, int, int], fraction: str, offset: timedelta) -> int:
    hour, minute, second = clock
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"{hour}:{minute}:{second} is no time of a day")
    seconds = (date(year, month, day).toordinal() - _EPOCH_DAY) * 86_400 + hour * 3600 + minute * 60 + second
    return (seconds - int(offset.total_seconds())) * NANOSECONDS + int(fraction.ljust(9, "0"))


def _offset(zone: str | None) -> timedelta:
    if not zone or zone[0] not in "+-":
        return timedelta()
    size = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return -size if zone[0] == "-" else size
