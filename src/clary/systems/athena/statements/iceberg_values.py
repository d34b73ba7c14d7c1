"""From what a query gives to what an Iceberg table holds: which types its columns have, and which values fit them."""

import re
from collections.abc import Sequence

from clary.lake.tables import Column
from clary.lake.trino_types import hive_type
from clary.lake.types import Type, trino_type
from clary.systems.athena.contract import OutputColumn, StatementFailed
from clary.systems.athena.statements.widening import widens

_PRECISION = re.compile(r"(timestamp|time)\(\d+\)")
_OWN = {"timestamp with time zone": Type("timestamptz"), "time": Type("time"), "uuid": Type("uuid")}
_KINDS = {"tinyint", "smallint", "char"}


def new_columns(columns: Sequence[OutputColumn], names: Sequence[str]) -> tuple[Column, ...]:
    """The columns of a table for the rows of a query, under these names. Raises StatementFailed."""
    if names and len(names) != len(columns):
        raise StatementFailed(
            "MISMATCHED_COLUMN_ALIASES",
            f"line 1:1: Column alias list has {len(names)} entries but relation has {len(columns)} columns",
        )
    found: list[Column] = []
    for place, each in enumerate(columns):
        name = (names[place] if names else each.name).lower()
        if not name or name == f"_col{place}":
            raise StatementFailed("MISSING_COLUMN_NAME", f"line 1:1: Column name not specified at position {place + 1}")
        if any(name == other.name for other in found):
            raise StatementFailed("DUPLICATE_COLUMN_NAME", f"line 1:1: Column name '{name}' specified more than once")
        found.append(Column(name, _type(each, place)))
    return tuple(found)


def fits(given: str, wanted: Type) -> bool:
    """Whether values of a type of Trino become those of a column by themselves."""
    shown = trino_type(wanted)
    return _PRECISION.sub(r"\1", given) == _PRECISION.sub(r"\1", shown) or widens(given, shown)


def checked(what: str, given: Sequence[str], wanted: Sequence[Type], labels: tuple[str, str]) -> None:
    """Raise StatementFailed, as Trino says it, unless all values fit their columns."""
    if len(given) == len(wanted) and all(map(fits, given, wanted)):
        return
    table, query = labels
    raise StatementFailed(
        "TYPE_MISMATCH",
        f"line 1:1: {what}: {table}: [{', '.join(map(trino_type, wanted))}], {query}: [{', '.join(given)}]",
    )


def stored_sql(name: str, given: str) -> str:
    """SQL of a value as DuckDB's own types have it: a moment in a zone is one of them for Clary's functions alone."""
    if _PRECISION.sub(r"\1", given) == "timestamp with time zone":
        return f"timezone('UTC', ({name}).t)"
    return name


def _type(column: OutputColumn, place: int) -> Type:
    if column.type == "unknown":
        raise StatementFailed("COLUMN_TYPE_UNKNOWN", f"line 1:1: Column type is unknown at position {place + 1}")
    own = _OWN.get(_PRECISION.sub(r"\1", column.type))
    try:
        found = own or hive_type(column.type)
    except ValueError:
        found = Type("char")
    if found.name in _KINDS:
        raise StatementFailed(
            "NOT_SUPPORTED", f"Type not supported for Iceberg: {column.type} (column {column.name}): CAST it to another"
        )
    return found
