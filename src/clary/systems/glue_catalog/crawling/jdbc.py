"""Crawl databases: the tables and views that a connection shows."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from clary.systems.glue_catalog.crawling.globs import compile_globs
from clary.systems.glue_catalog.crawling.wanted import Findings, WantedTable
from clary.systems.glue_catalog.databases import DatabaseTable, connected, parse_address, tables_of

_NOT_IN_NAMES = re.compile(r"[^a-z0-9_]+")
_TYPES = {
    "smallint": "smallint", "integer": "int", "bigint": "bigint", "real": "float", "double precision": "double",
    "boolean": "boolean", "date": "date", "bytea": "binary",
}  # fmt: skip
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_MOST_DIGITS = 38


def crawl_database(
    target: Mapping[str, Any],
    properties: Mapping[str, str],
    database: str,
    prefix: str,
    crawler: str,
    findings: Findings,
) -> None:
    """Add what a target shows to the findings. Raises Unreachable, or InvalidInputException for a connection that is
    none."""
    name, schema, table = [*target["Path"].split("/"), "%"][:3]
    parse_address(properties)
    excluded = compile_globs(target.get("Exclusions") or ())
    with connected({**properties, "JDBC_CONNECTION_URL": _with_database(properties, name)}) as connection:
        for found in tables_of(connection, schema, table):
            if excluded(found.name) or excluded(f"{found.schema}/{found.name}"):
                continue
            document = _document(found, name, target["ConnectionName"], prefix, crawler)
            findings.tables.append(WantedTable(database, document))
    findings.looked_into.append(_covers(f"{name}.{schema}.{table}"))


def _with_database(properties: Mapping[str, str], name: str) -> str:
    """The connection's URL, to the database that the path names."""
    url = properties["JDBC_CONNECTION_URL"]
    before, _, after = url.partition("://")
    host, _, rest = after.partition("/")
    _, mark, options = rest.partition("?")
    return f"{before}://{host}/{name}{mark}{options}"


def _covers(pattern: str) -> Callable[[str], bool]:
    regex = re.compile(".*".join(map(re.escape, pattern.split("%"))), re.DOTALL)
    return lambda location: regex.fullmatch(location) is not None


def _document(table: DatabaseTable, database: str, connection: str, prefix: str, crawler: str) -> dict[str, Any]:
    parameters = {
        "CrawlerSchemaDeserializerVersion": "1.0",
        "CrawlerSchemaSerializerVersion": "1.0",
        "UPDATED_BY_CRAWLER": crawler,
        "classification": "postgresql",
        "compressionType": "none",
        "connectionName": connection,
        "typeOfData": "view" if table.is_view else "table",
    }
    name = _NOT_IN_NAMES.sub("_", f"{prefix}{database}_{table.schema}_{table.name}".lower())
    columns: dict[str, str] = {}
    for column in table.columns:
        columns.setdefault(column.name.lower(), type_of(column.type))
    return {
        "Name": name,
        "Owner": "owner",
        "Retention": 0,
        "TableType": "EXTERNAL_TABLE",
        "StorageDescriptor": {
            "Columns": [{"Name": column, "Type": type_} for column, type_ in columns.items()],
            "Location": f"{database}.{table.schema}.{table.name}",
            "Compressed": False,
            "NumberOfBuckets": -1,
            "SerdeInfo": {"Parameters": {}},
            "BucketColumns": [],
            "SortColumns": [],
            "Parameters": dict(parameters),
            "StoredAsSubDirectories": False,
        },
        "PartitionKeys": [],
        "Parameters": parameters,
    }


def type_of(postgres: str) -> str:
    """The type of the catalog for one of PostgreSQL; what it has none for is text."""
    if postgres.endswith("[]"):
        return f"array<{type_of(postgres[:-2])}>"
    if postgres in _TYPES:
        return _TYPES[postgres]
    if postgres.startswith("timestamp"):
        return "timestamp"
    found = _NUMERIC.fullmatch(postgres)
    if found is not None and int(found[1]) <= _MOST_DIGITS and 0 <= int(found[2]) <= int(found[1]):
        return f"decimal({found[1]},{found[2]})"
    return "decimal(38,18)" if postgres.startswith("numeric") else "string"
