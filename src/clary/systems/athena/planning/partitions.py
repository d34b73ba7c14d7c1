"""The partitions of a table that a query may want, and their files: those of the catalog, and projected ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from clary.lake.scans import ScanPartition
from clary.lake.tables import Partition, Table, partition_of
from clary.lake.types import Type
from clary.systems.athena.contract import Domain, ListedObject, Running, StatementFailed
from clary.systems.athena.planning.domains import NULL, check_value, expression_of, filters_of, keeps
from clary.systems.athena.planning.listing import data_objects, objects_of
from clary.systems.athena.planning.projection import is_projected, projected

_PAGE = 1000

Found = tuple[ScanPartition, list[ListedObject]]


def partitions_of(running: Running, table: Table, domains: Mapping[str, Domain]) -> Iterator[Partition]:
    """The partitions in the catalog that a query may want, all pages of them."""
    filters = filters_of(table.keys, domains)
    params: dict[str, Any] = {"DatabaseName": table.database, "TableName": table.name, "MaxResults": _PAGE}
    expression = expression_of(table.keys, domains)
    if expression:
        params["Expression"] = expression
    token: str | None = None
    while True:
        page = running.call("GetPartitions", **params, **({"NextToken": token} if token else {}))
        running.check()
        for document in page.get("Partitions") or ():
            if keeps(filters, table.keys, key_values(document["Values"])):
                yield partition_of(table, document)
        token = page.get("NextToken")
        if not token:
            return


def values_of(running: Running, table: Table, domains: Mapping[str, Domain]) -> list[tuple[str | None, ...]]:
    """The values of the keys of the partitions that a query may want; projected ones count where they have files."""
    if is_projected(table):
        return [values for values, _ in projected(running, table, domains, running.ctx.platform.clock.now())]
    return [key_values(each.values) for each in partitions_of(running, table, domains)]


def found_of(running: Running, table: Table, domains: Mapping[str, Domain]) -> list[Found]:
    """The partitions that a query may want, each with its files; a table without keys is one partition."""
    whole = ScanPartition((), table.format, table.serde, table.columns)
    if not table.keys:
        return [(whole, list(data_objects(running, table.location)))]
    if is_projected(table):
        now = running.ctx.platform.clock.now()
        made = projected(running, table, domains, now)
        for values, _ in made:
            for key, value in zip(table.keys, values, strict=True):
                check_value(key, value, table.location)
        return [(replace(whole, values=values), objects) for values, objects in made]
    partitions = list(partitions_of(running, table, domains))
    for each in partitions:
        _check(table, each)
    few = bool(filters_of(table.keys, domains))
    listed = objects_of(running, [each.location for each in partitions], "" if few else table.location)
    return [
        (ScanPartition(key_values(each.values), each.format, each.serde, each.columns), objects)
        for each, objects in zip(partitions, listed, strict=True)
    ]


def key_values(values: Sequence[str]) -> tuple[str | None, ...]:
    """The values of keys as the catalog writes them, with None for NULL."""
    return tuple(None if value == NULL else value for value in values)


def _check(table: Table, partition: Partition) -> None:
    """Raise StatementFailed where a partition's values or columns are not the table's."""
    for key, value in zip(table.keys, key_values(partition.values), strict=True):
        check_value(key, value, partition.location)
    own = {column.name: column.type for column in partition.columns}
    for column in table.columns:
        there = own.get(column.name)
        if there is not None and not _coerces(there, column.type):
            name = "/".join(f"{key.name}={value}" for key, value in zip(table.keys, partition.values, strict=True))
            raise StatementFailed(
                "HIVE_PARTITION_SCHEMA_MISMATCH",
                "There is a mismatch between the table and partition schemas. The types are incompatible and cannot be "
                f"coerced. The column '{column.name}' in table '{table.database}.{table.name}' is declared as type "
                f"'{column.type}', but partition '{name}' declared column '{column.name}' as type '{there}'.",
            )


_WIDTHS = {"tinyint": 0, "smallint": 1, "int": 2, "bigint": 3}
_STRINGS = frozenset({"string", "varchar", "char"})
_FRACTIONS = frozenset({"float", "double", "decimal"})


def _coerces(given: Type, wanted: Type) -> bool:
    """Whether a partition's column may be read as the table's, as Trino's Hive connector has it."""
    if given == wanted or (given.name in _STRINGS and wanted.name in _STRINGS):
        return True
    if given.name != wanted.name:
        if given.name in _WIDTHS and wanted.name in _WIDTHS:
            return _WIDTHS[given.name] <= _WIDTHS[wanted.name]
        if given.name in _WIDTHS:
            return wanted.name in _STRINGS or wanted.name in _FRACTIONS
        if given.name in _FRACTIONS:
            return wanted.name in _FRACTIONS or wanted.name in _STRINGS
        if given.name in _STRINGS:
            return wanted.name in _WIDTHS or wanted.name in ("timestamp", "date", "double", "float", "boolean")
        return given.name in ("date", "timestamp", "boolean") and wanted.name in _STRINGS
    if given.name == "struct":
        fields = {name.lower(): child for name, child in zip(given.names, given.children, strict=True)}
        pairs = zip(wanted.names, wanted.children, strict=True)
        return all(name.lower() not in fields or _coerces(fields[name.lower()], child) for name, child in pairs)
    return all(_coerces(one, other) for one, other in zip(given.children, wanted.children, strict=True))
