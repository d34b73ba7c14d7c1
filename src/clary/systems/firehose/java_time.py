"""Java's DateTimeFormatter patterns, in which prefixes write times, in its US locale."""

import calendar
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import groupby

Part = Callable[[datetime], str]

_RESERVED = frozenset("[]{}#")


def compile_pattern(pattern: str) -> Part:
    """What writes a moment in `pattern`. Raises ValueError that names the letters it cannot write."""
    parts: list[Part] = []
    position = 0
    while position < len(pattern):
        letter = pattern[position]
        if letter == "'":
            text, position = _quoted(pattern, position + 1)
            parts.append(_literal(text))
        elif letter.isascii() and letter.isalpha():
            count = len(next(list(run) for _, run in groupby(pattern[position:])))
            parts.append(_field(letter, count))
            position += count
        elif letter in _RESERVED:
            raise ValueError(f"{letter!r} is reserved in time patterns; write it in quotes")
        else:
            parts.append(_literal(letter))
            position += 1
    return lambda moment: "".join(part(moment) for part in parts)


def _quoted(pattern: str, start: int) -> tuple[str, int]:
    """The text of a quoted part that starts there, and where what follows it begins; '' is one quote."""
    if pattern[start : start + 1] == "'":
        return "'", start + 1
    text, position = "", start
    while position < len(pattern):
        if pattern[position] != "'":
            text += pattern[position]
            position += 1
        elif pattern[position + 1 : position + 2] == "'":
            text += "'"
            position += 2
        else:
            return text, position + 1
    raise ValueError("a quote is not closed")


def _literal(text: str) -> Part:
    return lambda moment: text


def _field(letter: str, count: int) -> Part:
    most, write = _FIELDS.get(letter, (0, None))
    if write is None or count > most:
        raise ValueError(f"{letter * count!r} is no part of a time")
    return lambda moment: write(moment, count)


def _padded(value: Callable[[datetime], int]) -> Callable[[datetime, int], str]:
    return lambda moment, count: f"{value(moment):0{count}d}"


def _year(value: Callable[[datetime], int]) -> Callable[[datetime, int], str]:
    return lambda moment, count: f"{value(moment) % 100:02d}" if count == 2 else f"{value(moment):0{count}d}"


def _named(value: Callable[[datetime], int], short: list[str], full: list[str]) -> Callable[[datetime, int], str]:
    """A number in one or two letters, then the short name, the full one and its first letter."""

    def write(moment: datetime, count: int) -> str:
        number = value(moment)
        return (f"{number}", f"{number:02d}", short[number], full[number], full[number][:1])[count - 1]

    return write


def _week_year(moment: datetime) -> int:
    return (_sunday(moment.date()) + timedelta(6)).year


def _week_of_year(moment: datetime) -> int:
    first = _sunday(date(_week_year(moment), 1, 1))
    return (_sunday(moment.date()) - first).days // 7 + 1


def _week_of_month(moment: datetime) -> int:
    return (_sunday(moment.date()) - _sunday(moment.date().replace(day=1))).days // 7 + 1


def _sunday(day: date) -> date:
    return day - timedelta(days=day.isoweekday() % 7)


def _weekday(moment: datetime) -> int:
    return moment.isoweekday() % 7 + 1


def _weekday_name(moment: datetime, count: int) -> str:
    name = calendar.day_name[moment.weekday()]
    return name[:3] if count <= 3 else name if count == 4 else name[:1]


def _quarter(moment: datetime) -> int:
    return (moment.month + 2) // 3


def _milliseconds(moment: datetime) -> int:
    return ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1000 + moment.microsecond // 1000


def _offset(zero: str, moment: datetime, count: int) -> str:
    """An offset as X and x write it: +01, +0100, +01:00; then with seconds, of which no zone of today has any."""
    minutes = int((moment.utcoffset() or timedelta()).total_seconds() // 60)
    if minutes == 0 and zero:
        return zero
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    if count == 1:
        return f"{sign}{hours:02d}" + (f"{rest:02d}" if rest else "")
    return f"{sign}{hours:02d}:{rest:02d}" if count in (3, 5) else f"{sign}{hours:02d}{rest:02d}"


def _offset_z(moment: datetime, count: int) -> str:
    if count <= 3:
        return _offset("", moment, 2)
    if count == 5:
        return _offset("Z", moment, 3)
    shown = _offset("", moment, 3)
    return "GMT" if shown == "+00:00" else f"GMT{shown}"


def _zone_id(moment: datetime, count: int) -> str:
    if count != 2:
        raise ValueError("'V' must come in pairs")
    return str(moment.tzinfo)


_WEEKDAYS = ["", *(calendar.day_name[(number + 5) % 7] for number in range(1, 8))]
_QUARTERS = ["", "1st quarter", "2nd quarter", "3rd quarter", "4th quarter"]
_MONTH = _named(lambda at: at.month, list(calendar.month_abbr), list(calendar.month_name))
_OF_QUARTER = _named(_quarter, ["", "Q1", "Q2", "Q3", "Q4"], _QUARTERS)
_OF_WEEK = _named(_weekday, [name[:3] for name in _WEEKDAYS], _WEEKDAYS)

_FIELDS: dict[str, tuple[int, Callable[[datetime, int], str]]] = {
    "G": (5, lambda at, count: ("AD", "AD", "AD", "Anno Domini", "A")[count - 1]),
    "u": (19, _year(lambda at: at.year)),
    "y": (19, _year(lambda at: at.year)),
    "Y": (19, _year(_week_year)),
    "D": (3, _padded(lambda at: at.timetuple().tm_yday)),
    "M": (5, _MONTH),
    "L": (5, _MONTH),
    "d": (2, _padded(lambda at: at.day)),
    "Q": (5, _OF_QUARTER),
    "q": (5, _OF_QUARTER),
    "w": (2, _padded(_week_of_year)),
    "W": (1, _padded(_week_of_month)),
    "E": (5, _weekday_name),
    "e": (5, _OF_WEEK),
    "F": (1, _padded(lambda at: (at.day - 1) % 7 + 1)),
    "a": (1, lambda at, count: "AM" if at.hour < 12 else "PM"),
    "h": (2, _padded(lambda at: at.hour % 12 or 12)),
    "K": (2, _padded(lambda at: at.hour % 12)),
    "k": (2, _padded(lambda at: at.hour or 24)),
    "H": (2, _padded(lambda at: at.hour)),
    "m": (2, _padded(lambda at: at.minute)),
    "s": (2, _padded(lambda at: at.second)),
    "S": (9, lambda at, count: f"{at.microsecond * 1000:09d}"[:count]),
    "A": (19, _padded(_milliseconds)),
    "n": (19, _padded(lambda at: at.microsecond * 1000)),
    "N": (19, _padded(lambda at: _milliseconds(at) * 1_000_000 + at.microsecond % 1000 * 1000)),
    "V": (2, _zone_id),
    "z": (3, lambda at, count: at.tzname() or "UTC"),
    "X": (5, lambda at, count: _offset("Z", at, count)),
    "x": (5, lambda at, count: _offset("", at, count)),
    "Z": (5, _offset_z),
}
"""What a letter stands for: how often it may be repeated, and what writes it."""
