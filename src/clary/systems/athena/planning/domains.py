"""Domains of partition keys: which values they leave, and the expressions that ask the catalog for them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from clary.lake.tables import Column
from clary.lake.types import Type
from clary.systems.athena.contract import Domain, StatementFailed

NULL = "__HIVE_DEFAULT_PARTITION__"
_LONGEST = 2048
"""GetPartitions takes no longer expression."""
_MOST_VALUES = 100
_NUMBERS = frozenset({"tinyint", "smallint", "int", "bigint", "decimal", "float", "double"})
_TEXTS = frozenset({"string", "char", "varchar"})
_WHOLE = {"tinyint": 7, "smallint": 15, "int": 31, "bigint": 63}


class Filter:
    """What a query leaves of the values of a key."""

    def __init__(self, key: Column, domain: Domain) -> None:
        self._read = reader(key.type)
        self._domain = domain
        self.values = None if domain.values is None else {self._known(text) for text in domain.values}
        self.low = self._known(domain.low) if domain.low is not None else None
        self.high = self._known(domain.high) if domain.high is not None else None

    def keeps(self, text: str | None) -> bool:
        """Whether rows with this value may be wanted; what cannot be compared is kept, for others to judge."""
        if text is None:
            return self._domain == Domain()
        try:
            value = self._read(text)
        except (ValueError, InvalidOperation):
            return True
        if self.values is not None and value not in self.values:
            return False
        if self.low is not None and (value < self.low or (value == self.low and not self._domain.low_included)):
            return False
        return self.high is None or value < self.high or (value == self.high and self._domain.high_included)

    def _known(self, text: str) -> Any:
        try:
            return self._read(text)
        except (ValueError, InvalidOperation):
            raise ValueError(text) from None


def filters_of(keys: Sequence[Column], domains: Mapping[str, Domain]) -> dict[str, Filter]:
    """The filters of keys that there are domains for; a domain that is none of its key's type filters nothing."""
    found = {}
    for key in keys:
        domain = domains.get(key.name)
        if domain is None or domain == Domain():
            continue
        try:
            found[key.name] = Filter(key, domain)
        except ValueError:
            continue
    return found


def keeps(filters: Mapping[str, Filter], keys: Sequence[Column], values: Sequence[str | None]) -> bool:
    """Whether a partition with these values may be wanted."""
    return all(
        key.name not in filters or filters[key.name].keeps(value) for key, value in zip(keys, values, strict=True)
    )


def expression_of(keys: Sequence[Column], domains: Mapping[str, Domain]) -> str:
    """The expression that asks GetPartitions for no more than it must; empty where it may as well give all."""
    parts: list[str] = []
    for key in keys:
        domain = domains.get(key.name)
        if domain is None or key.type.name not in _NUMBERS | _TEXTS | {"date"}:
            continue
        for part in _compared(key, domain):
            if sum(map(len, parts)) + 5 * len(parts) + len(part) <= _LONGEST:
                parts.append(part)
    return " AND ".join(parts)


def check_value(key: Column, text: str | None, where: str) -> None:
    """Raise StatementFailed where a partition's value is none of its key's type."""
    if text is None:
        return
    try:
        value = reader(key.type)(text)
    except (ValueError, InvalidOperation):
        value = None
    bits = _WHOLE.get(key.type.name)
    if value is None or (bits is not None and not -(2**bits) <= value < 2**bits):
        raise StatementFailed(
            "HIVE_INVALID_PARTITION_VALUE",
            f"Invalid partition value '{text}' for {str(key.type).upper()} partition key: {key.name} ({where})",
        )


def reader(of: Type) -> Callable[[str], Any]:
    """What reads values of a key's type from the texts that partitions have. It raises ValueError, InvalidOperation."""
    if of.name in _WHOLE:
        return int
    if of.name in _NUMBERS:
        return Decimal
    if of.name == "date":
        return date.fromisoformat
    if of.name == "timestamp":
        return lambda text: datetime.fromisoformat(text).replace(tzinfo=None)
    if of.name == "boolean":
        return _boolean
    return str


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _compared(key: Column, domain: Domain) -> list[str]:
    name = f"`{key.name}`"
    if domain.values is not None:
        if not domain.values or len(domain.values) > _MOST_VALUES:
            return []
        if len(domain.values) == 1:
            return [f"{name} = {_literal(key, domain.values[0])}"]
        return [f"{name} IN ({', '.join(_literal(key, value) for value in domain.values)})"]
    found = []
    if domain.low is not None:
        found.append(f"{name} {'>=' if domain.low_included else '>'} {_literal(key, domain.low)}")
    if domain.high is not None:
        found.append(f"{name} {'<=' if domain.high_included else '<'} {_literal(key, domain.high)}")
    return found


def _literal(key: Column, text: str) -> str:
    if key.type.name in _NUMBERS and text.lstrip("+-").replace(".", "", 1).isdigit():
        return text
    return "'" + text.replace("'", "''") + "'"
