"""From a table that a query reads to a scan: partitions that may be wanted, their files, linked into Hive's folders."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from clary.lake import tables
from clary.lake.formats.parts import BUCKET, PARTITION, PATH, SIZE, bucket_of
from clary.lake.scans import DataFile, Scan, ScanPartition
from clary.lake.tables import Column, Table
from clary.lake.types import Type
from clary.systems.athena.contract import Domain, ListedObject, Running, ScanUse, StatementFailed
from clary.systems.athena.planning import partition_tables
from clary.systems.athena.planning.domains import NULL, Filter, filters_of
from clary.systems.athena.planning.partitions import Found, found_of

_LONGEST_NAME = 200
_SCHEMA, _SCHEMA_URL = "avro.schema.literal", "avro.schema.url"
_HIDDEN_TYPES = {PATH: "string", SIZE: "bigint", BUCKET: "int", PARTITION: "string"}


def scan_of(running: Running, use: ScanUse, table: Table) -> Scan:
    """What a query must read of a table: its files are linked into the query's folder, `running.folder`.

    Partitions and files that `use.domains` rules out are left out, also by `$path`, `$file_size` and `$bucket`; what
    remains may hold more than the query wants. Raises StatementFailed where the table cannot be read, and AwsError
    where the caller may not read it.
    """
    if use.part == partition_tables.PARTITIONS:
        return partition_tables.rows_of(running, use, table)
    if table.view or not table.format:
        what = (
            "a view" if table.view else f"of a format that Clary does not read ({table.serializer or 'none is said'})"
        )
        raise StatementFailed("HIVE_UNSUPPORTED_FORMAT", f"Table {table.database}.{table.name} is {what}")
    found = found_of(running, table, use.domains)
    wanted = _of_files(use.domains)
    partitions: list[ScanPartition] = []
    files: list[DataFile] = []
    for number, each_found in enumerate(found):
        partition, objects = _with_schema(running, use, each_found, number)
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


def _with_schema(running: Running, use: ScanUse, found: Found, place: int) -> Found:
    """A partition of Avro with the schema that its properties point to, `avro.schema.url`, at hand."""
    partition, objects = found
    url = partition.serde.get(_SCHEMA_URL, "")
    if partition.format != tables.AVRO or not url or not objects or partition.serde.get(_SCHEMA):
        return found
    if not url.startswith("s3://"):
        raise StatementFailed("HIVE_INVALID_METADATA", f"{_SCHEMA_URL} must be an object of S3, and is {url}")
    path = Path(running.folder) / use.relation / f"schema-{place}"
    path.parent.mkdir(parents=True, exist_ok=True)
    running.link(url, path)
    schema = path.read_text(encoding="utf-8", errors="replace")
    return replace(partition, serde={**partition.serde, _SCHEMA: schema}), objects


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
