"""Expressions as Trino's and Athena's documentation say that they are shown."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from clary.systems.athena.contract import StatementFailed
from clary.systems.athena.select.tests.trino import connected, rows, translated

EXPRESSIONS = Path(__file__).with_name("expressions.txt")


def cases() -> Iterator[tuple[str, str]]:
    """Lines `expression => text`; NULL stands for no value at all, a `!` before it for the code of an error."""
    for line in EXPRESSIONS.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            expression, _, expected = line.rpartition(" => ")
            yield expression.strip(), expected.strip()


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    return connected()


@pytest.mark.parametrize(("expression", "expected"), list(cases()))
def test_an_expression_is_shown_as_documented(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, expression: str, expected: str
) -> None:
    if expected.startswith("!"):
        with pytest.raises((StatementFailed, duckdb.Error)) as failure:
            rows(connection, translated(f"SELECT {expression}"), tmp_path)
        assert expected[1:] in str(failure.value)
        return
    found = rows(connection, translated(f"SELECT {expression}"), tmp_path)
    assert found == [[None if expected == "NULL" else expected.strip("`")]]
