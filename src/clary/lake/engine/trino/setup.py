"""Trino's functions made known to a connection of DuckDB, before anything of a query reaches it."""

import re
from functools import cache
from typing import TYPE_CHECKING

from clary.lake.engine.trino.macros import MACROS

if TYPE_CHECKING:
    import duckdb

_NAME = re.compile(r"trino_\w+")


def prepare(connection: "duckdb.DuckDBPyConnection") -> None:
    """Have a connection know what translated queries call. Times count in UTC, ordering and division are Trino's.

    To be done once for a connection, before its configuration is locked.
    """
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET ieee_floating_point_ops = true")
    connection.execute("SET default_null_order = 'nulls_last'")
    for head, body in _ordered():
        connection.execute(f"CREATE OR REPLACE TEMP MACRO {head} AS {body}")


@cache
def _ordered() -> tuple[tuple[str, str], ...]:
    """The macros, each behind those that it calls."""
    heads = {head.partition("(")[0]: head for head in MACROS}
    found: dict[str, str] = {}

    def add(head: str) -> None:
        if head not in found:
            for name in _NAME.findall(MACROS[head]):
                if name in heads:
                    add(heads[name])
            found[head] = MACROS[head]

    for head in MACROS:
        add(head)
    return tuple(found.items())
