"""Databases that connections lead to: those that speak PostgreSQL's protocol."""

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from clary.systems.glue_catalog.lookup import invalid

_URL = re.compile(r"jdbc:(?:postgresql|redshift)://([^/:?\s]+|\[[0-9a-fA-F:]+\])(?::(\d{1,5}))?/([^/?\s]+)(?:\?\S*)?")
_CONNECT_SECONDS = 10
_PORT = 5432


class Address(NamedTuple):
    """Where a database is."""

    host: str
    port: int
    database: str


class DatabaseColumn(NamedTuple):
    """A column of a table of a database: its name and PostgreSQL's type, as `format_type` writes it."""

    name: str
    type: str


class DatabaseTable(NamedTuple):
    """A table or view of a database."""

    schema: str
    name: str
    is_view: bool
    columns: Sequence[DatabaseColumn]


class Unreachable(Exception):
    """The database cannot be reached, does not let us in, or does not answer what is asked."""


def parse_address(properties: Mapping[str, str]) -> Address:
    """Where the properties of a connection say that its database is. Raises InvalidInputException."""
    url = properties.get("JDBC_CONNECTION_URL") or ""
    found = _URL.fullmatch(url)
    if found is None:
        raise invalid(
            f"JDBC_CONNECTION_URL {url!r} is not one that Clary can follow: it speaks PostgreSQL's protocol, as in "
            "jdbc:postgresql://host:5432/database"
        )
    return Address(found[1].strip("[]"), int(found[2] or _PORT), found[3])


@contextmanager
def connected(properties: Mapping[str, str]) -> Iterator[Any]:
    """A connection to the database of these properties, to read from. Raises Unreachable, InvalidInputException."""
    if importlib.util.find_spec("psycopg") is None:
        raise invalid("Connections to databases need psycopg, which is not installed: pip install 'clary[data]'")
    import psycopg

    address = parse_address(properties)
    try:
        with psycopg.connect(
            host=address.host,
            port=address.port,
            dbname=address.database,
            user=properties.get("USERNAME") or None,
            password=properties.get("PASSWORD") or None,
            sslmode="require" if properties.get("JDBC_ENFORCE_SSL", "").lower() == "true" else "prefer",
            connect_timeout=_CONNECT_SECONDS,
            options="-c default_transaction_read_only=on -c statement_timeout=60000",
        ) as connection:
            yield connection
    except psycopg.Error as error:
        raise Unreachable(f"{address.host}:{address.port}/{address.database}: {str(error).strip()}") from error


def tables_of(connection: Any, schema: str, table: str) -> list[DatabaseTable]:
    """The tables and views whose schema and name are as these say, `%` standing for any text; no system's own."""
    rows = connection.execute(
        """
        select n.nspname, c.relname, c.relkind in ('v', 'm'), a.attname, format_type(a.atttypid, a.atttypmod)
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
          and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_toast%%'
          and n.nspname like %s and c.relname like %s
        order by n.nspname, c.relname, a.attnum
        """,
        (_like(schema), _like(table)),
    ).fetchall()
    found: dict[tuple[str, str], DatabaseTable] = {}
    for namespace, name, is_view, column, type_ in rows:
        made = found.setdefault((namespace, name), DatabaseTable(namespace, name, is_view, []))
        made.columns.append(DatabaseColumn(column, type_))  # type: ignore[attr-defined]
    return list(found.values())


def _like(pattern: str) -> str:
    return pattern.replace("\\", "\\\\").replace("_", "\\_")
