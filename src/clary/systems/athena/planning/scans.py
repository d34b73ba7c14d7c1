"""From a table that a query reads to a scan: partitions that may be wanted, their files, linked into Hive's folders."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from clary.lake import tables
from clary.lake.formats.parts import BUCKET, PARTITION, PATH, SIZE, bucket_of
from clary.lake.scans import DataFile, Scan, ScanPartition
from clary.lake.tables import Column, Partition, Table, partition_of
from clary.lake.types import Type
from clary.systems.athena.contract import Domain, ListedObject, Running, ScanUse, StatementFailed
from clary.systems.athena.planning.domains import NULL, Filter, check_value, expression_of, filters_of, keeps
from clary.systems.athena.planning.listing import data_objects, objects_of
from clary.systems.athena.planning.projection import is_projected, projected

_LONGEST_NAME = 200
_PAGE = 1000
_TEXTS = frozenset({tables.CSV, tables.OPEN_CSV, tables.JSON, tables.REGEX, tables.GROK, tables.AVRO})
_HIDDEN_TYPES = {PATH: "string", SIZE: "bigint", BUCKET: "int", PARTITION: "string"}

Found = tuple[ScanPartition, list[ListedObject]]


def scan_of(running: Running, use: ScanUse, table: Table) -> Scan:
    """What a query must read of a table: its files are linked into the query's folder, `running.folder`.

    Partitions and files that `use.domains` rules out are left out, also by `$path`, `$file_size` and `$bucket`; what
    remains may hold more than the query wants. Raises StatementFailed where the table cannot be read, and AwsError
    where the caller may not read it.
    """
    if table.view or not table.format:
        what = (
            "a view" if table.view else f"of a format that Clary does not read ({table.serializer or 'none is said'})"
        )
        raise StatementFailed("HIVE_UNSUPPORTED_FORMAT", f"Table {table.database}.{table.name} is {what}")
    found = _found(running, use, table)
    wanted = _of_files(use.domains)
    partitions: list[ScanPartition] = []
    files: list[DataFile] = []
    for partition, objects in found:
        kept = [each for each in objects if wanted is None or wanted(each, table, partition)]
        if kept:
            files += _linked(running, use, table, partition, kept, len(partitions), len(files))
            partitions.append(partition)
    return Scan(
        name=use.relation,
        columns=table.columns,
        keys=table.keys,
        partitions=tuple(partitions),
        files=tuple(files),
        used=use.used,
        properties=table.properties,
    )


def certain_bytes(scan: Scan) -> int:
    """How many bytes a scan reads whatever its query is: texts are read whole."""
    return sum(
        file.size_bytes for file in scan.files if scan.partitions and scan.partitions[file.partition].format in _TEXTS
    )


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
            if keeps(filters, table.keys, _values(document["Values"])):
                yield partition_of(table, document)
        token = page.get("NextToken")
        if not token:
            return


def _found(running: Running, use: ScanUse, table: Table) -> list[Found]:
    """Partitions and their files."""
    whole = ScanPartition((), table.format, table.serde, table.columns)
    if not table.keys:
        return [(whole, list(data_objects(running, table.location)))]
    if is_projected(table):
        now = running.ctx.platform.clock.now()
        made = projected(running, table, use.domains, now)
        for values, _ in made:
            for key, value in zip(table.keys, values, strict=True):
                check_value(key, value, table.location)
        return [(replace(whole, values=values), objects) for values, objects in made]
    partitions = list(partitions_of(running, table, use.domains))
    for each in partitions:
        _check(table, each)
    few = bool(filters_of(table.keys, use.domains))
    listed = objects_of(running, [each.location for each in partitions], "" if few else table.location)
    return [
        (ScanPartition(_values(each.values), each.format, each.serde, each.columns), objects)
        for each, objects in zip(partitions, listed, strict=True)
    ]


def _values(values: Sequence[str]) -> tuple[str | None, ...]:
    return tuple(None if value == NULL else value for value in values)


def _check(table: Table, partition: Partition) -> None:
    """Raise StatementFailed where a partition's values or columns are not the table's."""
    for key, value in zip(table.keys, _values(partition.values), strict=True):
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


def _linked(
    running: Running,
    use: ScanUse,
    table: Table,
    partition: ScanPartition,
    objects: Sequence[ListedObject],
    place: int,
    number: int,
) -> Iterator[DataFile]:
    folder = Path(running.folder) / use.relation / _folder(table.keys, partition.values, place)
    folder.mkdir(parents=True, exist_ok=True)
    for count, each in enumerate(objects, number):
        path = folder / str(count)
        running.link(each.uri, path)
        if count % 256 == 0:
            running.check()
        yield DataFile(str(path), each.uri, each.size_bytes, place, each.etag, each.modified_at)


def _folder(keys: Sequence[Column], values: Sequence[str | None], place: int) -> str:
    """Hive's folder of a partition; where a file system has no such long names, one that says nothing."""
    names = [
        f"{key.name}={NULL if value is None else quote(value, safe='')}"
        for key, value in zip(keys, values, strict=True)
    ]
    if any(len(name) > _LONGEST_NAME or not re.fullmatch(r"[\w$-]+=.*", name) for name in names):
        return f"partition-{place}"
    return "/".join(names)


def _of_files(domains: Mapping[str, Domain]) -> "_Wanted | None":
    hidden = [Column(name, Type(kind)) for name, kind in _HIDDEN_TYPES.items()]
    filters = filters_of(hidden, domains)
    return _Wanted(filters) if filters else None


class _Wanted:
    """Whether a file may hold rows that a query wants, by the columns that all its rows have alike."""

    def __init__(self, filters: Mapping[str, Filter]) -> None:
        self._filters = filters

    def __call__(self, found: ListedObject, table: Table, partition: ScanPartition) -> bool:
        pairs = self._filters.items()
        return all(filter_.keeps(_text(name, found, table, partition)) for name, filter_ in pairs)


def _text(name: str, found: ListedObject, table: Table, partition: ScanPartition) -> str | None:
    if name == PATH:
        return found.uri
    if name == SIZE:
        return str(found.size_bytes)
    if name == BUCKET:
        bucket = bucket_of(found.uri)
        return None if bucket is None else str(bucket)
    pairs = zip(table.keys, partition.values, strict=True)
    return "/".join(f"{key.name}={NULL if value is None else value}" for key, value in pairs)
