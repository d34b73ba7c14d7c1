"""Reading a table: a scan whose SQL has DuckDB read the planned files, by the ids of fields, without what is deleted.

Files, also those of deletes, are linked into the query's folder. Beside the table's columns a scan has, when they are
asked for, `$path`, `$file_modified_time`, `$file_size`, `$partition`; and to say which row it is, `$file`, the number
of its file among those that were planned, `$uri`, as that file is named in manifests, and `$pos`, its place there.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.manifest import DataFile, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Snapshot

from clary.lake.iceberg.access import s3_location
from clary.lake.iceberg.planning import PlannedFile, Unreadable, plan, schema_with
from clary.lake.iceberg.projection import by_id, columns_of_files, literal, plain_columns
from clary.lake.iceberg.tables import IcebergTable
from clary.lake.iceberg.types import lake_type
from clary.lake.scans import DataFile as ScanFile
from clary.lake.scans import Scan
from clary.lake.tables import Column
from clary.lake.types import Type, duckdb_type, quoted

PATH, MODIFIED, SIZE, PARTITION = "$path", "$file_modified_time", "$file_size", "$partition"
FILE, URI, POSITION = "$file", "$uri", "$pos"
HIDDEN: Mapping[str, Type] = {
    PATH: Type("string"), MODIFIED: Type("timestamptz"), SIZE: Type("bigint"), PARTITION: Type("string"),
    FILE: Type("bigint"), URI: Type("string"), POSITION: Type("bigint"),
}  # fmt: skip
_OF_FILES = {
    PATH: "uri", MODIFIED: "modified", SIZE: "size", PARTITION: "partition", FILE: "number", URI: "written",
}  # fmt: skip
_ALL: BooleanExpression = AlwaysTrue()


@dataclass(frozen=True, slots=True)
class _Linked:
    """A planned file and where the engine finds it."""

    planned: PlannedFile
    path: str

    @property
    def file(self) -> DataFile:
        return self.planned.file


def scan_of(
    table: IcebergTable,
    name: str,
    *,
    snapshot: Snapshot | None = None,
    schema: Schema | None = None,
    used: Sequence[str] = (),
    expression: BooleanExpression = _ALL,
    files: Collection[str] | None = None,
) -> Scan:
    """A scan of what a snapshot, by default the current one, holds where `expression` may be true.

    `schema` is whose columns it has, by default the table's. With `files` it reads those alone, by their URIs.
    Raises Unreadable, and AwsError where files may not be read.
    """
    at = snapshot or table.metadata.current_snapshot()
    planned = [each for each in plan(table, at, expression) if files is None or each.file.file_path in files]
    return scan_of_files(table, name, planned, schema=schema or table.schema, used=used)


def scan_of_files(
    table: IcebergTable, name: str, planned: Sequence[PlannedFile], *, schema: Schema, used: Sequence[str] = ()
) -> Scan:
    """A scan of planned files. Raises Unreadable, and AwsError where they may not be read."""
    columns = tuple(Column(field.name.lower(), lake_type(field.field_type)) for field in schema.fields)
    linked = [_Linked(each, str(_local(table, each.file))) for each in planned]
    hidden = [each for each in HIDDEN if each in used]
    sql = _Sql(table, schema, hidden, _listing(table, name, linked, hidden))
    return Scan(
        name=name,
        columns=(*columns, *(Column(each, HIDDEN[each]) for each in hidden)),
        files=tuple(_scan_file(table, each) for each in linked),
        used=tuple(used),
        sql=sql.of(linked),
    )


def of_rows(name: str, columns: Sequence[Column], rows: pa.Table, folder: Path) -> Scan:
    """A scan of rows that are at hand, such as those of a table of metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.parquet"
    pq.write_table(rows, path)
    chosen = ", ".join(
        f"CAST({quoted(each.name)} AS {duckdb_type(each.type)}) AS {quoted(each.name)}" for each in columns
    )
    return Scan(
        name=name,
        columns=tuple(columns),
        files=(ScanFile(str(path), "", path.stat().st_size),),
        sql=f"SELECT {chosen} FROM read_parquet({literal(str(path))}, hive_partitioning=false)",
    )


class _Sql:
    """Makes the query over the linked files."""

    def __init__(self, table: IcebergTable, schema: Schema, hidden: Sequence[str], listing: str) -> None:
        self._table = table
        self._schema = schema
        self._hidden = hidden
        self._listing = listing
        self._names = [field.name.lower() for field in schema.fields]

    def of(self, linked: Sequence[_Linked]) -> str:
        groups: dict[tuple[bool, tuple[tuple[int, ...], ...]], list[_Linked]] = defaultdict(list)
        for each in linked:
            equal_by = {tuple(sorted(gone.file.equality_ids or ())) for gone in each.planned.equality_deletes}
            groups[bool(each.planned.position_deletes), tuple(sorted(equal_by))].append(each)
        parts = [self._group(group, by_position, equal_by) for (by_position, equal_by), group in sorted(groups.items())]
        return "\nUNION ALL ".join(parts) if parts else self._nothing()

    def _nothing(self) -> str:
        columns = [
            (name, lake_type(field.field_type)) for name, field in zip(self._names, self._schema.fields, strict=True)
        ]
        columns += [(name, HIDDEN[name]) for name in self._hidden]
        nulls = (f"CAST(NULL AS {duckdb_type(of)}) AS {quoted(name)}" for name, of in columns)
        return f"SELECT {', '.join(nulls)} WHERE false"

    def _group(self, group: Sequence[_Linked], by_position: bool, equal_by: Sequence[tuple[int, ...]]) -> str:
        """Files whose deletes are alike: none, by position, by equality in some columns, or both."""
        ids = {number for each in equal_by for number in each} - {field.field_id for field in self._schema.fields}
        extra = [field for field in schema_with(self._table, ids).fields if field.field_id in ids] if ids else []
        numbered = by_position or POSITION in self._hidden
        of_file = [name for name in self._hidden if name in _OF_FILES]
        source = columns_of_files(
            self._table,
            [*self._schema.fields, *extra],
            [(each.file, each.path) for each in group],
            numbered=numbered or bool(of_file) or bool(equal_by),
        )
        chosen = [f"d.{by_id(field)} AS {quoted(field.name.lower())}" for field in self._schema.fields]
        joins = ""
        if of_file or equal_by:
            joins = f" JOIN {self._files()} f ON f.filename = d.filename"
        for name in self._hidden:
            column = f"f.{_OF_FILES[name]}" if name in _OF_FILES else "d.file_row_number"
            chosen.append(f"{column} AS {quoted(name)}")
        if by_position:
            joins += f" ANTI JOIN {self._positions(group)} p ON p.filename = d.filename AND p.pos = d.file_row_number"
        conditions = [self._unequal(group, ids) for ids in equal_by]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"SELECT {', '.join(chosen)} FROM ({source}) d{joins}{where}"

    def _files(self) -> str:
        return f"read_parquet({literal(self._listing)}, hive_partitioning=false)"

    def _positions(self, group: Sequence[_Linked]) -> str:
        """Which rows of which files are gone: delete files name files by URI, DuckDB by where it reads them."""
        deletes = {gone.file_path: gone for each in group for gone in each.planned.position_deletes}
        paths = ", ".join(literal(str(_local(self._table, each))) for each in deletes.values())
        return (
            f"(SELECT l.filename, p.pos FROM read_parquet([{paths}], hive_partitioning=false) p"
            f" JOIN {self._files()} l ON l.written = p.file_path)"
        )

    def _unequal(self, group: Sequence[_Linked], ids: tuple[int, ...]) -> str:
        """That no row of the delete files by these columns is equal to a row, and younger than its file."""
        deletes = {
            gone.file.file_path: gone
            for each in group
            for gone in each.planned.equality_deletes
            if tuple(sorted(gone.file.equality_ids or ())) == ids
        }
        equal = [field for field in schema_with(self._table, ids).fields if field.field_id in ids]
        by_age: dict[tuple[int, str], list[str]] = defaultdict(list)
        specs = self._table.metadata.specs()
        for each in deletes.values():
            everywhere = specs[each.file.spec_id].is_unpartitioned()
            where = "" if everywhere else _partition_mark(each.file)
            by_age[each.sequence, where].append(str(_local(self._table, each.file)))
        sources = [
            f"SELECT *, {sequence} AS __sequence, {literal(where) if where else 'NULL::VARCHAR'} AS __mark FROM "
            f"({plain_columns(equal, paths)})"
            for (sequence, where), paths in sorted(by_age.items())
        ]
        same = " AND ".join(f"e.{by_id(field)} IS NOT DISTINCT FROM d.{by_id(field)}" for field in equal)
        return (
            f"NOT EXISTS (SELECT 1 FROM ({' UNION ALL BY NAME '.join(sources)}) e"
            f" WHERE {same} AND e.__sequence > f.sequence AND (e.__mark IS NULL OR e.__mark = f.mark))"
        )


def _listing(table: IcebergTable, name: str, linked: Sequence[_Linked], hidden: Sequence[str]) -> str:
    """A file that says what DuckDB cannot know of the files it reads; the path where it lies, empty when not needed."""
    deleted = any(each.planned.position_deletes or each.planned.equality_deletes for each in linked)
    if not linked or not (deleted or any(each in _OF_FILES for each in hidden)):
        return ""
    specs, schema = table.metadata.specs(), table.schema
    path = table.io.fresh()
    pq.write_table(
        pa.table(
            {
                "filename": [each.path for each in linked],
                "number": pa.array(range(len(linked)), pa.int64()),
                "uri": [s3_location(each.file.file_path) for each in linked],
                "written": [each.file.file_path for each in linked],
                "size": pa.array([each.file.file_size_in_bytes for each in linked], pa.int64()),
                "modified": pa.array(
                    [int(Path(each.path).stat().st_mtime * 1e6) for each in linked], pa.timestamp("us", "UTC")
                ),
                "partition": [
                    specs[each.file.spec_id].partition_to_path(each.file.partition, schema) for each in linked
                ],
                "sequence": pa.array([each.planned.sequence for each in linked], pa.int64()),
                "mark": [_partition_mark(each.file) for each in linked],
            }
        ),
        path,
    )
    return str(path)


def _partition_mark(file: DataFile) -> str:
    return repr((file.spec_id, *(file.partition[place] for place in range(len(file.partition)))))


def _local(table: IcebergTable, file: DataFile) -> Path:
    if file.file_format != FileFormat.PARQUET:
        raise Unreadable(
            f"{table.database}.{table.name} has files in {file.file_format.value}, and Parquet alone is supported: "
            f"{file.file_path}"
        )
    try:
        return table.io.local(s3_location(file.file_path))
    except FileNotFoundError as error:
        raise Unreadable(f"Error opening Iceberg split {file.file_path}: {error}") from None


def _scan_file(table: IcebergTable, linked: _Linked) -> ScanFile:
    deletes = (
        *linked.planned.position_deletes,
        *(each.file for each in linked.planned.equality_deletes),
    )
    return ScanFile(
        path=linked.path,
        uri=s3_location(linked.file.file_path),
        size_bytes=linked.file.file_size_in_bytes,
        version=linked.file.file_path,
        deletes=tuple(str(_local(table, each)) for each in deletes),
    )
