"""Trino's functions made known to a connection of DuckDB, before anything of a query reaches it."""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

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
    """The macros of `macros.sql`, heads and bodies, each behind those that it calls."""
    macros = _written(Path(__file__).with_name("macros.sql").read_text())
    heads = {head.partition("(")[0]: head for head in macros}
    found: dict[str, str] = {}

    def add(head: str) -> None:
        if head not in found:
            for name in _NAME.findall(macros[head]):
                if name in heads:
                    add(heads[name])
            found[head] = macros[head]

    for head in macros:
        add(head)
    return tuple(found.items())


def _written(text: str) -> dict[str, str]:
    """Macros by their heads. Each is written `name(parameters) := body;`, with comments on lines of their own."""
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    statements = [each.strip() for each in "\n".join(lines).split(";\n") if each.strip()]
    return {head.strip(): body.rstrip(";") for head, _, body in (each.partition(":=") for each in statements)}
