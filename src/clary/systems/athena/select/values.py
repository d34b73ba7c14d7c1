"""What an expression becomes: its text of SQL, its type, and what it was made of; and how one is refused."""

from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from sqlglot import exp

from clary.systems.athena.contract import StatementFailed
from clary.systems.athena.select.types import UNKNOWN, T

Origin: TypeAlias = tuple[int, str]
"""A column of a scan: the scan's number and the column's name."""


@dataclass(frozen=True, slots=True)
class Value:
    """An expression of DuckDB that has a type of Trino.

    `constant` is what a literal says, None for anything else. `key` tells which column of scans it shows unchanged.
    """

    sql: str
    type: T
    constant: Any = None
    key: tuple[Origin, ...] = ()


NULL = Value("NULL", UNKNOWN)


def text(value: str) -> str:
    """A text as a literal of DuckDB's SQL."""
    if "\0" in value:
        raise StatementFailed("NOT_SUPPORTED", "a text of a query cannot hold the character U+0000")
    return "'" + value.replace("'", "''") + "'"


def checked(wrong: str, message: str, value: str) -> str:
    """SQL of `value` that fails with `message` (SQL of a text `CODE: ...`) for rows of which `wrong` is true.

    DuckDB's error() cannot stand inside TRY, for it counts as volatile: a cast that cannot be done serves instead.
    """
    return f"CASE WHEN CASE WHEN {wrong} THEN CAST({message} AS BOOLEAN) ELSE FALSE END THEN NULL ELSE {value} END"


def place(node: exp.Expr) -> str:
    """Where an expression begins in the text of the query: `line 1:8: `, or nothing where that is not known."""
    found = [each.meta for each in node.walk() if "start" in each.meta]
    if not found:
        return ""
    first = min(found, key=lambda meta: meta["start"])
    return f"line {first['line']}:{max(first['col'] - (first['end'] - first['start']), 1)}: "


def fail(code: str, node: exp.Expr, message: str) -> NoReturn:
    """Refuse a query for what it says at a node."""
    raise StatementFailed(code, place(node) + message)


def unsupported(node: exp.Expr, what: str) -> NoReturn:
    fail("NOT_SUPPORTED", node, f"{what} is not supported")


def mismatch(node: exp.Expr, message: str) -> NoReturn:
    fail("TYPE_MISMATCH", node, message)
