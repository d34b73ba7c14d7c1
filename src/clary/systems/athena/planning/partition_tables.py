"""`"t$partitions"`: the values that the keys of a table's partitions have, as a table that queries read."""

from clary.lake.scans import DataFile, Scan
from clary.lake.tables import Table
from clary.lake.types import duckdb_type, quoted
from clary.systems.athena.contract import Running, ScanUse
from clary.systems.athena.planning.partitions import values_of

PARTITIONS = "partitions"


def described(table: Table, part: str) -> Table | None:
    """The table that `part` of a table is; None where there is no such part, or the table has no keys."""
    if part != PARTITIONS or not table.keys or table.view:
        return None
    return Table(table.database, f"{table.name}${part}", table.keys, location=table.location, format=table.format)


def rows_of(running: Running, use: ScanUse, table: Table) -> Scan:
    """The rows: one for each partition that the query may want."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = values_of(running, table, use.domains)
    places = range(len(table.keys))
    columns = [pa.array([row[place] for row in rows], pa.string()) for place in places]
    folder = running.folder / use.relation
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "partitions"
    pq.write_table(pa.table(columns, names=[key.name for key in table.keys]), path)
    items = ", ".join(
        f"CAST({quoted(key.name)} AS {duckdb_type(key.type)}) AS {quoted(key.name)}" for key in table.keys
    )
    source = "'" + str(path).replace("'", "''") + "'"
    return Scan(
        name=use.relation,
        columns=table.keys,
        files=(DataFile(str(path), "", path.stat().st_size),),
        used=use.used,
        sql=f"SELECT {items} FROM read_parquet({source}, hive_partitioning=false)",
    )
