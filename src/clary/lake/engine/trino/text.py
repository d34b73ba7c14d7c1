"""Rows as Athena writes them: CSV whose values are all in quotes but NULL, which is nothing at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clary.lake.engine.trino.shown import shown

if TYPE_CHECKING:
    import duckdb


def write_csv(
    connection: "duckdb.DuckDBPyConnection", sql: str, names: Sequence[str], types: Sequence[str], path: Path
) -> int:
    """Write the rows of a query as Athena's file of results, under a line of `names`; how many rows there are.

    `types` are those of Trino that its columns have. DuckDB formats and writes all of it.
    """
    columns = [f"c{at}" for at in range(len(types))]
    texts = ", ".join(f"{shown(column, kind)} AS {column}" for column, kind in zip(columns, types, strict=True))
    query = f"SELECT {texts} FROM ({sql}) AS q({', '.join(columns)})"
    target = str(path).replace("'", "''")
    path.write_bytes(header(names))
    body = path.with_name(path.name + ".rows")
    counted = connection.execute(
        f"COPY ({query}) TO '{target}.rows' (FORMAT csv, HEADER false, FORCE_QUOTE *, QUOTE '\"', ESCAPE '\"', "
        "NULLSTR '', DELIMITER ',')"
    ).fetchone()
    with path.open("ab") as whole, body.open("rb") as rows:
        while piece := rows.read(1 << 22):
            whole.write(piece)
    body.unlink()
    return int(counted[0]) if counted else 0


def header(names: Sequence[str]) -> bytes:
    """The first line of a file of results."""
    return (",".join(f'"{_doubled(name)}"' for name in names) + "\n").encode()


def _doubled(name: str) -> str:
    return name.replace('"', '""')
