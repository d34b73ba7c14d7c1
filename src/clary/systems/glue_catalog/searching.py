"""What SearchTables finds: tables by text anywhere in them, and by the values of their attributes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import eq, ge, gt, le, lt
from typing import Any

from clary.kernel.wire.scalars import read_timestamp
from clary.systems.glue_catalog.lookup import invalid

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "EQUALS": eq,
    "GREATER_THAN": gt,
    "LESS_THAN": lt,
    "GREATER_THAN_EQUALS": ge,
    "LESS_THAN_EQUALS": le,
}
_TIMES = ("CreateTime", "UpdateTime", "LastAccessTime", "LastAnalyzedTime")
_TEXTS = ("Name", "DatabaseName", "Description", "Owner", "TableType", "CreatedBy", "CatalogId")

Table = Mapping[str, Any]


def text_filter(text: str) -> Callable[[Table], bool]:
    """Tables that have all words of a text somewhere; with the text in quotes, one value that is exactly it."""
    wanted = text.lower().strip()
    if len(wanted) > 1 and wanted[0] == wanted[-1] == '"':
        return lambda table: wanted[1:-1] in _values(table)
    words = wanted.split()
    return lambda table: all(any(word in value for value in _values(table)) for word in words)


def property_filter(predicate: Mapping[str, str]) -> Callable[[Table], bool]:
    """Tables one of whose attributes compares so. Raises InvalidInputException for an attribute that is none."""
    name, value = predicate.get("Key"), predicate.get("Value")
    if name is None or value is None:
        raise invalid("Each of Filters needs a Key and a Value")
    compare = _COMPARE[predicate.get("Comparator") or "EQUALS"]
    field = attribute(name)
    if field in _TIMES:
        try:
            moment = read_timestamp(value)
        except ValueError as error:
            raise invalid(f"Filters compare {field} with {value!r}: {error}") from None
        return lambda table: field in table and compare(table[field], moment)
    return lambda table: field in table and compare(str(table[field]).lower(), value.lower())


def sort_key(criteria: Sequence[Mapping[str, str]]) -> tuple[Callable[[Table], Any], bool]:
    """What tables are sorted by, and whether the last come first: by database and name unless told otherwise."""
    if not criteria:
        return _by_name, False
    field = attribute(criteria[0].get("FieldName") or "Name")
    nothing: Any = 0.0 if field in _TIMES else ""
    return lambda table: (table.get(field, nothing), *_by_name(table)), criteria[0].get("Sort") == "DESC"


def attribute(name: str) -> str:
    """The attribute of a table that a request names, however it spells it. Raises InvalidInputException."""
    plain = {field.lower(): field for field in (*_TIMES, *_TEXTS)} | {"tablename": "Name"}
    found = plain.get(name.lower().replace("_", ""))
    if found is None:
        raise invalid(f"Tables are not searched by {name}: they are by {', '.join((*_TEXTS, *_TIMES))}")
    return found


def _by_name(table: Table) -> tuple[str, str]:
    return table["DatabaseName"], table["Name"]


def _values(table: Table) -> list[str]:
    """All texts of a table that a search looks into, in lower case."""
    return [str(value).lower() for value in _texts(table) if value]


def _texts(table: Table) -> Iterator[Any]:
    yield from (table.get(field) for field in ("Name", "DatabaseName", "Description", "Owner", "TableType"))
    descriptor = table.get("StorageDescriptor") or {}
    for column in (*(descriptor.get("Columns") or ()), *(table.get("PartitionKeys") or ())):
        yield from (column.get("Name"), column.get("Comment"))
    for pair in (table.get("Parameters") or {}).items():
        yield from pair
    yield descriptor.get("Location")
