"""Queries of Athena run as an engine runs them, in this process: translated, done by DuckDB, shown as texts."""

import csv
from collections.abc import Mapping
from pathlib import Path

import duckdb
import sqlglot

from clary.lake.engine.trino.setup import prepare
from clary.lake.engine.trino.text import write_csv
from clary.lake.tables import Table
from clary.systems.athena.contract import TableName, Translated
from clary.systems.athena.select.dialect import AthenaSelect
from clary.systems.athena.select.translate import Session, translate

SESSION = Session("awsdatacatalog", "db", 1_700_000_000.123456, "tester")


def translated(query: str, tables: Mapping[str, Table] | None = None) -> Translated:
    """What a query is translated to, over tables of the database `db`."""
    named = {TableName("awsdatacatalog", "db", name): table for name, table in (tables or {}).items()}
    return translate(sqlglot.parse_one(query, read=AthenaSelect), named, SESSION)


def connected() -> duckdb.DuckDBPyConnection:
    """A connection as an engine has one."""
    connection = duckdb.connect()
    prepare(connection)
    return connection


def rows(connection: duckdb.DuckDBPyConnection, done: Translated, folder: Path) -> list[list[str | None]]:
    """The rows of a translated query as its file of results says them; what is not in quotes is None."""
    path = folder / "result.csv"
    write_csv(connection, done.sql, [c.name for c in done.columns], [c.type for c in done.columns], path)
    return parsed(path.read_text())[1:]


def parsed(text: str) -> list[list[str | None]]:
    """The lines of a file of results."""
    lines = [line or [""] for line in csv.reader(text.splitlines(keepends=True))]
    bare = _bare(text)
    return [[None if bare[at][place] else value for place, value in enumerate(line)] for at, line in enumerate(lines)]


def _bare(text: str) -> list[list[bool]]:
    """Whether each value of each line stands without quotes."""
    found: list[list[bool]] = [[]]
    inside = quoted = False
    for sign in text:
        if sign == '"':
            inside, quoted = not inside, True
        elif sign in ",\n" and not inside:
            found[-1].append(not quoted)
            quoted = False
            if sign == "\n":
                found.append([])
    return found
