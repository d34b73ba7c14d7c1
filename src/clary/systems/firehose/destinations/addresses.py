"""Where rows go: the warehouse's URL, the table and its columns, as Redshift's configuration names them. Pure.

Names are parsed to parts and quoted again when a statement is made, so that a hostile one is at worst the name of
nothing.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl

from clary.systems.firehose.destinations.copy_options import Wrong

_URL = re.compile(
    r"jdbc:(?P<kind>redshift|postgresql)://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?/(?P<database>[A-Za-z0-9_$-]{1,64})(?:[?;](?P<properties>.*))?"
)
_PORTS = {"redshift": 5439, "postgresql": 5432}
_MODES = frozenset({"disable", "allow", "prefer", "require", "verify-ca", "verify-full"})
_PROPERTIES = "ssl (true or false), sslmode (disable, prefer, require, verify-ca or verify-full)"

_PART = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\0]|"")+)"|(?P<plain>[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*))\s*')
_MOST_NAME_BYTES = 127  # Redshift's; PostgreSQL's 63 is said by the server


@dataclass(frozen=True, slots=True)
class Address:
    """A database, and how it is spoken to: `tls` is what PostgreSQL's clients call sslmode."""

    host: str
    port: int
    database: str
    tls: str


class TableName(NamedTuple):
    schema: str  # empty for what the server searches by itself
    table: str


def parse_jdbc_url(url: str) -> Address:
    """The address of `jdbc:redshift://host:port/database?ssl=true`. Raises Wrong."""
    match = _URL.fullmatch(url)
    if match is None:
        raise Wrong(
            f"{url!r} must look like jdbc:redshift://host:port/database or jdbc:postgresql://host:port/database"
        )
    port = int(match["port"] or _PORTS[match["kind"]])
    if not 0 < port < 65536:
        raise Wrong(f"there is no port {port}")
    return Address(match["host"].strip("[]"), port, match["database"], _tls(match["properties"] or ""))


def _tls(properties: str) -> str:
    mode, wanted = "", ""
    for name, value in parse_qsl(properties.replace(";", "&"), keep_blank_values=True):
        if name.lower() == "ssl" and value.lower() in ("true", "false"):
            wanted = "require" if value.lower() == "true" else "disable"
        elif name.lower() == "sslmode" and value.lower() in _MODES:
            mode = value.lower()
        else:
            raise Wrong(f"the property {f'{name}={value}'[:80]!r} is not known; Clary knows {_PROPERTIES}")
    return mode or wanted or "prefer"


def parse_table(text: str) -> TableName:
    """The table of `table`, `schema.table` or `"Schema"."Table"`. Raises Wrong."""
    parts = _names(text, ".", "DataTableName")
    if len(parts) > 2:
        raise Wrong(f"DataTableName: {text!r} has more parts than a schema and a table")
    return TableName(parts[0] if len(parts) == 2 else "", parts[-1])


def parse_columns(text: str) -> tuple[str, ...]:
    """The names of `a, b, "C"`; none of an empty text. Raises Wrong."""
    if not text.strip():
        return ()
    names = _names(text, ",", "DataTableColumns")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise Wrong(f"DataTableColumns: {', '.join(repeated)} stands there more than once")
    return tuple(names)


def _names(text: str, separator: str, member: str) -> list[str]:
    names, position = [], 0
    while True:
        match = _PART.match(text, position)
        if match is None:
            rest = text[position : position + 30]
            raise Wrong(f"{member}: {rest!r} is not a name; write letters, digits, '_', or a name in double quotes")
        # What is not quoted is folded to lower case, as Redshift and PostgreSQL do.
        name = match["quoted"].replace('""', '"') if match["quoted"] else match["plain"].lower()
        if len(name.encode("utf-8", "replace")) > _MOST_NAME_BYTES:
            raise Wrong(f"{member}: {name[:30]!r}... is longer than {_MOST_NAME_BYTES} bytes")
        names.append(name)
        position = match.end()
        if position == len(text):
            return names
        if text[position] != separator:
            raise Wrong(f"{member}: {text[position : position + 30]!r} stands where {separator!r} is expected")
        position += 1
