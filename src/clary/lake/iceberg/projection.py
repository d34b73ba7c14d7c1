"""Columns of a schema out of files that were written under others: found by the ids of fields, not by their names.

DuckDB maps columns by id itself. What it does not, fields inside others that changed and files without ids, is
spelled out as expressions over what a file's footer says.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import pyarrow_to_schema
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import IcebergType, ListType, MapType, NestedField, PrimitiveType, StructType

from clary.lake.iceberg.tables import IcebergTable
from clary.lake.iceberg.types import lake_type
from clary.lake.types import duckdb_type, quoted


def columns_of_files(
    table: IcebergTable, fields: Sequence[NestedField], files: Sequence[tuple[DataFile, str]], *, numbered: bool
) -> str:
    """SQL for columns out of files at these paths, each under the name that `by_id` gives it.

    `numbered` adds `filename` and `file_row_number`.
    """
    if not _needs_footers(table, fields):
        return plain_columns(fields, [path for _, path in files], numbered=numbered)
    names = table.metadata.name_mapping() or table.schema.name_mapping
    schemas: dict[str, Schema] = {}
    groups: dict[tuple[str, tuple[tuple[int, str], ...]], list[str]] = defaultdict(list)
    for file, path in files:
        found = pyarrow_to_schema(pq.read_schema(path), names, downcast_ns_timestamp_to_us=True)
        key = repr(found.fields)
        schemas[key] = found
        groups[key, tuple(_constants(table, file).items())].append(path)
    return " UNION ALL ".join(
        _spelled_out(fields, schemas[key], dict(constants), paths, numbered=numbered)
        for (key, constants), paths in groups.items()
    )


def plain_columns(fields: Sequence[NestedField], paths: Sequence[str], *, numbered: bool = False) -> str:
    """SQL for columns that files have, or had, by their ids."""
    wanted = ", ".join(
        f"{field.field_id}: {{'name': {literal(by_id(field))}, 'type': {literal(_sql_type(field.field_type))}, "
        "'default_value': NULL}"
        for field in fields
    )
    chosen = [by_id(field) for field in fields] + (["filename", "file_row_number"] if numbered else [])
    return (
        f"SELECT {', '.join(chosen) or '1'} FROM "
        f"read_parquet([{_list(paths)}], hive_partitioning=false{f', schema=MAP {{{wanted}}}' if wanted else ''})"
    )


def by_id(field: NestedField) -> str:
    """The name of a column in the SQL of this module."""
    return f"__{field.field_id}"


def literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def _needs_footers(table: IcebergTable, fields: Sequence[NestedField]) -> bool:
    """Whether it matters what is inside columns, or files may be without ids, for which there is a mapping of names."""
    if table.metadata.name_mapping() is not None:
        return True
    nested = {field.field_id: field.field_type for field in fields if not isinstance(field.field_type, PrimitiveType)}
    return any(
        nested.get(other.field_id, other.field_type) != other.field_type
        for schema in table.metadata.schemas
        for other in schema.fields
    )


def _constants(table: IcebergTable, file: DataFile) -> dict[int, str]:
    """SQL of the values that columns have in a whole file, by id: files of old Hive tables are without their keys."""
    spec, types = table.metadata.specs()[file.spec_id], {field.field_id: field for field in table.schema.fields}
    found = {}
    for place, part in enumerate(spec.fields):
        field = types.get(part.source_id)
        value = file.partition[place]
        if isinstance(part.transform, IdentityTransform) and field is not None and value is not None:
            text = part.transform.to_human_string(field.field_type, value)
            found[field.field_id] = f"CAST({literal(text)} AS {_sql_type(field.field_type)})"
    return found


def _spelled_out(
    fields: Sequence[NestedField],
    of_file: Schema,
    constants: Mapping[int, str],
    paths: Sequence[str],
    *,
    numbered: bool,
) -> str:
    there = {field.field_id: field for field in of_file.fields}
    chosen = []
    for field in fields:
        source = there.get(field.field_id)
        wanted = _sql_type(field.field_type)
        if source is None:
            value = constants.get(field.field_id, "NULL")
        else:
            value = _converted(field.field_type, source.field_type, quoted(source.name))
        chosen.append(f"CAST({value} AS {wanted}) AS {by_id(field)}")
    chosen += ["filename", "file_row_number"] if numbered else []
    return f"SELECT {', '.join(chosen) or '1'} FROM read_parquet([{_list(paths)}], hive_partitioning=false)"


def _converted(wanted: IcebergType, source: IcebergType, value: str, depth: int = 0) -> str:
    """SQL of a value with the fields inside it that are wanted, by their ids."""
    if wanted == source:
        return value
    if isinstance(wanted, StructType) and isinstance(source, StructType):
        there = {field.field_id: field for field in source.fields}
        parts = []
        for field in wanted.fields:
            found = there.get(field.field_id)
            inner = f"({value}).{quoted(found.name)}" if found else ""
            of = f"CAST(NULL AS {_sql_type(field.field_type)})"
            made = _converted(field.field_type, found.field_type, inner, depth) if found else of
            parts.append(f"{quoted(field.name)} := {made}")
        return f"CASE WHEN {value} IS NULL THEN NULL ELSE struct_pack({', '.join(parts)}) END"
    each = f"x{depth}"
    if isinstance(wanted, ListType) and isinstance(source, ListType):
        inner = _converted(wanted.element_type, source.element_type, each, depth + 1)
        return f"list_transform({value}, lambda {each}: {inner})"
    if isinstance(wanted, MapType) and isinstance(source, MapType):
        key = _converted(wanted.key_type, source.key_type, f"{each}.key", depth + 1)
        inner = _converted(wanted.value_type, source.value_type, f"{each}.value", depth + 1)
        pairs = f"list_transform(map_entries({value}), lambda {each}: struct_pack(k := {key}, v := {inner}))"
        return f"CASE WHEN {value} IS NULL THEN NULL ELSE map_from_entries({pairs}) END"
    return value


def _sql_type(of: IcebergType) -> str:
    return duckdb_type(lake_type(of))


def _list(paths: Sequence[str]) -> str:
    return ", ".join(literal(path) for path in paths)
