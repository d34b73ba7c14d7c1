"""Partition projection: the partitions that a table's properties say there are, which the catalog never hears of.

Source: "Partition projection with Amazon Athena" and "Supported types for partition projection" of the user guide.
Where there are more combinations of values than it pays to list one by one, the objects below what is fixed of the
template are listed at once, and their URIs read by it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from math import prod
from typing import Any

from clary.lake.tables import Column, Table
from clary.systems.athena.contract import Domain, ListedObject, Running, StatementFailed
from clary.systems.athena.planning.dates import UNITS, Pattern, add, count_of, moment, steps
from clary.systems.athena.planning.domains import Filter, filters_of, keeps
from clary.systems.athena.planning.listing import below, data_objects, is_data

ENABLED = "projection.enabled"
TEMPLATE = "storage.location.template"
_MOST_LISTINGS = 256
_KEY = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Projected:
    """The values that a key may have: how many at most, those that a query leaves, whether a text is one of them.

    `regex` is what they look like in URIs.
    """

    count: int
    values: Callable[[], Iterable[str]]
    has: Callable[[str], bool]
    regex: str


def is_projected(table: Table) -> bool:
    return bool(table.keys) and table.properties.get(ENABLED, "").strip().lower() == "true"


def projected(
    running: Running, table: Table, domains: Mapping[str, Domain], now: float
) -> list[tuple[tuple[str | None, ...], list[ListedObject]]]:
    """The partitions that a query may want and their files; those without files are left out.

    Raises StatementFailed where the properties are wrong, or an injected key has no values in the query.
    """
    filters = filters_of(table.keys, domains)
    at = datetime.fromtimestamp(now, UTC)
    ranges = [_range(table, key, domains.get(key.name), filters.get(key.name), at) for key in table.keys]
    template = _template(table)
    if prod(each.count for each in ranges) <= _MOST_LISTINGS:
        return list(_listed(running, table, template, ranges, filters))
    return _matched(running, table, template, ranges, filters)


def _listed(
    running: Running, table: Table, template: str, ranges: Sequence[Projected], filters: Mapping[str, Filter]
) -> Iterator[tuple[tuple[str | None, ...], list[ListedObject]]]:
    for values in product(*(dict.fromkeys(each.values()) for each in ranges)):
        if keeps(filters, table.keys, values):
            running.check()
            files = list(data_objects(running, _filled(table, template, values)))
            if files:
                yield values, files


def _matched(
    running: Running, table: Table, template: str, ranges: Sequence[Projected], filters: Mapping[str, Filter]
) -> list[tuple[tuple[str | None, ...], list[ListedObject]]]:
    places = {key.name: place for place, key in enumerate(table.keys)}
    single = {
        place: next(iter(values))
        for place, each in enumerate(ranges)
        if each.count <= 1 and (values := list(each.values()))
    }
    fixed = _KEY.sub(lambda found: single.get(places[found[1].lower()], found[0]), template)
    root = fixed.partition("${")[0]
    regex = re.compile(_regex(below(fixed), places, ranges))
    order = {key: place for place, key in enumerate(regex.groupindex)}
    found: dict[tuple[str | None, ...], list[ListedObject]] = {}
    known: dict[tuple[str, ...], tuple[str | None, ...] | None] = {}
    for each in running.objects(root):
        match = regex.match(each.uri)
        if match is None or not is_data(each, match.end()):
            continue
        groups = match.groups()
        if groups not in known:
            known[groups] = None
            shown = tuple(
                groups[order[f"k{place}"]] if f"k{place}" in order else single.get(place)
                for place in range(len(ranges))
            )
            good = all(value is not None and one.has(value) for value, one in zip(shown, ranges, strict=True))
            known[groups] = shown if good and keeps(filters, table.keys, shown) else None
        wanted = known[groups]
        if wanted is not None:
            found.setdefault(wanted, []).append(each)
    return list(found.items())


def _regex(template: str, places: Mapping[str, int], ranges: Sequence[Projected]) -> str:
    made, end, seen = "", 0, set[int]()
    for found in _KEY.finditer(template):
        place = places[found[1].lower()]
        made += re.escape(template[end : found.start()])
        made += f"(?P=k{place})" if place in seen else f"(?P<k{place}>{ranges[place].regex})"
        seen.add(place)
        end = found.end()
    return made + re.escape(template[end:])


def _template(table: Table) -> str:
    """Where partitions lie, with `${key}` for values; Hive's folders below the table's location unless said."""
    template = table.properties.get(TEMPLATE, "").strip()
    if not template:
        folders = "/".join(f"{key.name}=${{{key.name}}}" for key in table.keys)
        return f"{below(table.location)}{folders}/"
    named = {found.lower() for found in _KEY.findall(template)}
    keys = {key.name for key in table.keys}
    if named != keys:
        raise _wrong(table, f"{TEMPLATE} must name the partition columns {_shown(keys)}, and names {_shown(named)}")
    return template


def _filled(table: Table, template: str, values: Sequence[str | None]) -> str:
    by_name = {key.name: value or "" for key, value in zip(table.keys, values, strict=True)}
    return below(_KEY.sub(lambda found: by_name[found[1].lower()], template))


def _range(table: Table, key: Column, domain: Domain | None, filter_: Filter | None, now: datetime) -> Projected:
    said = _Said(table, key)
    kind = said("type").lower()
    if kind not in _KINDS:
        raise said.wrong("type", f"must be enum, integer, date or injected, and is {kind or 'missing'}")
    return _KINDS[kind](said, domain, filter_, now)


class _Said:
    """What a table's properties say of a key."""

    def __init__(self, table: Table, key: Column) -> None:
        self.table = table
        self.key = key
        self._properties = {name.lower(): value for name, value in table.properties.items()}

    def __call__(self, name: str) -> str:
        return self._properties.get(f"projection.{self.key.name}.{name}", "")

    def whole(self, name: str, default: int) -> int:
        text = self(name).strip()
        if not text:
            return default
        if not text.isascii() or not text.isdigit() or int(text) < 1:
            raise self.wrong(name, f"must be a positive whole number, and is {text}")
        return int(text)

    def pair(self) -> tuple[str, str]:
        parts = self("range").split(",")
        if len(parts) != 2 or not all(part.strip() for part in parts):
            raise self.wrong("range", f"must be two values with a comma between them, and is {self('range')!r}")
        return parts[0].strip(), parts[1].strip()

    def wrong(self, name: str, what: str) -> StatementFailed:
        return _wrong(self.table, f"projection.{self.key.name}.{name} {what}")


def _wrong(table: Table, what: str) -> StatementFailed:
    return StatementFailed(
        "INVALID_TABLE_PROPERTY", f"Table {table.database}.{table.name} is configured for partition projection: {what}"
    )


def _enum(said: _Said, domain: Domain | None, filter_: Filter | None, now: datetime) -> Projected:
    values = [value for value in said("values").split(",") if value]
    if not values:
        raise said.wrong("values", "must be a list of values with commas between them")
    kept = [value for value in values if filter_ is None or filter_.keeps(value)]
    every = set(values)
    return Projected(len(kept), lambda: kept, every.__contains__, "|".join(map(re.escape, kept)) or r"(?!)")


def _integer(said: _Said, domain: Domain | None, filter_: Filter | None, now: datetime) -> Projected:
    low, high = (_whole(said, text) for text in said.pair())
    every, digits = said.whole("interval", 1), said.whole("digits", 0)
    first, last = low, high
    if filter_ is not None and said.key.type.name != "string":
        ends = _ends(filter_)
        if ends is not None:
            first = low + max(0, -(-(int(ends[0]) - low) // every)) * every if ends[0] is not None else low
            last = min(high, int(ends[1])) if ends[1] is not None else high
    shown = range(first, last + 1, every)

    def write(value: int) -> str:
        return f"{'-' if value < 0 else ''}{abs(value):0{digits}d}" if digits else str(value)

    def has(text: str) -> bool:
        try:
            value = int(text)
        except ValueError:
            return False
        return low <= value <= high and (value - low) % every == 0 and write(value) == text

    return Projected(len(shown), lambda: map(write, shown), has, r"-?\d+")


def _date(said: _Said, domain: Domain | None, filter_: Filter | None, now: datetime) -> Projected:
    try:
        pattern = Pattern(said("format") or "yyyy-MM-dd")
        low, high = (moment(text, pattern, now) for text in said.pair())
    except ValueError as error:
        raise said.wrong("range", f"or its format is wrong: {error}") from None
    default = {"year": "", "month": "MONTHS", "day": "DAYS"}.get(pattern.finest, "")
    unit = said("interval.unit").strip().upper() or default
    if unit not in UNITS or (not default and not said("interval").strip()):
        raise said.wrong("interval.unit", f"must be one of {', '.join(UNITS)}, and interval be given, with this format")
    every = said.whole("interval", 1)
    first, last = _dates_left(said, pattern, filter_, low, high)

    def has(text: str) -> bool:
        try:
            at = pattern.read(text)
        except ValueError:
            return False
        # Steps from a moment within a day, an hour, ... are known by what the format leaves of them.
        finest = {"fraction": "MILLIS"}.get(pattern.finest, pattern.finest.upper() + "S")
        around = add(at, 1, finest)
        return pattern.write(at) == text and any(
            pattern.write(each) == text for each in steps(low, high, every, unit, at, around)
        )

    slashes = r"(?:/[^/]+)" + f"{{{pattern.slashes}}}" if pattern.slashes else ""
    return Projected(
        count_of(max(low, first), min(high, last), every, unit),
        lambda: (pattern.write(at) for at in steps(low, high, every, unit, first, last)),
        has,
        f"[^/]+{slashes}",
    )


def _dates_left(
    said: _Said, pattern: Pattern, filter_: Filter | None, low: datetime, high: datetime
) -> tuple[datetime, datetime]:
    """The moments between which those lie that a query wants, as far as it can be told."""
    ends = None if filter_ is None or not pattern.is_ordered else _ends(filter_)
    if ends is None:
        return low, high
    finest = {"fraction": "MILLIS"}.get(pattern.finest, pattern.finest.upper() + "S")
    first, last = low, high
    try:
        if ends[0] is not None:
            first = _as_moment(ends[0], pattern)
        if ends[1] is not None:
            last = add(_as_moment(ends[1], pattern), 1, finest)
    except ValueError:
        return low, high
    return first, last


def _as_moment(value: Any, pattern: Pattern) -> datetime:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    if hasattr(value, "isoformat"):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return pattern.read(str(value))


def _ends(filter_: Filter) -> tuple[Any, Any] | None:
    """The least and the greatest value that a filter keeps; None at an end that is open."""
    if filter_.values is not None:
        return (min(filter_.values), max(filter_.values)) if filter_.values else None
    return filter_.low, filter_.high


def _injected(said: _Said, domain: Domain | None, filter_: Filter | None, now: datetime) -> Projected:
    values = domain.values if domain is not None else None
    if values is None and domain is not None and domain.low is not None and domain.low == domain.high:
        values = (domain.low,)
    if values is None:
        raise StatementFailed(
            "CONSTRAINT_VIOLATION",
            f"For the injected projected partition column {said.key.name}, the WHERE clause must contain only static "
            "equality conditions, and at least one such condition must be present.",
        )
    return Projected(len(values), lambda: values, set(values).__contains__, "|".join(map(re.escape, values)) or r"(?!)")


def _whole(said: _Said, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise said.wrong("range", f"must be whole numbers, and has {text!r}") from None


def _shown(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


_KINDS: Mapping[str, Callable[[_Said, Domain | None, Filter | None, datetime], Projected]] = {
    "enum": _enum, "integer": _integer, "date": _date, "injected": _injected,
}  # fmt: skip
