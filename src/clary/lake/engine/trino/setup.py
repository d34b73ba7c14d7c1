"""Trino's functions made known to a connection of DuckDB, before anything of a query reaches it."""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from clary.lake.engine.trino.functions import FUNCTIONS, add

if TYPE_CHECKING:
    import duckdb

_NAME = re.compile(r"trino_\w+")


def prepare(connection: "duckdb.DuckDBPyConnection") -> None:
    """Have a connection know all that translated queries call, and count as they do; see `configure`."""
    configure(connection)
    # One call for all of them takes a fraction of what a call for each does.
    for name in FUNCTIONS:
        add(connection, name)
    connection.execute("; ".join(_making(head, body) for head, body in _ordered()))


def configure(connection: "duckdb.DuckDBPyConnection") -> None:
    """Have times count in UTC, and ordering and division be Trino's: once, before the configuration is locked."""
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET ieee_floating_point_ops = true")
    connection.execute("SET default_null_order = 'nulls_last'")


def teach(connection: "duckdb.DuckDBPyConnection", sql: str, known: set[str]) -> None:
    """Have a connection know the macros and functions that a statement calls, and those that these call. It knows
    those of `known`, to which they are added: to know all of them takes longer than most queries."""
    named = set(_NAME.findall(sql)) - known
    if not named:
        return
    wanted = {each for name in named for each in _called(name)} - known
    for name in wanted & FUNCTIONS.keys():
        add(connection, name)
    for head, body in _ordered():
        if head.partition("(")[0] in wanted:
            connection.execute(_making(head, body))
    known |= wanted


def learn() -> None:
    """Read the macros now, in a process that others are forked from."""
    for head, _ in _ordered():
        _called(head.partition("(")[0])


def _making(head: str, body: str) -> str:
    return f"CREATE OR REPLACE TEMP MACRO {head} AS {body}"


@cache
def _called(name: str) -> frozenset[str]:
    """A macro or function and all that it calls, however far."""
    bodies = {head.partition("(")[0]: body for head, body in _ordered()}
    found: set[str] = set()
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if (each in bodies or each in FUNCTIONS) and each not in found:
            found.add(each)
            waiting += _NAME.findall(bodies.get(each, ""))
    return frozenset(found)


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
