"""Dates as partition projection writes them: Java's patterns, both ways, and the moments of its ranges. In UTC."""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_RUNS = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|.", re.DOTALL)
_NOW = re.compile(r"\s*NOW\s*(?:([+-])\s*(\d+)\s*(YEAR|MONTH|WEEK|DAY|HOUR|MINUTE|SECOND)S?\s*)?", re.IGNORECASE)
_NUMBERS = {"y": ("year", 4), "u": ("year", 4), "M": ("month", 2), "L": ("month", 2), "d": ("day", 2),
            "H": ("hour", 2), "m": ("minute", 2), "s": ("second", 2), "S": ("fraction", 3)}  # fmt: skip
_FINEST = ("year", "month", "day", "hour", "minute", "second", "fraction")
_MONTHS = {"MMM": list(calendar.month_abbr), "MMMM": list(calendar.month_name)}
_SECONDS = {"WEEKS": 604_800, "DAYS": 86_400, "HOURS": 3600, "MINUTES": 60, "SECONDS": 1, "MILLIS": 0.001}
UNITS = ("YEARS", "MONTHS", *_SECONDS)


@dataclass(frozen=True, slots=True)
class _Part:
    """A literal text, or a field in so many letters."""

    text: str = ""
    field: str = ""
    letters: str = ""


class Pattern:
    """A pattern such as `yyyy/MM/dd`. Raises ValueError for letters that it cannot read as well as write."""

    def __init__(self, pattern: str) -> None:
        self._parts = [self._part(found, pattern) for found in _RUNS.finditer(pattern)]
        self._regex = re.compile("".join(_regex(part) for part in self._parts))
        fields = [part.field for part in self._parts if part.field]
        if not fields:
            raise ValueError(f"{pattern!r} has no part of a date")
        self.finest = max(fields, key=_FINEST.index)
        widths = [len(part.letters) >= _NUMBERS[part.letters[0]][1] for part in self._parts if part.field]
        named = any(part.letters in _MONTHS for part in self._parts)
        self.is_ordered = all(widths) and not named and fields == list(_FINEST[: len(fields)])
        """Whether texts are in the order of their moments."""
        self.slashes = sum(part.text.count("/") for part in self._parts)

    def write(self, at: datetime) -> str:
        made = ""
        for part in self._parts:
            if not part.field:
                made += part.text
            elif part.letters in _MONTHS:
                made += _MONTHS[part.letters][at.month]
            elif part.field == "fraction":
                made += f"{at.microsecond * 1000:09d}"[: len(part.letters)]
            elif part.field == "year" and len(part.letters) == 2:
                made += f"{at.year % 100:02d}"
            else:
                made += f"{getattr(at, part.field):0{len(part.letters)}d}"
        return made

    def read(self, text: str) -> datetime:
        """The moment that a text is; what it does not say is the first. Raises ValueError."""
        found = self._regex.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not in the format of its column")
        values = {"year": 1970, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0, "fraction": 0}
        fields = [part for part in self._parts if part.field]
        for part, group in zip(fields, found.groups(), strict=True):
            if part.letters in _MONTHS:
                values["month"] = [name.lower() for name in _MONTHS[part.letters]].index(group.lower())
            elif part.field == "fraction":
                values["fraction"] = int(group.ljust(6, "0")[:6])
            elif part.field == "year" and len(part.letters) == 2:
                values["year"] = 2000 + int(group)
            else:
                values[part.field] = int(group)
        fraction = values.pop("fraction")
        return datetime(**values, microsecond=fraction, tzinfo=UTC)

    @staticmethod
    def _part(found: "re.Match[str]", pattern: str) -> _Part:
        run, letter = found[0], found[2]
        if found[1] is not None:
            return _Part(found[1].replace("''", "'") or "'")
        if letter is None:
            return _Part(run)
        if letter not in _NUMBERS or (letter in "ML" and len(run) > 4):
            raise ValueError(f"{run} is no part of a date that Clary reads, in {pattern!r}")
        return _Part(field=_NUMBERS[letter][0], letters=run)


def _regex(part: _Part) -> str:
    if not part.field:
        return re.escape(part.text)
    if part.letters in _MONTHS:
        return f"({'|'.join(_MONTHS[part.letters][1:])})"
    least = len(part.letters)
    most = least if least > 1 else 9 if part.field == "year" else 2
    return rf"(\d{{{least},{most}}})"


def moment(text: str, pattern: Pattern, now: datetime) -> datetime:
    """An end of a range: a date in the format, or NOW with what is added to it. Raises ValueError."""
    relative = _NOW.fullmatch(text)
    if relative is None:
        return pattern.read(text.strip())
    if relative[1] is None:
        return now
    count = int(relative[2]) * (-1 if relative[1] == "-" else 1)
    return add(now, count, relative[3].upper() + "S")


def add(at: datetime, count: int, unit: str) -> datetime:
    """A moment so many units later. Raises ValueError where there is none."""
    try:
        if unit in ("YEARS", "MONTHS"):
            months = at.year * 12 + at.month - 1 + count * (12 if unit == "YEARS" else 1)
            year, month = divmod(months, 12)
            return at.replace(year=year, month=month + 1, day=min(at.day, calendar.monthrange(year, month + 1)[1]))
        return at + timedelta(seconds=count * _SECONDS[unit])
    except (OverflowError, calendar.IllegalMonthError):
        raise ValueError(f"there is no moment {count} {unit} after {at}") from None


def steps(low: datetime, high: datetime, every: int, unit: str, first: datetime, last: datetime) -> Iterator[datetime]:
    """The moments from `low` on, so many units apart, up to `high`, that are between `first` and `last`."""
    count = _before(low, first, unit) // every * every if first > low else 0
    end = min(high, last)
    while (at := add(low, count, unit)) <= end:
        if at >= first:
            yield at
        count += every


def count_of(low: datetime, high: datetime, every: int, unit: str) -> int:
    """How many steps there are, at most."""
    return max((_before(low, high, unit) + 2) // every + 1, 0) if high >= low else 0


def _before(low: datetime, high: datetime, unit: str) -> int:
    """How many whole units are certainly between two moments."""
    if unit in ("YEARS", "MONTHS"):
        months = (high.year - low.year) * 12 + high.month - low.month
        return max((months // 12 if unit == "YEARS" else months) - 1, 0)
    return max(int((high - low).total_seconds() / _SECONDS[unit]) - 1, 0)
