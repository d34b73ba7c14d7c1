"""The queries of TPC-H, which are Athena's dialect as they stand, against what DuckDB answers to them by itself."""

import datetime
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from clary.lake.tables import Column, Table
from clary.lake.types import parse_type
from clary.systems.athena.select.tests.trino import connected, rows, translated

QUERIES = [each for each in Path(__file__).with_name("tpch.sql").read_text().split(";") if each.strip()]
NAMES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> tuple[duckdb.DuckDBPyConnection, dict[str, Table]]:
    """Tables of a hundredth of the first size there is, and what a catalog would say of them."""
    folder = tmp_path_factory.mktemp("tpch")
    program = Path(sys.executable).with_name("tpchgen-cli")
    subprocess.run([program, "parquet", "-s", "0.01", f"--output-dir={folder}"], check=True, capture_output=True)
    connection = connected()
    tables = {}
    for name in NAMES:
        connection.execute(f"CREATE VIEW {name} AS FROM read_parquet('{folder}/{name}.parquet')")
        described = connection.execute(f"DESCRIBE {name}").fetchall()
        columns = [Column(column, parse_type(_hive(kind))) for column, kind, *_ in described]
        tables[name] = Table("db", name, tuple(columns))
    return connection, tables


def _hive(kind: str) -> str:
    return {"VARCHAR": "string", "INTEGER": "int"}.get(kind, kind.lower())


@pytest.mark.parametrize("query", QUERIES, ids=[f"q{at + 1}" for at in range(len(QUERIES))])
def test_a_query_answers_as_duckdb_does(
    lake: tuple[duckdb.DuckDBPyConnection, dict[str, Table]], tmp_path: Path, query: str
) -> None:
    connection, tables = lake
    expected = connection.execute(query).fetchall()
    done = translated(query, tables)
    for use in done.uses:
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {use.relation} AS FROM {use.table.name}")
    found = rows(connection, done, tmp_path)
    assert len(found) == len(expected)
    for line, other in zip(found, expected, strict=True):
        assert len(line) == len(other)
        for text, value in zip(line, other, strict=True):
            _same(text, value)


def _same(text: str | None, value: Any) -> None:
    """A text shows a value; of a decimal, what its digits can say of DuckDB's double."""
    if value is None or isinstance(value, str | int):
        assert text == (value if value is None else str(value))
    elif isinstance(value, datetime.datetime | datetime.date):
        assert text == str(value)[: len(text or "")]
    else:
        assert text is not None
        step = Decimal(1).scaleb(Decimal(text).as_tuple().exponent)  # type: ignore[arg-type]
        assert abs(Decimal(text) - Decimal(value)) <= step
